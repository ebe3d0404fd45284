//! Subscriptions: the intents to begin and to cancel are committed here and carried out by `settle`; whatever else becomes
//! of one, the gateway is asked ([`sync()`]).

mod sync;

use super::{account_of, settle::Terms};
use crate::{
    caller::Permit,
    domain::{
        page::{Start, Total},
        payment::PaymentMethod,
        subscription::{Cancellation, Filter, Subscription},
        version::Expected,
    },
    error::{Error, Reason, Result},
    id::{AccountId, ProductId, SubscriptionId},
    jobs::{self, Settle},
    store::{Connection, product, subscription as store},
};

pub(super) use sync::{Answer, fail, take_in};
pub use sync::{GatewayEvent, ask_about_due, gateway_event, sync};

/// Commits to subscribing: the subscription, and the job that sees to it if nobody else does.
///
/// # Errors
/// `VALIDATION_FAILED` for a card number or without an account, `NOT_FOUND` for an unknown account,
/// `BUSINESS_RULE_VIOLATION` when the product can't be subscribed to, `CIRCUIT_OPEN`.
pub async fn begin(
    connection: &mut Connection,
    permit: Permit,
    terms: Terms,
    account: Option<AccountId>,
    product: ProductId,
    method: String,
) -> Result<Subscription> {
    let method = PaymentMethod::parse(method)?;
    let account = account_of(&permit, account)?;
    let about = |message: &str| vec![("productId".to_owned(), message.to_owned())];
    let found = product::some(connection, &[product]).await?.pop().ok_or_else(|| {
        Error::with_message(Reason::BusinessRuleViolation, "The product does not exist.").about(about("does not exist"))
    })?;
    let (caller, gateway) = (permit.caller().principal(), terms.gateway.name());
    let subscription = Subscription::intend(account, found, caller, gateway, method, terms.now, terms.until())
        .map_err(|error| error.about(about("can't be subscribed to")))?;
    terms.check_circuit()?;
    let subscription = store::insert(connection, subscription).await?;
    jobs::enqueue_at(connection, &Settle::Subscription(subscription.id), terms.until()).await?;
    Ok(subscription)
}

/// Commits to cancelling. An open circuit is no hindrance: whoever cancels shall not pay on because the gateway is away.
///
/// # Errors
/// `NOT_FOUND`, `ETAG_MISMATCH`, `BUSINESS_RULE_VIOLATION` unless it goes on, and at this gateway.
pub async fn cancel(
    connection: &mut Connection,
    permit: Permit,
    terms: Terms,
    id: SubscriptionId,
    expected: Option<Expected>,
    how: Cancellation,
) -> Result<Subscription> {
    let subscription = store::lock(connection, permit.visibility(), id).await?;
    Expected::check(expected.as_ref(), subscription.version)?;
    let subscription = subscription.cancel(how, terms.now, terms.until())?;
    terms.check_gateway(&subscription.gateway)?;
    store::update(connection, &subscription, terms.now).await?;
    jobs::enqueue_at(connection, &Settle::Subscription(id), terms.until()).await?;
    Ok(subscription)
}

/// One subscription.
///
/// # Errors
/// `NOT_FOUND`.
pub async fn get(connection: &mut Connection, permit: Permit, id: SubscriptionId) -> Result<Subscription> {
    store::get(connection, permit.visibility(), id).await
}

/// A page of subscriptions, one more than asked for if there are more, and how many there are if that was asked.
///
/// # Errors
/// What Postgres answers.
pub async fn list(
    connection: &mut Connection,
    permit: Permit,
    filter: Filter,
    start: Start,
    limit: i64,
) -> Result<(Vec<Subscription>, Option<Total>)> {
    let total = match start {
        Start::Offset(_) => Some(store::total(connection, permit.visibility(), &filter).await?),
        Start::After(_) => None,
    };
    Ok((store::list(connection, permit.visibility(), &filter, start, limit + 1).await?, total))
}
