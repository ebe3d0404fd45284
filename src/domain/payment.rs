//! Payments and refunds: money that a gateway moves for us.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{
    effect::{Drive, Failure, FailureKind, State, Status},
    money::Money,
    order::Order,
    page::Key,
};
use crate::{
    error::{Error, Result},
    id::{AccountId, OrderId, PaymentId, RefundId},
};

/// What is charged: a token of a gateway. A card number is none: it must not get into our database or our logs, wherever a
/// caller puts it (PCI DSS).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PaymentMethod(String);

impl PaymentMethod {
    /// Reads a token: ASCII letters, digits and underscores, one letter at least.
    ///
    /// # Errors
    /// `VALIDATION_FAILED` for anything else, which is not repeated.
    pub fn parse(text: String) -> Result<Self> {
        let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        let letters = text.bytes().any(|byte| byte.is_ascii_alphabetic());
        if plain && letters {
            return Ok(Self(text));
        }
        Err(Error::field("paymentMethod", "must be a token of the gateway, like pm_card_visa, and no card number"))
    }

    /// The token.
    pub fn token(&self) -> &str {
        &self.0
    }
}

/// A charge for an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payment {
    /// The payment.
    pub id: PaymentId,
    /// The account that pays.
    pub account: AccountId,
    /// The order it pays for.
    pub order: OrderId,
    /// The user or service key that asked for it.
    pub charged_by: Uuid,
    /// The gateway that was asked.
    pub gateway: String,
    /// What is charged.
    pub method: PaymentMethod,
    /// What the gateway knows the account by, if it did when this was asked for.
    pub customer: Option<String>,
    /// How much.
    pub amount: Money,
    /// How much of it was given back, or is being given back.
    pub refunded: Money,
    /// Where it stands.
    pub state: State,
    /// Who works on it.
    pub drive: Drive,
    /// Grows by one with each change.
    pub version: i64,
    /// When it was asked for.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
}

impl Payment {
    /// The intent to charge an order. Whoever made it works on it until `until`.
    ///
    /// # Errors
    /// Never for an order's own total.
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
            drive: Drive::begin(now, until),
            version: 1,
            created_at: now,
            updated_at: now,
        })
    }

    /// What the gateway knows the current attempt by.
    pub fn key(&self) -> String {
        format!("{}-charge-{}", self.id, self.drive.attempt)
    }

    /// What can still be given back.
    ///
    /// # Errors
    /// `BUSINESS_RULE_VIOLATION` unless it succeeded.
    pub fn refundable(&self) -> Result<Money> {
        match self.state {
            State::Succeeded { .. } => self.amount.minus(self.refunded),
            State::Pending => Err(Error::rule("What came of the payment is not known yet.")),
            State::Failed(_) => Err(Error::rule("The payment failed; there is nothing to give back.")),
        }
    }

    /// Sets aside what is to be given back.
    ///
    /// # Errors
    /// `BUSINESS_RULE_VIOLATION` unless so much is left.
    pub fn set_aside(&self, amount: Money, now: DateTime<Utc>) -> Result<Self> {
        if amount.minor() == 0 {
            return Err(Error::rule("All of the payment was given back."));
        }
        self.refundable()?.minus(amount)?;
        Ok(Self { refunded: self.refunded.plus(amount)?, ..self.clone() }.changed(now))
    }

    /// Keeps after all what was set aside.
    ///
    /// # Errors
    /// `BUSINESS_RULE_VIOLATION` when less was set aside.
    pub fn keep(&self, amount: Money, now: DateTime<Utc>) -> Result<Self> {
        Ok(Self { refunded: self.refunded.minus(amount)?, ..self.clone() }.changed(now))
    }

    /// The next version.
    #[must_use]
    pub fn changed(self, now: DateTime<Utc>) -> Self {
        Self { version: self.version + 1, updated_at: now, ..self }
    }

    /// Where it stands in a list.
    pub fn page_key(&self) -> Key {
        Key { rank: None, time: self.created_at, id: self.id.0 }
    }
}

/// Which payments a list is of, beyond what the caller reaches.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// In one of these; empty: any.
    pub statuses: Vec<Status>,
    /// This account's.
    pub account: Option<AccountId>,
    /// For this order.
    pub order: Option<OrderId>,
}

/// Money of a payment given back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refund {
    /// The refund.
    pub id: RefundId,
    /// The payment.
    pub payment: PaymentId,
    /// The account it goes back to.
    pub account: AccountId,
    /// The user or service key that asked for it; `None`: it was made at the gateway itself.
    pub refunded_by: Option<Uuid>,
    /// How much.
    pub amount: Money,
    /// Where it stands.
    pub state: State,
    /// Who works on it.
    pub drive: Drive,
    /// Grows by one with each change.
    pub version: i64,
    /// When it was asked for.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
}

impl Refund {
    /// The intent to give some of a payment back. Whoever made it works on it until `until`.
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
            drive: Drive::begin(now, until),
            version: 1,
            created_at: now,
            updated_at: now,
        }
    }

    /// What is left of a refund that succeeded and came back later: the holder's bank did not take it.
    #[must_use]
    pub fn returned(self, now: DateTime<Utc>) -> Self {
        let message = "The bank did not take the money; it has to be given back in another way.".to_owned();
        let failure = Failure { kind: FailureKind::Rejected, code: "returned".to_owned(), message };
        Self { state: State::Failed(failure), ..self }.changed(now)
    }

    /// A refund that was made at the gateway itself, past us.
    pub fn adopt(payment: &Payment, amount: Money, gateway_id: String, now: DateTime<Utc>) -> Self {
        Self {
            id: RefundId::generate(now),
            payment: payment.id,
            account: payment.account,
            refunded_by: None,
            amount,
            state: State::Succeeded { gateway_id },
            drive: Drive::begin(now, now).at_rest(),
            version: 1,
            created_at: now,
            updated_at: now,
        }
    }

    /// What the gateway knows the current attempt by.
    pub fn key(&self) -> String {
        format!("{}-refund-{}", self.id, self.drive.attempt)
    }

    /// The next version.
    #[must_use]
    pub fn changed(self, now: DateTime<Utc>) -> Self {
        Self { version: self.version + 1, updated_at: now, ..self }
    }

    /// Where it stands in a list.
    pub fn page_key(&self) -> Key {
        Key { rank: None, time: self.created_at, id: self.id.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_number_is_no_payment_method() {
        for good in ["pm_card_visa", "pm_1PqR", "a"] {
            assert_eq!(PaymentMethod::parse(good.to_owned()).expect("a token").token(), good);
        }
        for bad in ["", "4242424242424242", "4242 4242 4242 4242", "4242_4242", "pm-card", "pm/../x", "pm_é"] {
            assert!(PaymentMethod::parse(bad.to_owned()).is_err(), "{bad}");
        }
    }
}
