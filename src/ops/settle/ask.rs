//! What the gateway's answers say of an effect, and when it is looked up instead.

use std::sync::Once;

use chrono::TimeDelta;
use uuid::Uuid;

use super::{Effect, alert};
use crate::{
    app::App,
    domain::effect::{Failure, FailureKind},
    gateway::{Found, Outcome},
};

/// Gateways know a key again for a day; past this it is looked up instead.
const KEY_WINDOW: TimeDelta = TimeDelta::hours(23);
/// No further attempt is begun on what is older: a card charged days later is a surprise.
const LAST_ATTEMPT: TimeDelta = TimeDelta::hours(24);

/// What is known of an effect after asking.
pub(super) enum Word<T> {
    /// It was done.
    Done(T),
    /// It was not, and will not be.
    Failed(Failure),
    /// This attempt did nothing, and its key is spent.
    NextAttempt,
    /// Nothing, and why.
    Wait(String),
}

/// Asks the gateway, or looks at what it has.
pub(super) async fn ask<E: Effect>(app: &App, effect: &E) -> Word<E::Done> {
    if let Some(why) = elsewhere(app, effect.gateway(), effect.id()) {
        return Word::Wait(why);
    }
    let gateway = app.gateway.as_ref();
    let age = app.clock.now() - effect.drive().since;
    if age > KEY_WINDOW {
        return match effect.find(gateway).await {
            Found::Done(done) => Word::Done(done),
            Found::Nothing => Word::Failed(abandoned()),
            Found::Unknown { why } => Word::Wait(why),
        };
    }
    match effect.ask(gateway).await {
        Outcome::Done(done) => Word::Done(done),
        Outcome::Refused(failure) => Word::Failed(failure),
        // Only the look-up knows more, once what it looks at can be trusted to be complete.
        Outcome::Unknown { remembered: true, why } if age < app.config.payments.lookup_lag() => Word::Wait(why),
        Outcome::Unknown { remembered: true, .. } => match effect.find(gateway).await {
            Found::Done(done) => Word::Done(done),
            Found::Nothing if app.clock.now() - effect.created_at() > LAST_ATTEMPT => Word::Failed(abandoned()),
            Found::Nothing => Word::NextAttempt,
            Found::Unknown { why } => Word::Wait(why),
        },
        Outcome::Unknown { why, .. } => Word::Wait(why),
    }
}

/// Why something can't be asked of the gateway of this house: it was begun at another one. A gateway that never heard of it
/// would do it anew, or say that nothing was done. The first of them calls a person, who has another house work off what
/// is left there, or sets this one's gateway right.
pub(in crate::ops) fn elsewhere(app: &App, gateway: &str, subject: Uuid) -> Option<String> {
    static CALLED: Once = Once::new();
    let ours = app.gateway.name();
    (gateway != ours).then(|| {
        let why = format!("it was begun at the gateway {gateway}, and PAYMENT_GATEWAY is {ours}");
        CALLED.call_once(|| alert("other_gateway", subject, &why));
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
