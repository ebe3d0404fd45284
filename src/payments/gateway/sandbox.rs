//! The built-in gateway: it moves no money, accepts test cards, and keeps its books in Postgres, so that several
//! instances share them and they survive restarts.
//!
//! | card | outcome |
//! |---|---|
//! | `pm_card_visa`, `pm_card_mastercard` | charged |
//! | `pm_card_visa_chargeDeclined` | declined |
//! | `pm_card_visa_chargeDeclinedInsufficientFunds`, `pm_card_chargeDeclinedExpiredCard`, `pm_card_chargeDeclinedIncorrectCvc` | declined for that reason |
//! | `pm_sandbox_slow` | charged after four seconds |
//! | `pm_sandbox_error` | charged, but the first answer is lost |
//! | `pm_sandbox_renewal_declined` | charged, but declined when a subscription is renewed |

pub mod store;
mod subscriptions;

use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::{FutureExt as _, future::BoxFuture};

use crate::payments::id::{PaymentId, RefundId};
use crate::payments::{
    config::SANDBOX,
    gateway::{
        Charge, ExternalRefunds, Gateway, GatewayKind, Kind, Lookup, Movement, Outcome, RefundRequest, Statement,
        sandbox::store::Row,
    },
    settlement::model::{Failure, FailureKind},
};
use mainstay_kernel::{
    app::App,
    breaker::Circuit,
    clock::Clock,
    config::{Config, Verdict},
    database::Database,
    error::Error,
    id,
    money::{Currency, Money},
};

const SLOW: Duration = Duration::from_secs(4);

/// The sandbox gateway.
#[derive(Debug)]
pub struct Sandbox {
    database: Database,
    clock: Clock,
}

/// The behavior of a test card.
enum Card {
    Good,
    Slow,
    LosesAnAnswer,
    /// Accepted only for the first period of a subscription.
    GoodOnce,
    Declined(&'static str, &'static str),
}

fn card(method: &str) -> Option<Card> {
    Some(match method {
        "pm_card_visa" | "pm_card_mastercard" => Card::Good,
        "pm_sandbox_slow" => Card::Slow,
        "pm_sandbox_error" => Card::LosesAnAnswer,
        "pm_sandbox_renewal_declined" => Card::GoodOnce,
        "pm_card_visa_chargeDeclined" => Card::Declined("generic_decline", "Your card was declined."),
        "pm_card_visa_chargeDeclinedInsufficientFunds" => {
            Card::Declined("insufficient_funds", "Your card has insufficient funds.")
        }
        "pm_card_chargeDeclinedExpiredCard" => Card::Declined("expired_card", "Your card has expired."),
        "pm_card_chargeDeclinedIncorrectCvc" => {
            Card::Declined("incorrect_cvc", "Your card's security code is incorrect.")
        }
        _ => return None,
    })
}

fn movement(row: Row) -> Option<Movement> {
    let amount = money(row.amount_minor, &row.currency)?;
    let kind = Kind::from_number(row.kind.into())?;
    let Row { subject_id, gateway_id, charge_id, .. } = row;
    // The sandbox never creates a second subscription for the same id, so it need not name one.
    Some(Movement {
        kind,
        subject: Some(subject_id),
        gateway_id,
        charge_id,
        invoice_id: None,
        subscription_id: None,
        amount,
    })
}

fn no_card() -> Failure {
    let message = "There is no such payment method.".to_owned();
    Failure { kind: FailureKind::Rejected, code: "resource_missing".to_owned(), message }
}

fn declined(code: &str, message: &str) -> Failure {
    Failure { kind: FailureKind::Declined, code: code.to_owned(), message: message.to_owned() }
}

/// Converts an amount of the books.
fn money(minor: i64, currency: &str) -> Option<Money> {
    Money::new(minor, Currency::parse(currency)?).ok()
}

/// The outcome is unknown if the sandbox can't reach its books.
fn unknown_outcome<T>(error: Error) -> Outcome<T> {
    Outcome::Unknown { why: error.detail(), remembered: false }
}

impl Sandbox {
    pub fn new(database: Database, clock: Clock) -> Self {
        Self { database, clock }
    }

    /// Stores a movement under its key, or returns the one already stored. The flag is true if the movement is new.
    async fn insert_or_get(&self, row: Row) -> Result<(Row, bool), Error> {
        self.database.autocommit(async move |connection| store::insert_or_get(connection, row).await).await
    }

    fn row(&self, key: String, kind: Kind, subject: uuid::Uuid, amount: Money) -> Row {
        let now = self.clock.now();
        let prefix = match kind {
            Kind::Charge => "sandbox_pi",
            Kind::Refund | Kind::Reversal | Kind::InvoiceRefund | Kind::InvoiceReversal => "sandbox_re",
            Kind::Invoice => "sandbox_in",
        };
        Row {
            key,
            kind: kind.number(),
            subject_id: subject,
            gateway_id: format!("{prefix}_{}", id::new(now).simple()),
            currency: amount.currency().code().to_owned(),
            amount_minor: amount.minor(),
            refusal_code: None,
            charge_id: None,
            created_at: now,
        }
    }

    async fn do_charge(&self, charge: Charge) -> Outcome {
        let Some(card) = card(&charge.method) else { return Outcome::Refused(no_card()) };
        if matches!(card, Card::Slow) {
            tokio::time::sleep(SLOW).await;
        }
        let mut row = self.row(charge.key, Kind::Charge, charge.payment.0, charge.amount);
        if let Card::Declined(code, _) = card {
            row.refusal_code = Some(code.to_owned());
        }
        let (row, fresh) = match self.insert_or_get(row).await {
            Ok(pair) => pair,
            Err(error) => return unknown_outcome(error),
        };
        match card {
            Card::Declined(code, message) => Outcome::Refused(declined(code, message)),
            Card::LosesAnAnswer if fresh => {
                Outcome::Unknown { why: "the sandbox was told to".into(), remembered: false }
            }
            _ => Outcome::Done(row.gateway_id),
        }
    }

    async fn find(&self, kind: i16, subject: uuid::Uuid) -> Lookup {
        let lookup = self.database.autocommit(async move |connection| store::find(connection, kind, subject).await);
        match lookup.await {
            Ok(Some(gateway_id)) => Lookup::Done(gateway_id),
            Ok(None) => Lookup::Nothing,
            Err(error) => Lookup::Unknown { why: error.detail() },
        }
    }
}

impl GatewayKind for Sandbox {
    const NAME: &'static str = SANDBOX;

    fn moves_money(_: &Config) -> Verdict {
        Verdict::Missed("PAYMENT_GATEWAY is the sandbox")
    }

    fn open(app: &App) -> anyhow::Result<Self> {
        Ok(Self::new(app.database.clone(), app.clock.clone()))
    }
}

impl Gateway for Sandbox {
    fn name(&self) -> &'static str {
        SANDBOX
    }

    fn circuit(&self) -> Circuit {
        Circuit::Closed
    }

    fn charge(&self, charge: Charge) -> BoxFuture<'_, Outcome> {
        self.do_charge(charge).boxed()
    }

    fn refund(&self, refund: RefundRequest) -> BoxFuture<'_, Outcome> {
        async move {
            let mut row = self.row(refund.key, Kind::Refund, refund.refund.0, refund.amount);
            row.charge_id = Some(refund.charge_id);
            match self.insert_or_get(row).await {
                Ok((row, _)) => Outcome::Done(row.gateway_id),
                Err(error) => unknown_outcome(error),
            }
        }
        .boxed()
    }

    fn probe(&self) -> BoxFuture<'_, ()> {
        std::future::ready(()).boxed()
    }

    /// A row has the amount of its payment, which never changes, and is found at once.
    fn find_charge(&self, payment: PaymentId, _: Money) -> BoxFuture<'_, Lookup> {
        self.find(Kind::Charge.number(), payment.0).boxed()
    }

    fn find_listed_charge(
        &self,
        payment: PaymentId,
        amount: Money,
        _: (DateTime<Utc>, DateTime<Utc>),
    ) -> BoxFuture<'_, Lookup> {
        self.find_charge(payment, amount)
    }

    fn find_refund<'a>(&'a self, refund: RefundId, _: &'a str, _: Money) -> BoxFuture<'a, Lookup> {
        self.find(Kind::Refund.number(), refund.0).boxed()
    }

    fn external_refunds(&self) -> Option<&dyn ExternalRefunds> {
        None
    }

    fn statement<'a>(
        &'a self,
        since: Option<DateTime<Utc>>,
        from: Option<&'a str>,
    ) -> BoxFuture<'a, anyhow::Result<Statement>> {
        async move {
            let from = from.map(str::to_owned);
            let list =
                self.database.autocommit(async move |connection| store::list_movements(connection, since, from).await);
            let rows = list.await.map_err(|error| anyhow::anyhow!("{}", error.detail()))?;
            let next = rows.last().filter(|_| rows.len() >= store::PAGE_SIZE).map(|row| row.gateway_id.clone());
            Ok(Statement { movements: rows.into_iter().filter_map(movement).collect(), next })
        }
        .boxed()
    }
}
