//! Mail providers: a primary one, and optionally a fallback.
//!
//! Each has its own circuit breaker. A mail that the first does not accept is sent through the second immediately, even
//! if it is unknown whether the first accepted it: the mail has one `Message-ID`, and a duplicate is better than a lost
//! mail. A mail counts as rejected only if every provider rejects it, because an unavailable one may still accept it.

use std::{sync::Arc, time::Duration};

use futures_util::{FutureExt as _, future::BoxFuture};
use lettre::Message;
use metrics::{counter, histogram};
use tokio::time::Instant;

use crate::mail::config::Server;
use crate::mail::transport::{
    Failure, Outgoing, Sender, Transport,
    smtp::{Client, Refusal},
};
use mainstay_kernel::{
    alert,
    breaker::{Breaker, Circuit, Verdict},
    outbound::{self, Kind},
};

/// The names in metrics and logs.
const NAMES: [&str; 2] = ["mail", "mail_fallback"];

/// The configured providers.
#[derive(Debug)]
pub struct Providers {
    all: Vec<Provider>,
    from: Sender,
}

impl Providers {
    /// Opens the providers, in the order in which they are tried; each may take up to `most` per mail.
    ///
    /// # Errors
    /// If the system has no root certificates.
    pub fn new(servers: &[Server], from: Sender, most: Duration) -> anyhow::Result<Self> {
        let open = |(name, server): (&'static str, &Server)| {
            Ok(Provider::new(name, Client::new(server.clone(), from.domain(), most)?))
        };
        let all = NAMES.into_iter().zip(servers).map(open).collect::<anyhow::Result<_>>()?;
        Ok(Self { all, from })
    }

    async fn send(&self, mail: &Outgoing) -> Result<(), Failure> {
        let message = self.from.write(mail)?;
        let (mut rejections, mut troubles) = (Vec::new(), Vec::new());
        for provider in &self.all {
            match provider.send(&message).await {
                Ok(()) => return Ok(()),
                Err(Refusal { kind: Kind::Rejected, why }) => rejections.push(format!("{}: {why}", provider.name)),
                Err(Refusal { why, .. }) => troubles.push(format!("{}: {why}", provider.name)),
            }
        }
        match troubles.is_empty() {
            true => Err(Failure::Rejected(rejections.join("; "))),
            false => Err(Failure::Unavailable([troubles, rejections].concat().join("; "))),
        }
    }
}

impl Transport for Providers {
    fn send<'a>(&'a self, mail: &'a Outgoing) -> BoxFuture<'a, Result<(), Failure>> {
        self.send(mail).boxed()
    }

    fn circuit(&self) -> Circuit {
        let circuits: Vec<_> = self.all.iter().map(|provider| provider.breaker.state()).collect();
        let first = circuits.first().copied().unwrap_or(Circuit::Closed);
        if circuits.contains(&Circuit::Closed) { Circuit::Closed } else { first }
    }
}

/// One provider.
#[derive(Debug)]
struct Provider {
    name: &'static str,
    client: Client,
    breaker: Arc<Breaker>,
}

impl Provider {
    fn new(name: &'static str, client: Client) -> Self {
        Self { name, client, breaker: outbound::breaker(name) }
    }

    async fn send(&self, mail: &Message) -> Result<(), Refusal> {
        let admitted = self.breaker.clone().admit();
        let admitted = admitted.map_err(|_| Refusal { kind: Kind::NotSent, why: "the circuit is open".to_owned() })?;
        let began = Instant::now();
        let sent = self.client.send(mail).await;
        let outcome = sent.as_ref().err().map_or("ok", |refusal| refusal.kind.name());
        counter!("mainstay_outbound_tries_total", "provider" => self.name, "outcome" => outcome).increment(1);
        histogram!("mainstay_outbound_try_seconds", "provider" => self.name).record(began.elapsed());
        admitted.settle(match &sent {
            Err(Refusal { kind: Kind::Unavailable | Kind::TimedOut, .. }) => Verdict::Unavailable,
            _ => Verdict::Alive,
        });
        if let Err(Refusal { kind: Kind::Auth, why }) = &sent {
            alert::raise(self.name, "auth", "credentials", why);
        }
        sent
    }
}
