//! What the gateway's answers say of an effect, and when it is looked up instead.
//!
//! A look-up may lag: Stripe's search is no place to read what was just written
//! (<https://docs.stripe.com/search#data-freshness>). So a key is given up first, which is stored, and from then on nothing
//! is asked under it; GATEWAY_LOOKUP_LAG later the look-up knows whatever the gateway may have done until then. A list of
//! all charges since would need no wait, and grows with everybody's charges of that day, which a search does not.

use chrono::TimeDelta;

use super::Effect;
use crate::{
    alert,
    app::App,
    domain::effect::{Failure, FailureKind},
    gateway::{Found, NewCustomer, Outcome},
};

/// Gateways know a key again for a day; past this it is looked up instead.
const KEY_WINDOW: TimeDelta = TimeDelta::hours(23);
/// No further attempt is begun on what is older: a card charged days later is a surprise.
const LAST_ATTEMPT: TimeDelta = TimeDelta::hours(24);

/// What is known of an effect after asking.
pub(super) enum Resolution<T> {
    /// It was done.
    Done(T),
    /// It was not, and will not be.
    Failed(Failure),
    /// This attempt did nothing, and its key is spent.
    NextAttempt,
    /// The gateway knows the account by this, and nothing was asked in its name yet.
    Customer(String),
    /// Nothing, and why.
    Wait(String),
    /// Nothing, and why; the key will not tell either.
    KeyAbandoned(String),
}

/// Asks the gateway, or looks at what it has.
pub(super) async fn ask<E: Effect>(app: &App, effect: &E) -> Resolution<E::Done> {
    if let Some(why) = wrong_gateway(app, effect.gateway()) {
        return Resolution::Wait(why);
    }
    let (gateway, now, drive) = (app.gateway.as_ref(), app.clock.now(), effect.drive());
    let is_old = now - drive.since > KEY_WINDOW;
    let Some(spent_at) = drive.spent_at else {
        if is_old {
            return Resolution::KeyAbandoned("its key is so old that the gateway may have forgotten it".to_owned());
        }
        return match effect.missing_customer() {
            Some(account) => {
                let newcomer = NewCustomer { account, attempt: drive.attempt };
                resolve(gateway.customer(newcomer).await, Resolution::Customer)
            }
            None => resolve(effect.ask(gateway).await, Resolution::Done),
        };
    };
    // It may have acted until the key was given up, and what it did shows only after a while.
    if now - spent_at < app.config.payments.lookup_lag() {
        return Resolution::Wait("what it did last can't be looked up yet".to_owned());
    }
    match effect.find(gateway).await {
        Found::Done(done) => Resolution::Done(done),
        Found::Nothing if is_old || now - effect.created_at() > LAST_ATTEMPT => Resolution::Failed(abandoned()),
        Found::Nothing => Resolution::NextAttempt,
        Found::Unknown { why } => Resolution::Wait(why),
    }
}

fn resolve<A, T>(outcome: Outcome<A>, done: impl FnOnce(A) -> Resolution<T>) -> Resolution<T> {
    match outcome {
        Outcome::Done(it) => done(it),
        Outcome::Refused(failure) => Resolution::Failed(failure),
        Outcome::Unknown { remembered: true, why } => Resolution::KeyAbandoned(why),
        Outcome::Unknown { why, .. } => Resolution::Wait(why),
    }
}

/// Why something can't be asked of the gateway of this house: it was begun at another one. A gateway that never heard of it
/// would do it anew, or say that nothing was done. A person is called, once in a while for all of them, who has another house work off what
/// is left there, or sets this one's gateway right.
pub(in crate::ops) fn wrong_gateway(app: &App, gateway: &str) -> Option<String> {
    let ours = app.gateway.name();
    (gateway != ours).then(|| {
        let why = format!("it was begun at the gateway {gateway}, and PAYMENT_GATEWAY is {ours}");
        alert::raise("gateway", "other_gateway", gateway, &why);
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
