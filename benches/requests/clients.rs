//! The load generator's clients: tonic for gRPC, plain hyper for REST.

use anyhow::Context as _;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{
    Request, StatusCode,
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use mainstay::proto::{
    content::v1::{GetPostRequest, ListPostsRequest, post_service_client::PostServiceClient},
    identity::v1::{LoginRequest, auth_service_client::AuthServiceClient},
    payments::v1::{ChargePaymentRequest, PaymentStatus, payment_service_client::PaymentServiceClient},
    support::v1::{self as pb, ticket_service_client::TicketServiceClient},
};
use serde_json::json;
use tokio::net::TcpStream;
use tonic::{
    metadata::AsciiMetadataValue,
    transport::{Channel, Endpoint},
};

use crate::calls::{BODY, CARD, Charge, FAR_PAGE, Operation, PASSWORD, SUBJECT, Target};

/// A client. Clones share its connection, except for HTTP/1.1, which cannot be cloned.
pub(crate) enum Client {
    Grpc { channel: Channel, token: AsciiMetadataValue },
    Http1 { port: u16, token: String, sender: Option<http1::SendRequest<Full<Bytes>>> },
    Http2 { token: String, sender: http2::SendRequest<Full<Bytes>> },
}

impl Clone for Client {
    fn clone(&self) -> Self {
        match self {
            Self::Grpc { channel, token } => Self::Grpc { channel: channel.clone(), token: token.clone() },
            Self::Http1 { port, token, .. } => Self::Http1 { port: *port, token: token.clone(), sender: None },
            Self::Http2 { token, sender } => Self::Http2 { token: token.clone(), sender: sender.clone() },
        }
    }
}

impl Client {
    pub(crate) async fn grpc(port: u16, token: &str) -> anyhow::Result<Self> {
        let channel = Endpoint::from_shared(format!("http://127.0.0.1:{port}"))?.tcp_nodelay(true).connect().await?;
        Ok(Self::Grpc { channel, token: format!("Bearer {token}").try_into()? })
    }

    pub(crate) fn http1(port: u16, token: &str) -> Self {
        Self::Http1 { port, token: format!("Bearer {token}"), sender: None }
    }

    pub(crate) async fn http2(port: u16, token: &str) -> anyhow::Result<Self> {
        let (sender, connection) = http2::handshake(TokioExecutor::new(), connect(port).await?).await?;
        tokio::spawn(connection);
        Ok(Self::Http2 { token: format!("Bearer {token}"), sender })
    }

    /// Opens the connection of an HTTP/1.1 client, which the first call would otherwise do.
    pub(crate) async fn open(&mut self) -> anyhow::Result<()> {
        if let Self::Http1 { port, sender, .. } = self {
            *sender = Some(open(*port).await?);
        }
        Ok(())
    }

    /// Sends one request and checks that its response is a success. The error is [`Overloaded`] if the server was
    /// overloaded.
    pub(crate) async fn call(&mut self, target: &Target, operation: Operation, number: usize) -> anyhow::Result<()> {
        match self {
            Self::Grpc { channel, token } => grpc(channel, token, target, operation, number).await,
            Self::Http1 { port, token, sender } => {
                if sender.as_ref().is_none_or(http1::SendRequest::is_closed) {
                    *sender = Some(open(*port).await?);
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

/// The server is overloaded: it rejected the request, or did not answer it in time.
#[derive(Debug, thiserror::Error)]
#[error("the server is overloaded")]
pub(crate) struct Overloaded;

/// Opens a connection of HTTP/1.1.
pub(crate) async fn open(port: u16) -> anyhow::Result<http1::SendRequest<Full<Bytes>>> {
    let (sender, connection) = http1::handshake(connect(port).await?).await?;
    tokio::spawn(connection);
    Ok(sender)
}

async fn connect(port: u16) -> anyhow::Result<TokioIo<TcpStream>> {
    let stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.set_nodelay(true)?;
    Ok(TokioIo::new(stream))
}

/// Makes a request with the caller's token.
pub(crate) fn authorize<M>(message: M, token: &AsciiMetadataValue) -> tonic::Request<M> {
    let mut request = tonic::Request::new(message);
    request.metadata_mut().insert("authorization", token.clone());
    request
}

async fn grpc(
    channel: &Channel,
    token: &AsciiMetadataValue,
    target: &Target,
    operation: Operation,
    number: usize,
) -> anyhow::Result<()> {
    let mut tickets = TicketServiceClient::new(channel.clone());
    let good = match operation {
        Operation::Get => {
            let request = pb::GetTicketRequest { ticket_id: target.ticket(number).to_string(), ..Default::default() };
            tickets.get_ticket(authorize(request, token)).await?.into_inner().data.is_some()
        }
        Operation::List | Operation::OwnList | Operation::FarPage => {
            let page = if operation == Operation::FarPage { FAR_PAGE } else { 1 };
            let request = pb::ListTicketsRequest { page, ..Default::default() };
            let page = tickets.list_tickets(authorize(request, token)).await?.into_inner();
            page.data.len() == 20 && page.meta.is_some_and(|meta| meta.total.is_some())
        }
        Operation::Create => {
            tickets.create_ticket(authorize(target.create(), token)).await?.into_inner().data.is_some()
        }
        Operation::Charge => charge(channel, token, target.charge()).await?,
        Operation::ChargeAgain => charge(channel, token, target.charge_again(number)).await?,
        Operation::SignIn => {
            let request =
                LoginRequest { email: Target::email(number), password: PASSWORD.to_owned(), ..LoginRequest::default() };
            AuthServiceClient::new(channel.clone()).login(request).await?.into_inner().data.is_some()
        }
        Operation::Receive => anyhow::bail!("webhooks are sent over HTTP"),
        Operation::GetPost => {
            let request = GetPostRequest { post_id: target.post(number).to_owned(), read_mask: None };
            PostServiceClient::new(channel.clone()).get_post(request).await?.into_inner().data.is_some()
        }
        Operation::ListPosts => {
            let page = PostServiceClient::new(channel.clone()).list_posts(ListPostsRequest::default()).await?;
            page.into_inner().data.len() == 20
        }
    };
    anyhow::ensure!(good, "a response lacks its data");
    Ok(())
}

/// Charges an order; returns whether the charge succeeded.
pub(crate) async fn charge(channel: &Channel, token: &AsciiMetadataValue, charge: Charge) -> anyhow::Result<bool> {
    let request = ChargePaymentRequest { order_id: charge.order.to_string(), payment_method: CARD.to_owned() };
    let mut request = authorize(request, token);
    request.metadata_mut().insert("idempotency-key", charge.key.try_into()?);
    let payment = PaymentServiceClient::new(channel.clone()).charge_payment(request).await?.into_inner().data;
    Ok(payment.is_some_and(|payment| payment.status() == PaymentStatus::Succeeded))
}

fn rest(
    host: String,
    origin: &str,
    token: &str,
    target: &Target,
    operation: Operation,
    number: usize,
) -> anyhow::Result<Request<Full<Bytes>>> {
    let builder = Request::builder();
    let builder = if host.is_empty() { builder } else { builder.header("host", host) };
    if operation == Operation::Receive {
        let webhook = target.webhook();
        let builder = builder.method("POST").uri(format!("{origin}/webhooks/stripe"));
        let builder = builder.header("content-type", "application/json").header("stripe-signature", webhook.signature);
        return Ok(builder.body(Full::from(webhook.body))?);
    }
    let public = match operation {
        Operation::GetPost => Some(format!("{origin}/api/v1/posts/{}", target.post(number))),
        Operation::ListPosts => Some(format!("{origin}/api/v1/posts")),
        _ => None,
    };
    if let Some(uri) = public {
        return Ok(builder.uri(uri).body(Full::default())?);
    }
    let builder = match operation {
        Operation::SignIn => builder,
        Operation::OwnList => builder.header("authorization", &target.member),
        _ => builder.header("authorization", token),
    };
    let (path, key, body) = match operation {
        Operation::Get => {
            let ticket = target.ticket(number);
            return Ok(builder.uri(format!("{origin}/api/v1/tickets/{ticket}")).body(Full::default())?);
        }
        Operation::List | Operation::OwnList => {
            return Ok(builder.uri(format!("{origin}/api/v1/tickets")).body(Full::default())?);
        }
        Operation::FarPage => {
            return Ok(builder.uri(format!("{origin}/api/v1/tickets?page={FAR_PAGE}")).body(Full::default())?);
        }
        Operation::Create => {
            let account = target.account.to_string();
            let body = json!({ "subject": SUBJECT, "body": BODY, "tags": ["Bug", "Outage"], "accountId": account });
            ("tickets", None, body)
        }
        Operation::Charge | Operation::ChargeAgain => {
            let again = operation == Operation::ChargeAgain;
            let charge = if again { target.charge_again(number) } else { target.charge() };
            let body = json!({ "orderId": charge.order.to_string(), "paymentMethod": CARD });
            ("payments/charge", Some(charge.key), body)
        }
        Operation::SignIn => ("auth/login", None, json!({ "email": Target::email(number), "password": PASSWORD })),
        Operation::Receive | Operation::GetPost | Operation::ListPosts => anyhow::bail!("made above"),
    };
    let builder = builder.method("POST").uri(format!("{origin}/api/v1/{path}"));
    let builder = builder.header("content-type", "application/json");
    let builder = if let Some(key) = key { builder.header("idempotency-key", key) } else { builder };
    Ok(builder.body(Full::from(body.to_string()))?)
}

async fn answered(response: hyper::Response<hyper::body::Incoming>, operation: Operation) -> anyhow::Result<()> {
    let status = response.status();
    let body = response.into_body().collect().await?.to_bytes();
    let expected = match operation {
        Operation::Get
        | Operation::List
        | Operation::OwnList
        | Operation::FarPage
        | Operation::SignIn
        | Operation::GetPost
        | Operation::ListPosts => StatusCode::OK,
        Operation::Create | Operation::Charge | Operation::ChargeAgain => StatusCode::CREATED,
        Operation::Receive => StatusCode::NO_CONTENT,
    };
    if matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT) {
        return Err(Overloaded.into());
    }
    anyhow::ensure!(status == expected, "{status}: {}", String::from_utf8_lossy(&body));
    Ok(())
}
