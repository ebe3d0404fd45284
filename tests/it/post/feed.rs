//! The Atom feed.

use atom_syndication::Feed;
use serde_json::json;

use crate::{
    cases::post::post,
    support::{TestApp, eventually},
};

#[tokio::test(flavor = "multi_thread")]
async fn the_feed_has_what_is_published_and_nothing_else() {
    let app = TestApp::builder()
        .set("FEED_TITLE", "News & more")
        .set("POST_URL", "https://example.com/p/{slug}")
        .start()
        .await;
    let cast = app.cast().await;
    post(&cast.agent).await;
    let mut slugs = Vec::new();
    for title in ["First <b>", "Second & last"] {
        let request =
            json!({ "title": title, "body": "Text", "summary": "About \"it\" <i>", "tags": ["a&b"], "language": "de" });
        let response = cast.agent.rest("PostService.CreatePost", request).await.success();
        cast.agent.rest("PostService.PublishPost", json!({ "postId": response.id() })).await.success();
        slugs.push(response.text("/data/slug"));
    }
    let url = format!("{}/feed.atom", app.endpoint.base());
    let answer = app.endpoint.http.get(url).send().await.expect("an answer");
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "application/atom+xml; charset=utf-8");
    assert_eq!(answer.headers()["cache-control"], "public, max-age=60, stale-while-revalidate=60, stale-if-error=600");
    let feed = Feed::read_from(&answer.bytes().await.expect("a body")[..]).expect("an Atom feed");
    assert_eq!(feed.title.as_str(), "News & more");
    let entries: Vec<_> =
        feed.entries.iter().map(|entry| (entry.title.as_str(), entry.links[0].href.clone())).collect();
    let links: Vec<_> = slugs.iter().map(|slug| format!("https://example.com/p/{slug}")).collect();
    assert_eq!(entries, [("Second & last", links[1].clone()), ("First <b>", links[0].clone())]);
    let entry = &feed.entries[0];
    assert!(
        entry.id.starts_with("urn:uuid:")
            && entry.published.is_some()
            && entry.updated >= *entry.published.as_ref().expect("a time")
    );
    assert_eq!(entry.summary.as_ref().map(|summary| summary.value.as_str()), Some("About \"it\" <i>"));
    assert_eq!(entry.categories[0].term, "a&b");
}

/// A feed reader has no page by which it could resolve a relative link.
#[tokio::test(flavor = "multi_thread")]
async fn the_links_of_the_feed_are_absolute() {
    let feed = async |app: &TestApp, headers: &[(&'static str, &'static str)]| {
        let mut request = app.endpoint.http.get(format!("{}/feed.atom", app.endpoint.base()));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = request.send().await.expect("an answer").bytes().await.expect("a body");
        let feed = Feed::read_from(&body[..]).expect("an Atom feed");
        (feed.links[0].href.clone(), feed.entries[0].links[0].href.clone())
    };
    let publish = async |app: &TestApp| {
        let agent = app.cast().await.agent;
        let request = json!({ "title": "One", "body": "Text" });
        let post = agent.rest("PostService.CreatePost", request).await.success();
        let id = json!({ "postId": post.id() });
        agent.rest("PostService.PublishPost", id).await.success();
        post.text("/data/slug")
    };
    let links = |base: &str, slug: &str| (format!("{base}/feed.atom"), format!("{base}/api/v1/post-slugs/{slug}"));

    let app = TestApp::builder().set("PUBLIC_URL", "https://shop.example/api/").start().await;
    let slug = publish(&app).await;
    let forged = [("host", "evil.example"), ("x-forwarded-proto", "http")];
    assert_eq!(feed(&app, &forged).await, links("https://shop.example/api", &slug));

    // Each reader gets links with the host that it called, although the feed is cached.
    let app = TestApp::builder().set("TRUSTED_PROXY_HOPS", "1").start().await;
    let slug = publish(&app).await;
    assert_eq!(feed(&app, &[]).await, links(&app.endpoint.base(), &slug));
    let proxied = [("host", "news.example:8443"), ("x-forwarded-proto", "https")];
    assert_eq!(feed(&app, &proxied).await, links("https://news.example:8443", &slug));
    assert_eq!(feed(&app, &[("host", "other.example")]).await, links("http://other.example", &slug));

    let app = TestApp::builder().set("TRUSTED_PROXY_HOPS", "0").start().await;
    let slug = publish(&app).await;
    let unproxied = [("host", "news.example"), ("x-forwarded-proto", "https")];
    assert_eq!(feed(&app, &unproxied).await, links("http://news.example", &slug), "no trusted proxy sets the header");
}

/// Readers poll the feed, which rarely changes.
#[tokio::test(flavor = "multi_thread")]
async fn an_unchanged_feed_is_not_sent_again_and_a_changed_one_is_compressed() {
    let (app, cast) = TestApp::start_with_cast().await;
    let summary = "About the printer. ".repeat(20);
    let publish = async |title: &str| {
        let request = json!({ "title": title, "body": "Text", "summary": summary });
        let id = cast.agent.rest("PostService.CreatePost", request).await.success().id();
        cast.agent.rest("PostService.PublishPost", json!({ "postId": id })).await.success();
    };
    let get = async |headers: &[(&'static str, &str)]| {
        let mut request = app.endpoint.http.get(format!("{}/feed.atom", app.endpoint.base()));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.send().await.expect("an answer")
    };
    let tag = |answer: &reqwest::Response| answer.headers()["etag"].to_str().expect("text").to_owned();
    for title in ["First", "Second", "Third"] {
        publish(title).await;
    }
    let (plain, gzip) = (get(&[]).await, get(&[("accept-encoding", "gzip")]).await);
    assert_eq!(
        (plain.status(), gzip.headers()["content-encoding"].to_str().ok()),
        (200.try_into().unwrap(), Some("gzip"))
    );
    let (plain_tag, gzip_tag) = (tag(&plain), tag(&gzip));
    let (plain_length, gzip_length) =
        (plain.text().await.expect("text").len(), gzip.bytes().await.expect("bytes").len());
    assert!(gzip_length * 2 < plain_length, "{gzip_length} of {plain_length} bytes");
    for headers in [
        &[("if-none-match", plain_tag.as_str())][..],
        &[("if-none-match", gzip_tag.as_str()), ("accept-encoding", "gzip")],
        &[("if-none-match", &*format!("W/{plain_tag}"))],
    ] {
        let answer = get(headers).await;
        assert_eq!(
            (answer.status().as_u16(), answer.headers().contains_key("cache-control")),
            (304, true),
            "{headers:?}"
        );
        assert!(answer.bytes().await.expect("a body").is_empty());
    }
    publish("Fourth").await;
    let is_changed = async || get(&[("if-none-match", plain_tag.as_str())]).await.status() == 200;
    eventually("the feed has the new post", is_changed).await;
    let changed = get(&[("if-none-match", &plain_tag)]).await;
    assert_eq!(changed.status(), 200);
    assert_ne!(tag(&changed), plain_tag);
    // The links of another host are other bytes.
    assert_ne!(tag(&get(&[("host", "other.example")]).await), tag(&changed));
}
