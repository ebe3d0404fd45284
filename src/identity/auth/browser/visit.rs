//! The request of a page, as the sign-ins read and answer it.

use std::net::IpAddr;

use axum::{
    Extension,
    body::Bytes,
    extract::{FromRequest, Request},
    http::HeaderMap,
    response::Response,
};
use mainstay_kernel::{app::App, caller::ClientAddress, error::Result};

use super::{origin_of, refusal, too_large};
use crate::identity::session::model::Device;

/// A request with its whole body, and where it comes from.
pub(super) struct Visit {
    pub(super) app: App,
    pub(super) headers: HeaderMap,
    pub(super) device: Device,
    pub(super) from: IpAddr,
    pub(super) body: Bytes,
}

impl FromRequest<App> for Visit {
    type Rejection = Response;

    async fn from_request(request: Request, app: &App) -> Result<Self, Response> {
        let headers = request.headers().clone();
        let address = request.extensions().get::<ClientAddress>().copied();
        let (device, from) = origin_of(address.map(Extension), &headers);
        let body = Bytes::from_request(request, app).await.map_err(|rejection| refusal(too_large(rejection)))?;
        Ok(Self { app: app.clone(), headers, device, from, body })
    }
}

/// Renders the outcome of a page's work, or its failure.
pub(super) async fn answer<T>(work: impl Future<Output = Result<T>>, render: impl FnOnce(T) -> Response) -> Response {
    work.await.map_or_else(refusal, render)
}
