//! Products in SQL.

use chrono::{DateTime, Utc};
use diesel::{
    prelude::*,
    sql_types::{Array, Text, Timestamptz},
};
use diesel_async::RunQueryDsl;

use crate::orders::id::ProductId;
use crate::{
    orders::product::model::{Interval, Product},
    schema::products,
};
use mainstay_kernel::{
    database::{Connection, convert, integrity::one_row, seek::listed, statement::Prepare as _},
    error::{Error, Result},
    money::Money,
    page::{Listed, Page},
};

#[derive(Debug, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = products, treat_none_as_null = true, treat_none_as_default_value = false)]
struct Row {
    id: ProductId,
    name: String,
    currency: String,
    price_minor: i64,
    archived_at: Option<DateTime<Utc>>,
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    billing_interval: Option<i16>,
}

impl From<&Product> for Row {
    fn from(product: &Product) -> Self {
        Self {
            id: product.id,
            name: product.name.clone(),
            currency: product.price.currency().code().to_owned(),
            price_minor: product.price.minor(),
            archived_at: product.archived_at,
            version: product.version,
            created_at: product.created_at,
            updated_at: product.updated_at,
            billing_interval: product.interval.map(Interval::number),
        }
    }
}

impl TryFrom<Row> for Product {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        Ok(Self {
            id: row.id,
            name: row.name,
            price: Money::from_columns(row.price_minor, &row.currency)?,
            archived_at: row.archived_at,
            version: row.version,
            created_at: row.created_at,
            updated_at: row.updated_at,
            interval: row.billing_interval.map(Interval::from_column).transpose()?,
        })
    }
}

/// Stores a new product.
pub async fn insert(connection: &mut Connection, product: &Product) -> Result<()> {
    let inserted = diesel::insert_into(products::table).values(Row::from(product)).execute(connection).await?;
    one_row(inserted, "insert", "products", product.id)
}

/// Returns one product.
///
/// # Errors
/// `NOT_FOUND`.
pub async fn get(connection: &Connection, id: ProductId) -> Result<Product> {
    convert::found::<Row, _>(
        products::table.find(id).select(Row::as_select()).first(&mut &*connection).await,
        "product",
    )
}

/// Returns one product, locked against changes until the transaction ends.
///
/// # Errors
/// `NOT_FOUND`.
pub async fn lock(connection: &Connection, id: ProductId) -> Result<Product> {
    let lock = products::table.find(id).select(Row::as_select()).for_no_key_update();
    convert::found::<Row, _>(lock.first(&mut &*connection).await, "product")
}

/// Returns the existing products among these ids, in no particular order.
pub async fn find_all(connection: &Connection, ids: &[ProductId]) -> Result<Vec<Product>> {
    let query = products::table.filter(products::id.eq_any(ids)).select(Row::as_select());
    convert::all::<Row, _>(query.load(&mut &*connection).await)
}

/// Stores the next version of a locked product.
pub async fn update(connection: &Connection, product: &Product) -> Result<()> {
    let target = products::table.filter(products::id.eq(product.id)).filter(products::version.eq(product.version - 1));
    diesel::update(target).set(Row::from(product)).exactly(1, "update products").execute(&mut &*connection).await?;
    Ok(())
}

/// Returns a page of products on offer, newest first.
pub async fn list(connection: &Connection, page: Page) -> Result<Listed<Product>> {
    let offered = || products::table.filter(products::archived_at.is_null()).into_boxed();
    listed!(connection, offered(), products::created_at, page, Row => Product)
}

/// Archives the products of these names, and removes the products that no order or subscription refers to. Returns the
/// number of products that were archived but not removed.
pub async fn retire(connection: &mut Connection, names: &[String], now: DateTime<Utc>) -> Result<usize> {
    const REMOVE: &str = "DELETE FROM products WHERE name = ANY($1) \
        AND NOT EXISTS (SELECT FROM order_items WHERE product_id = products.id) \
        AND NOT EXISTS (SELECT FROM subscriptions WHERE product_id = products.id)";
    const ARCHIVE: &str = "UPDATE products SET archived_at = $2, version = version + 1, updated_at = $2 \
        WHERE name = ANY($1) AND archived_at IS NULL";
    diesel::sql_query(REMOVE).bind::<Array<Text>, _>(names).execute(connection).await?;
    let archive = diesel::sql_query(ARCHIVE).bind::<Array<Text>, _>(names).bind::<Timestamptz, _>(now);
    Ok(archive.execute(connection).await?)
}
