//! Orders to be charged.

use tokio_postgres::Client;
use uuid::Uuid;

use crate::{
    calls::{ORDER, SERVED},
    copies::copy_sql,
};

/// Clients of pgbench that have their own orders.
pub(crate) const CLIENTS: usize = 16;

/// Inserts orders for the servers, and as many for pgbench. Bypasses the triggers, which would check each order at
/// commit.
pub(crate) async fn seed(sql: &Client, account: Uuid, orders: u32) -> anyhow::Result<()> {
    let product = Uuid::from_u128(0x0190_0000_0000_7abc_8000_0bec_0bec_0001);
    let copy = copy_sql(ORDER, "client", "number");
    let each = orders as usize / CLIENTS;
    sql.batch_execute(&format!(
        "BEGIN;
         SET LOCAL session_replication_role = replica;
         INSERT INTO products (id, name, currency, price_minor, created_at, updated_at)
         VALUES ('{product}', 'A thing', 'EUR', 1500, now(), now());
         CREATE TEMPORARY TABLE placed ON COMMIT DROP AS
         SELECT {copy}::uuid AS id FROM generate_series(0, {orders}) AS number, (VALUES ({SERVED})) AS one (client)
         UNION SELECT {copy}::uuid FROM generate_series(0, {each}) AS number, generate_series(0, {CLIENTS}) AS client;
         INSERT INTO orders (id, account_id, placed_by, currency, total_minor, status, created_at, updated_at)
         SELECT id, '{account}', '{account}', 'EUR', 3000, 1, now(), now() FROM placed ORDER BY id;
         INSERT INTO order_items SELECT id, 0, '{product}', 'A thing', 2, 1500 FROM placed ORDER BY id;
         COMMIT"
    ))
    .await?;
    Ok(())
}
