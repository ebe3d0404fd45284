//! The feed of published posts (Atom, RFC 4287).

use atom_syndication::{Category, Entry, Feed, FixedDateTime, Generator, Link, Person, Text};
use axum::{
    Router,
    extract::State,
    http::header,
    response::{IntoResponse, Response},
    routing::get,
};
use chrono::{DateTime, Utc};
use mainstay_kernel::app::App;

use crate::content::{
    config::ContentConfig,
    post::{model::Post, published::Published},
};

/// Posts in the feed.
const ENTRIES: i64 = 50;
const PATH: &str = "/feed.atom";

pub(super) fn pages(app: &App) -> Router {
    Router::new().route(PATH, get(page)).with_state(app.clone())
}

async fn page(State(app): State<App>) -> Response {
    match app.part::<Published>().feed(&app, ENTRIES, render).await {
        Ok(feed) => {
            let headers = [
                (header::CONTENT_TYPE, "application/atom+xml; charset=utf-8"),
                (header::CACHE_CONTROL, "public, max-age=60, stale-while-revalidate=60"),
            ];
            (headers, feed).into_response()
        }
        Err(error) => tonic::Status::from(error).into_http(),
    }
}

fn date(time: DateTime<Utc>) -> FixedDateTime {
    time.fixed_offset()
}

fn link(rel: &str, href: String) -> Link {
    Link { rel: rel.to_owned(), href, ..Link::default() }
}

fn render(app: &App, posts: Vec<Post>) -> String {
    let config = app.config.section::<ContentConfig>();
    // A feed without entries was never updated; the epoch keeps it the same for every reader.
    let updated = posts.iter().map(|post| post.updated_at).max().unwrap_or_default();
    let feed = Feed {
        title: Text::plain(config.feed_title.clone()),
        id: "urn:mainstay:posts".to_owned(),
        updated: date(updated),
        authors: vec![Person { name: config.feed_title.clone(), ..Person::default() }],
        generator: Some(Generator { value: "Mainstay".to_owned(), ..Generator::default() }),
        links: vec![link("self", PATH.to_owned())],
        entries: posts.into_iter().map(|post| entry(config, post)).collect(),
        ..Feed::default()
    };
    feed.to_string()
}

fn entry(config: &ContentConfig, post: Post) -> Entry {
    Entry {
        title: Text { lang: Some(post.content.language), ..Text::plain(post.content.title) },
        id: format!("urn:uuid:{}", post.id),
        updated: date(post.updated_at),
        published: post.state.published_at().map(date),
        links: vec![link("alternate", config.post_url.replace("{slug}", &post.slug))],
        summary: Some(Text::plain(post.content.summary)),
        categories: post.content.tags.into_iter().map(|term| Category { term, ..Category::default() }).collect(),
        ..Entry::default()
    }
}
