//! Networks that cache posts learn what to forget.

use serde_json::json;

use crate::{
    cases::post::{post, publish_post},
    support::{TestApp, receiver::Receiver},
};

async fn app(format: &'static str, receiver: &Receiver) -> TestApp {
    let app = TestApp::builder().with_jobs().set("CDN_FORMAT", format).set("CDN_TOKEN", "hunter2");
    app.set("CDN_PURGE_URL", receiver.url()).start().await
}

#[tokio::test(flavor = "multi_thread")]
async fn each_public_response_has_the_tags_by_which_it_is_purged() {
    let (app, cast) = TestApp::start_with_cast().await;
    let (id, slug) = publish_post(&cast.agent).await;
    let tags = async |method: &str, request: serde_json::Value| {
        let answer = cast.anonymous.rest(&format!("PostService.{method}"), request).await;
        let header = |name: &str| answer.header(name).map(str::to_owned);
        (header("surrogate-key"), header("cache-tag"))
    };
    let both = |tag: String| (Some(tag.clone()), Some(tag));
    assert_eq!(tags("GetPost", json!({ "postId": id })).await, both(format!("post-{id}")));
    assert_eq!(tags("GetPostBySlug", json!({ "slug": slug })).await, both(format!("post-{id}")));
    assert_eq!(tags("ListPosts", json!({})).await, both("posts".to_owned()));
    let feed = app.endpoint.http.get(format!("{}/feed.atom", app.endpoint.base())).send().await.expect("an answer");
    for name in ["surrogate-key", "cache-tag"] {
        assert_eq!(feed.headers()[name], "posts");
    }
    // A draft is in no shared cache.
    let draft = post(&cast.agent).await;
    let answer = cast.agent.rest("PostService.GetPost", json!({ "postId": draft })).await.success();
    assert_eq!((answer.header("surrogate-key"), answer.header("cache-tag")), (None, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_change_of_a_published_post_is_purged_until_that_succeeds() {
    let receiver = Receiver::answering(&[503, 200]).await;
    let app = app("fastly", &receiver).await;
    let cast = app.cast().await;
    let (id, slug) = publish_post(&cast.agent).await;
    let keys = |number: usize, deliveries: &[crate::support::receiver::Delivery]| {
        assert_eq!(deliveries[number].header("fastly-key"), "hunter2");
        deliveries[number].header("surrogate-key").to_owned()
    };
    let expected = format!("post-{id} posts");
    let deliveries = receiver.wait_for(2).await;
    assert_eq!([0, 1].map(|number| keys(number, &deliveries)), [expected.clone(), expected.clone()], "tried again");

    let change = async |method: &str, request: serde_json::Value| {
        cast.agent.rest(&format!("PostService.{method}"), request).await.success();
    };
    change("UpdatePost", json!({ "postId": id, "post": { "slug": "renamed" } })).await;
    assert_eq!(keys(2, &receiver.wait_for(3).await), expected);
    // The response that leads from the slug to the first post is outdated once a second post has the slug.
    let (second, _) = publish_post(&cast.agent).await;
    receiver.wait_for(4).await;
    change("UpdatePost", json!({ "postId": second, "post": { "slug": slug } })).await;
    let keys_of_both: std::collections::BTreeSet<_> =
        keys(4, &receiver.wait_for(5).await).split(' ').map(str::to_owned).collect();
    assert!(keys_of_both.contains(&format!("post-{id}")) && keys_of_both.contains(&format!("post-{second}")));
    change("UnpublishPost", json!({ "postId": id })).await;
    assert_eq!(keys(5, &receiver.wait_for(6).await), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_network_is_purged_in_its_form() {
    let receiver = Receiver::answering(&[200]).await;
    let cloudflare = app("cloudflare", &receiver).await;
    let (id, _) = publish_post(&cloudflare.cast().await.agent).await;
    let purge = receiver.wait_for(1).await.remove(0);
    assert_eq!((&*purge.method, purge.header("authorization")), ("POST", "Bearer hunter2"));
    assert_eq!(purge.body, json!({ "tags": [format!("post-{id}"), "posts"] }).to_string());

    let varnish = app("varnish", &receiver).await;
    let (id, _) = publish_post(&varnish.cast().await.agent).await;
    let purge = receiver.wait_for(2).await.remove(1);
    assert_eq!((&*purge.method, purge.header("authorization")), ("PURGE", "Bearer hunter2"));
    assert_eq!(purge.header("surrogate-key"), format!("post-{id} posts"));
}
