//! The console's files.

use crate::support::TestApp;

#[tokio::test]
async fn the_console_loads_nothing_inline_and_nothing_from_elsewhere() {
    let app = TestApp::start().await;
    for path in ["/console", "/console/", "/console/tickets", "/console/tickets/17?tab=activity"] {
        let answer = app.endpoint.get(path).await;
        assert_eq!(answer.status, 200, "{path}");
        let policy = answer.header("content-security-policy").expect("a policy").to_owned();
        assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self';"), "{policy}");
        assert!(!policy.contains("unsafe") && !policy.contains("http") && !policy.contains('*'), "{policy}");
        assert!(answer.header("cache-control").is_some_and(|value| value.contains("no-cache")), "{path}");
        let page = answer.body.as_str().expect("a page").to_owned();
        assert_eq!(page.matches("<script").count(), page.matches("<script type=\"module\" crossorigin src=").count());
        assert!(!page.contains("<style") && !page.contains("style=") && !page.contains("//"), "{page}");
    }
}

#[tokio::test]
async fn the_console_shows_images_of_a_storage_that_callers_reach() {
    for (access, sources) in
        [("direct", "img-src 'self' data: http://127.0.0.1:9;"), ("server", "img-src 'self' data:;")]
    {
        let files = format!("s3://key:secret@127.0.0.1:9/shop?tls=none&access={access}");
        let app = TestApp::builder().set("FILES_URL", files).start().await;
        let policy = app.endpoint.get("/console/posts").await.header("content-security-policy").map(ToOwned::to_owned);
        assert!(policy.as_deref().is_some_and(|policy| policy.contains(sources)), "{access}: {policy:?}");
    }
}

#[tokio::test]
async fn files_with_a_hash_in_their_name_are_kept_for_good() {
    let app = TestApp::start().await;
    let page = app.endpoint.get("/console").await.body.as_str().expect("a page").to_owned();
    let paths = page.split('"').filter(|text| text.starts_with("/console/assets/"));
    let mut count = 0;
    for path in paths {
        for coding in ["br", "gzip"] {
            let request = app.endpoint.http.get(format!("{}{path}", app.endpoint.base()));
            let answer = request.header("accept-encoding", coding).send().await.expect("an answer");
            assert_eq!(answer.status(), 200, "{path}");
            let header = |name: &str| answer.headers()[name].to_str().expect("text").to_owned();
            assert!(header("cache-control").contains("max-age=31536000, immutable"), "{path}");
            assert_eq!(header("content-encoding"), coding, "{path}");
            assert!(header("content-type").starts_with("text/"), "{path}");
        }
        count += 1;
    }
    assert!(count >= 2, "a script and a style sheet: {page}");
    // A page of another version must not receive the page instead of a script.
    assert_eq!(app.endpoint.get("/console/assets/gone.js").await.failure("ROUTE_NOT_FOUND").status, 404);
}
