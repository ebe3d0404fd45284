//! Payments and refunds, which a gateway carries out.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::proto::payments::v1::Reason as PaymentsReason;
use crate::{
    orders::id::OrderId,
    payments::id::{PaymentId, RefundId},
};
use crate::{
    orders::order::model::Order,
    payments::settlement::model::{AttemptLease, Failure, FailureKind, State, Status},
};
use mainstay_kernel::{
    error::{Error, Reason, Result},
    id::AccountId,
    money::Money,
};

/// A payment method, as a token of the gateway. Card numbers are rejected: they must not get into the database or the
/// logs, whichever field a caller puts them in (PCI DSS).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PaymentMethod(String);

impl PaymentMethod {
    /// Parses a token: ASCII letters, digits and underscores, with at least one letter.
    ///
    /// # Errors
    /// `VALIDATION_FAILED` otherwise; the error does not contain the text.
    pub fn parse(text: String) -> Result<Self> {
        let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        let letters = text.bytes().any(|byte| byte.is_ascii_alphabetic());
        if plain && letters {
            return Ok(Self(text));
        }
        Err(Error::field("paymentMethod", "must be a token of the gateway, such as pm_card_visa, not a card number"))
    }

    /// Returns the token.
    pub fn token(&self) -> &str {
        &self.0
    }
}

/// A charge for an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payment {
    pub id: PaymentId,
    /// The account that pays.
    pub account: AccountId,
    /// The order being paid.
    pub order: OrderId,
    /// The user or service key that requested it.
    pub charged_by: Uuid,
    /// The gateway that makes the charge.
    pub gateway: String,
    /// The payment method to charge.
    pub method: PaymentMethod,
    /// The gateway's id for the account's customer, if there was one when the payment was requested.
    pub customer: Option<String>,
    /// The amount charged: the order's total.
    pub amount: Money,
    /// The amount that was refunded or is being refunded.
    pub refunded: Money,
    pub state: State,
    /// The lease and the attempts.
    pub lease: AttemptLease,
    /// The version, which each change increments by one.
    pub version: i64,
    /// When it was requested.
    pub created_at: DateTime<Utc>,
    /// When it was last updated.
    pub updated_at: DateTime<Utc>,
}

impl Payment {
    /// Creates the intent to charge an order. The process that created it holds the lease until `until`.
    ///
    /// # Errors
    /// None for an order's own total.
    pub fn intend(
        id: PaymentId,
        order: &Order,
        charged_by: Uuid,
        gateway: &str,
        method: PaymentMethod,
        now: DateTime<Utc>,
        until: DateTime<Utc>,
    ) -> Result<Self> {
        Ok(Self {
            id,
            account: order.account,
            order: order.id,
            charged_by,
            gateway: gateway.to_owned(),
            method,
            customer: None,
            amount: order.total,
            refunded: Money::new(0, order.total.currency())?,
            state: State::Pending,
            lease: AttemptLease::first(now, until),
            version: 1,
            created_at: now,
            updated_at: now,
        })
    }

    /// Returns the idempotency key of the current attempt.
    pub fn key(&self) -> String {
        format!("{}-charge-{}", self.id, self.lease.attempt)
    }

    /// Returns the amount that can still be refunded.
    ///
    /// # Errors
    /// `PAYMENT_PENDING`, `PAYMENT_NOT_CHARGED`.
    pub fn refundable(&self) -> Result<Money> {
        match self.state {
            State::Succeeded { .. } => self.amount.minus(self.refunded),
            State::Pending => Err(PaymentsReason::PaymentPending.into()),
            State::Failed(_) => Err(PaymentsReason::PaymentNotCharged.into()),
        }
    }

    /// Reserves an amount for a refund.
    ///
    /// # Errors
    /// `PAYMENT_PENDING`, `PAYMENT_NOT_CHARGED`, `PAYMENT_ALREADY_REFUNDED`, `CURRENCIES_MIXED`, `REFUND_EXCEEDS_PAYMENT`.
    pub fn reserve_refund(&self, amount: Money, now: DateTime<Utc>) -> Result<Self> {
        if amount.minor() == 0 {
            return Err(PaymentsReason::PaymentAlreadyRefunded.into());
        }
        let rest = self.refundable()?;
        if amount.currency() != rest.currency() {
            let message = format!("The payment is in {}, and so are its refunds.", rest.currency().code());
            return Err(Error::with_message(Reason::CurrenciesMixed, message));
        }
        if amount.minor() > rest.minor() {
            let message = format!("Only {rest} of the payment is left to refund.");
            return Err(Error::with_message(PaymentsReason::RefundExceedsPayment, message));
        }
        Ok(Self { refunded: self.refunded.plus(amount)?, ..self.clone() }.next_version(now))
    }

    /// Releases an amount that was reserved.
    ///
    /// # Errors
    /// `AMOUNT_OUT_OF_RANGE` if less was reserved.
    pub fn release_refund(&self, amount: Money, now: DateTime<Utc>) -> Result<Self> {
        Ok(Self { refunded: self.refunded.minus(amount)?, ..self.clone() }.next_version(now))
    }

    /// Returns the next version.
    #[must_use]
    pub fn next_version(self, now: DateTime<Utc>) -> Self {
        Self { version: self.version + 1, updated_at: now, ..self }
    }
}

/// A filter of payments, in addition to the caller's visibility.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only payments with one of these statuses; all if empty.
    pub statuses: Vec<Status>,
    /// Only payments of this account.
    pub account: Option<AccountId>,
    /// Only payments for this order.
    pub order: Option<OrderId>,
}

/// A full or partial refund of a payment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refund {
    pub id: RefundId,
    pub payment: PaymentId,
    /// The account that receives the refund.
    pub account: AccountId,
    /// The user or service key that requested it; `None` if it was made at the gateway itself.
    pub refunded_by: Option<Uuid>,
    /// The amount refunded.
    pub amount: Money,
    pub state: State,
    /// The lease and the attempts.
    pub lease: AttemptLease,
    /// The version, which each change increments by one.
    pub version: i64,
    /// When it was requested.
    pub created_at: DateTime<Utc>,
    /// When it was last updated.
    pub updated_at: DateTime<Utc>,
}

impl Refund {
    /// Creates the intent to refund an amount. The process that created it holds the lease until `until`.
    pub fn intend(
        payment: &Payment,
        amount: Money,
        refunded_by: Uuid,
        now: DateTime<Utc>,
        until: DateTime<Utc>,
    ) -> Self {
        Self {
            id: RefundId::generate(now),
            payment: payment.id,
            account: payment.account,
            refunded_by: Some(refunded_by),
            amount,
            state: State::Pending,
            lease: AttemptLease::first(now, until),
            version: 1,
            created_at: now,
            updated_at: now,
        }
    }

    /// Fails a refund that succeeded but was returned later by the cardholder's bank.
    #[must_use]
    pub fn mark_returned(self, now: DateTime<Utc>) -> Self {
        let message = "The bank did not take the money; it has to be given back in another way.".to_owned();
        let failure = Failure { kind: FailureKind::Rejected, code: "returned".to_owned(), message };
        Self { state: State::Failed(failure), ..self }.next_version(now)
    }

    /// Creates a refund that was made at the gateway itself, bypassing this API.
    pub fn adopt(payment: &Payment, amount: Money, gateway_id: String, now: DateTime<Utc>) -> Self {
        Self {
            id: RefundId::generate(now),
            payment: payment.id,
            account: payment.account,
            refunded_by: None,
            amount,
            state: State::Succeeded { gateway_id },
            lease: AttemptLease::first(now, now).settle(),
            version: 1,
            created_at: now,
            updated_at: now,
        }
    }

    /// Returns the idempotency key of the current attempt.
    pub fn key(&self) -> String {
        format!("{}-refund-{}", self.id, self.lease.attempt)
    }

    /// Returns the next version.
    #[must_use]
    pub fn next_version(self, now: DateTime<Utc>) -> Self {
        Self { version: self.version + 1, updated_at: now, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_number_is_not_a_payment_method() {
        for good in ["pm_card_visa", "pm_1PqR", "a"] {
            assert_eq!(PaymentMethod::parse(good.to_owned()).expect("a token").token(), good);
        }
        for bad in ["", "4242424242424242", "4242 4242 4242 4242", "4242_4242", "pm-card", "pm/../x", "pm_é"] {
            assert!(PaymentMethod::parse(bad.to_owned()).is_err(), "{bad}");
        }
    }
}
