//! A payment gateway for the fault tests: a separate process with a separate ledger, modeled on Stripe.
//!
//! It honors `Idempotency-Key` as Stripe documents it: the first response to an *executed* request is stored and
//! replayed, 500s included; a request rejected before execution stores nothing. Its ledger is an append-only file with
//! a line for each movement of money, each stored response, each event and each acknowledgment, so a restart loses
//! nothing.
//!
//! Control requests: `POST /_behave` sets the treatment of the next requests, `POST /_webhooks` the receivers and the
//! manner of events. `POST /_refund` makes a refund like an operator at the console, `POST /_return` lets the bank
//! return a refund, `POST /_index` freezes the search index for a while, as Stripe's may lag, and `POST /_subscription`
//! changes a subscription without the API.

mod behaviour;
mod books;
mod cards;
mod objects;
mod stripe;
mod subscriptions;
mod webhooks;

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpListener, sync::Mutex};

use books::Books;

/// The connection closes without a response.
#[derive(Debug, thiserror::Error)]
#[error("instructed to hang up")]
struct HangUp;

type Response = http::Response<Full<bytes::Bytes>>;

/// The gateway.
#[derive(Debug)]
struct Gateway {
    books: Mutex<Books>,
    behaviour: behaviour::Queue,
    webhooks: webhooks::Webhooks,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (Some(ledger), Some(address)) = (arguments.next(), arguments.next()) else {
        anyhow::bail!("usage: fake-gateway LEDGER ADDRESS");
    };
    let (ledger, address): (PathBuf, SocketAddr) = (ledger.into(), address.parse()?);
    let gateway = Arc::new(Gateway {
        books: Mutex::new(Books::open(&ledger)?),
        behaviour: behaviour::Queue::default(),
        webhooks: webhooks::Webhooks::new(),
    });
    tokio::spawn(webhooks::run(gateway.clone()));
    let listener = TcpListener::bind(address).await?;
    println!("fake gateway on http://{}", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        let gateway = gateway.clone();
        let service = service_fn(move |request| handle(gateway.clone(), request));
        // The connection ends when the client leaves, or when the behavior closes it.
        tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

async fn handle(gateway: Arc<Gateway>, request: http::Request<Incoming>) -> Result<Response, HangUp> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(|_| HangUp)?.to_bytes();
    match head.uri.path() {
        "/_webhooks" => return Ok(gateway.webhooks.tell(&body)),
        "/_refund" => return Ok(webhooks::refund(&gateway, &body).await),
        "/_return" => return Ok(webhooks::come_back(&gateway, &body).await),
        "/_behave" if head.method == http::Method::GET => return Ok(gateway.behaviour.remaining()),
        "/_behave" => return Ok(gateway.behaviour.tell(&body)),
        "/_index" => {
            gateway.books.lock().await.index(&*body == b"still");
            return Ok(objects::respond(200, &serde_json::Value::Null, false));
        }
        "/_subscription" => return Ok(subscriptions::change_past_api(&gateway, &body).await),
        _ => {}
    }
    // A request is executed even if its caller has left.
    let answer = tokio::spawn(async move { stripe::answer(&gateway, &head, &body).await });
    answer.await.unwrap_or(Err(HangUp))
}
