//! The Atom feed.

use atom_syndication::Feed;
use serde_json::json;

use crate::{
    cases::post::post,
    support::{Protocol, TestApp},
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
        let response = cast.agent.call(Protocol::Rest, "PostService.CreatePost", request).await.success();
        cast.agent.call(Protocol::Rest, "PostService.PublishPost", json!({ "postId": response.id() })).await.success();
        slugs.push(response.text("/data/slug"));
    }
    let url = format!("{}/feed.atom", app.endpoint.base());
    let answer = app.endpoint.http.get(url).send().await.expect("an answer");
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "application/atom+xml; charset=utf-8");
    assert_eq!(answer.headers()["cache-control"], "public, max-age=60, stale-while-revalidate=60");
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
