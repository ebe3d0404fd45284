//! The feed of published posts (Atom, RFC 4287).

use atom_syndication::{Category, Entry, Feed, FixedDateTime, Generator, Link, Person, Text};
use axum::{
    extract::State,
    http::header,
    response::{IntoResponse, Response},
    routing::{MethodRouter, get},
};
use chrono::{DateTime, Utc};
use mainstay_kernel::app::App;

use crate::content::{
    config::ContentConfig,
    post::{model::Post, published::PublishedPosts},
};

/// Posts in the feed.
const ENTRIES: i64 = 50;
const PATH: &str = "/feed.atom";

pub(super) fn pages() -> [(&'static str, MethodRouter<App>); 1] {
    [(PATH, get(page))]
}

async fn page(State(app): State<App>) -> Response {
    match app.part::<PublishedPosts>().feed(&app, ENTRIES, render).await {
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
    write(&feed)
}

/// Writes the feed without the characters that XML 1.0 can't have, not even escaped: a single one would make all of it
/// unreadable.
fn write(feed: &Feed) -> String {
    let mut xml = feed.to_string();
    xml.retain(|char| matches!(char, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..));
    xml
}

fn entry(config: &ContentConfig, post: Post) -> Entry {
    Entry {
        title: Text { lang: Some(post.content.language.into()), ..Text::plain(post.content.title) },
        id: format!("urn:uuid:{}", post.id),
        updated: date(post.updated_at),
        published: post.state.published_at().map(date),
        links: vec![link("alternate", config.post_url.replace("{slug}", &post.slug))],
        summary: Some(Text::plain(post.content.summary)),
        categories: post.content.tags.into_iter().map(|term| Category { term, ..Category::default() }).collect(),
        ..Entry::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_xml_can_not_have_is_left_out() {
        let text = "a\0\u{1}\u{8}\tb\u{b}\u{1f}\u{fffe}c\u{ffff}\u{7f}\u{85}\u{fffd}\u{10ffff}&<\u{e000}";
        let entry = Entry {
            title: Text { lang: Some(text.to_owned()), ..Text::plain(text) },
            summary: Some(Text::plain(text)),
            categories: vec![Category { term: text.to_owned(), ..Category::default() }],
            ..Entry::default()
        };
        let xml = write(&Feed { title: Text::plain(text), entries: vec![entry], ..Feed::default() });
        let is_forbidden = |char: &char| matches!(char, '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}');
        assert_eq!(xml.chars().find(is_forbidden), None, "{xml:?}");
        let output = "a\tbc\u{7f}\u{85}\u{fffd}\u{10ffff}&amp;&lt;\u{e000}";
        assert_eq!(xml.matches(output).count(), 5, "{xml}");
    }
}
