//! What all pages share: the origin of their changes for the audit log, the path template for the log, and an error envelope
//! for bare error statuses.

use axum::{
    body::Body,
    extract::{Request, State},
    http::{StatusCode, header},
    middleware::Next,
    response::Response,
    routing::MethodRouter,
};

use crate::{
    caller::ClientAddress,
    context::{self, Origin},
    error::{Error, Reason},
};

/// The path template of the page that responded, for the log.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Template(pub(crate) &'static str);

pub(crate) fn finished<S: Clone + Send + Sync + 'static>(
    template: &'static str,
    page: MethodRouter<S>,
) -> MethodRouter<S> {
    page.layer(axum::middleware::from_fn_with_state(template, finish))
}

async fn finish(State(template): State<&'static str>, request: Request, next: Next) -> Response {
    if !request.method().is_safe() {
        context::set_origin(|| origin(template, &request));
    }
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

/// Returns the origin of the changes that a page makes. A page reads its credentials itself, so that the client has none here.
fn origin(template: &str, request: &Request) -> Origin {
    let client = request.extensions().get().map(|&ClientAddress(address)| address);
    let user_agent = request.headers().get(header::USER_AGENT).and_then(|agent| agent.to_str().ok());
    Origin::of_client(format!("page {template}"), client, user_agent)
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
