//! The sums of the ledger in SQL: their maintenance, reads that include bookings not yet summed, and the rebuild.

use chrono::{DateTime, Utc};
use diesel::{
    sql_query,
    sql_types::{Array, BigInt, Integer, SmallInt, Text, Timestamptz},
};
use diesel_async::{RunQueryDsl, SimpleAsyncConnection as _};

use crate::payments::ledger::model::sums::{Figures, Sum, slices};
use mainstay_kernel::{
    database::{Connection, statement::Prepare as _},
    error::{Error, Result},
    money::Currency,
};

/// Adds at most `limit` movements that are not in the sums yet; returns how many were added. Rows that another process
/// has locked are skipped.
pub async fn add(connection: &mut Connection, limit: i64) -> Result<usize> {
    const SQL: &str = "
        WITH taken AS (
            DELETE FROM ledger_unsummed WHERE transaction_id IN (
                SELECT transaction_id FROM ledger_unsummed LIMIT $1 FOR UPDATE SKIP LOCKED
            ) RETURNING *
        ), added AS (
            INSERT INTO ledger_sums AS known
            SELECT span, CASE span WHEN 1 THEN starts_at ELSE date_trunc('day', starts_at, 'UTC') END, currency,
                sum(gross_minor), sum(refunds_minor), sum(sales), sum(refunds)
            FROM taken CROSS JOIN (VALUES (1), (2)) AS spans (span) GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
            ON CONFLICT (span, starts_at, currency) DO UPDATE SET
                gross_minor = known.gross_minor + excluded.gross_minor,
                refunds_minor = known.refunds_minor + excluded.refunds_minor,
                sales = known.sales + excluded.sales, refunds = known.refunds + excluded.refunds
        )
        SELECT count(*) AS count FROM taken";
    let taken = sql_query(SQL).bind::<BigInt, _>(limit).columns::<BigInt>();
    let count: i64 = taken.get_result(connection).await?;
    Ok(usize::try_from(count).unwrap_or(0))
}

/// The columns of a sum: the period, the currency and the figures.
type Row = (i32, String, (i64, i64, i64, i64));

fn sum((period, currency, (gross_minor, refunds_minor, sales, refunds)): Row) -> Result<Sum> {
    let value = Currency::parse(&currency);
    let currency = value.ok_or_else(|| Error::internal(anyhow::anyhow!("ledger_sums: the currency {currency}")))?;
    let period = usize::try_from(period).map_err(Error::internal)?;
    Ok(Sum { period, currency, figures: Figures { gross_minor, refunds_minor, sales, refunds } })
}

/// Returns the sums of the periods between consecutive bounds, each on a quarter of an hour, by currency and period. A
/// single statement reads everything from one snapshot.
pub async fn sums(mut connection: &Connection, bounds: &[DateTime<Utc>]) -> Result<Vec<Sum>> {
    // The inner aggregate keeps the planner from joining by the span alone, which all rows have in common.
    const SQL: &str = "
        SELECT period, currency, sum(gross_minor)::bigint AS gross_minor, sum(refunds_minor)::bigint AS refunds_minor,
            sum(sales)::bigint AS sales, sum(refunds)::bigint AS refunds
        FROM (
            SELECT slice.period, stored.*
            FROM unnest($1, $2, $3, $4) AS slice (span, from_time, until_time, period)
            CROSS JOIN LATERAL (
                SELECT currency, sum(gross_minor) AS gross_minor, sum(refunds_minor) AS refunds_minor,
                    sum(sales) AS sales, sum(refunds) AS refunds
                FROM ledger_sums
                WHERE span = slice.span AND starts_at >= slice.from_time AND starts_at < slice.until_time
                GROUP BY currency
            ) AS stored
            UNION ALL
            SELECT width_bucket(starts_at, $5) - 1, currency, gross_minor, refunds_minor, sales, refunds
            FROM ledger_unsummed WHERE starts_at >= $6 AND starts_at < $7
        ) AS parts
        GROUP BY currency, period ORDER BY currency, period";
    let (Some(&first), Some(&last)) = (bounds.first(), bounds.last()) else { return Ok(Vec::new()) };
    let (mut spans, mut from, mut until, mut periods) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for slice in slices(bounds) {
        spans.push(slice.span.number());
        from.push(slice.from);
        until.push(slice.until);
        periods.push(i32::try_from(slice.period).map_err(Error::internal)?);
    }
    let query = sql_query(SQL)
        .bind::<Array<SmallInt>, _>(spans)
        .bind::<Array<Timestamptz>, _>(from)
        .bind::<Array<Timestamptz>, _>(until)
        .bind::<Array<Integer>, _>(periods)
        .bind::<Array<Timestamptz>, _>(bounds)
        .bind::<Timestamptz, _>(first)
        .bind::<Timestamptz, _>(last);
    let query = query.columns::<(Integer, Text, (BigInt, BigInt, BigInt, BigInt))>();
    let rows: Vec<Row> = query.load(&mut connection).await?;
    rows.into_iter().map(sum).collect()
}

/// The sums computed from the ledger.
const LEDGER: &str = "
    SELECT span, CASE span WHEN 1 THEN date_bin('15 minutes', created_at, '2000-01-01Z')
            ELSE date_trunc('day', created_at, 'UTC') END AS starts_at, currency,
        coalesce(sum(amount_minor) FILTER (WHERE credit_account = 2), 0) AS gross_minor,
        coalesce(sum(amount_minor) FILTER (WHERE debit_account = 3), 0)
            - coalesce(sum(amount_minor) FILTER (WHERE credit_account = 3), 0) AS refunds_minor,
        count(*) FILTER (WHERE credit_account = 2) AS sales,
        count(*) FILTER (WHERE debit_account = 3) - count(*) FILTER (WHERE credit_account = 3) AS refunds
    FROM ledger_transactions CROSS JOIN (VALUES (1), (2)) AS spans (span) GROUP BY 1, 2, 3";

/// The stored sums plus the movements that are not summed yet.
const STORED: &str = "
    SELECT span, starts_at, currency, sum(gross_minor) AS gross_minor, sum(refunds_minor) AS refunds_minor,
        sum(sales) AS sales, sum(refunds) AS refunds
    FROM (
        SELECT span, starts_at, currency, gross_minor, refunds_minor, sales, refunds FROM ledger_sums
        UNION ALL
        SELECT span, CASE span WHEN 1 THEN starts_at ELSE date_trunc('day', starts_at, 'UTC') END, currency, gross_minor,
            refunds_minor, sales, refunds
        FROM ledger_unsummed CROSS JOIN (VALUES (1), (2)) AS spans (span)
    ) AS parts GROUP BY 1, 2, 3";

/// Returns the stored sums that differ from the ledger, as sentences for an operator. The comparison reads the whole ledger.
pub async fn differences(connection: &mut Connection) -> Result<Vec<String>> {
    let sql = format!(
        "SELECT format('%s from %s in %s: %s sold and %s refunded are stored, and the ledger has %s and %s',
            CASE span WHEN 1 THEN 'the quarter of an hour' ELSE 'the day' END,
            to_char(starts_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI'), currency,
            coalesce(stored.gross_minor, 0), coalesce(stored.refunds_minor, 0),
            coalesce(ledger.gross_minor, 0), coalesce(ledger.refunds_minor, 0)) AS sum
         FROM ({STORED}) AS stored FULL JOIN ({LEDGER}) AS ledger USING (span, starts_at, currency)
         WHERE (stored.gross_minor, stored.refunds_minor, stored.sales, stored.refunds)
             IS DISTINCT FROM (ledger.gross_minor, ledger.refunds_minor, ledger.sales, ledger.refunds)
         ORDER BY span, starts_at, currency"
    );
    Ok(sql_query(sql).columns::<Text>().load(connection).await?)
}

/// Begins a rebuild of the sums: until the transaction ends, no other transaction can add to them, while reads
/// continue. This must be the transaction's first statement, before it has a snapshot.
pub async fn begin_again(connection: &mut Connection) -> Result<()> {
    const SQL: &str = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SET LOCAL statement_timeout = 0;
                       LOCK TABLE ledger_sums IN SHARE ROW EXCLUSIVE MODE";
    Ok(connection.batch_execute(SQL).await?)
}

/// Rebuilds the sums from the ledger; returns their number.
pub async fn replace(connection: &mut Connection) -> Result<usize> {
    // Bookings that commit meanwhile are outside this snapshot, in both tables.
    connection.batch_execute("DELETE FROM ledger_unsummed; DELETE FROM ledger_sums").await?;
    // The order of bookings keeps the sums of a period on few pages.
    Ok(sql_query(format!("INSERT INTO ledger_sums {LEDGER} ORDER BY 1, 2, 3")).execute(connection).await?)
}
