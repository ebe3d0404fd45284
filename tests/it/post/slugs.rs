//! No two posts have the same slug, however it was derived.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use serde_json::json;

use crate::support::{Protocol, TestApp};

#[tokio::test(flavor = "multi_thread")]
async fn posts_with_one_title_at_once_have_slugs_of_their_own() {
    let app = TestApp::start().await;
    let cast = app.cast().await;
    let protocols = [Protocol::Grpc, Protocol::Rest];
    let create = |number: usize| {
        cast.agent.call(
            protocols[number % 2],
            "PostService.CreatePost",
            json!({ "title": "Same title", "body": "Text" }),
        )
    };
    let answers = join_all((0..16).map(create)).await;
    let slugs: BTreeSet<_> = answers.into_iter().map(|answer| answer.success().text("/data/slug")).collect();
    assert_eq!(slugs.len(), 16);
    assert!(slugs.contains("same-title") && slugs.iter().all(|slug| slug.starts_with("same-title")), "{slugs:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_many_gets_the_slug_that_all_ask_for() {
    let app = TestApp::start().await;
    let cast = app.cast().await;
    let mut posts = Vec::new();
    for _ in 0..6 {
        posts.push(crate::cases::post::post(&cast.agent).await);
    }
    let update = |id: String| {
        let request = json!({ "postId": id, "post": { "slug": "wanted" } });
        cast.agent.call(Protocol::Rest, "PostService.UpdatePost", request)
    };
    let create = || {
        let request = json!({ "title": "A", "body": "Text", "slug": "wanted" });
        cast.agent.call(Protocol::Rest, "PostService.CreatePost", request)
    };
    let (updates, creates) = tokio::join!(join_all(posts.into_iter().map(update)), join_all((0..6).map(|_| create())));
    let answers: Vec<_> = updates.into_iter().chain(creates).collect();
    assert_eq!(answers.iter().filter(|answer| answer.reason.is_empty()).count(), 1);
    assert!(answers.iter().all(|answer| answer.reason.is_empty() || answer.reason == "ALREADY_EXISTS"), "{answers:#?}");
}
