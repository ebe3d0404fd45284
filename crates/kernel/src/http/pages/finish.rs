//! Post-processing of page responses: the path template for the log, and an error envelope for bare error statuses.

use axum::{
    body::Body,
    extract::{Request, State},
    http::{StatusCode, header},
    middleware::Next,
    response::Response,
    routing::MethodRouter,
};

use crate::error::{Error, Reason};

/// The path template of the page that responded, for the log.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Template(pub(crate) &'static str);

/// Adds the post-processing to a page.
pub(crate) fn finished<S: Clone + Send + Sync + 'static>(
    template: &'static str,
    page: MethodRouter<S>,
) -> MethodRouter<S> {
    page.layer(axum::middleware::from_fn_with_state(template, finish))
}

async fn finish(State(template): State<&'static str>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    if let Some(reason) = missing_reason(&response) {
        let mut refusal = tonic::Status::from(Error::new(reason)).into_http::<Body>();
        response.headers_mut().remove(header::CONTENT_TYPE);
        response.headers_mut().remove(header::CONTENT_LENGTH);
        refusal.headers_mut().extend(std::mem::take(response.headers_mut()));
        response = refusal;
    }
    response.extensions_mut().insert(Template(template));
    response
}

/// Returns the reason for an error response that has only a status. axum produces such responses for a path that is not
/// UTF-8 or an invalid query, and pages may do so too. Their body is empty or plain text.
fn missing_reason(response: &Response) -> Option<Reason> {
    let headers = response.headers();
    let media_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if headers.contains_key("grpc-status") || media_type.is_some_and(|value| !value.starts_with("text/plain")) {
        return None;
    }
    match response.status() {
        StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY => Some(Reason::MalformedRequest),
        StatusCode::NOT_FOUND => Some(Reason::NotFound),
        StatusCode::PAYLOAD_TOO_LARGE => Some(Reason::PayloadTooLarge),
        StatusCode::UNSUPPORTED_MEDIA_TYPE => Some(Reason::UnsupportedMediaType),
        StatusCode::INTERNAL_SERVER_ERROR => Some(Reason::InternalError),
        _ => None,
    }
}
