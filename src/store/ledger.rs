//! The books: append-only, in double entry. The database refuses a transaction that is not balanced, and money that
//! moved and is not in here.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use diesel::{
    prelude::*,
    sql_types::{BigInt, Nullable, SmallInt, Text},
};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use super::{
    Connection,
    schema::{ledger_entries, ledger_transactions},
};
use crate::{
    domain::{
        effect::Status,
        money::Money,
        payment::{Payment, Refund},
        subscription::{Invoice, Subscription},
    },
    error::{Error, Result},
    id,
};

/// What the gateway owes us.
const GATEWAY: i16 = 1;
const SALES: i16 = 2;
const REFUNDS: i16 = 3;

/// Books the charge of a payment: the gateway owes us more, and we sold something.
pub async fn charged(
    connection: &mut Connection,
    payment: &Payment,
    gateway_id: &str,
    now: DateTime<Utc>,
) -> Result<()> {
    let subject = Subject { payment: Some(payment.id.0), ..Subject::default() };
    let booked = Booking { kind: 1, subject, gateway_id, debit: GATEWAY, credit: SALES };
    book(connection, booked, payment.amount, now).await
}

/// Books a refund: the gateway owes us less.
pub async fn given_back(
    connection: &mut Connection,
    refund: &Refund,
    gateway_id: &str,
    now: DateTime<Utc>,
) -> Result<()> {
    let subject = Subject { payment: Some(refund.payment.0), refund: Some(refund.id.0), subscription: None };
    let booked = Booking { kind: 2, subject, gateway_id, debit: REFUNDS, credit: GATEWAY };
    book(connection, booked, refund.amount, now).await
}

/// Books those of the invoices of a locked subscription that are not booked yet: the gateway owes us more, and we sold
/// something. Returns how many there were.
pub async fn invoiced(
    connection: &mut Connection,
    subscription: &Subscription,
    invoices: &[Invoice],
    now: DateTime<Utc>,
) -> Result<usize> {
    use ledger_transactions as booked;
    let known = booked::table.filter(booked::subscription_id.eq(subscription.id)).select(booked::gateway_id);
    let known: HashSet<String> = known.load(connection).await?.into_iter().collect();
    let missing: Vec<_> = invoices.iter().filter(|invoice| !known.contains(&invoice.gateway_id)).collect();
    for invoice in &missing {
        let subject = Subject { subscription: Some(subscription.id.0), ..Subject::default() };
        let booked = Booking { kind: 3, subject, gateway_id: &invoice.gateway_id, debit: GATEWAY, credit: SALES };
        book(connection, booked, invoice.amount, now).await?;
    }
    Ok(missing.len())
}

/// What money moved for.
#[derive(Debug, Default)]
struct Subject {
    payment: Option<Uuid>,
    refund: Option<Uuid>,
    subscription: Option<Uuid>,
}

struct Booking<'a> {
    kind: i16,
    subject: Subject,
    gateway_id: &'a str,
    debit: i16,
    credit: i16,
}

async fn book(connection: &mut Connection, booking: Booking<'_>, amount: Money, now: DateTime<Utc>) -> Result<()> {
    use ledger_entries as entry;
    use ledger_transactions as booked;
    let id = id::new(now);
    let row = (
        booked::id.eq(id),
        booked::kind.eq(booking.kind),
        booked::payment_id.eq(booking.subject.payment),
        booked::refund_id.eq(booking.subject.refund),
        booked::subscription_id.eq(booking.subject.subscription),
        booked::gateway_id.eq(booking.gateway_id),
        booked::created_at.eq(now),
    );
    diesel::insert_into(booked::table).values(row).execute(connection).await?;
    let side = |account: i16, minor: i64| {
        (
            entry::transaction_id.eq(id),
            entry::account.eq(account),
            entry::currency.eq(amount.currency().code().to_owned()),
            entry::amount_minor.eq(minor),
        )
    };
    let sides = [side(booking.debit, amount.minor()), side(booking.credit, -amount.minor())];
    let count = diesel::insert_into(entry::table).values(sides.to_vec()).execute(connection).await?;
    if count == 2 { Ok(()) } else { Err(Error::internal(anyhow::anyhow!("ledger_entries: {count} rows inserted"))) }
}

/// A movement of money, as the books have it.
#[derive(Debug, Clone, QueryableByName)]
pub struct Booked {
    /// 1 a charge, 2 a refund, 3 an invoice.
    #[diesel(sql_type = SmallInt)]
    pub kind: i16,
    /// The payment, the refund or the subscription; none for a refund that was made at the gateway itself.
    #[diesel(sql_type = Nullable<diesel::sql_types::Uuid>)]
    pub subject: Option<Uuid>,
    /// What the gateway knows it by.
    #[diesel(sql_type = Text)]
    pub gateway_id: String,
    /// ISO 4217.
    #[diesel(sql_type = Text)]
    pub currency: String,
    /// In the smallest unit, never negative.
    #[diesel(sql_type = BigInt)]
    pub amount_minor: i64,
}

/// All movements at one gateway.
pub async fn booked(connection: &mut Connection, gateway: &str) -> Result<Vec<Booked>> {
    const SQL: &str = "SELECT booked.kind, booked.gateway_id, entry.currency, abs(entry.amount_minor) AS amount_minor, \
                              CASE booked.kind WHEN 1 THEN booked.payment_id WHEN 3 THEN booked.subscription_id \
                                   ELSE (CASE WHEN refunds.refunded_by IS NOT NULL THEN refunds.id END) END AS subject \
                       FROM ledger_transactions AS booked \
                       LEFT JOIN payments ON payments.id = booked.payment_id \
                       LEFT JOIN refunds ON refunds.id = booked.refund_id \
                       LEFT JOIN subscriptions ON subscriptions.id = booked.subscription_id \
                       JOIN ledger_entries AS entry ON entry.transaction_id = booked.id AND entry.account = 1 \
                       WHERE coalesce(payments.gateway, subscriptions.gateway) = $1";
    Ok(diesel::sql_query(SQL).bind::<Text, _>(gateway).load(connection).await?)
}

#[derive(QueryableByName)]
struct Fault {
    #[diesel(sql_type = Text)]
    fault: String,
}

/// What is wrong with the books in themselves: nothing, as long as the constraints are there.
pub async fn faults(connection: &mut Connection) -> Result<Vec<String>> {
    const SQL: &str = "
        SELECT 'ledger transaction ' || booked.id || ' does not add up to nothing' AS fault
        FROM ledger_transactions AS booked LEFT JOIN ledger_entries AS entry ON entry.transaction_id = booked.id
        GROUP BY booked.id HAVING count(entry) < 2 OR sum(entry.amount_minor) <> 0 OR count(DISTINCT entry.currency) <> 1
        UNION ALL
        SELECT 'payment ' || payments.id || ' succeeded and is not in the ledger' FROM payments
        WHERE status = $1 AND NOT EXISTS (SELECT FROM ledger_transactions WHERE payment_id = payments.id AND kind = 1)
        UNION ALL
        SELECT 'refund ' || refunds.id || ' succeeded and is not in the ledger' FROM refunds
        WHERE status = $1 AND NOT EXISTS (SELECT FROM ledger_transactions WHERE refund_id = refunds.id)
        UNION ALL
        SELECT 'payment ' || payments.id || ' is in the ledger and did not succeed' FROM payments
        JOIN ledger_transactions AS booked ON booked.payment_id = payments.id WHERE status <> $1
        UNION ALL
        SELECT 'subscription ' || subscriptions.id || ' is in the ledger and never began' FROM subscriptions
        JOIN ledger_transactions AS booked ON booked.subscription_id = subscriptions.id
        WHERE subscriptions.gateway_id IS NULL
        UNION ALL
        SELECT 'refund ' || refunds.id || ' is in the ledger and did not succeed' FROM refunds
        JOIN ledger_transactions AS booked ON booked.refund_id = refunds.id WHERE status <> $1
        UNION ALL
        SELECT 'payment ' || id || ' has ' || refunded_minor || ' set aside, and refunds of another sum' FROM payments
        WHERE refunded_minor <> coalesce((SELECT sum(amount_minor) FROM refunds WHERE payment_id = payments.id AND status <> 3), 0)";
    let found: Vec<Fault> =
        diesel::sql_query(SQL).bind::<SmallInt, _>(Status::Succeeded.number()).load(connection).await?;
    Ok(found.into_iter().map(|row| row.fault).collect())
}

/// Which payments, refunds and subscriptions have something about them that is not known yet. Of a subscription that may
/// be an invoice, until it is asked about the next time.
pub async fn pending(connection: &mut Connection) -> Result<Vec<Uuid>> {
    #[derive(QueryableByName)]
    struct Pending {
        #[diesel(sql_type = diesel::sql_types::Uuid)]
        id: Uuid,
    }
    const SQL: &str = "SELECT id FROM payments WHERE status = $1 UNION ALL SELECT id FROM refunds WHERE status = $1 \
                       UNION ALL SELECT id FROM subscriptions WHERE status BETWEEN 1 AND 3";
    let found: Vec<Pending> =
        diesel::sql_query(SQL).bind::<SmallInt, _>(Status::Pending.number()).load(connection).await?;
    Ok(found.into_iter().map(|row| row.id).collect())
}

/// The amount of a movement.
///
/// # Errors
/// `INTERNAL_ERROR` for one that can't be.
pub fn amount(booked: &Booked) -> Result<Money> {
    super::product::money(booked.amount_minor, &booked.currency)
}
