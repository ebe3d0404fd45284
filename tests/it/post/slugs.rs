//! No two posts have the same slug, however they come to one, and an earlier slug leads to its post.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use serde_json::json;

use crate::{
    cases::post::{post, publish_post},
    support::{Actor, PROTOCOLS, Protocol, Response, TestApp, rest},
};

#[tokio::test(flavor = "multi_thread")]
async fn posts_with_one_title_at_once_have_slugs_of_their_own() {
    let (_app, cast) = TestApp::start_with_cast().await;
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
    let (_app, cast) = TestApp::start_with_cast().await;
    let mut posts = Vec::new();
    for _ in 0..6 {
        posts.push(crate::cases::post::post(&cast.agent).await);
    }
    let update = |id: String| {
        let request = json!({ "postId": id, "post": { "slug": "wanted" } });
        cast.agent.rest("PostService.UpdatePost", request)
    };
    let create = || {
        let request = json!({ "title": "A", "body": "Text", "slug": "wanted" });
        cast.agent.rest("PostService.CreatePost", request)
    };
    let (updates, creates) = tokio::join!(join_all(posts.into_iter().map(update)), join_all((0..6).map(|_| create())));
    let answers: Vec<_> = updates.into_iter().chain(creates).collect();
    assert_eq!(answers.iter().filter(|answer| answer.reason.is_empty()).count(), 1);
    assert!(answers.iter().all(|answer| answer.reason.is_empty() || answer.reason == "ALREADY_EXISTS"), "{answers:#?}");
}

/// Reads a slug; returns the status, the target of the redirection and the post.
async fn lookup(reader: &Actor, protocol: Protocol, slug: &str) -> (u16, Option<String>, String) {
    let answer = reader.call(protocol, "PostService.GetPostBySlug", json!({ "slug": slug })).await;
    let is_moved = answer.body["isMoved"] == true;
    assert_eq!(is_moved, answer.status == 301, "{answer:#?}");
    (answer.status, answer.header("location").map(str::to_owned), answer.id())
}

async fn change(author: &Actor, method: &str, request: serde_json::Value) -> Response {
    author.rest(&format!("PostService.{method}"), request).await.success()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_earlier_slug_leads_to_the_post_until_another_post_has_it() {
    let (_app, cast) = TestApp::start_with_cast().await;
    let (first, old) = publish_post(&cast.agent).await;
    let rename = async |id: &str, slug: &str| {
        change(&cast.agent, "UpdatePost", json!({ "postId": id, "post": { "slug": slug } })).await
    };
    rename(&first, "second-name").await;
    rename(&first, "third-name").await;
    let target = Some("/api/v1/post-slugs/third-name".to_owned());
    for reader in [&cast.anonymous, &cast.customer, &cast.agent] {
        for protocol in PROTOCOLS {
            for slug in [&*old, "second-name"] {
                assert_eq!(lookup(reader, protocol, slug).await, (301, target.clone(), first.clone()), "{protocol:?}");
            }
            assert_eq!(lookup(reader, protocol, "third-name").await, (200, None, first.clone()));
        }
    }
    // Only for as long as the response itself: another post may have the slug later.
    let by_slug = json!({ "slug": old });
    let answer = cast.anonymous.rest("PostService.GetPostBySlug", by_slug.clone()).await;
    assert!(answer.header("cache-control").is_some_and(|text| text.starts_with("public, max-age=60")), "{answer:#?}");

    let (second, _) = publish_post(&cast.agent).await;
    rename(&second, &old).await;
    assert_eq!(lookup(&cast.customer, Protocol::Rest, &old).await, (200, None, second.clone()));
    rename(&second, "fourth-name").await;
    assert_eq!(lookup(&cast.customer, Protocol::Rest, &old).await.2, second, "the last post that had it");

    // A post that has its earlier slug again is not redirected.
    rename(&second, &old).await;
    assert_eq!(lookup(&cast.agent, Protocol::Grpc, &old).await, (200, None, second));
    change(&cast.agent, "DeletePost", json!({ "postId": first })).await;
    let gone = cast.anonymous.rest("PostService.GetPostBySlug", json!({ "slug": "second-name" })).await;
    gone.failure("NOT_FOUND");
}

/// A caller that follows the redirection gets what it asked for.
#[tokio::test(flavor = "multi_thread")]
async fn a_redirection_keeps_the_query() {
    let (app, cast) = TestApp::start_with_cast().await;
    let (id, old) = publish_post(&cast.agent).await;
    change(&cast.agent, "UpdatePost", json!({ "postId": id, "post": { "slug": "second-name" } })).await;
    for protocol in [Protocol::Rest, Protocol::Envoy] {
        let base = app.endpoint.base_of(protocol).await;
        let get = async |target: &str| {
            rest::read(app.endpoint.http.get(format!("{base}{target}")).send().await.expect("an answer")).await
        };
        for query in ["", "?utm_source=x", "?readMask=id,title", "?readMask=id%2Ctitle&utm_source=x"] {
            let moved = get(&format!("/api/v1/post-slugs/{old}{query}")).await;
            let target = format!("/api/v1/post-slugs/second-name{query}");
            assert_eq!((moved.status, moved.header("location")), (301, Some(&*target)), "{protocol:?} {query}");
            let post = get(&target).await.success();
            assert_eq!((post.status, post.data()), (200, moved.data()), "{protocol:?} {query}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_slug_of_a_draft_was_never_public() {
    let (_app, cast) = TestApp::start_with_cast().await;
    let rename = async |id: &str, slug: &str| {
        change(&cast.agent, "UpdatePost", json!({ "postId": id, "post": { "slug": slug } })).await
    };
    let id = post(&cast.agent).await;
    rename(&id, "secret-plan").await;
    rename(&id, "announcement").await;
    change(&cast.agent, "PublishPost", json!({ "postId": id })).await;
    let read = async |slug: &str| cast.anonymous.rest("PostService.GetPostBySlug", json!({ "slug": slug })).await;
    read("secret-plan").await.failure("NOT_FOUND");
    // A name under which it was published is kept, although it changed while the post was a draft again.
    change(&cast.agent, "UnpublishPost", json!({ "postId": id })).await;
    rename(&id, "news").await;
    read("announcement").await.failure("NOT_FOUND");
    change(&cast.agent, "PublishPost", json!({ "postId": id })).await;
    assert_eq!(lookup(&cast.anonymous, Protocol::Grpc, "announcement").await.0, 301);
}

/// A cache that holds an earlier post of the slug, at the same version, must not be told that nothing has changed.
#[tokio::test(flavor = "multi_thread")]
async fn the_tag_of_a_slug_belongs_to_its_post() {
    let (_app, cast) = TestApp::start_with_cast().await;
    let (first, slug) = publish_post(&cast.agent).await;
    let request = json!({ "slug": slug });
    let read = async |headers: &[(&str, &str)]| {
        cast.anonymous.call_with(Protocol::Rest, "PostService.GetPostBySlug", request.clone(), headers).await
    };
    let tag = read(&[]).await.success().header("etag").expect("a tag").to_owned();
    let known = [("if-none-match", tag.as_str())];
    assert_eq!(read(&known).await.status, 304);
    change(&cast.agent, "DeletePost", json!({ "postId": first })).await;
    let second = change(&cast.agent, "CreatePost", json!({ "title": "B", "body": "Text", "slug": slug })).await.id();
    change(&cast.agent, "PublishPost", json!({ "postId": second })).await;
    let answer = read(&known).await.success();
    assert_eq!((answer.status, answer.id()), (200, second));
    let version = |tag: &str| tag.split('-').next().map(str::to_owned);
    assert_eq!(answer.header("etag").and_then(version), version(&tag), "the versions are equal");
}
