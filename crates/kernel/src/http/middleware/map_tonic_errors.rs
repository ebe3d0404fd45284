//! Gives tonic's own errors a reason from the catalogue: a message that can't be decoded, one that is too large, an
//! unknown method.

use tonic::{Code, Status};

use crate::{
    contract::Method,
    error::{Error, Reason},
    grpc::Arrival,
    http::middleware::layer::{Middleware, Next, Request, Response, ResponseFuture},
};

/// A middleware that rewrites errors without details.
#[derive(Debug, Clone)]
pub struct MapTonicErrors;

impl<S: Next> Middleware<Request, S> for MapTonicErrors {
    fn handle(&self, mut request: Request, next: &mut S) -> ResponseFuture {
        let arrival = Arrival::default();
        request.extensions_mut().insert(arrival.clone());
        let is_ours = request.extensions().get::<&'static Method>().is_some();
        let response = next.run(request);
        Box::pin(async move { Ok(map(response.await, is_ours, !arrival.is_noted())) })
    }
}

/// `unread` says that the request did not reach a method of ours: tonic could not read it. The others, health and reflection,
/// have no errors of these kinds.
fn map(response: Response, is_ours: bool, unread: bool) -> Response {
    let headers = response.headers();
    let foreign = headers.contains_key("grpc-status") && !headers.contains_key("grpc-status-details-bin");
    let Some(status) = Status::from_header_map(headers).filter(|status| foreign && status.code() != Code::Ok) else {
        return response;
    };
    let reason = match status.code() {
        Code::Internal | Code::Unknown if unread => Reason::MalformedRequest,
        // The method exists; what tonic lacks is the compression of the message.
        Code::Unimplemented if is_ours && unread => Reason::UnsupportedMediaType,
        code => Reason::from_grpc(code),
    };
    Status::from(Error::new(reason).caused_by(anyhow::anyhow!("tonic: {}", status.message()))).into_http()
}
