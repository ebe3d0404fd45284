//! Maps tonic's errors to reasons of the catalogue: an undecodable or too large message, an unknown method.

use bytes::Bytes;
use http::HeaderMap;
use tonic::{Code, Status};

use crate::{
    contract::Method,
    error::{Error, Reason},
    grpc::Arrival,
    http::middleware::layer::{Middleware, Next, Request, Response, ResponseFuture},
};

const ACCEPT_ENCODING: &str = "grpc-accept-encoding";

/// A middleware that rewrites errors without details.
#[derive(Debug, Clone)]
pub(crate) struct MapTonicErrors;

impl<S: Next> Middleware<S> for MapTonicErrors {
    fn handle(&self, mut request: Request, next: &mut S) -> ResponseFuture {
        let arrival = Arrival::default();
        request.extensions_mut().insert(arrival.clone());
        let is_ours = request.extensions().get::<&'static Method>().is_some();
        let response = next.run(request);
        Box::pin(async move { Ok(map(response.await, is_ours, !arrival.has_arrived())) })
    }
}

/// Maps a status without details. `unread` means that tonic failed before the request reached a method of the contract.
/// The exempt services (health and reflection) produce no such errors.
fn map(response: Response, is_ours: bool, unread: bool) -> Response {
    let headers = response.headers();
    let foreign = headers.contains_key("grpc-status") && !headers.contains_key("grpc-status-details-bin");
    let Some(status) = Status::from_header_map(headers).filter(|status| foreign && status.code() != Code::Ok) else {
        return response;
    };
    let cause = anyhow::anyhow!("tonic: {}", status.message());
    let reason = match status.code() {
        Code::Internal | Code::Unknown if unread => Reason::MalformedRequest,
        // The method exists.
        Code::Unimplemented if is_ours && unread => return unsupported_compression(headers, cause),
        code => Reason::from_grpc(code),
    };
    Status::from(Error::new(reason).caused_by(cause)).into_http()
}

/// Refuses a message with a compression that tonic does not support. gRPC defines the code of this error, and the header with
/// the supported ones, which a client then uses (gRPC's compression.md).
fn unsupported_compression(headers: &HeaderMap, cause: anyhow::Error) -> Response {
    let status = Status::from(Error::new(Reason::UnsupportedMediaType).caused_by(cause));
    let (message, details) = (status.message(), Bytes::copy_from_slice(status.details()));
    let metadata = status.metadata().clone();
    let mut response = Status::with_details_and_metadata(Code::Unimplemented, message, details, metadata).into_http();
    if let Some(supported) = headers.get(ACCEPT_ENCODING) {
        response.headers_mut().insert(ACCEPT_ENCODING, supported.clone());
    }
    response
}
