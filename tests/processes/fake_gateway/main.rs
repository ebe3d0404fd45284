//! A payment gateway for the fault tests: a process of its own with a ledger of its own, shaped like Stripe.
//!
//! It honours `Idempotency-Key` as Stripe documents it: the first answer that was *executed* is kept and replayed, 500s
//! too; what was refused before it ran is not kept. Its ledger is a file that only grows, one line for each movement of
//! money, each kept answer, and each event and its taking, so a restart forgets nothing. `POST /_behave` tells it how to
//! treat the next requests, `POST /_webhooks` whom to tell what happens and how; `POST /_refund` gives back as somebody at
//! its console does, `POST /_return` has a refund come back, `POST /_index` has searches learn of nothing new for a while,
//! as Stripe's do, and `POST /_subscription` says what happens to a subscription past the API.

mod behaviour;
mod books;
mod cards;
mod stripe;
mod subscriptions;
mod webhooks;

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpListener, sync::Mutex};

use books::Books;

/// The connection ends without an answer.
#[derive(Debug, thiserror::Error)]
#[error("told to hang up")]
struct HangUp;

type Response = http::Response<Full<bytes::Bytes>>;

/// A gateway.
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
        // It ends when the client leaves, or when it was told to hang up.
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
        "/_behave" if head.method == http::Method::GET => return Ok(gateway.behaviour.left()),
        "/_behave" => return Ok(gateway.behaviour.tell(&body)),
        "/_index" => {
            gateway.books.lock().await.index(&*body == b"still");
            return Ok(stripe::respond(200, &serde_json::Value::Null, false));
        }
        "/_subscription" => return Ok(subscriptions::happen(&gateway, &body).await),
        _ => {}
    }
    // What was asked for is done, whether or not whoever asked is still there.
    let answer = tokio::spawn(async move { stripe::answer(&gateway, &head, &body).await });
    answer.await.unwrap_or(Err(HangUp))
}
