//! What a gateway tells of payments by itself: late, twice, in any order. A success is final and taken at its signed word; a
//! failure may be an older attempt's, so it is a reason to ask and no more.

use chrono::{DateTime, Utc};

use crate::{
    caller::Visibility,
    domain::{effect::State, money::Money, payment::Payment},
    error::{Error, Reason, Result},
    id::PaymentId,
    jobs::{self, Settle, SyncRefunds},
    ops::settle::{alert, commit_in},
    store::{Connection, payment as store},
};

/// Commits that a payment succeeded, unless that is known.
///
/// # Errors
/// `BUSINESS_RULE_VIOLATION` after an alert when it is not what we asked for, or we hold it as failed, or as charged
/// otherwise; nothing is booked then.
pub async fn succeeded(
    connection: &mut Connection,
    id: PaymentId,
    gateway: &str,
    gateway_id: String,
    amount: Option<Money>,
    now: DateTime<Utc>,
) -> Result<()> {
    let Some(payment) = known(connection, id).await? else {
        return Err(refused("unknown_payment", id, &format!("{gateway_id} is for a payment that is not here")));
    };
    if payment.gateway != gateway || amount != Some(payment.amount) {
        let detail = format!("{gateway_id} at {gateway} moved {amount:?}, and {:?} was asked for", payment.amount);
        return Err(refused("mismatch", id, &detail));
    }
    commit_in(connection, &payment, Ok(gateway_id.clone()), now).await?;
    match store::get(connection, Visibility::All, id).await?.state {
        State::Succeeded { gateway_id: known } if known == gateway_id => Ok(()),
        // The alert is raised already.
        other => Err(refusal(&format!("{gateway_id} moved the money of a payment that is {other:?}"))),
    }
}

/// Has a payment asked for now that the gateway says failed, unless it is settled.
///
/// # Errors
/// What Postgres answers.
pub async fn failed(connection: &mut Connection, id: PaymentId) -> Result<()> {
    match known(connection, id).await? {
        Some(payment) if payment.state == State::Pending => jobs::enqueue(connection, &Settle::Payment(id)).await,
        _ => Ok(()),
    }
}

/// Has the refunds of a payment looked at: the one of this id, or else the one that the gateway knows by `charge_id`. What
/// is no payment of ours is nothing to us.
///
/// # Errors
/// What Postgres answers.
pub async fn refunds_changed(
    connection: &mut Connection,
    id: Option<PaymentId>,
    gateway: &str,
    charge_id: Option<&str>,
) -> Result<()> {
    let named = match id {
        Some(id) => known(connection, id).await?.map(|payment| payment.id),
        None => None,
    };
    let found = match (named, charge_id) {
        (None, Some(charge_id)) => store::of_gateway(connection, gateway, charge_id).await?,
        (named, _) => named,
    };
    match found {
        Some(payment) => jobs::enqueue(connection, &SyncRefunds::new(payment)).await,
        None => Ok(()),
    }
}

async fn known(connection: &mut Connection, id: PaymentId) -> Result<Option<Payment>> {
    match store::get(connection, Visibility::All, id).await {
        Ok(payment) => Ok(Some(payment)),
        Err(error) if error.reason() == Reason::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn refused(cause: &'static str, id: PaymentId, detail: &str) -> Error {
    alert(cause, id.0, detail);
    refusal(detail)
}

/// Trying again would change nothing.
fn refusal(detail: &str) -> Error {
    Error::rule("The event does not go with the books.").caused_by(anyhow::anyhow!(detail.to_owned()))
}
