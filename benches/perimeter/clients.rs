//! The load generator's clients: tonic for gRPC, hyper without anything around it for REST.

use anyhow::Context as _;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{
    Request, StatusCode,
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use mainstay::contract::proto::support::v1::{self as pb, ticket_service_client::TicketServiceClient};
use tokio::net::TcpStream;
use tonic::{metadata::AsciiMetadataValue, transport::Endpoint};

use crate::calls::{BODY, Operation, SUBJECT, Target};

/// A client; clones share its connection, but for HTTP/1.1, which has no clones.
pub(crate) enum Client {
    Grpc { calls: TicketServiceClient<tonic::transport::Channel>, token: AsciiMetadataValue },
    Http1 { port: u16, token: String, sender: Option<http1::SendRequest<Full<Bytes>>> },
    Http2 { token: String, sender: http2::SendRequest<Full<Bytes>> },
}

impl Clone for Client {
    fn clone(&self) -> Self {
        match self {
            Self::Grpc { calls, token } => Self::Grpc { calls: calls.clone(), token: token.clone() },
            Self::Http1 { port, token, .. } => Self::Http1 { port: *port, token: token.clone(), sender: None },
            Self::Http2 { token, sender } => Self::Http2 { token: token.clone(), sender: sender.clone() },
        }
    }
}

impl Client {
    pub(crate) async fn grpc(port: u16, token: &str) -> anyhow::Result<Self> {
        let channel = Endpoint::from_shared(format!("http://127.0.0.1:{port}"))?.tcp_nodelay(true).connect().await?;
        Ok(Self::Grpc { calls: TicketServiceClient::new(channel), token: format!("Bearer {token}").try_into()? })
    }

    pub(crate) fn http1(port: u16, token: &str) -> Self {
        Self::Http1 { port, token: format!("Bearer {token}"), sender: None }
    }

    pub(crate) async fn http2(port: u16, token: &str) -> anyhow::Result<Self> {
        let (sender, connection) = http2::handshake(TokioExecutor::new(), connect(port).await?).await?;
        tokio::spawn(connection);
        Ok(Self::Http2 { token: format!("Bearer {token}"), sender })
    }

    /// One request and its answer, which has to be a good one.
    pub(crate) async fn call(&mut self, target: &Target, operation: Operation, number: usize) -> anyhow::Result<()> {
        match self {
            Self::Grpc { calls, token } => grpc(calls, token, target, operation, number).await,
            Self::Http1 { port, token, sender } => {
                if sender.is_none() {
                    let (made, connection) = http1::handshake(connect(*port).await?).await?;
                    tokio::spawn(connection);
                    *sender = Some(made);
                }
                let sender = sender.as_mut().context("made above")?;
                sender.ready().await?;
                let request = rest(format!("127.0.0.1:{port}"), "", token, target, operation, number)?;
                answered(sender.send_request(request).await?, operation).await
            }
            Self::Http2 { token, sender } => {
                sender.ready().await?;
                let request = rest(String::new(), "http://localhost", token, target, operation, number)?;
                answered(sender.send_request(request).await?, operation).await
            }
        }
    }
}

async fn connect(port: u16) -> anyhow::Result<TokioIo<TcpStream>> {
    let stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.set_nodelay(true)?;
    Ok(TokioIo::new(stream))
}

/// A request with the caller's token.
pub(crate) fn signed<M>(message: M, token: &AsciiMetadataValue) -> tonic::Request<M> {
    let mut request = tonic::Request::new(message);
    request.metadata_mut().insert("authorization", token.clone());
    request
}

async fn grpc(
    calls: &mut TicketServiceClient<tonic::transport::Channel>,
    token: &AsciiMetadataValue,
    target: &Target,
    operation: Operation,
    number: usize,
) -> anyhow::Result<()> {
    let good = match operation {
        Operation::Get => {
            let request = pb::GetTicketRequest { ticket_id: target.ticket(number).to_string(), read_mask: None };
            calls.get_ticket(signed(request, token)).await?.into_inner().data.is_some()
        }
        Operation::List => {
            let page = calls.list_tickets(signed(pb::ListTicketsRequest::default(), token)).await?.into_inner();
            page.data.len() == 20 && page.meta.is_some_and(|meta| meta.total.is_some())
        }
        Operation::Create => calls.create_ticket(signed(target.create(), token)).await?.into_inner().data.is_some(),
    };
    anyhow::ensure!(good, "an answer lacks its data");
    Ok(())
}

fn rest(
    host: String,
    origin: &str,
    token: &str,
    target: &Target,
    operation: Operation,
    number: usize,
) -> anyhow::Result<Request<Full<Bytes>>> {
    let builder = Request::builder().header("authorization", token);
    let builder = if host.is_empty() { builder } else { builder.header("host", host) };
    Ok(match operation {
        Operation::Get => {
            builder.uri(format!("{origin}/api/v1/tickets/{}", target.ticket(number))).body(Full::default())?
        }
        Operation::List => builder.uri(format!("{origin}/api/v1/tickets")).body(Full::default())?,
        Operation::Create => {
            let account = target.account;
            let body = serde_json::json!({
                "subject": SUBJECT, "body": BODY, "tags": ["Bug", "Outage"], "accountId": account.to_string(),
            });
            let builder = builder.method("POST").uri(format!("{origin}/api/v1/tickets"));
            builder.header("content-type", "application/json").body(Full::from(body.to_string()))?
        }
    })
}

async fn answered(response: hyper::Response<hyper::body::Incoming>, operation: Operation) -> anyhow::Result<()> {
    let status = response.status();
    let body = response.into_body().collect().await?.to_bytes();
    let expected = if operation == Operation::Create { StatusCode::CREATED } else { StatusCode::OK };
    anyhow::ensure!(status == expected, "{status}: {}", String::from_utf8_lossy(&body));
    Ok(())
}
