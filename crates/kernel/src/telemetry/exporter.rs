//! The HTTP transport of the trace exporter.

use std::{pin::Pin, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use opentelemetry_http::{HttpClient, HttpError, Request, Response};
use tokio::runtime::Handle;
use tower::ServiceExt as _;

use crate::outbound::transport::{self, Transport};

/// The limit exceeds the responses of real receivers.
const MAX_ANSWER_BYTES: usize = 64 << 10;
const TIMEOUT: Duration = Duration::from_secs(10);

/// An HTTP client for the exporter, whose thread is outside of the runtime.
pub(super) struct Client {
    transport: Transport,
    runtime: Handle,
}

impl Client {
    pub(super) fn new() -> anyhow::Result<Self> {
        Ok(Self { transport: transport::new()?, runtime: Handle::try_current()? })
    }
}

debug_fields!(Client);

impl HttpClient for Client {
    fn send_bytes<'client, 'future>(
        &'client self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'future>>
    where
        'client: 'future,
        Self: 'future,
    {
        let transport = self.transport.clone();
        let exchange = async move {
            let answer = transport.oneshot(request.map(Full::new)).await;
            let (head, body) = answer.map_err(|failed| format!("{failed:?}"))?.into_parts();
            Ok::<_, HttpError>(Response::from_parts(
                head,
                Limited::new(body, MAX_ANSWER_BYTES).collect().await?.to_bytes(),
            ))
        };
        // Creating the timeout also requires the runtime.
        let task = self.runtime.spawn(async move { tokio::time::timeout(TIMEOUT, exchange).await });
        Box::pin(async move { task.await?? })
    }
}
