//! Calls the gateway or, once the idempotency key is abandoned, looks the gateway request up.
//!
//! A look-up may lag: Stripe's search does not reliably return recent writes
//! (<https://docs.stripe.com/search#data-freshness>). So the key is first marked as abandoned in the database, after
//! which no request is sent under it. GATEWAY_LOOKUP_LAG later, the look-up returns anything the gateway may have done
//! until then. The lag may be exceeded while Stripe has an outage, so a charge is given up or attempted again only if the
//! list of all charges of the last attempt's time does not have it either.

use crate::payments::config::PaymentsConfig;
use crate::payments::gateway::Gateway;
use chrono::TimeDelta;
use std::sync::Arc;

use crate::payments::{
    gateway::{Lookup, NewCustomer, Outcome},
    settlement::{
        model::{Failure, FailureKind},
        ops::{Facts, GatewayRequest},
    },
};
use mainstay_kernel::app::App;

/// Gateways remember a key for a day; after this time the gateway request is looked up instead.
const KEY_WINDOW: TimeDelta = TimeDelta::hours(23);
/// No further attempt is started for a gateway request older than this: a charge days later would surprise the
/// cardholder.
const LAST_ATTEMPT: TimeDelta = TimeDelta::hours(24);

/// The knowledge about a gateway request after calling the gateway.
pub(crate) enum Resolution<T> {
    /// The gateway carried out the request.
    Done(T),
    /// The request was not carried out, and will not be.
    Failed(Failure),
    /// This attempt did nothing, and its key can't be used again.
    NextAttempt,
    /// The gateway's id for the account's customer; the gateway request itself was not sent yet.
    Customer(String),
    /// The outcome is unknown, for this reason.
    Wait(String),
    /// The outcome is unknown, for this reason, and repeating the request under this key will not reveal it.
    KeyAbandoned(String),
}

/// Calls the gateway, or looks the gateway request up if its key is abandoned.
pub(crate) async fn resolve<R: GatewayRequest>(app: &App, request: &R) -> Resolution<R::Done> {
    let Facts { gateway, lease, created_at, missing_customer, .. } = request.facts();
    if let Some(why) = wrong_gateway(app, gateway) {
        return Resolution::Wait(why);
    }
    let config = app.config.section::<PaymentsConfig>();
    let (gateway, now) = (app.part::<Arc<dyn Gateway>>().as_ref(), app.clock.now());
    let is_repeated = lease.is_of_later_worker(config.lease());
    let is_old = now - lease.since > KEY_WINDOW;
    let Some(key_abandoned_at) = lease.key_abandoned_at else {
        if is_old {
            return Resolution::KeyAbandoned("its key is so old that the gateway may have forgotten it".to_owned());
        }
        return match missing_customer {
            Some(account) => {
                let customer = NewCustomer { account, attempt: lease.attempt };
                resolution(gateway.customer(customer).await, Resolution::Customer)
            }
            None => resolution(request.send(gateway, is_repeated).await, Resolution::Done),
        };
    };
    // The gateway may have acted until the key was abandoned, and the look-up may lag.
    if now - key_abandoned_at < config.lookup_lag() {
        return Resolution::Wait("what it did last can't be looked up yet".to_owned());
    }
    match request.find(gateway).await {
        Lookup::Done(outcome) => Resolution::Done(outcome),
        Lookup::Nothing => match request.find_listed(gateway).await {
            Lookup::Done(outcome) => Resolution::Done(outcome),
            Lookup::Nothing if is_old || now - created_at > LAST_ATTEMPT => Resolution::Failed(abandoned()),
            Lookup::Nothing => Resolution::NextAttempt,
            Lookup::Unknown { why } => Resolution::Wait(why),
        },
        Lookup::Unknown { why } => Resolution::Wait(why),
    }
}

fn resolution<A, T>(outcome: Outcome<A>, complete: impl FnOnce(A) -> Resolution<T>) -> Resolution<T> {
    match outcome {
        Outcome::Done(it) => complete(it),
        Outcome::Refused(failure) => Resolution::Failed(failure),
        Outcome::Unknown { remembered: true, why } => Resolution::KeyAbandoned(why),
        Outcome::Unknown { why, .. } => Resolution::Wait(why),
    }
}

/// Returns why a gateway request can't be sent to this deployment's gateway: it belongs to another one. A gateway that
/// never received it would perform it again, or report that nothing was done. Raises one rate-limited alert for all
/// such gateway requests; the operator then lets a deployment with the other gateway settle them, or corrects
/// PAYMENT_GATEWAY.
pub(crate) fn wrong_gateway(app: &App, gateway: &str) -> Option<String> {
    let ours = app.part::<Arc<dyn Gateway>>().name();
    (gateway != ours).then(|| {
        let why = format!("it was created at the gateway {gateway}, and PAYMENT_GATEWAY is {ours}");
        app.alerts.raise("gateway", "other_gateway", gateway, &why);
        why
    })
}

fn abandoned() -> Failure {
    Failure {
        kind: FailureKind::Abandoned,
        code: "no_answer".to_owned(),
        message: "The gateway had no answer in a day; no money was moved.".to_owned(),
    }
}
