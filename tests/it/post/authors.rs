//! Visibility of posts, and permissions to change them.

use serde_json::json;

use crate::{
    cases::post::{post, publish_post},
    support::{PROTOCOLS, TestApp},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_draft_is_visible_to_its_managers_only() {
    let app = TestApp::start().await;
    let (cast, others) = (app.cast().await, app.cast().await);
    let id = post(&cast.agent).await;
    let request = json!({ "postId": id });
    for protocol in PROTOCOLS {
        for who in [&cast.agent, &cast.admin, &cast.service] {
            let answer = who.call(protocol, "PostService.GetPost", request.clone()).await.success();
            assert_eq!(answer.header("cache-control"), Some("private, no-cache"), "{protocol:?}");
        }
        for who in [&cast.anonymous, &cast.customer, &others.agent] {
            who.call(protocol, "PostService.GetPost", request.clone()).await.failure("NOT_FOUND");
        }
        for method in ["UpdatePost", "DeletePost", "PublishPost", "UnpublishPost"] {
            let request = json!({ "postId": id, "post": { "title": "Mine" } });
            let request = if method == "UpdatePost" { request } else { json!({ "postId": id }) };
            let method = format!("PostService.{method}");
            others.agent.call(protocol, &method, request.clone()).await.failure("NOT_FOUND");
            others.customer.call(protocol, &method, request).await.failure("PERMISSION_DENIED");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_published_post_is_everybodys_to_read_and_its_authors_to_change() {
    let app = TestApp::start().await;
    let (cast, others) = (app.cast().await, app.cast().await);
    let (id, slug) = publish_post(&cast.agent).await;
    for protocol in PROTOCOLS {
        for who in [&cast.anonymous, &cast.customer, &others.agent, &cast.agent] {
            let answer = who.call(protocol, "PostService.GetPost", json!({ "postId": id })).await.success();
            assert_eq!(
                answer.header("cache-control"),
                Some("public, max-age=60, stale-while-revalidate=60, stale-if-error=600"),
                "{protocol:?}"
            );
            assert!(answer.header("etag").is_some() && answer.header("last-modified").is_some());
            let by_slug = who.call(protocol, "PostService.GetPostBySlug", json!({ "slug": slug })).await.success();
            assert_eq!(by_slug.body, answer.body);
        }
        let list = cast.anonymous.call(protocol, "PostService.ListPosts", json!({})).await.success();
        assert_eq!(
            list.header("cache-control"),
            Some("public, max-age=30, stale-while-revalidate=30, stale-if-error=600"),
            "{protocol:?}"
        );
        let change = json!({ "postId": id, "post": { "title": "Mine" } });
        others.agent.call(protocol, "PostService.UpdatePost", change).await.failure("PERMISSION_DENIED");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_credential_is_refused_even_where_none_is_needed() {
    let (app, cast) = TestApp::start_with_cast().await;
    let (id, _) = publish_post(&cast.agent).await;
    let bad = crate::support::Actor::bearer(&app.endpoint, "nonsense");
    for protocol in PROTOCOLS {
        // Otherwise an author with an expired token would be told that their draft does not exist.
        bad.call(protocol, "PostService.GetPost", json!({ "postId": id })).await.failure("INVALID_TOKEN");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn drafts_are_listed_for_their_managers() {
    let app = TestApp::start().await;
    let (cast, others) = (app.cast().await, app.cast().await);
    let (own, other) = (post(&cast.agent).await, post(&others.agent).await);
    publish_post(&cast.agent).await;
    let ids = |answer: crate::support::Response| -> Vec<String> {
        let list = answer.success();
        list.data()
            .as_array()
            .into_iter()
            .flatten()
            .map(|post| post["id"].as_str().unwrap_or_default().to_owned())
            .collect()
    };
    let list = async |who: &crate::support::Actor, request| ids(who.rest("PostService.ListDrafts", request).await);
    assert_eq!(list(&cast.agent, json!({})).await, [own.as_str()]);
    let author = |who: &crate::support::Actor| json!({ "authorId": who.as_user().id.to_string() });
    assert_eq!(list(&cast.agent, author(&others.agent)).await, [""; 0]);
    assert_eq!(list(&cast.admin, author(&others.agent)).await, [other.as_str()]);
    let all = list(&cast.admin, json!({})).await;
    assert!(all.contains(&own) && all.contains(&other), "{all:?}");
}
