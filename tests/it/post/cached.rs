//! Two servers on one database and one Redis: readers of both see the changes of authors.

use std::{sync::Arc, time::Duration};

use futures_util::{
    future::join_all,
    stream::{self, StreamExt as _},
};
use mainstay_dev_servers::{Redis, RedisOptions};
use serde_json::json;
use tokio::time::sleep;

use crate::{
    cases::post::publish_post,
    support::{Actor, Protocol, Response, TestApp, TestDatabase, eventually, proxy::Proxy},
};

async fn servers(redis: &Redis, database: &Arc<TestDatabase>) -> [TestApp; 2] {
    let start = || TestApp::builder().on(database).set("REDIS_URL", redis.url()).start();
    [start().await, start().await]
}

async fn read(app: &TestApp, id: &str) -> Response {
    Actor::anonymous(&app.endpoint).rest("PostService.GetPost", json!({ "postId": id })).await
}

fn title(answer: &Response) -> String {
    answer.text("/data/title")
}

async fn rename(author: &Actor, id: &str, title: &str) {
    let request = json!({ "postId": id, "post": { "title": title } });
    author.rest("PostService.UpdatePost", request).await.success();
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_of_authors_are_read_on_both_servers() {
    let redis = Redis::start(RedisOptions::default()).await.expect("a Redis");
    let database = Arc::new(TestDatabase::new().await);
    let apps = servers(&redis, &database).await;
    let cast = apps[0].cast().await;
    let (id, slug) = publish_post(&cast.agent).await;
    let reader = Actor::anonymous(&apps[1].endpoint);
    let by_slug = async || reader.rest("PostService.GetPostBySlug", json!({ "slug": slug })).await;
    let listed = async || {
        let list = reader.rest("PostService.ListPosts", json!({})).await.success();
        list.data().as_array().and_then(|posts| Some(posts.first()?["title"].as_str()?.to_owned()))
    };
    for number in 0..5_u128 {
        let name = format!("Number {number}");
        by_slug().await.success();
        listed().await;
        rename(&cast.agent, &id, &name).await;
        assert_eq!(title(&read(&apps[0], &id).await.success()), name, "at once where it was changed");
        eventually("the other server follows", async || {
            title(&read(&apps[1], &id).await.success()) == name
                && title(&by_slug().await.success()) == name
                && listed().await.as_deref() == Some(&name)
        })
        .await;
    }
    cast.agent.rest("PostService.UnpublishPost", json!({ "postId": id })).await.success();
    assert_eq!(read(&apps[0], &id).await.status, 404);
    eventually("it is gone on the other server too", async || {
        read(&apps[1], &id).await.status == 404 && by_slug().await.status == 404 && listed().await.is_none()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slug_that_moves_to_another_post_leads_there() {
    let redis = Redis::start(RedisOptions::default()).await.expect("a Redis");
    let database = Arc::new(TestDatabase::new().await);
    let apps = servers(&redis, &database).await;
    let cast = apps[0].cast().await;
    let ((first, slug), (second, _)) = (publish_post(&cast.agent).await, publish_post(&cast.agent).await);
    let reader = Actor::anonymous(&apps[1].endpoint);
    let lead = async || {
        let answer = reader.rest("PostService.GetPostBySlug", json!({ "slug": slug })).await;
        (answer.status, answer.id())
    };
    assert_eq!(lead().await, (200, first.clone()));
    let rename = async |id: &str, slug: &str| {
        let request = json!({ "postId": id, "post": { "slug": slug } });
        cast.agent.rest("PostService.UpdatePost", request).await.success();
    };
    rename(&first, "elsewhere").await;
    eventually("the slug leads to its earlier post", async || lead().await == (301, first.clone())).await;
    rename(&second, &slug).await;
    eventually("the other post has it", async || lead().await == (200, second.clone())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_readers_of_an_outdated_post_cause_one_query_per_server() {
    let redis = Redis::start(RedisOptions::default()).await.expect("a Redis");
    let database = Arc::new(TestDatabase::new().await);
    let proxy = Proxy::new(&database).await;
    let start = || {
        let app = TestApp::builder().on(&database).set("DATABASE_URL", proxy.url.clone());
        app.set("REDIS_URL", redis.url()).set("DATABASE_POOL_SIZE", "1").start()
    };
    let apps = [start().await, start().await];
    let cast = apps[0].cast().await;
    let (id, _) = publish_post(&cast.agent).await;
    // Prepares the statements of both servers, and starts their readers of changes.
    for app in &apps {
        read(app, &id).await.success();
    }
    let generations = || apps.each_ref().map(|app| app.app.cache.generation());
    for number in 0..3 {
        rename(&cast.agent, &id, &format!("Number {number}")).await;
        // Both servers have read the change: the first one drops the post at its commit, and again then.
        let mut known = [0; 2];
        while known != generations() {
            known = generations();
            sleep(Duration::from_secs(2)).await;
        }
        let readers = apps.each_ref().map(|app| Actor::anonymous(&app.endpoint));
        let before = proxy.statements();
        let calls = (0..1000)
            .map(|number| readers[number % 2].call(Protocol::Grpc, "PostService.GetPost", json!({ "postId": id })));
        // More concurrent calls would queue for so long on a busy machine that some are refused.
        let answers: Vec<_> = stream::iter(calls).buffer_unordered(30).collect().await;
        answers.iter().for_each(|answer| assert_eq!(answer.reason, ""));
        assert_eq!(proxy.statements() - before, 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_get_the_same_answers_without_redis() {
    let mut redis = Redis::start(RedisOptions::default()).await.expect("a Redis");
    let database = Arc::new(TestDatabase::new().await);
    let apps = servers(&redis, &database).await;
    let cast = apps[0].cast().await;
    let (id, slug) = publish_post(&cast.agent).await;
    let with = read(&apps[1], &id).await.success();
    redis.crash();
    let readers = (0..50).map(|_| read(&apps[1], &id));
    for answer in join_all(readers).await {
        assert_eq!(answer.success().body, with.body);
    }
    let by_slug = json!({ "slug": slug });
    let reader = Actor::anonymous(&apps[0].endpoint);
    assert_eq!(reader.rest("PostService.GetPostBySlug", by_slug).await.success().body, with.body);
    rename(&cast.agent, &id, "Without Redis").await;
    assert_eq!(title(&read(&apps[0], &id).await.success()), "Without Redis");
    redis.restart().await.expect("it comes back");
    rename(&cast.agent, &id, "With it again").await;
    eventually("both servers follow", async || {
        title(&read(&apps[0], &id).await.success()) == "With it again"
            && title(&read(&apps[1], &id).await.success()) == "With it again"
    })
    .await;
}

/// CDNs and browsers may store a post, and ask whether it has changed.
#[tokio::test(flavor = "multi_thread")]
async fn a_known_post_is_not_sent_again() {
    let (_app, cast) = TestApp::start_with_cast().await;
    let (id, _) = publish_post(&cast.agent).await;
    let request = json!({ "postId": id });
    for who in [&cast.anonymous, &cast.agent] {
        let first = who.rest("PostService.GetPost", request.clone()).await.success();
        let tag = first.header("etag").expect("a tag").to_owned();
        let headers = [("if-none-match", tag.as_str())];
        // Also for the reused response.
        for _ in 0..2 {
            let again = who.call_with(Protocol::Rest, "PostService.GetPost", request.clone(), &headers).await;
            assert_eq!((again.status, again.header("etag")), (304, Some(tag.as_str())), "{again:#?}");
        }
    }
    rename(&cast.agent, &id, "Another title").await;
    let response = cast.anonymous.rest("PostService.GetPost", request).await.success();
    assert_eq!((response.status, title(&response).as_str()), (200, "Another title"));
}
