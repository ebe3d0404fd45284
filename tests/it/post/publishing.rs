//! A post is published once, by any number of callers and workers.

use chrono::TimeDelta;
use futures_util::future::join_all;
use mainstay_kernel::queue::worker;
use serde_json::json;

use crate::{
    cases::post::{post, publish_post},
    support::{Protocol, TestApp, modules},
};

const EVENTS: &str = "SELECT count(*) FROM webhook_deliveries WHERE kind = 'content.post.published'";

/// Creates an endpoint that receives every event, so that each one leaves a delivery.
async fn listen(app: &TestApp) {
    let cast = app.cast().await;
    let request = json!({ "url": "https://example.com/hooks", "eventTypes": ["content.post.published"] });
    cast.admin.rest("WebhookEndpointService.CreateWebhookEndpoint", request).await.success();
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_publishers_publish_once() {
    let app = TestApp::start().await;
    listen(&app).await;
    let cast = app.cast().await;
    let id = post(&cast.agent).await;
    let protocols = [Protocol::Grpc, Protocol::Rest];
    let publish =
        |number: usize| cast.agent.call(protocols[number % 2], "PostService.PublishPost", json!({ "postId": id }));
    let answers = join_all((0..12).map(publish)).await;
    let won = answers.iter().filter(|answer| answer.reason.is_empty()).count();
    let conflicts = answers.iter().filter(|answer| answer.reason == "POST_PUBLISHED").count();
    assert_eq!((won, conflicts), (1, 11), "{answers:#?}");
    assert_eq!(app.database.number(EVENTS).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scheduled_post_is_published_once_and_not_before_its_time() {
    let app = TestApp::start().await;
    listen(&app).await;
    let cast = app.cast().await;
    let at = app.app.clock.now() + TimeDelta::minutes(3);
    let mut posts = Vec::new();
    for _ in 0..5 {
        let id = post(&cast.agent).await;
        let request = json!({ "postId": id, "publishTime": at.to_rfc3339() });
        let answer = cast.agent.rest("PostService.SchedulePost", request).await.success();
        assert_eq!(answer.data()["status"], "POST_STATUS_SCHEDULED");
        posts.push(id);
    }
    // The job waits for that time, too.
    let publish = async || {
        app.database.sql("UPDATE jobs SET due_at = now() WHERE kind = 'publish_post' AND lease IS NULL").await;
        join_all((0..4).map(|_| worker::run_due(modules().work(), &app.app)))
            .await
            .into_iter()
            .for_each(|ran| ran.expect("it runs"));
    };
    publish().await;
    cast.anonymous.rest("PostService.GetPost", json!({ "postId": posts[0] })).await.failure("NOT_FOUND");
    // By the clock of Postgres, regardless of the host's clock.
    app.database.sql("UPDATE posts SET published_at = published_at - interval '3 minutes'").await;
    app.app.clock.advance(TimeDelta::hours(-1));
    publish().await;
    assert_eq!(app.database.number(EVENTS).await, 5);
    for id in posts {
        let answer = cast.anonymous.rest("PostService.GetPost", json!({ "postId": id })).await.success();
        assert_eq!(
            (answer.data()["status"].as_str(), answer.data()["version"].as_str()),
            (Some("POST_STATUS_PUBLISHED"), Some("3"))
        );
        let published = chrono::DateTime::parse_from_rfc3339(&answer.text("/data/publishTime")).expect("a time");
        assert_eq!(published, at - TimeDelta::minutes(3), "the time that was stored");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unpublished_post_is_gone_for_readers_and_can_come_back() {
    let (_app, cast) = TestApp::start_with_cast().await;
    let (id, slug) = publish_post(&cast.agent).await;
    let (by_id, by_slug) = (json!({ "postId": id }), json!({ "slug": slug }));
    let listed = async || {
        let list = cast.anonymous.rest("PostService.ListPosts", json!({})).await.success();
        list.data().as_array().is_some_and(|posts| posts.iter().any(|post| post["id"] == id.as_str()))
    };
    for step in ["UnpublishPost", "PublishPost", "DeletePost"] {
        cast.agent.rest(&format!("PostService.{step}"), by_id.clone()).await.success();
        let visible = step == "PublishPost";
        for (method, request) in [("GetPost", &by_id), ("GetPostBySlug", &by_slug)] {
            let answer = cast.anonymous.rest(&format!("PostService.{method}"), request.clone()).await;
            assert_eq!(answer.status, if visible { 200 } else { 404 }, "{method} after {step}");
        }
        assert_eq!(listed().await, visible, "{step}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_publish_is_replayed() {
    let (_app, cast) = TestApp::start_with_cast().await;
    let id = post(&cast.agent).await;
    let request = json!({ "postId": id });
    let first = cast.agent.keyed(Protocol::Rest, "PostService.PublishPost", request.clone(), "once").await.success();
    let second = cast.agent.keyed(Protocol::Grpc, "PostService.PublishPost", request, "once").await.success();
    assert!(second.is_replayed() && !first.is_replayed());
    assert_eq!(first.body, second.body);
}
