//! Gives tonic's own errors a reason from the catalogue: a message that can't be decoded, one that is too large, an
//! unknown method.

use tonic::{Code, Status};

use crate::{
    error::{Error, Reason},
    http::middleware::layer::{Middleware, Next, Request, Response, ResponseFuture},
};

/// A middleware that rewrites errors without details.
#[derive(Debug, Clone)]
pub struct MapTonicErrors;

impl Middleware for MapTonicErrors {
    fn handle<S: Next>(&self, request: Request, next: &mut S) -> ResponseFuture {
        let response = next.run(request);
        Box::pin(async move { Ok(remap(response.await)) })
    }
}

fn remap(response: Response) -> Response {
    let headers = response.headers();
    let foreign = headers.contains_key("grpc-status") && !headers.contains_key("grpc-status-details-bin");
    let Some(status) = Status::from_header_map(headers).filter(|status| foreign && status.code() != Code::Ok) else {
        return response;
    };
    let message = status.message().to_owned();
    let undecodable =
        ["failed to decode", "protocol error", "compression flag", "Missing request message", "decompress"];
    let reason = match status.code() {
        Code::Internal | Code::Unknown if undecodable.iter().any(|text| message.contains(text)) => {
            Reason::MalformedRequest
        }
        // tonic's error for a compression that is not enabled.
        Code::Unimplemented if message.contains("ompress") => Reason::UnsupportedMediaType,
        code => Reason::from_grpc(code),
    };
    Status::from(Error::new(reason).caused_by(anyhow::anyhow!("tonic: {message}"))).into_http()
}
