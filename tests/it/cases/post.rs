//! Posts.

use serde_json::{Value, json};

use super::{
    Case,
    Expected::{Reason, Status},
    Scene, call, cases,
    file::{image, upload},
    unknown_id,
};
use crate::support::{Actor, Protocol, unique};

/// A request that creates a post. The title is an id, because the slug follows from it.
pub(crate) fn draft() -> Value {
    json!({ "title": unique(), "body": "A *draft*.", "summary": "What it is about", "tags": ["one"] })
}

/// A request that creates a post with an image.
pub(crate) fn post_with_image(image: &str) -> Value {
    json!({ "title": unique(), "body": format!("A printer:\n\n![A printer](/images/{image} \"It burns\")\n") })
}

/// Creates a draft of a caller.
pub(crate) async fn post(author: &Actor) -> String {
    author.rest("PostService.CreatePost", draft()).await.success().id()
}

/// Creates a post of a caller and publishes it; returns its id and its slug.
pub(crate) async fn publish_post(author: &Actor) -> (String, String) {
    let id = post(author).await;
    let answer = author.rest("PostService.PublishPost", json!({ "postId": id })).await.success();
    (id, answer.text("/data/slug"))
}

/// Creates a published post of a caller whose slug changes; returns the earlier slug.
async fn moved_post(author: &Actor) -> String {
    let (id, slug) = publish_post(author).await;
    let request = json!({ "postId": id, "post": { "slug": unique() } });
    author.rest("PostService.UpdatePost", request).await.success();
    slug
}

impl Scene {
    /// Creates a draft of the agent.
    async fn post(&self) -> String {
        post(&self.cast.agent).await
    }

    /// Creates a published post of the agent; returns its id.
    async fn publish_post(&self) -> String {
        publish_post(&self.cast.agent).await.0
    }

    /// Creates a published post of the admin; returns its id.
    async fn published_by_admin(&self) -> String {
        publish_post(&self.cast.admin).await.0
    }

    fn agent_id(&self) -> String {
        self.cast.agent.as_user().id.to_string()
    }
}

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = creates();
    cases.extend(reads());
    cases.extend(lists());
    cases.extend(changes());
    cases.extend(transitions());
    cases
}

fn creates() -> Vec<Case> {
    cases! {
        "PostService.CreatePost" {
            "an agent writes one" => Status(201), |scene| call(&scene.cast.agent, json!({
                "title": "Grüße 🔥", "body": "# It *burns*\n\n<script>alert(1)</script>\n\n[here](javascript:alert(1))", "slug": unique(),
                "summary": "Fire", "language": "de", "tags": ["fire", "printer"], "authorId": scene.agent_id(),
            }));
            "the title makes the slug" => Status(201), |scene| call(&scene.cast.agent, draft());
            "an admin writes for an agent" => Status(201), |scene| {
                call(&scene.cast.admin, json!({ "title": unique(), "body": "Text", "authorId": scene.agent_id() }))
            };
            "a service writes for an agent" => Status(201), |scene| {
                call(&scene.cast.service, json!({ "title": unique(), "body": "Text", "authorId": scene.agent_id() }))
            };
            "a service names no author" => Reason("VALIDATION_FAILED"), |scene| call(&scene.cast.service, draft());
            "a customer may not" => Reason("PERMISSION_DENIED"), |scene| call(&scene.cast.customer, draft());
            "an agent names an admin" => Reason("PERMISSION_DENIED"), |scene| call(&scene.cast.agent, json!({
                "title": unique(), "body": "Text", "authorId": scene.cast.admin.as_user().id.to_string(),
            }));
            "an admin names a customer" => Reason("VALIDATION_FAILED"), |scene| call(&scene.cast.admin, json!({
                "title": unique(), "body": "Text", "authorId": scene.cast.customer.as_user().id.to_string(),
            }));
            "an admin names no author" => Reason("VALIDATION_FAILED"), |scene| {
                call(&scene.cast.admin, json!({ "title": unique(), "body": "Text", "authorId": unknown_id() }))
            };
            "with an image" => Status(201), |scene| {
                let image = image(&scene.cast.agent).await;
                call(&scene.cast.agent, post_with_image(&image))
            };
            "with a file that is no image" => Reason("VALIDATION_FAILED"), |scene| {
                let file = upload(&scene.cast.agent).await;
                call(&scene.cast.agent, post_with_image(&file))
            };
            "with an unknown image" => Reason("NOT_FOUND"), |scene| call(&scene.cast.agent, post_with_image(&unknown_id()));
            "with a stranger's image" => Reason("NOT_FOUND"), |scene| {
                let image = image(&scene.cast.stranger).await;
                call(&scene.cast.agent, post_with_image(&image))
            };
            "with too many images" => Reason("VALIDATION_FAILED"), |scene| {
                let text: String = (0..51).map(|_| format!("![](/images/{}) ", unknown_id())).collect();
                call(&scene.cast.agent, json!({ "title": unique(), "body": text }))
            };
            "a slug that another post has" => Reason("ALREADY_EXISTS"), |scene| {
                let (_, slug) = publish_post(&scene.cast.admin).await;
                call(&scene.cast.agent, json!({ "title": "Another", "body": "Text", "slug": slug }))
            };
            "a title whose slug another post has" => Status(201), |scene| {
                let title = unique();
                let first = json!({ "title": title, "body": "Text" });
                scene.cast.agent.rest("PostService.CreatePost", first).await.success();
                call(&scene.cast.agent, json!({ "title": title, "body": "Text", "slug": unique() }))
            };
            "every field is wrong" => Reason("VALIDATION_FAILED"), |scene| call(&scene.cast.agent, json!({
                "title": "", "body": "x".repeat(65_537), "summary": "s".repeat(501), "slug": "x".repeat(101), "tags": ["a", "a"],
            }));
            "a slug with a slash" => Reason("VALIDATION_FAILED"), |scene| {
                call(&scene.cast.agent, json!({ "title": "A", "body": "Text", "slug": "a/b" }))
            };
            "in no language" => Reason("VALIDATION_FAILED"), |scene| {
                call(&scene.cast.agent, json!({ "title": "A", "body": "Text", "language": "de-a" }))
            };
            "elements that are nested too deeply" => Reason("VALIDATION_FAILED"), |scene| {
                call(&scene.cast.agent, json!({ "title": "A", "body": format!("{}deep", ">".repeat(1000)) }))
            };
            "a table that is mostly empty cells" => Reason("VALIDATION_FAILED"), |scene| {
                let body = format!("{}\n{}\n{}", "a|".repeat(1000), "-|".repeat(1000), "a\n".repeat(1000));
                call(&scene.cast.agent, json!({ "title": "A", "body": body }))
            };
            "the same key again" => Status(201), |scene| {
                let request = call(&scene.cast.agent, draft()).header("idempotency-key", "again");
                request.send(Protocol::Grpc, "PostService.CreatePost").await.success();
                request
            };
        }
    }
}

fn reads() -> Vec<Case> {
    cases! {
        "PostService.GetPost" {
            "a published one, by anyone" => Status(200), |scene| call(&scene.cast.anonymous, json!({ "postId": scene.publish_post().await }));
            "a published one, by a customer" => Status(200), |scene| call(&scene.cast.customer, json!({ "postId": scene.publish_post().await }));
            "a published one, by its author" => Status(200), |scene| call(&scene.cast.agent, json!({ "postId": scene.publish_post().await }));
            "a draft, by its author" => Status(200), |scene| call(&scene.cast.agent, json!({ "postId": scene.post().await }));
            "a draft, by an admin" => Status(200), |scene| call(&scene.cast.admin, json!({ "postId": scene.post().await }));
            "a draft, by a service" => Status(200), |scene| call(&scene.cast.service, json!({ "postId": scene.post().await }));
            "some of its fields" => Status(200), |scene| {
                call(&scene.cast.anonymous, json!({ "postId": scene.publish_post().await, "readMask": "id,title,publishTime" }))
            };
            "an unknown field" => Reason("VALIDATION_FAILED"), |scene| {
                call(&scene.cast.anonymous, json!({ "postId": scene.publish_post().await, "readMask": "colour" }))
            };
            "a draft, by anyone" => Reason("NOT_FOUND"), |scene| call(&scene.cast.anonymous, json!({ "postId": scene.post().await }));
            "a draft, by a customer" => Reason("NOT_FOUND"), |scene| call(&scene.cast.customer, json!({ "postId": scene.post().await }));
            "another author's draft" => Reason("NOT_FOUND"), |scene| {
                call(&scene.cast.agent, json!({ "postId": post(&scene.cast.admin).await }))
            };
            "an unknown id" => Reason("NOT_FOUND"), |scene| call(&scene.cast.anonymous, json!({ "postId": unknown_id() }));
            "a malformed id" => Reason("VALIDATION_FAILED"), |scene| call(&scene.cast.anonymous, json!({ "postId": "17" }));
        }
        "PostService.GetPostBySlug" {
            "a published one, by anyone" => Status(200), |scene| {
                let (_, slug) = publish_post(&scene.cast.agent).await;
                call(&scene.cast.anonymous, json!({ "slug": slug }))
            };
            "an earlier slug, by anyone" => Status(301), |scene| {
                call(&scene.cast.anonymous, json!({ "slug": moved_post(&scene.cast.agent).await }))
            };
            "an earlier slug, by the author" => Status(301), |scene| {
                call(&scene.cast.agent, json!({ "slug": moved_post(&scene.cast.agent).await }))
            };
            "an unknown slug" => Reason("NOT_FOUND"), |scene| call(&scene.cast.anonymous, json!({ "slug": unique() }));
            "no slug at all" => Reason("NOT_FOUND"), |scene| call(&scene.cast.anonymous, json!({ "slug": "Not a Slug" }));
        }
    }
}

fn lists() -> Vec<Case> {
    cases! {
        "PostService.ListPosts" {
            "of one author" => Status(200), |scene| {
                scene.publish_post().await;
                scene.post().await;
                call(&scene.cast.anonymous, json!({ "authorId": scene.agent_id() }))
            };
            "with a label, and words" => Status(200), |scene| {
                scene.publish_post().await;
                call(&scene.cast.anonymous, json!({ "authorId": scene.agent_id(), "tag": "one", "query": "draft -other" }))
            };
            "with another label" => Status(200), |scene| {
                scene.publish_post().await;
                call(&scene.cast.anonymous, json!({ "authorId": scene.agent_id(), "tag": "two" }))
            };
            "some fields" => Status(200), |scene| {
                scene.publish_post().await;
                call(&scene.cast.anonymous, json!({ "authorId": scene.agent_id(), "readMask": "slug,title" }))
            };
            "too deep" => Reason("VALIDATION_FAILED"), |scene| call(&scene.cast.anonymous, json!({ "page": 10_000, "pageSize": 100 }));
            "a token of nothing" => Reason("VALIDATION_FAILED"), |scene| call(&scene.cast.anonymous, json!({ "pageToken": "bm9uc2Vuc2U" }));
        }
        "PostService.ListDrafts" {
            "an agent's own" => Status(200), |scene| {
                scene.publish_post().await;
                scene.post().await;
                call(&scene.cast.agent, json!({}))
            };
            "of one author, by an admin" => Status(200), |scene| {
                scene.post().await;
                call(&scene.cast.admin, json!({ "authorId": scene.agent_id(), "readMask": "id,status" }))
            };
            "a customer may not" => Reason("PERMISSION_DENIED"), |scene| call(&scene.cast.customer, json!({}));
            "an anonymous caller" => Reason("UNAUTHENTICATED"), |scene| call(&scene.cast.anonymous, json!({}));
        }
    }
}

fn changes() -> Vec<Case> {
    cases! {
        "PostService.UpdatePost" {
            "the present fields change" => Status(200), |scene| call(&scene.cast.agent, json!({
                "postId": scene.post().await, "post": { "title": "Another", "tags": ["two"], "slug": unique() },
            }));
            "only what the mask names" => Status(200), |scene| call(&scene.cast.agent, json!({
                "postId": scene.post().await, "post": { "title": "Another", "body": "Not this" }, "updateMask": "title",
            }));
            "to no language" => Reason("VALIDATION_FAILED"), |scene| call(&scene.cast.agent, json!({
                "postId": scene.post().await, "post": { "language": "!!" },
            }));
            "an image" => Status(200), |scene| {
                let patch = json!({ "body": post_with_image(&image(&scene.cast.agent).await)["body"] });
                call(&scene.cast.agent, json!({ "postId": scene.post().await, "post": patch }))
            };
            "an unknown image" => Reason("NOT_FOUND"), |scene| call(&scene.cast.agent, json!({
                "postId": scene.post().await, "post": { "body": post_with_image(&unknown_id())["body"] },
            }));
            "a summary is cleared" => Status(200), |scene| call(&scene.cast.agent, json!({
                "postId": scene.post().await, "post": { "title": "Another" }, "updateMask": "summary,language,tags",
            }));
            "a title can't be cleared" => Reason("VALIDATION_FAILED"), |scene| call(&scene.cast.agent, json!({
                "postId": scene.post().await, "post": { "body": "Another" }, "updateMask": "title",
            }));
            "with the right tag" => Status(200), |scene| call(&scene.cast.agent, json!({
                "postId": scene.post().await, "post": { "body": "Other" },
            })).header("if-match", "\"1\"");
            "with an old tag" => Reason("ETAG_MISMATCH"), |scene| call(&scene.cast.agent, json!({
                "postId": scene.publish_post().await, "post": { "body": "Other" },
            })).header("if-match", "\"1\"");
            "a slug that another post has" => Reason("ALREADY_EXISTS"), |scene| {
                let (_, slug) = publish_post(&scene.cast.admin).await;
                call(&scene.cast.agent, json!({ "postId": scene.post().await, "post": { "slug": slug } }))
            };
            "an empty patch" => Reason("VALIDATION_FAILED"), |scene| {
                call(&scene.cast.agent, json!({ "postId": scene.post().await, "post": {} }))
            };
            "an admin changes an agent's" => Status(200), |scene| call(&scene.cast.admin, json!({
                "postId": scene.publish_post().await, "post": { "title": "Corrected" },
            }));
            "another author's published post" => Reason("PERMISSION_DENIED"), |scene| call(&scene.cast.agent, json!({
                "postId": scene.published_by_admin().await, "post": { "title": "Mine now" },
            }));
            "another author's draft" => Reason("NOT_FOUND"), |scene| call(&scene.cast.agent, json!({
                "postId": post(&scene.cast.admin).await, "post": { "title": "Mine now" },
            }));
            "a customer may not" => Reason("PERMISSION_DENIED"), |scene| call(&scene.cast.customer, json!({
                "postId": scene.publish_post().await, "post": { "title": "Mine now" },
            }));
        }
        "PostService.DeletePost" {
            "its author may" => Status(204), |scene| call(&scene.cast.agent, json!({ "postId": scene.post().await }));
            "an admin may" => Status(204), |scene| call(&scene.cast.admin, json!({ "postId": scene.publish_post().await }));
            "another author's published post" => Reason("PERMISSION_DENIED"), |scene| {
                call(&scene.cast.agent, json!({ "postId": scene.published_by_admin().await }))
            };
            "an unknown id" => Reason("NOT_FOUND"), |scene| call(&scene.cast.admin, json!({ "postId": unknown_id() }));
            "with an old tag" => Reason("ETAG_MISMATCH"), |scene| {
                call(&scene.cast.agent, json!({ "postId": scene.post().await })).header("if-match", "\"7\"")
            };
        }
    }
}

fn transitions() -> Vec<Case> {
    cases! {
        "PostService.PublishPost" {
            "its author may" => Status(200), |scene| call(&scene.cast.agent, json!({ "postId": scene.post().await }));
            "a published one" => Reason("POST_PUBLISHED"), |scene| call(&scene.cast.agent, json!({ "postId": scene.publish_post().await }));
            "another author's draft" => Reason("NOT_FOUND"), |scene| {
                call(&scene.cast.agent, json!({ "postId": post(&scene.cast.admin).await }))
            };
            "with an old tag" => Reason("ETAG_MISMATCH"), |scene| {
                call(&scene.cast.agent, json!({ "postId": scene.post().await })).header("if-match", "\"7\"")
            };
        }
        "PostService.SchedulePost" {
            "its author may" => Status(200), |scene| {
                call(&scene.cast.agent, json!({ "postId": scene.post().await, "publishTime": "2036-01-01T08:00:00Z" }))
            };
            "in the past" => Reason("VALIDATION_FAILED"), |scene| {
                call(&scene.cast.agent, json!({ "postId": scene.post().await, "publishTime": "2020-01-01T08:00:00Z" }))
            };
            "at no time" => Reason("VALIDATION_FAILED"), |scene| call(&scene.cast.agent, json!({ "postId": scene.post().await }));
            "a published one" => Reason("POST_PUBLISHED"), |scene| {
                call(&scene.cast.agent, json!({ "postId": scene.publish_post().await, "publishTime": "2036-01-01T08:00:00Z" }))
            };
            "with an old tag" => Reason("ETAG_MISMATCH"), |scene| {
                call(&scene.cast.agent, json!({ "postId": scene.post().await, "publishTime": "2036-01-01T08:00:00Z" }))
                    .header("if-match", "\"7\"")
            };
        }
        "PostService.UnpublishPost" {
            "a published one" => Status(200), |scene| call(&scene.cast.agent, json!({ "postId": scene.publish_post().await }));
            "a draft" => Reason("POST_NOT_PUBLISHED"), |scene| call(&scene.cast.agent, json!({ "postId": scene.post().await }));
            "another author's" => Reason("PERMISSION_DENIED"), |scene| {
                call(&scene.cast.agent, json!({ "postId": scene.published_by_admin().await }))
            };
            "with an old tag" => Reason("ETAG_MISMATCH"), |scene| {
                call(&scene.cast.agent, json!({ "postId": scene.publish_post().await })).header("if-match", "\"1\"")
            };
        }
    }
}
