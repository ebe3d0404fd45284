//! Subscriptions: the intents to begin and to cancel are committed here and carried out by
//! [`settlement`](crate::payments::settlement::ops); all other changes are queried from the gateway ([`sync()`]).

mod sync;

use crate::proto::orders::v1::Reason as OrdersReason;
use uuid::Uuid;

use crate::subscriptions::job::{SettleSubscription, SyncSubscription};
use crate::{
    identity::account::ops as accounts,
    orders::product::ops as product,
    payments::{payment::model::PaymentMethod, settlement::ops::IntentContext},
    subscriptions::{
        model::{Cancellation, Filter, Subscription},
        store,
    },
};
use crate::{orders::id::ProductId, subscriptions::id::SubscriptionId};
use mainstay_kernel::{
    caller::Permit,
    database::{Connection, pipeline::pipeline},
    error::{Error, Result},
    id::AccountId,
    page::{Listed, Page},
    queue as jobs,
    unit_of_work::Work,
    version::ExpectedVersions,
};

// For mail, which acts without a caller.
pub(crate) use store::get as read;
pub(crate) use sync::{Answer, apply_answer, fail};
pub use sync::{Entry, GatewayEvent, gateway_event, query_due, sync};

/// Commits the intent to subscribe: the subscription, and a job that settles it if the caller's process does not.
///
/// # Errors
/// `VALIDATION_FAILED` if the method is a card number or there is no account, `NOT_FOUND` if the account is unknown,
/// `PRODUCT_UNAVAILABLE`, `PRODUCT_SOLD_OTHERWISE`, `CIRCUIT_OPEN`.
pub async fn begin(
    work: &mut Work,
    context: IntentContext,
    account: Option<AccountId>,
    product: ProductId,
    method: String,
) -> Result<Subscription> {
    let method = PaymentMethod::parse(method)?;
    let permit = work.permit()?;
    let account = permit.account(account)?;
    accounts::check_open(work, vec![account]).await?;
    let about = |message: &str| vec![("productId".to_owned(), message.to_owned())];
    let find = async |connection: &Connection| product::find_all(connection, &[product]).await;
    let product = work.read(find).await?.pop().ok_or_else(|| {
        Error::with_message(OrdersReason::ProductUnavailable, "The product does not exist.")
            .about(about("does not exist"))
    })?;
    let (caller, gateway) = (permit.caller().principal(), context.gateway.name());
    let subscription = Subscription::intend(account, product, caller, gateway, method, context.now, context.until())
        .map_err(|error| error.about(about("can't be subscribed to")))?;
    context.check_circuit()?;
    let job = SettleSubscription(subscription.id);
    // One round trip, the subscription first, so that a failed insertion is the reported error.
    let begin = async |connection: &Connection| {
        pipeline!(store::insert(connection, subscription), jobs::enqueue_at(connection, &job, context.until()))
    };
    let (subscription, ()) = work.write(begin).await?;
    Ok(subscription)
}

/// Commits the intent to cancel. An open circuit does not prevent it: an unavailable gateway must not keep customers
/// subscribed.
///
/// # Errors
/// `NOT_FOUND`, `ETAG_MISMATCH`, `SUBSCRIPTION_PENDING`, `SUBSCRIPTION_NOT_STARTED`, `SUBSCRIPTION_ALREADY_CANCELLED`,
/// `CONFLICT`, `GATEWAY_CHANGED`.
pub async fn cancel(
    work: &mut Work,
    context: IntentContext,
    id: SubscriptionId,
    expected: Option<ExpectedVersions>,
    how: Cancellation,
) -> Result<Subscription> {
    let visibility = work.permit()?.visibility();
    let subscription = work.read(async |connection: &Connection| store::lock(connection, visibility, id).await).await?;
    work.before(&subscription);
    ExpectedVersions::check(expected.as_ref(), subscription.version)?;
    let subscription = subscription.cancel(how, context.now, context.until())?;
    context.check_gateway(&subscription.gateway)?;
    let job = SettleSubscription(id);
    let cancel = async |connection: &Connection| {
        let update = store::update(connection, &subscription, context.now);
        pipeline!(update, jobs::enqueue_at(connection, &job, context.until())).map(drop)
    };
    work.write(cancel).await?;
    Ok(subscription)
}

/// Returns a subscription.
///
/// # Errors
/// `NOT_FOUND`.
pub async fn get(connection: &Connection, permit: &Permit, id: SubscriptionId) -> Result<Subscription> {
    store::get(connection, permit.visibility(), id).await
}

/// Returns a page of subscriptions plus one more if another page follows, and the total unless paging by key.
pub async fn list(connection: &Connection, permit: Permit, filter: Filter, page: Page) -> Result<Listed<Subscription>> {
    store::list(connection, permit.visibility(), &filter, page).await
}

/// Removes the subscriptions of removed accounts, with their jobs, and returns their ids. Foreign keys must be
/// suspended.
pub(crate) async fn erase(connection: &mut Connection, accounts: &[AccountId]) -> Result<Vec<Uuid>> {
    let ids = store::erase(connection, accounts).await?;
    jobs::forget::<SettleSubscription>(connection, &ids).await?;
    jobs::forget::<SyncSubscription>(connection, &ids).await?;
    Ok(ids)
}
