//! Sums a ledger of many movements, with every query that the product runs.

use std::time::Instant;

use chrono::{DateTime, TimeDelta, Utc};
use mainstay::payments::ledger::{model::sums::Figures, store::sums};
use mainstay_kernel::unit_of_work::Work;

use crate::server::{ROWS, Server, plain};

/// The same number as in `lists`: enough for a generic plan.
const ROUNDS: usize = 7;

/// Fills the ledger with movements of ten years, in two currencies. Triggers are disabled meanwhile, and the sums are
/// rebuilt like the command does.
fn seed() -> String {
    let (rows, minutes) = (*ROWS, 5_000_000 / *ROWS);
    format!(
        "
    SET session_replication_role = replica;
    INSERT INTO ledger_transactions (id, kind, payment_id, gateway_id, debit_account, credit_account, currency, amount_minor,
        created_at)
    SELECT id, 1, id, id::text, 1, 2, CASE WHEN n % 5 = 0 THEN 'USD' ELSE 'EUR' END, 1 + n % 1000,
        '2016-01-01Z'::timestamptz + n * interval '{minutes} minutes'
    FROM (SELECT n, gen_random_uuid() AS id FROM generate_series(1, {rows}) AS n) AS numbered;
    SET session_replication_role = origin;
"
    )
}

pub(crate) async fn run(server: &Server) -> anyhow::Result<()> {
    server.client.batch_execute(&seed()).await?;
    let began = Instant::now();
    let rebuild = server.database.transaction(async |work: &mut Work| {
        let connection = work.connection().await?;
        sums::begin_again(connection).await?;
        sums::replace(connection).await
    });
    println!("{} sums made of {} movements in {:.1?}", rebuild.await.map_err(plain)?, *ROWS, began.elapsed());
    server.client.batch_execute("VACUUM ANALYZE").await?;
    let sql = "SELECT correlation FROM pg_stats WHERE tablename = 'ledger_sums' AND attname = 'starts_at'";
    let correlation: f32 = server.client.query_one(sql, &[]).await?.get(0);
    assert!(correlation > 0.9, "the sums of a period are scattered over the table: {correlation}");
    let end: DateTime<Utc> = "2025-06-30T22:00:00Z".parse()?;
    for (name, length) in
        [("days", TimeDelta::days(1)), ("weeks", TimeDelta::weeks(1)), ("months", TimeDelta::days(30))]
    {
        let count = if name == "months" { 100 } else { 200 };
        let bounds: Vec<_> = (0..=count).map(|number| end - length * (count - number)).collect();
        let expected = plainly(server, bounds[0], end).await?;
        let began = Instant::now();
        for _ in 0..ROUNDS {
            let bounds = &bounds;
            let read = server.database.autocommit(async |connection| sums::sums(connection, bounds).await);
            let mut total = Figures::default();
            for sum in read.await.map_err(plain)? {
                total += sum.figures;
            }
            assert_eq!((total.gross_minor, total.sales), expected, "{name}");
        }
        println!("{count} {name} of {} movements in {:.1?}", *ROWS, began.elapsed() / ROUNDS as u32);
    }
    Ok(())
}

async fn plainly(server: &Server, from: DateTime<Utc>, until: DateTime<Utc>) -> anyhow::Result<(i64, i64)> {
    let sql = "SELECT sum(amount_minor)::bigint, count(*) FROM ledger_transactions
               WHERE created_at >= $1::text::timestamptz AND created_at < $2::text::timestamptz";
    let row = server.client.query_one(sql, &[&from.to_rfc3339(), &until.to_rfc3339()]).await?;
    Ok((row.get(0), row.get(1)))
}
