//! Pages, and the headers of every response.

use crate::support::{Response, TestApp, rest};

#[tokio::test]
async fn the_pages_exist() {
    let app = TestApp::start().await;
    for (path, holds) in [
        ("/livez", "ok"),
        ("/readyz", "ok"),
        ("/openapi.json", "\"openapi\":\"3.1"),
        ("/docs", "<html"),
        ("/.well-known/jwks.json", "\"kty\":\"OKP\""),
    ] {
        let answer = app.endpoint.get(path).await;
        assert_eq!(answer.status, 200, "{path}");
        assert!(answer.body.to_string().replace("\\\"", "\"").contains(holds), "{path}: {}", answer.body);
    }
}

#[tokio::test]
async fn the_root_says_where_to_go() {
    let app = TestApp::start().await;
    let answer = app.endpoint.get("/").await;
    assert_eq!(answer.status, 200);
    let places = answer.body["data"].as_object().expect("an object");
    for place in places.values().filter_map(|place| place.as_str()).filter(|place| place.starts_with('/')) {
        assert_eq!(app.endpoint.get(place).await.status, 200, "{place}");
    }
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().expect("a client");
    let request = client.get(format!("http://{}/", app.endpoint.address)).header("accept", "text/html,*/*;q=0.8");
    assert_eq!(request.send().await.expect("an answer").headers()["location"], "/docs");
}

#[tokio::test]
async fn the_pages_of_operators_are_not_public() {
    let app = TestApp::start().await;
    for (path, holds) in [("/health", "\"postgres\":\"ok\""), ("/metrics", "mainstay_")] {
        let answer = app.private.get(path).await;
        assert_eq!(answer.status, 200, "{path}");
        assert!(answer.body.to_string().replace("\\\"", "\"").contains(holds), "{path}: {}", answer.body);
        assert_eq!(app.endpoint.get(path).await.failure("ROUTE_NOT_FOUND").status, 404, "{path}");
    }
}

fn assert_common_headers(answer: &Response, path: &str) {
    assert!(answer.header("x-request-id").is_some_and(|id| !id.is_empty()), "{path}: no request id");
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
    assert!(answer.header("referrer-policy").is_some(), "{path}");
}

#[tokio::test]
async fn every_answer_names_its_request_and_is_not_sniffed() {
    let app = TestApp::start().await;
    for path in ["/livez", "/openapi.json", "/nothing", "/api/v1/nothing", "/api/v1/tickets", "/api/v1/tickets/17"] {
        assert_common_headers(&app.endpoint.get(path).await, path);
    }
    assert_common_headers(&app.endpoint.get("/docs").await, "/docs");
}

/// The values of `src` and `href` in a page.
fn links(page: &str) -> Vec<&str> {
    let values = ["src=\"", "href=\""].into_iter().flat_map(|name| page.split(name).skip(1));
    values.filter_map(|rest| rest.split('"').next()).collect()
}

#[tokio::test]
async fn the_reference_loads_nothing_from_other_origins() {
    let app = TestApp::start().await;
    let answer = app.endpoint.get("/docs").await;
    let policy = answer.header("content-security-policy").expect("a policy").to_owned();
    for part in ["default-src 'none';", "script-src 'self';", "connect-src 'self';", "frame-ancestors 'none'"] {
        assert!(policy.contains(part), "{part} is not in {policy}");
    }
    assert!(!policy.contains("http") && !policy.contains('*') && !policy.contains("eval"), "{policy}");
    let page = answer.body.as_str().expect("a page").to_owned();
    let links = links(&page);
    assert!(links.contains(&"docs/scalar.js") && links.contains(&"openapi.json"), "{links:?}");
    for link in links {
        assert!(!link.contains("//"), "{link} is on another origin");
        assert_eq!(app.endpoint.get(&format!("/{link}")).await.status, 200, "{link}");
    }
    assert_eq!(page.matches("<script").count(), page.matches("<script src=").count(), "no script is inline");
    let start = app.endpoint.get("/docs/start.js").await.body.to_string();
    assert!(!start.contains("http:") && !start.contains("https:"), "{start}");
    for off in ["withDefaultFonts: false", "telemetry: false", "agent: { disabled: true }", "mcp: { disabled: true }"] {
        assert!(start.contains(off), "{off}");
    }
}

#[tokio::test]
async fn the_files_of_the_reference_are_compressed_once_and_kept() {
    let app = TestApp::start().await;
    let read = async |path: &str, name: &str, value: &str| {
        let request = app.endpoint.http.get(format!("{}{path}", app.endpoint.base())).header(name, value);
        request.send().await.expect("an answer")
    };
    for path in ["/docs/scalar.js", "/openapi.json"] {
        let plain = read(path, "accept-encoding", "identity").await;
        assert!(plain.headers().get("content-encoding").is_none(), "{path}");
        let plain = plain.bytes().await.expect("a body").len();
        for coding in ["br", "zstd", "gzip"] {
            let answer = read(path, "accept-encoding", coding).await;
            let header =
                |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
            assert_eq!(header("content-encoding").as_deref(), Some(coding), "{path}");
            assert!(header("cache-control").is_some_and(|value| value.contains("no-cache")), "{path}");
            // A response that is compressed on the fly has no length.
            assert!(header("content-length").is_some(), "{path} {coding}");
            let tag = header("etag").expect("a tag");
            assert!(answer.bytes().await.expect("a body").len() < plain / 3, "{path} {coding}");
            assert_eq!(
                read(path, "if-none-match", &tag.replace(&format!(".{coding}"), "")).await.status(),
                304,
                "{path}"
            );
        }
    }
}

#[tokio::test]
async fn a_valid_request_id_is_kept_and_an_invalid_one_replaced() {
    let app = TestApp::start().await;
    for (id, is_kept) in [("abc-123", true), ("a b", false), (&"x".repeat(200), false), ("a\"b", false)] {
        let request =
            app.endpoint.http.get(format!("{}/api/v1/tickets", app.endpoint.base())).header("x-request-id", id);
        let answer = rest::read(request.send().await.expect("an answer")).await.failure("UNAUTHENTICATED");
        assert_eq!(answer.header("x-request-id") == Some(id), is_kept, "{id}");
        assert_eq!(answer.header("x-request-id"), Some(answer.text("/error/requestId").as_str()));
    }
}

#[tokio::test]
async fn answers_are_compressed_on_request() {
    let app = TestApp::start().await;
    for coding in ["gzip", "br", "zstd"] {
        let request = app.endpoint.http.get(format!("{}/openapi.json", app.endpoint.base()));
        let response = request.header("accept-encoding", coding).send().await.expect("an answer");
        assert_eq!(response.headers().get("content-encoding").map(|value| value.as_bytes()), Some(coding.as_bytes()));
        let vary = response
            .headers()
            .get_all("vary")
            .iter()
            .any(|value| value.to_str().is_ok_and(|v| v.to_lowercase().contains("accept-encoding")));
        assert!(vary, "{coding}: {:?}", response.headers());
    }
}

/// The segments of a path, with its parameters unnamed.
fn shape(path: &str) -> Vec<&str> {
    path.split('/').map(|segment| if segment.starts_with('{') { "{}" } else { segment }).collect()
}

#[tokio::test]
async fn the_document_describes_every_method() {
    let app = TestApp::start().await;
    let document = app.endpoint.get("/openapi.json").await.body;
    let paths = document["paths"].as_object().expect("paths");
    for method in crate::support::methods() {
        let route = rest::route(method);
        let path =
            paths.iter().find(|(path, _)| shape(path) == shape(&route.template.to_string())).map(|(_, path)| path);
        let verb = route.http_method.as_ref().expect("a verb").as_str().to_lowercase();
        assert!(path.is_some_and(|path| path.get(&verb).is_some()), "{} {} is not described", verb, route.template);
    }
}
