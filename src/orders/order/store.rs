//! Orders and their items, in SQL.

pub mod stats;

use std::{collections::HashMap, sync::OnceLock};

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use crate::{
    orders::id::{OrderId, ProductId},
    payments::id::PaymentId,
};
use crate::{
    orders::order::model::{Filter, Item, ItemizedOrder, NewOrder, Order, OrderNumber, State, Status},
    schema::{order_items, orders},
};
use mainstay_kernel::{
    caller::Visibility,
    database::{
        Connection,
        integrity::{corrupt, rows_touched},
        pipeline::pipeline,
        seek::listed,
        statement::{MAX_PREPARED_ROWS, Prepare as _},
        visibility::visible,
    },
    error::{Error, Result},
    id::AccountId,
    money::Money,
    page::{Listed, Page},
};

#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = orders)]
struct Row {
    id: OrderId,
    number: i64,
    account_id: AccountId,
    placed_by: Uuid,
    currency: String,
    total_minor: i64,
    status: i16,
    payment_id: Option<PaymentId>,
    paid_at: Option<DateTime<Utc>>,
    ended_at: Option<DateTime<Utc>>,
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    confirmation_email: Option<String>,
}

#[derive(Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = order_items, treat_none_as_default_value = false)]
struct ItemRow {
    order_id: OrderId,
    position: i16,
    product_id: ProductId,
    name: String,
    quantity: i32,
    unit_minor: i64,
}

impl Row {
    fn with(self, items: Vec<ItemRow>) -> Result<ItemizedOrder> {
        let items = items.into_iter().map(|item| item.read(&self.currency)).collect::<Result<_>>()?;
        Ok(ItemizedOrder { order: self.try_into()?, items })
    }
}

impl ItemRow {
    fn read(self, currency: &str) -> Result<Item> {
        let unit_price = Money::from_columns(self.unit_minor, currency)?;
        Ok(Item { product: self.product_id, name: self.name, quantity: self.quantity, unit_price })
    }
}

impl TryFrom<Row> for Order {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        let state = match (Status::from_number(row.status.into()), row.payment_id, row.paid_at, row.ended_at) {
            (Some(Status::Open), None, None, None) => State::Open,
            (Some(Status::Paying), Some(payment), None, None) => State::Paying { payment },
            (Some(Status::Paid), Some(payment), Some(at), None) => State::Paid { payment, at },
            (Some(Status::Cancelled), None, None, Some(at)) => State::Cancelled { at },
            (Some(Status::Refunded), Some(payment), Some(paid_at), Some(at)) => {
                State::Refunded { payment, paid_at, at }
            }
            _ => return Err(corrupt("orders", row.id, "status")),
        };
        Ok(Order {
            id: row.id,
            number: OrderNumber::new(row.number),
            account: row.account_id,
            placed_by: row.placed_by,
            total: Money::from_columns(row.total_minor, &row.currency)?,
            state,
            confirmation_email: row.confirmation_email,
            version: row.version,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}

visible!(orders, placed_by);

fn matching<'q>(visibility: Visibility, filter: &Filter) -> Boxed<'q> {
    let mut query = visible(visibility);
    if let Some(account) = filter.account {
        query = query.filter(orders::account_id.eq(account));
    }
    if let Some(number) = filter.number {
        query = query.filter(orders::number.eq(number.position()));
    }
    if !filter.statuses.is_empty() {
        let statuses: Vec<i16> = filter.statuses.iter().map(|status| status.number()).collect();
        query = query.filter(orders::status.eq_any(statuses));
    }
    query
}

/// Loads the items of all orders in one statement.
async fn complete(mut connection: &Connection, rows: Vec<Row>) -> Result<Vec<ItemizedOrder>> {
    let ids: Vec<_> = rows.iter().map(|row| row.id).collect();
    let query = order_items::table.filter(order_items::order_id.eq_any(ids));
    let query = query.order((order_items::order_id, order_items::position)).select(ItemRow::as_select());
    let mut items: HashMap<OrderId, Vec<ItemRow>> = HashMap::new();
    for item in query.load(&mut connection).await? {
        items.entry(item.order_id).or_default().push(item);
    }
    rows.into_iter()
        .map(|row| {
            let of = items.remove(&row.id).unwrap_or_default();
            row.with(of)
        })
        .collect()
}

/// Returns one order that is visible to the caller, without its items.
///
/// # Errors
/// `NOT_FOUND`.
pub async fn get(connection: &Connection, visibility: Visibility, id: OrderId) -> Result<Order> {
    static TEXT: OnceLock<String> = OnceLock::new();
    let query = orders::table.find(id).select(Row::as_select()).fixed(&TEXT);
    let row: Option<Row> = query.get_result(&mut &*connection).await.optional()?;
    require(row.filter(|row| visibility.reaches(row.account_id, row.placed_by)))
}

fn require(row: Option<Row>) -> Result<Order> {
    row.ok_or_else(|| Error::not_found("order"))?.try_into()
}

/// Returns the items of an order.
pub async fn items(connection: &Connection, order: &Order) -> Result<Vec<Item>> {
    let query = order_items::table.filter(order_items::order_id.eq(order.id)).order(order_items::position);
    let rows = query.select(ItemRow::as_select()).load(&mut &*connection).await?;
    rows.into_iter().map(|row| row.read(order.total.currency().code())).collect()
}

/// Returns one order that is visible to the caller, without its items, locked against changes until the transaction
/// ends.
///
/// # Errors
/// `NOT_FOUND`.
pub async fn lock(connection: &Connection, visibility: Visibility, id: OrderId) -> Result<Order> {
    // A boxed query has no lock clause, so visibility is checked on the row. The error is the same.
    let query = orders::table.find(id).select(Row::as_select()).for_no_key_update();
    let row: Option<Row> = query.first(&mut &*connection).await.optional()?;
    require(row.filter(|row| visibility.reaches(row.account_id, row.placed_by)))
}

/// Returns a page of orders, newest first.
pub async fn list(
    connection: &Connection,
    visibility: Visibility,
    filter: &Filter,
    page: Page,
) -> Result<Listed<ItemizedOrder>> {
    // The order makes the planner read an index for the total, and only up to the bound.
    let ordered = || matching(visibility, filter).order((orders::created_at.desc(), orders::id.desc()));
    let (rows, total) = listed!(connection, ordered(), orders::created_at, page, Row => Row)?;
    Ok((complete(connection, rows).await?, total))
}

/// Stores a new order with its items, and returns it with its number.
///
/// # Errors
/// `NOT_FOUND` when the account does not exist.
pub async fn insert(connection: &Connection, order: NewOrder, items: &[Item]) -> Result<Order> {
    // One round trip, in this order: the items refer to the order.
    let (number, ()) = pipeline!(insert_order(connection, &order), insert_items(connection, order.id, items))?;
    Ok(order.with_number(number))
}

async fn insert_order(connection: &Connection, order: &NewOrder) -> Result<OrderNumber> {
    let currency = order.total.currency();
    let row = (
        orders::id.eq(order.id),
        orders::account_id.eq(order.account),
        orders::placed_by.eq(order.placed_by),
        orders::confirmation_email.eq(&order.confirmation_email),
        orders::currency.eq(currency.code()),
        orders::total_minor.eq(order.total.minor()),
        orders::status.eq(Status::Open.number()),
        orders::created_at.eq(order.created_at),
        orders::updated_at.eq(order.created_at),
    );
    let inserted = diesel::insert_into(orders::table).values(row).returning(orders::number);
    match inserted.get_result(&mut &*connection).await {
        Err(error) if mainstay_kernel::database::violated_foreign_key(&error) == Some("orders_account_id_fkey") => {
            Err(Error::not_found("account").caused_by(error))
        }
        inserted => Ok(OrderNumber::new(inserted?)),
    }
}

async fn insert_items(connection: &Connection, order_id: OrderId, items: &[Item]) -> Result<()> {
    let item = |(position, item): (usize, &Item)| ItemRow {
        order_id,
        position: i16::try_from(position).unwrap_or(i16::MAX),
        product_id: item.product,
        name: item.name.clone(),
        quantity: item.quantity,
        unit_minor: item.unit_price.minor(),
    };
    let rows: Vec<_> = items.iter().enumerate().map(item).collect();
    let insert = diesel::insert_into(order_items::table).values(&rows);
    let count = match rows.len() {
        ..=MAX_PREPARED_ROWS => insert.prepared().execute(&mut &*connection).await?,
        _ => insert.execute(&mut &*connection).await?,
    };
    rows_touched(count, items.len(), "insert order_items")
}

/// Stores the next version of a locked order.
pub async fn update(connection: &Connection, order: &Order) -> Result<()> {
    let target = orders::table.filter(orders::id.eq(order.id)).filter(orders::version.eq(order.version - 1));
    let values = (
        orders::status.eq(order.state.status().number()),
        orders::payment_id.eq(order.state.payment()),
        orders::paid_at.eq(order.state.paid_at()),
        orders::ended_at.eq(order.state.ended_at()),
        orders::version.eq(order.version),
        orders::updated_at.eq(order.updated_at),
    );
    diesel::update(target).set(values).exactly(1, "update orders").execute(&mut &*connection).await?;
    Ok(())
}

/// Erases the orders of removed accounts, with their items; returns the orders' ids. The caller must have suspended the
/// trigger that protects the items.
pub async fn erase(connection: &mut Connection, accounts: &[AccountId]) -> Result<Vec<Uuid>> {
    let erased = diesel::delete(orders::table.filter(orders::account_id.eq_any(accounts.to_vec())));
    let ids: Vec<OrderId> = erased.returning(orders::id).get_results(connection).await?;
    diesel::delete(order_items::table.filter(order_items::order_id.eq_any(&ids))).execute(connection).await?;
    Ok(ids.into_iter().map(|id| id.0).collect())
}
