//! Subscriptions of the sandbox. The sandbox sends no webhooks and runs no timers: a query first processes all periods
//! that ended since the last one. Each period is billed under its own key, so concurrent queries bill it once.

use chrono::{DateTime, Utc};
use futures_util::{FutureExt as _, future::BoxFuture};

use crate::subscriptions::id::SubscriptionId;
use crate::{
    orders::product::model::Interval,
    payments::gateway::{
        Cancel, NewCustomer, Subscribe, Subscriptions,
        sandbox::{
            Card, Kind, Lookup, Outcome, SLOW, Sandbox, card, declined, money, no_card,
            store::subscription::{self as store, Row},
            unknown_outcome,
        },
    },
    subscriptions::model::{Invoice, Period, Phase, Snapshot},
};
use mainstay_kernel::{
    error::{Error, Result},
    id,
};

fn invalid_row(row: &Row) -> Error {
    Error::internal(anyhow::anyhow!("sandbox_subscriptions {}: it can't be read", row.key))
}

/// Returns the current period.
fn period(row: &Row) -> Result<Period> {
    let interval = Interval::from_number(row.billing_interval.into()).ok_or_else(|| invalid_row(row))?;
    let number = u32::try_from(row.current_period).map_err(|_| invalid_row(row))?;
    let after = |count| interval.after(row.anchor, count).ok_or_else(|| invalid_row(row));
    Ok(Period { start: after(number.saturating_sub(1))?, end: after(number)? })
}

/// Returns the subscription after the end of its period: canceled, renewed, or past due; if it was already past due, it
/// is canceled.
fn renew(row: &Row, end: DateTime<Utc>) -> Row {
    let renewable = !matches!(card(&row.method), Some(Card::GoodOnce));
    if row.cancel_at_period_end || row.past_due {
        return Row { cancelled_at: Some(end), ..row.clone() };
    }
    Row { current_period: row.current_period.saturating_add(1), past_due: !renewable, ..row.clone() }
}

impl Sandbox {
    async fn bill(&self, row: &Row) -> Result<()> {
        let amount = money(row.amount_minor, &row.currency).ok_or_else(|| invalid_row(row))?;
        let key = format!("{}-{}", row.gateway_id, row.current_period);
        self.insert_or_get(self.row(key, Kind::Invoice, row.subject_id, amount)).await?;
        Ok(())
    }

    /// Processes the periods that have ended by now.
    async fn catch_up(&self, mut row: Row) -> Result<Row> {
        loop {
            let end = period(&row)?.end;
            if row.cancelled_at.is_some() || end > self.clock.now() {
                return Ok(row);
            }
            let next = renew(&row, end);
            if next.cancelled_at.is_none() && !next.past_due {
                self.bill(&next).await?;
            }
            let ended_period = row.current_period;
            self.database
                .autocommit(async move |connection| store::update_period(connection, next, ended_period).await)
                .await?;
            row = self.read(row.gateway_id).await?;
        }
    }

    async fn read(&self, gateway_id: String) -> Result<Row> {
        let read = self.database.autocommit(async move |connection| {
            store::get(connection, &gateway_id).await?.ok_or_else(|| Error::not_found("subscription"))
        });
        read.await
    }

    async fn snapshot(&self, row: Row) -> Result<Snapshot> {
        let row = self.catch_up(row).await?;
        let subject = row.subject_id;
        let paid = self.database.autocommit(async move |connection| store::invoices(connection, subject).await).await?;
        let invoice = |paid: &crate::payments::gateway::sandbox::Row| {
            let amount = money(paid.amount_minor, &paid.currency)?;
            Some(Invoice { gateway_id: paid.gateway_id.clone(), amount, refunds: Vec::new() })
        };
        let phase = match (row.cancelled_at, row.past_due) {
            (Some(at), _) => Phase::Cancelled(at),
            (None, true) => Phase::PastDue,
            (None, false) => Phase::Active,
        };
        Ok(Snapshot {
            phase,
            period: period(&row)?,
            cancel_at_period_end: row.cancel_at_period_end,
            invoices: paid.iter().filter_map(invoice).collect(),
            gateway_id: row.gateway_id,
        })
    }

    async fn make(&self, request: Subscribe) -> Result<Outcome<Snapshot>> {
        let card = match card(&request.method) {
            None => return Ok(Outcome::Refused(no_card())),
            Some(Card::Declined(code, message)) => return Ok(Outcome::Refused(declined(code, message))),
            Some(card) => card,
        };
        if matches!(card, Card::Slow) {
            tokio::time::sleep(SLOW).await;
        }
        let now = self.clock.now();
        let row = Row {
            key: request.key("subscription"),
            gateway_id: format!("sandbox_sub_{}", id::new(now).simple()),
            subject_id: request.subscription.0,
            method: request.method,
            currency: request.price.currency().code().to_owned(),
            amount_minor: request.price.minor(),
            billing_interval: request.interval.number(),
            anchor: now,
            current_period: 1,
            past_due: false,
            cancel_at_period_end: false,
            cancelled_at: None,
        };
        let (row, fresh) =
            self.database.autocommit(async move |connection| store::insert_or_get(connection, row).await).await?;
        self.bill(&Row { current_period: 1, ..row.clone() }).await?;
        if fresh && matches!(card, Card::LosesAnAnswer) {
            return Ok(Outcome::Unknown { why: "the sandbox was told to".into(), remembered: false });
        }
        Ok(Outcome::Done(self.snapshot(row).await?))
    }

    async fn end(&self, cancel: Cancel) -> Result<Snapshot> {
        // A subscription that has already ended is not canceled again.
        let row = self.catch_up(self.read(cancel.gateway_id).await?).await?;
        let (gateway_id, now) = (row.gateway_id.clone(), self.clock.now());
        let cancellation = self
            .database
            .autocommit(async move |connection| store::cancel(connection, &gateway_id, cancel.how, now).await);
        cancellation.await?;
        self.snapshot(self.read(row.gateway_id).await?).await
    }
}

impl Subscriptions for Sandbox {
    fn customer(&self, new: NewCustomer) -> BoxFuture<'_, Outcome> {
        futures_util::future::ready(Outcome::Done(format!("sandbox_cus_{}", new.account.0.simple()))).boxed()
    }

    fn subscribe(&self, request: Subscribe) -> BoxFuture<'_, Outcome<Snapshot>> {
        async move { self.make(request).await.unwrap_or_else(unknown_outcome) }.boxed()
    }

    fn cancel(&self, cancel: Cancel) -> BoxFuture<'_, Outcome<Snapshot>> {
        async move { self.end(cancel).await.map_or_else(unknown_outcome, Outcome::Done) }.boxed()
    }

    fn subscription<'a>(&'a self, gateway_id: &'a str) -> BoxFuture<'a, Lookup<Snapshot>> {
        async move {
            let snapshot = async { self.snapshot(self.read(gateway_id.to_owned()).await?).await };
            snapshot.await.map_or_else(|error| Lookup::Unknown { why: error.detail() }, Lookup::Done)
        }
        .boxed()
    }

    fn find_subscription(&self, subscription: SubscriptionId) -> BoxFuture<'_, Lookup<Snapshot>> {
        async move {
            let lookup = async {
                let find =
                    self.database.autocommit(async move |connection| store::find(connection, subscription.0).await);
                match find.await? {
                    Some(row) => self.snapshot(row).await.map(Lookup::Done),
                    None => Ok(Lookup::Nothing),
                }
            };
            lookup.await.unwrap_or_else(|error: Error| Lookup::Unknown { why: error.detail() })
        }
        .boxed()
    }
}
