//! Mail providers: a primary one, and optionally a fallback.
//!
//! Each has a separate circuit breaker. A mail that the first does not accept is sent through the second immediately,
//! even if it is unknown whether the first accepted it: both copies have the same `Message-ID`, and a duplicate is
//! better than a lost mail. A mail counts as rejected only if every provider rejects it, because an unavailable
//! provider may still accept it.

use std::{sync::Arc, time::Duration};

use futures_util::{FutureExt as _, future::BoxFuture};
use mainstay_kernel::{
    alert::Alerts,
    breaker::{Breaker, Circuit, Verdict},
    clock::Clock,
    outbound::{self, Bounds, Call, Confidential, Kind},
};
use metrics::{counter, histogram};
use tokio::time::Instant;

use crate::mail::{
    config,
    transport::{Failure, OutgoingMail, Sender, Transport, http::Api, refusal::Refusal, smtp},
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
    /// Opens the providers, in the order in which they are tried; each may take up to `timeout` per mail.
    ///
    /// # Errors
    /// An error if the system has no root certificates.
    pub fn new(
        providers: &[config::Provider],
        from: Sender,
        clock: &Clock,
        alerts: &Alerts,
        timeout: Duration,
        max_concurrency: usize,
    ) -> anyhow::Result<Self> {
        let open = |(name, provider): (&'static str, &config::Provider)| {
            let client = match provider {
                config::Provider::Smtp(server) => {
                    let client = smtp::Client::new(server.clone(), from.domain(), timeout)?;
                    Client::Smtp { client, breaker: outbound::breaker(name), alerts: alerts.clone() }
                }
                api => {
                    // One attempt: the mail is attempted again later, possibly through another provider.
                    let bounds = Bounds { total: timeout, attempt_timeout: timeout, max_concurrency, max_attempts: 1 };
                    let client = outbound::Client::new(name, bounds, alerts)?;
                    Client::Http(Api::new(api.clone(), client, clock.clone()))
                }
            };
            Ok(Provider { name, client })
        };
        let all = NAMES.into_iter().zip(providers).map(open).collect::<anyhow::Result<_>>()?;
        Ok(Self { all, from })
    }

    async fn send(&self, mail: &OutgoingMail) -> Result<(), Failure> {
        let (mut rejections, mut failures) = (Vec::new(), Vec::new());
        for provider in &self.all {
            match provider.send(mail, &self.from).await {
                Ok(()) => return Ok(()),
                Err(Refusal { kind: Kind::Rejected, why }) => rejections.push(format!("{}: {why}", provider.name)),
                Err(Refusal { why, .. }) => failures.push(format!("{}: {why}", provider.name)),
            }
        }
        match failures.is_empty() {
            true => Err(Failure::Rejected(rejections.join("; "))),
            false => Err(Failure::Unavailable([failures, rejections].concat().join("; "))),
        }
    }
}

impl Transport for Providers {
    fn send<'a>(&'a self, mail: &'a OutgoingMail) -> BoxFuture<'a, Result<(), Failure>> {
        self.send(mail).boxed()
    }

    fn circuit(&self) -> Circuit {
        let circuits: Vec<_> = self.all.iter().map(Provider::circuit).collect();
        let first = circuits.first().copied().unwrap_or(Circuit::Closed);
        if circuits.contains(&Circuit::Closed) { Circuit::Closed } else { first }
    }
}

/// One provider.
#[derive(Debug)]
struct Provider {
    name: &'static str,
    client: Client,
}

#[derive(Debug)]
enum Client {
    Smtp {
        client: smtp::Client,
        breaker: Arc<Breaker>,
        alerts: Alerts,
    },
    /// Contains the circuit breaker, the metrics and the alert of a provider with an HTTP API.
    Http(Api),
}

impl Provider {
    fn circuit(&self) -> Circuit {
        match &self.client {
            Client::Smtp { breaker, .. } => breaker.state(),
            Client::Http(api) => api.circuit(),
        }
    }

    async fn send(&self, mail: &OutgoingMail, from: &Sender) -> Result<(), Refusal> {
        match &self.client {
            Client::Smtp { client, breaker, alerts } => {
                let result = self.send_by_smtp(client, breaker, mail, from).await;
                match &result {
                    Err(Refusal { kind: Kind::Auth, why }) => alerts.raise(self.name, "auth", "credentials", why),
                    Ok(()) => alerts.credentials_accepted(self.name),
                    Err(_) => {}
                }
                result
            }
            Client::Http(api) => api.send(mail, from).await,
        }
    }

    async fn send_by_smtp(
        &self,
        client: &smtp::Client,
        breaker: &Arc<Breaker>,
        mail: &OutgoingMail,
        from: &Sender,
    ) -> Result<(), Refusal> {
        let message = from.write(mail).map_err(|failure| Refusal { kind: Kind::Rejected, why: failure.to_string() })?;
        let admission = breaker.clone().admit();
        let admission =
            admission.map_err(|_| Refusal { kind: Kind::NotSent, why: "the circuit is open".to_owned() })?;
        let began = Instant::now();
        let call = Call { provider: self.name, operation: "send mail", server: Some(client.server()) };
        let failure = |result: &Result<(), Refusal>| result.as_ref().err().map(|refusal| refusal.kind.name());
        let result = outbound::traced(call, failure, client.send(&message)).await;
        let outcome = result.as_ref().err().map_or("ok", |refusal| refusal.kind.name());
        if !mail.kind.is_for_any_address || Confidential::is_counted(outcome) {
            counter!("mainstay_outbound_attempts_total", "provider" => self.name, "outcome" => outcome).increment(1);
            histogram!("mainstay_outbound_attempt_seconds", "provider" => self.name).record(began.elapsed());
        }
        admission.settle(match &result {
            Err(Refusal { kind: Kind::Unavailable | Kind::TimedOut, .. }) => Verdict::Unavailable,
            _ => Verdict::Alive,
        });
        result
    }
}
