//! The ledger in SQL: append-only, with double entry. The database rejects a successful payment or refund without its
//! transaction; an unbalanced transaction can't be represented.

pub mod sums;

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use diesel::{
    prelude::*,
    sql_types::{Array, BigInt, Bool, Nullable, SmallInt, Text, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use crate::{
    payments::{
        id::{PaymentId, RefundId},
        ledger::model::{Kind, LedgerTransaction, Posting, Subject},
        settlement::model::Status,
    },
    schema::ledger_transactions,
    subscriptions::{
        id::SubscriptionId,
        model::{Invoice, InvoiceRefund, Status as SubscriptionStatus, Subscription},
    },
};
use mainstay_kernel::{
    database::{Connection, statement::Prepare as _},
    error::{Error, Result},
    id,
    money::Money,
};

/// The subject of a movement: exactly one of these columns is set.
#[derive(Debug, Default, Insertable)]
#[diesel(table_name = ledger_transactions, treat_none_as_default_value = false)]
struct Columns {
    payment_id: Option<PaymentId>,
    refund_id: Option<RefundId>,
    subscription_id: Option<SubscriptionId>,
    reversed_refund_id: Option<RefundId>,
}

/// Books a movement of money; returns the id of the transaction.
///
/// # Errors
/// Any error of Postgres, also at the commit: the movement is already booked, or has no subject here.
pub async fn book(connection: &Connection, posting: &Posting, now: DateTime<Utc>) -> Result<Uuid> {
    let (id, kind, mut row) = (id::new(now), posting.subject.kind(), Columns::default());
    match posting.subject {
        Subject::Charge(payment) => row.payment_id = Some(payment),
        Subject::Refund(refund) => row.refund_id = Some(refund),
        Subject::Reversal(refund) => row.reversed_refund_id = Some(refund),
        Subject::Invoice(subscription)
        | Subject::InvoiceRefund(subscription)
        | Subject::InvoiceReversal(subscription) => row.subscription_id = Some(subscription),
    }
    let ((debit, credit), currency) = (kind.accounts(), posting.amount.currency());
    let row = (
        ledger_transactions::id.eq(id),
        ledger_transactions::kind.eq(kind.number()),
        row,
        ledger_transactions::gateway_id.eq(&posting.gateway_id),
        ledger_transactions::debit_account.eq(debit.number()),
        ledger_transactions::credit_account.eq(credit.number()),
        ledger_transactions::currency.eq(currency.code()),
        ledger_transactions::amount_minor.eq(posting.amount.minor()),
        ledger_transactions::created_at.eq(now),
    );
    diesel::insert_into(ledger_transactions::table).values(row).execute(&mut &*connection).await?;
    Ok(id)
}

/// The result of [`book_invoices`].
#[derive(Debug, Default)]
pub struct BookedInvoices {
    /// The transactions of the invoices.
    pub paid: Vec<Uuid>,
    /// The refunds of invoices that were booked before, and were returned now.
    pub returned: Vec<InvoiceRefund>,
}

/// Books the invoices of a locked subscription, and their refunds, unless they are already booked.
///
/// # Errors
/// See [`book`].
pub async fn book_invoices(
    connection: &mut Connection,
    subscription: &Subscription,
    invoices: &[Invoice],
    now: DateTime<Utc>,
) -> Result<BookedInvoices> {
    let existing = ledger_transactions::table.filter(ledger_transactions::subscription_id.eq(subscription.id));
    let existing: Vec<(i16, String)> =
        existing.select((ledger_transactions::kind, ledger_transactions::gateway_id)).load(connection).await?;
    let existing: HashSet<_> = existing.iter().map(|(kind, id)| (*kind, id.as_str())).collect();
    let is_booked = |kind: Kind, id: &str| existing.contains(&(kind.number(), id));
    let mut newly_booked = BookedInvoices::default();
    for invoice in invoices {
        if !is_booked(Kind::Invoice, &invoice.gateway_id) {
            newly_booked.paid.push(book(connection, &Posting::invoice(subscription, invoice), now).await?);
        }
        for refund in &invoice.refunds {
            let posting = Posting::invoice_refund(subscription, refund);
            // A refund that failed before it was booked moved no money.
            let has_moved = !refund.is_returned || is_booked(Kind::InvoiceRefund, &refund.gateway_id);
            if has_moved && !is_booked(posting.subject.kind(), &refund.gateway_id) {
                book(connection, &posting, now).await?;
                newly_booked.returned.extend(refund.is_returned.then(|| refund.clone()));
            }
        }
    }
    Ok(newly_booked)
}

/// Returns the subscription that an invoice was booked for.
pub async fn invoiced_subscription(
    connection: &mut Connection,
    invoice_gateway_id: &str,
) -> Result<Option<SubscriptionId>> {
    let paid = ledger_transactions::table.filter(ledger_transactions::kind.eq(Kind::Invoice.number()));
    let paid = paid
        .filter(ledger_transactions::gateway_id.eq(invoice_gateway_id))
        .select(ledger_transactions::subscription_id);
    let subscription: Option<Option<SubscriptionId>> = paid.first(connection).await.optional()?;
    Ok(subscription.flatten())
}

/// A refund at the gateway, of an invoice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefundedInvoice {
    /// The gateway's id of the invoice.
    pub invoice: String,
    /// The gateway's id of the refund.
    pub refund: String,
    /// Whether the refund failed, or its money was returned.
    pub is_returned: bool,
}

/// Returns the subscriptions whose ledger does not yet reflect these refunds.
pub async fn refunded_subscriptions(
    connection: &mut Connection,
    refunds: &[RefundedInvoice],
) -> Result<Vec<SubscriptionId>> {
    let [invoice, refund, reversal] = [Kind::Invoice, Kind::InvoiceRefund, Kind::InvoiceReversal].map(Kind::number);
    // The kinds are part of the text, because the index of invoices is partial.
    let sql = format!(
        "SELECT DISTINCT paid.subscription_id AS id \
        FROM unnest($1, $2, $3) AS theirs (invoice, refund, is_returned) \
        JOIN ledger_transactions AS paid ON paid.kind = {invoice} AND paid.gateway_id = theirs.invoice \
        WHERE theirs.is_returned = EXISTS (SELECT FROM ledger_transactions AS known WHERE known.kind = {refund} \
                AND known.subscription_id = paid.subscription_id AND known.gateway_id = theirs.refund) \
            AND NOT EXISTS (SELECT FROM ledger_transactions AS known WHERE known.kind = {reversal} \
                AND known.subscription_id = paid.subscription_id AND known.gateway_id = theirs.refund)"
    );
    let texts = |of: fn(&RefundedInvoice) -> &String| refunds.iter().map(of).collect::<Vec<_>>();
    let query = diesel::sql_query(sql)
        .bind::<Array<Text>, _>(texts(|refund| &refund.invoice))
        .bind::<Array<Text>, _>(texts(|refund| &refund.refund))
        .bind::<Array<Bool>, _>(refunds.iter().map(|refund| refund.is_returned).collect::<Vec<_>>());
    Ok(query.columns::<SqlUuid>().load(connection).await?)
}

/// Returns the amount of a transaction; `None` if there is no such transaction.
pub async fn amount(connection: &mut Connection, transaction: Uuid) -> Result<Option<Money>> {
    let query = ledger_transactions::table
        .find(transaction)
        .select((ledger_transactions::amount_minor, ledger_transactions::currency));
    let row: Option<(i64, String)> = query.first(connection).await.optional()?;
    row.map(|(minor, currency)| Money::from_columns(minor, &currency)).transpose()
}

/// Returns the time of the booking that exactly `newer` bookings follow; `None` if there are fewer bookings.
pub async fn booked_at(connection: &mut Connection, newer: i64) -> Result<Option<DateTime<Utc>>> {
    let query = ledger_transactions::table
        .order(ledger_transactions::id.desc())
        .offset(newer)
        .select(ledger_transactions::created_at);
    Ok(query.first(connection).await.optional()?)
}

/// Returns the effective movements at one gateway that were booked under the id `from` or a later one. A refund that
/// the bank returned and its reversal are not effective.
pub async fn list_effective(connection: &mut Connection, gateway: &str, from: Uuid) -> Result<Vec<LedgerTransaction>> {
    let [charge, refund, reversal] = [Kind::Charge, Kind::Refund, Kind::Reversal].map(Kind::number);
    let [invoice_refund, invoice_reversal] = [Kind::InvoiceRefund, Kind::InvoiceReversal].map(Kind::number);
    let sql = format!(
        "SELECT entry.kind, entry.gateway_id, entry.currency, entry.amount_minor, \
                              CASE entry.kind WHEN {charge} THEN entry.payment_id \
                                   WHEN {refund} THEN (CASE WHEN refunds.refunded_by IS NOT NULL THEN refunds.id END) \
                                   ELSE entry.subscription_id END AS subject \
                       FROM ledger_transactions AS entry \
                       LEFT JOIN refunds ON refunds.id = entry.refund_id \
                       LEFT JOIN payments ON payments.id = coalesce(entry.payment_id, refunds.payment_id) \
                       LEFT JOIN subscriptions ON subscriptions.id = entry.subscription_id \
                       WHERE entry.id >= $2 AND coalesce(payments.gateway, subscriptions.gateway) = $1 \
                         AND entry.kind NOT IN ({reversal}, {invoice_reversal}) \
                         AND NOT EXISTS (SELECT FROM ledger_transactions AS reversal \
                                         WHERE reversal.reversed_refund_id = entry.refund_id) \
                         AND NOT EXISTS (SELECT FROM ledger_transactions AS reversal \
                                         WHERE entry.kind = {invoice_refund} AND reversal.kind = {invoice_reversal} \
                                           AND reversal.subscription_id = entry.subscription_id \
                                           AND reversal.gateway_id = entry.gateway_id)"
    );
    let query = diesel::sql_query(sql).bind::<Text, _>(gateway).bind::<SqlUuid, _>(from);
    let query = query.columns::<(SmallInt, Text, Text, BigInt, Nullable<SqlUuid>)>();
    let rows: Vec<(i16, String, String, i64, Option<Uuid>)> = query.load(connection).await?;
    let transaction = |(number, gateway_id, currency, minor, subject): (i16, _, String, _, _)| {
        let kind = Kind::from_number(number.into());
        let kind = kind.ok_or_else(|| Error::internal(anyhow::anyhow!("ledger_transactions: the kind {number}")))?;
        Ok(LedgerTransaction { kind, subject, gateway_id, amount: Money::from_columns(minor, &currency)? })
    };
    rows.into_iter().map(transaction).collect()
}

/// Returns the inconsistencies within the ledger among rows with the id `from` or a later one. There are none as long
/// as the constraints are in place.
pub async fn faults(connection: &mut Connection, from: Uuid) -> Result<Vec<String>> {
    let [invoice_refund, invoice_reversal] = [Kind::InvoiceRefund, Kind::InvoiceReversal].map(Kind::number);
    let failed = Status::Failed.number();
    let sql = format!("
        SELECT 'payment ' || payments.id || ' succeeded and is not in the ledger' AS fault FROM payments
        WHERE payments.id >= $2 AND status = $1
        AND NOT EXISTS (SELECT FROM ledger_transactions WHERE payment_id = payments.id)
        UNION ALL
        SELECT 'refund ' || refunds.id || ' succeeded and is not in the ledger' FROM refunds
        WHERE refunds.id >= $2 AND status = $1
        AND NOT EXISTS (SELECT FROM ledger_transactions WHERE refund_id = refunds.id)
        UNION ALL
        SELECT 'payment ' || payments.id || ' is in the ledger and did not succeed' FROM payments
        JOIN ledger_transactions AS entry ON entry.payment_id = payments.id WHERE entry.id >= $2 AND status <> $1
        UNION ALL
        SELECT 'subscription ' || subscriptions.id || ' is in the ledger and never began' FROM subscriptions
        JOIN ledger_transactions AS entry ON entry.subscription_id = subscriptions.id
        WHERE entry.id >= $2 AND subscriptions.gateway_id IS NULL
        UNION ALL
        SELECT 'refund ' || refunds.id || ' is in the ledger and did not succeed' FROM refunds
        JOIN ledger_transactions AS entry ON entry.refund_id = refunds.id WHERE entry.id >= $2 AND status <> $1
        AND NOT EXISTS (SELECT FROM ledger_transactions WHERE reversed_refund_id = refunds.id)
        UNION ALL
        SELECT 'refund ' || refunds.id || ' is reversed and ' || CASE status WHEN $1 THEN 'succeeded' ELSE 'was never booked' END
        FROM refunds JOIN ledger_transactions AS entry ON entry.reversed_refund_id = refunds.id
        WHERE entry.id >= $2
        AND (status = $1 OR NOT EXISTS (SELECT FROM ledger_transactions WHERE refund_id = refunds.id))
        UNION ALL
        SELECT 'subscription ' || back.subscription_id || ' has a reversal of ' || back.gateway_id || ', which was never booked'
        FROM ledger_transactions AS back WHERE back.id >= $2 AND back.kind = {invoice_reversal} AND NOT EXISTS (
            SELECT FROM ledger_transactions AS entry WHERE entry.kind = {invoice_refund}
            AND (entry.subscription_id, entry.gateway_id, entry.currency, entry.amount_minor)
                = (back.subscription_id, back.gateway_id, back.currency, back.amount_minor))
        UNION ALL
        SELECT 'payment ' || id || ' has ' || refunded_minor || ' reserved, and refunds of another sum' FROM payments
        WHERE id >= $2 AND refunded_minor
            <> coalesce((SELECT sum(amount_minor) FROM refunds WHERE payment_id = payments.id AND status <> {failed}), 0)");
    let query = diesel::sql_query(sql).bind::<SmallInt, _>(Status::Succeeded.number()).bind::<SqlUuid, _>(from);
    Ok(query.columns::<Text>().load(connection).await?)
}

/// A payment, refund or subscription with an unknown outcome.
#[derive(Debug, Clone, Queryable)]
pub struct PendingMovement {
    pub id: Uuid,
    /// The gateway's id of a subscription whose next invoice may already exist there; `None` if the outcome itself is
    /// open.
    pub gateway_id: Option<String>,
}

/// Returns the given payments, refunds and subscriptions whose outcome is unknown. An ongoing subscription counts until
/// 10 minutes past its due sync, because the gateway may have an invoice that was not fetched yet.
pub async fn list_pending(
    connection: &mut Connection,
    subjects: &[Uuid],
    now: DateTime<Utc>,
) -> Result<Vec<PendingMovement>> {
    const SQL: &str = "SELECT id, NULL::text AS gateway_id FROM payments WHERE id = ANY ($5) AND status = $1 \
                       UNION ALL SELECT id, NULL FROM refunds WHERE id = ANY ($5) AND status = $1 \
                       UNION ALL SELECT id, NULL FROM subscriptions WHERE id = ANY ($5) AND status = $1 \
                       UNION ALL SELECT id, gateway_id FROM subscriptions \
                                 WHERE id = ANY ($5) AND status IN ($3, $4) AND next_sync_at > $2 - interval '10 minutes'";
    let query = diesel::sql_query(SQL)
        .bind::<SmallInt, _>(Status::Pending.number())
        .bind::<Timestamptz, _>(now)
        .bind::<SmallInt, _>(SubscriptionStatus::Active.number())
        .bind::<SmallInt, _>(SubscriptionStatus::PastDue.number())
        .bind::<Array<SqlUuid>, _>(subjects);
    Ok(query.columns::<(SqlUuid, Nullable<Text>)>().load(connection).await?)
}
