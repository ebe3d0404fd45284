//! Images in posts: they are public while a published post shows them, at a stable URL.

use serde_json::json;

use crate::{
    cases::{
        file::{PNG, image, upload},
        post::post_with_image,
    },
    support::{Actor, TestApp},
};

async fn status(app: &TestApp, image: &str) -> u16 {
    let url = format!("{}/images/{image}", app.endpoint.base());
    app.endpoint.http.get(url).send().await.expect("an answer").status().as_u16()
}

async fn change(author: &Actor, what: &str, post: &str) {
    author.rest(&format!("PostService.{what}Post"), json!({ "postId": post })).await.success();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_is_public_while_a_published_post_shows_it() {
    let (app, cast) = TestApp::start_with_cast().await;
    let image = image(&cast.agent).await;
    let create = cast.agent.rest("PostService.CreatePost", post_with_image(&image)).await.success();
    let (post, address) = (create.id(), format!("/images/{image}"));
    assert!(create.text("/data/html").contains(&format!("<img src=\"{address}\" alt=\"A printer\"")), "{create:?}");
    assert_eq!(status(&app, &image).await, 404);
    change(&cast.agent, "Publish", &post).await;
    for base in [app.endpoint.base(), format!("http://{}", app.endpoint.envoy().await.address())] {
        let response = app.endpoint.http.get(format!("{base}{address}")).send().await.expect("an answer");
        let header = |name: &str| response.headers()[name].to_str().expect("ASCII").to_owned();
        assert_eq!((response.status().as_u16(), header("content-type")), (200, "image/png".to_owned()));
        assert_eq!(header("cache-control"), "public, max-age=60, no-transform");
        assert!(header("content-disposition").starts_with("inline"));
        assert_eq!(response.bytes().await.expect("the image"), PNG);
    }
    change(&cast.agent, "Unpublish", &post).await;
    assert_eq!(status(&app, &image).await, 404);
    change(&cast.agent, "Publish", &post).await;
    assert_eq!(status(&app, &image).await, 200);
    // It can't be deleted while it is shown, and is removed with the post.
    let delete = json!({ "fileId": image });
    cast.agent.rest("FileService.DeleteFile", delete.clone()).await.failure("FILE_IN_USE");
    change(&cast.agent, "Delete", &post).await;
    assert_eq!(status(&app, &image).await, 404);
    cast.agent.rest("FileService.GetFile", delete).await.failure("NOT_FOUND");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_changes_what_is_shown() {
    let (app, cast) = TestApp::start_with_cast().await;
    let (first, second) = (image(&cast.agent).await, image(&cast.agent).await);
    let post = cast.agent.rest("PostService.CreatePost", post_with_image(&first)).await.success().id();
    change(&cast.agent, "Publish", &post).await;
    let patch = json!({ "postId": post, "post": { "body": post_with_image(&second)["body"] } });
    cast.agent.rest("PostService.UpdatePost", patch).await.success();
    assert_eq!((status(&app, &first).await, status(&app, &second).await), (404, 200));
    // Another published post shows it too, so it stays.
    let other = cast.admin.rest("PostService.CreatePost", post_with_image(&second)).await.success().id();
    change(&cast.admin, "Publish", &other).await;
    change(&cast.agent, "Delete", &post).await;
    assert_eq!(status(&app, &second).await, 200);
}

#[tokio::test]
async fn nothing_but_images_is_shown() {
    let (app, cast) = TestApp::start_with_cast().await;
    let file = upload(&cast.agent).await;
    cast.agent.rest("PostService.CreatePost", post_with_image(&file)).await.failure("VALIDATION_FAILED");
    assert_eq!(status(&app, &file).await, 404);
    for other in ["", "nonsense", "..%2f..%2fsecret_key"] {
        assert_eq!(status(&app, other).await, 404, "{other}");
    }
}
