//! Pages, and the headers of every response.

use crate::support::{Answer, TestApp, rest};

#[tokio::test]
async fn the_pages_exist() {
    let app = TestApp::start().await;
    for (path, holds) in [
        ("/livez", "ok"),
        ("/readyz", "ok"),
        ("/health", "\"postgres\":\"ok\""),
        ("/metrics", "mainstay_"),
        ("/openapi.json", "\"openapi\":\"3.1"),
        ("/docs", "<html"),
        ("/.well-known/jwks.json", "\"kty\":\"OKP\""),
    ] {
        let answer = app.endpoint.get(path).await;
        assert_eq!(answer.status, 200, "{path}");
        assert!(answer.body.to_string().replace("\\\"", "\"").contains(holds), "{path}: {}", answer.body);
    }
}

fn decent(answer: &Answer, path: &str) {
    assert!(answer.header("x-request-id").is_some_and(|id| !id.is_empty()), "{path}: no request id");
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
    assert!(answer.header("referrer-policy").is_some(), "{path}");
}

#[tokio::test]
async fn every_answer_names_its_request_and_is_not_sniffed() {
    let app = TestApp::start().await;
    for path in ["/livez", "/openapi.json", "/nothing", "/api/v1/nothing", "/api/v1/tickets", "/api/v1/tickets/17"] {
        decent(&app.endpoint.get(path).await, path);
    }
    let docs = app.endpoint.get("/docs").await;
    assert!(docs.header("content-security-policy").is_some_and(|policy| policy.contains("default-src 'none'")));
}

#[tokio::test]
async fn a_valid_request_id_is_kept_and_an_invalid_one_replaced() {
    let app = TestApp::start().await;
    for (id, kept) in [("abc-123", true), ("a b", false), (&"x".repeat(200), false), ("a\"b", false)] {
        let request =
            app.endpoint.http.get(format!("{}/api/v1/tickets", app.endpoint.base())).header("x-request-id", id);
        let answer = rest::read(request.send().await.expect("an answer")).await.refused("UNAUTHENTICATED");
        assert_eq!(answer.header("x-request-id") == Some(id), kept, "{id}");
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
