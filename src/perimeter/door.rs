//! Which door a request came through, and what only the doors differ in: the response's real status and envelope.
//!
//! Native gRPC tells its status in `grpc-status`. REST in process has been transcoded when it gets here. Envoy has not
//! yet: a call it marked as REST is told the status and the envelope as metadata, which its Lua filter applies.

use http::{HeaderName, HeaderValue, StatusCode, header::CONTENT_TYPE};
use tonic::{Code, Status};

use super::{
    answer::{self, HttpStatus},
    envelope,
    layer::{Inside, Request, Responding, Response, Step},
};

/// Envoy's mark on a call it transcodes.
pub const X_TRANSCODED: HeaderName = HeaderName::from_static("x-mainstay-transcoded");
const X_HTTP_CODE: HeaderName = HeaderName::from_static("x-http-code");
const X_ERROR_BODY: HeaderName = HeaderName::from_static("x-error-body");

/// `grpc`, `grpc-web`, `envoy` or `rest`.
pub fn name(request: &Request) -> &'static str {
    let content_type = request.headers().get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    if content_type.starts_with(b"application/grpc-web") {
        "grpc-web"
    } else if content_type.starts_with(b"application/grpc") {
        if request.headers().contains_key(X_TRANSCODED) { "envoy" } else { "grpc" }
    } else {
        "rest"
    }
}

/// The HTTP status of a response, whatever door it leaves by.
pub fn status(response: &Response) -> StatusCode {
    match Status::from_header_map(response.headers()) {
        Some(status) if status.code() != Code::Ok => answer::reason(&status).facts().http,
        _ => response.extensions().get::<HttpStatus>().map_or(response.status(), |status| status.0),
    }
}

/// Tells Envoy what it can't know.
#[derive(Debug, Clone)]
pub struct TellEnvoy;

impl Step for TellEnvoy {
    fn step<S: Inside>(&self, request: Request, inside: &mut S) -> Responding {
        let envoy = name(&request) == "envoy";
        let response = inside.respond(request);
        Box::pin(async move {
            let mut response = response.await;
            if envoy {
                tell(&mut response);
            }
            Ok(response)
        })
    }
}

fn tell(response: &mut Response) {
    let code = HeaderValue::from(status(response).as_u16());
    let failed = Status::from_header_map(response.headers()).filter(|status| status.code() != Code::Ok);
    let headers = response.headers_mut();
    headers.insert(X_HTTP_CODE, code);
    if let Some(status) = failed {
        let body = envelope::ascii(&envelope::render(&status));
        if let Ok(body) = HeaderValue::from_str(&body) {
            headers.insert(X_ERROR_BODY, body);
        }
    }
}

/// Turns a refusal of a step further in, which is a gRPC status, into the envelope that REST expects.
#[derive(Debug, Clone)]
pub struct SpeakRest;

impl Step for SpeakRest {
    fn step<S: Inside>(&self, request: Request, inside: &mut S) -> Responding {
        let rest = name(&request) == "rest";
        let response = inside.respond(request);
        Box::pin(async move {
            let response = response.await;
            match Status::from_header_map(response.headers()) {
                Some(status) if rest && status.code() != Code::Ok => Ok(envelope::response(&status, response)),
                _ => Ok(response),
            }
        })
    }
}
