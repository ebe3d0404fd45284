//! The feed of published posts (Atom, RFC 4287).
//!
//! Its links are absolute, because feed readers resolve relative links inconsistently. The feed is cached once for all
//! host names of the server, with a placeholder that each response replaces by the server's URL. Readers poll it, so it has
//! an entity tag.

use atom_syndication::{Category, Entry, Feed, FixedDateTime, Generator, Link, Person, Text};
use axum::{
    extract::State,
    http::{HeaderMap, Uri, header, uri::Authority},
    response::{IntoResponse, Response},
    routing::{MethodRouter, get},
};
use chrono::{DateTime, Utc};
use mainstay_kernel::app::App;
use sha2::{Digest as _, Sha256};

use crate::content::{
    cdn,
    config::ContentConfig,
    post::{model::Post, published::PublishedPosts},
};

/// The maximum number of posts in the feed.
const ENTRIES: i64 = 50;
const PATH: &str = "/feed.atom";

pub(super) fn pages() -> [(&'static str, MethodRouter<App>); 1] {
    [(PATH, get(page))]
}

/// The placeholder for the server's URL in a cached feed.
const STAND_IN: &str = "urn:mainstay:public-url:";

async fn page(State(app): State<App>, uri: Uri, headers: HeaderMap) -> Response {
    match app.part::<PublishedPosts>().feed(&app, ENTRIES, render).await {
        Ok(feed) => {
            let base = public_url(&app, &uri, &headers);
            let fixed = [
                (header::CONTENT_TYPE, "application/atom+xml; charset=utf-8"),
                (header::CACHE_CONTROL, "public, max-age=60, stale-while-revalidate=60, stale-if-error=600"),
                (cdn::SURROGATE_KEY, cdn::LISTS),
                (cdn::CACHE_TAG, cdn::LISTS),
            ];
            let feed = feed.replace(STAND_IN, &base);
            (fixed, [(header::ETAG, tag(&feed))], feed).into_response()
        }
        Err(error) => tonic::Status::from(error).into_http(),
    }
}

/// Returns the entity tag of a feed. It is a hash because the feed has no version: a post that leaves it changes it, too.
fn tag(feed: &str) -> String {
    let hash: String = Sha256::digest(feed).iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("\"{hash}\"")
}

/// Returns the URL of this server: the configured one, or else the one in the request.
fn public_url(app: &App, uri: &Uri, headers: &HeaderMap) -> String {
    let (section, server) = (app.config.section::<ContentConfig>(), &app.config.server);
    if let Some(url) = &section.public_url {
        return url.replace('&', "&amp;");
    }
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let forwarded = text(X_FORWARDED_PROTO).filter(|_| server.trusted_proxy_hops > 0);
    let is_https = server.tls.is_some() || forwarded.is_some_and(|scheme| scheme.eq_ignore_ascii_case("https"));
    let named = uri.authority().map(Authority::as_str).or_else(|| text(header::HOST.as_str()));
    let host = named.filter(|host| is_host(host)).map_or_else(|| server.listen.to_string(), str::to_owned);
    format!("{}://{host}", if is_https { "https" } else { "http" })
}

const X_FORWARDED_PROTO: &str = "x-forwarded-proto";

/// Returns whether a text is a host with or without a port. The text becomes part of an XML document.
fn is_host(text: &str) -> bool {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.:[]_".contains(&byte));
    let is_complete = |authority: Authority| {
        !authority.host().is_empty() && (authority.host() == text || authority.port_u16().is_some())
    };
    is_plain && text.parse().is_ok_and(is_complete)
}

/// Returns a path of this server, or another URL, as an absolute link.
fn absolute(url: String) -> String {
    if url.starts_with('/') && !url.starts_with("//") { format!("{STAND_IN}{url}") } else { url }
}

fn date(time: DateTime<Utc>) -> FixedDateTime {
    time.fixed_offset()
}

fn link(rel: &str, href: String) -> Link {
    Link { rel: rel.to_owned(), href, ..Link::default() }
}

fn render(app: &App, posts: Vec<Post>) -> String {
    let config = app.config.section::<ContentConfig>();
    // A feed without entries was never updated; the epoch keeps the response the same for every reader.
    let updated = posts.iter().map(|post| post.updated_at).max().unwrap_or_default();
    let feed = Feed {
        title: Text::plain(config.feed_title.clone()),
        id: "urn:mainstay:posts".to_owned(),
        updated: date(updated),
        authors: vec![Person { name: config.feed_title.clone(), ..Person::default() }],
        generator: Some(Generator { value: "Mainstay".to_owned(), ..Generator::default() }),
        links: vec![link("self", absolute(PATH.to_owned()))],
        entries: posts.into_iter().map(|post| entry(config, post)).collect(),
        ..Feed::default()
    };
    write(&feed)
}

/// Writes the feed without the characters that XML 1.0 forbids even in escaped form, because a single one would make
/// the document malformed.
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
        links: vec![link("alternate", absolute(config.post_url.replace("{slug}", &post.slug)))],
        summary: Some(Text::plain(post.content.summary)),
        categories: post.content.tags.into_iter().map(|term| Category { term, ..Category::default() }).collect(),
        ..Entry::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_host_is_taken_for_one() {
        for host in ["a.example", "127.0.0.1:8080", "[2001:db8::1]:80", "a_b", "xn--bcher-kva.example"] {
            assert!(is_host(host), "{host}");
        }
        for other in ["", "a\"b", "a&b", "user@a.example", "a/b", "a b", "a<b", ":", "a:b:c"] {
            assert!(!is_host(other), "{other}");
        }
    }

    #[test]
    fn characters_that_xml_cannot_have_are_left_out() {
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
