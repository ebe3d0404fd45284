//! Avatars: the server draws what is shown, and the old avatar is removed.

use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};

use crate::{
    cases::file::{PNG, body},
    support::{Actor, PROTOCOLS, Protocol, Response, TestApp, rest},
};

async fn set(who: &Actor, protocol: Protocol, image: &[u8]) -> Response {
    let request = json!({ "userId": who.as_user().id.to_string(), "image": body("image/png", image) });
    who.call(protocol, "UserService.SetUserAvatar", request).await
}

async fn get(app: &TestApp, url: &str) -> reqwest::Response {
    app.endpoint.http.get(format!("{}{url}", app.endpoint.base())).send().await.expect("an answer")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_avatar_is_drawn_again_and_replaces_the_one_before() {
    let (app, cast) = TestApp::start_with_cast().await;
    let mut urls = Vec::new();
    for protocol in PROTOCOLS {
        let user = set(&cast.customer, protocol, PNG).await.success();
        urls.push(user.text("/data/avatarUrl"));
    }
    let last = urls.pop().expect("three");
    for size in ["64", "128", "256", "512"] {
        let got = get(&app, &last.replace("256", size)).await;
        assert_eq!(got.status(), 200);
        assert!(got.headers()["cache-control"].to_str().expect("ASCII").starts_with("public"));
        assert_eq!(got.headers()["content-type"], "image/png");
        assert!(got.headers()["content-security-policy"].to_str().expect("ASCII").ends_with("sandbox"));
        let bytes = got.bytes().await.expect("a picture");
        assert_ne!(bytes, PNG, "not what was uploaded");
    }
    assert_eq!(get(&app, &last.replace("256", "257")).await.status(), 404);
    assert_eq!(get(&app, "/avatars/..%2f..%2fsecret_key/64").await.status(), 404);
    app.run_task("delete_objects").await.expect("the storage answers");
    for old in urls {
        assert_eq!(get(&app, &old).await.status(), 404, "the old ones are gone");
    }
    let me = json!({ "userId": cast.customer.as_user().id.to_string() });
    cast.customer.rest("UserService.DeleteUserAvatar", me.clone()).await.success();
    cast.customer.rest("UserService.DeleteUserAvatar", me).await.success();
    let user = cast.customer.rest("UserService.GetMe", json!({})).await.success();
    assert_eq!(user.data()["avatarUrl"], Value::Null);
    app.run_task("delete_objects").await.expect("the storage answers");
    assert_eq!(app.database.number("SELECT count(*) FROM stored_objects").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_avatar_comes_from_a_form_too() {
    let (app, cast) = TestApp::start_with_cast().await;
    let token = cast.customer.token().await.expect("a token");
    for protocol in [Protocol::Rest, Protocol::Envoy] {
        let url =
            format!("{}/api/v1/users/{}/avatar", app.endpoint.base_of(protocol).await, cast.customer.as_user().id);
        let picture = Part::bytes(PNG).file_name("me.png").mime_str("image/png").expect("a media type");
        let request = app.endpoint.http.patch(url).bearer_auth(&token).multipart(Form::new().part("avatar", picture));
        let answer = rest::read(request.send().await.expect("an answer")).await.success();
        assert!(answer.text("/data/avatarUrl").starts_with("/avatars/"));
    }
}

#[tokio::test]
async fn files_other_than_pictures_are_refused() {
    let (app, cast) = TestApp::start_with_cast().await;
    for image in [&b"<svg onload=alert(1)>"[..], b"GIF89a\x01\0\x01\0", &PNG[..40], b""] {
        set(&cast.customer, Protocol::Grpc, image).await.failure("UNSUPPORTED_MEDIA_TYPE");
    }
    set(&cast.customer, Protocol::Grpc, &vec![0; (5 << 20) + 1]).await.failure("PAYLOAD_TOO_LARGE");
    assert_eq!(app.database.number("SELECT count(*) FROM stored_objects").await, 0);
    let other = json!({ "userId": cast.colleague.as_user().id.to_string(), "image": body("image/png", PNG) });
    cast.customer.rest("UserService.SetUserAvatar", other).await.failure("NOT_FOUND");
}

fn jpeg() -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    image::RgbImage::new(64, 64).write_to(&mut bytes, image::ImageFormat::Jpeg).expect("memory");
    bytes.into_inner()
}

/// Trailing data of phones: Samsung's, a second picture, a video. The picture is drawn again, so none of it remains.
#[tokio::test]
async fn data_after_a_picture_is_dropped() {
    let (app, cast) = TestApp::start_with_cast().await;
    for trailer in
        [&b"\0\0\x01\nImage_UTC_Data1700000000000SEFHk\0\0\0SEFT"[..], PNG, b"PK\x03\x04<script>alert(1)</script>"]
    {
        for picture in [PNG, &jpeg()] {
            let user = set(&cast.customer, Protocol::Rest, &[picture, trailer].concat()).await.success();
            let shown = get(&app, &user.text("/data/avatarUrl")).await.bytes().await.expect("a picture");
            assert!(!shown.windows(trailer.len()).any(|window| window == trailer), "{trailer:?}");
        }
    }
    // A picture that was cut in transit has no end marker either, so a picture without one is refused.
    let jpeg = jpeg();
    set(&cast.customer, Protocol::Rest, &jpeg[..jpeg.len() - 2]).await.failure("UNSUPPORTED_MEDIA_TYPE");
}
