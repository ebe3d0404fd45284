//! Products: the price list that orders are placed from.

use chrono::{DateTime, Utc};

use super::{money::Money, page::Key};
use crate::{
    error::{Error, Result},
    id::ProductId,
};

/// Something that can be ordered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Product {
    /// The product.
    pub id: ProductId,
    /// What it is called.
    pub name: String,
    /// What one costs.
    pub price: Money,
    /// Since when it can't be ordered any more.
    pub archived_at: Option<DateTime<Utc>>,
    /// Grows by one with each change.
    pub version: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
}

/// New values for some of a product. Its currency stays: prices of two currencies are not a change of one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Patch {
    /// The name.
    pub name: Option<String>,
    /// The price, in the smallest unit.
    pub price_minor: Option<i64>,
    /// Whether it can't be ordered any more.
    pub archived: Option<bool>,
}

impl Product {
    /// A new one.
    pub fn new(name: String, price: Money, now: DateTime<Utc>) -> Self {
        let id = ProductId::generate(now);
        Self { id, name, price, archived_at: None, version: 1, created_at: now, updated_at: now }
    }

    /// The next version, or none when nothing changes.
    ///
    /// # Errors
    /// `BUSINESS_RULE_VIOLATION` for a price that is none.
    pub fn apply(&self, patch: Patch, now: DateTime<Utc>) -> Result<Option<Self>> {
        let mut next = self.clone();
        if let Some(name) = patch.name {
            next.name = name;
        }
        if let Some(minor) = patch.price_minor {
            next.price = Money::new(minor, self.price.currency())?;
        }
        if let Some(archived) = patch.archived {
            next.archived_at = archived.then(|| self.archived_at.unwrap_or(now));
        }
        let changed = next != *self;
        Ok(changed.then(|| Self { version: self.version + 1, updated_at: now, ..next }))
    }

    /// The price, if it can be ordered.
    ///
    /// # Errors
    /// `BUSINESS_RULE_VIOLATION` when it was archived.
    pub fn offered(&self) -> Result<Money> {
        match self.archived_at {
            None => Ok(self.price),
            Some(_) => Err(Error::rule(format!("{} can't be ordered any more.", self.name))),
        }
    }

    /// Where it stands in a list.
    pub fn key(&self) -> Key {
        Key { rank: None, time: self.created_at, id: self.id.0 }
    }
}
