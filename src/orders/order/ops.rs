//! Orders. The caller names products and quantities; prices and totals are computed here, in the transaction that
//! stores them.

mod recipient;

use std::collections::HashMap;

use crate::identity::account::ops as accounts;
use crate::orders::id::{OrderId, ProductId};
use crate::orders::{
    events::{OrderCancelled, OrderCreated},
    order::{
        model::{Filter, Item, ItemizedOrder, Line, Order},
        store,
    },
    product::{model::Product, store as product},
};
use crate::proto::orders::v1::Reason as OrdersReason;
use mainstay_kernel::{
    caller::{Permit, Visibility},
    database::{Connection, pipeline::pipeline},
    error::{Error, Result},
    events::{Event, EventKind},
    id::AccountId,
    page::{Listed, Page},
    unit_of_work::Work,
    version::ExpectedVersions,
};

pub(crate) use recipient::to_customer;
// For modules that change an order in their own transaction.
pub(crate) use store::{erase, get as read, items, lock, stats, update};

/// An order to be placed.
#[derive(Debug, Clone)]
pub struct Draft {
    /// The account that pays; defaults to a customer's own.
    pub account: Option<AccountId>,
    /// The products and quantities.
    pub lines: Vec<Line>,
    /// The address for mail about the order. If absent, mail goes to the user who places the order, if that user
    /// belongs to the account.
    pub confirmation_email: Option<String>,
}

/// Places an order and queues its confirmation mail, atomically.
///
/// # Errors
/// `VALIDATION_FAILED` if there is no account, or if a customer names an address; `NOT_FOUND` if the account is
/// unknown; `PRODUCT_UNAVAILABLE`, `PRODUCT_SOLD_OTHERWISE`, `CURRENCIES_MIXED`, `AMOUNT_OUT_OF_RANGE`.
pub async fn create(work: &mut Work, draft: Draft) -> Result<ItemizedOrder> {
    let (permit, now) = (work.permit()?, work.now());
    let ids: Vec<_> = draft.lines.iter().map(|line| line.product).collect();
    let products = work.read(async |connection: &Connection| product::find_all(connection, &ids).await).await?;
    let Draft { account, lines, confirmation_email } = draft;
    let account = permit.account(account)?;
    accounts::check_open(work, vec![account]).await?;
    if confirmation_email.is_some() && permit.visibility() != Visibility::All {
        return Err(Error::field("confirmationEmail", "may be set only when ordering on behalf of a customer"));
    }
    let products: HashMap<ProductId, Product> = products.into_iter().map(|product| (product.id, product)).collect();
    let item = |(index, line): (usize, &Line)| {
        let at = |message: &str| vec![(format!("items[{index}].productId"), message.to_owned())];
        let unknown = || {
            let message = "A product of the order does not exist.";
            Error::with_message(OrdersReason::ProductUnavailable, message).about(at("does not exist"))
        };
        let product = products.get(&line.product).ok_or_else(unknown)?;
        Item::of(product, line.quantity).map_err(|error| error.about(at("can't be ordered")))
    };
    let items = lines.iter().enumerate().map(item).collect::<Result<Vec<_>>>()?;
    let order = Order::place(account, permit.caller().principal(), &items, confirmation_email, now)?;
    work.publish(Event::of::<OrderCreated>(account, order.id.0, Order::FIRST_VERSION));
    let order = work.write(async |connection: &Connection| store::insert(connection, order, &items).await).await?;
    Ok(ItemizedOrder { order, items })
}

/// Returns an event about an order.
pub(crate) fn event<E: EventKind>(order: &Order) -> Event {
    Event::of::<E>(order.account, order.id.0, order.version)
}

/// Returns an order.
///
/// # Errors
/// `NOT_FOUND`.
pub async fn get(connection: &Connection, permit: &Permit, id: OrderId) -> Result<ItemizedOrder> {
    let order = store::get(connection, permit.visibility(), id).await?;
    let items = store::items(connection, &order).await?;
    Ok(ItemizedOrder { order, items })
}

/// Returns a page of orders plus one more if another page follows, and the total unless paging by key.
pub async fn list(
    connection: &Connection,
    permit: Permit,
    filter: Filter,
    page: Page,
) -> Result<Listed<ItemizedOrder>> {
    store::list(connection, permit.visibility(), &filter, page).await
}

/// Cancels an order.
///
/// # Errors
/// `NOT_FOUND`, `ETAG_MISMATCH`; unless the order is open, `ORDER_ALREADY_PAID`, `ORDER_PAYMENT_PENDING`,
/// `ORDER_CANCELLED` or `ORDER_REFUNDED`, by its state.
pub async fn cancel(work: &mut Work, id: OrderId, expected: Option<ExpectedVersions>) -> Result<ItemizedOrder> {
    let (visibility, now) = (work.permit()?.visibility(), work.now());
    let order = work.read(async |connection: &Connection| store::lock(connection, visibility, id).await).await?;
    ExpectedVersions::check(expected.as_ref(), order.version)?;
    let state = order.state.cancel(now)?;
    let (before, order) = (order.clone(), order.with_state(state, now));
    work.publish(event::<OrderCancelled>(&order));
    let cancel = async |connection: &Connection| {
        pipeline!(store::update(connection, &order), store::items(connection, &order)).map(|((), items)| items)
    };
    let items = work.write(cancel).await?;
    work.before(&ItemizedOrder { order: before, items: items.clone() });
    Ok(ItemizedOrder { order, items })
}
