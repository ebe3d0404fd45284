//! Conversion of messages of the contract to domain types, where the rules of the contract can't say all that is wanted.

use crate::{
    contract::proto::common::v1 as pb,
    error::{Error, Result},
    money::{Currency, MAX_MINOR, Money},
};

/// Converts a `Money` message in a field to an amount of at least one smallest unit.
///
/// The contract has no rules for the parts of `Money`, because responses have amounts of zero, and sums below it.
///
/// # Errors
/// `VALIDATION_FAILED`, with each part that is wrong.
pub fn price(money: &pb::Money, field: &str) -> Result<Money> {
    let currency = Currency::parse(&money.currency_code);
    let mut faults = Vec::new();
    if !(1..=MAX_MINOR).contains(&money.amount_minor) {
        faults.push((format!("{field}.amountMinor"), format!("must be from 1 to {MAX_MINOR}")));
    }
    if currency.is_none() {
        faults.push((format!("{field}.currencyCode"), "must be a code of ISO 4217, like EUR".to_owned()));
    }
    match currency {
        Some(currency) if faults.is_empty() => Money::new(money.amount_minor, currency),
        _ => Err(Error::validation(faults)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_that_is_wrong_is_named() {
        let faults = |amount_minor, code: &str| {
            let money = pb::Money { amount_minor, currency_code: code.to_owned() };
            let error = price(&money, "price").err();
            error.map_or_else(Vec::new, |error| error.fields().iter().map(|(field, _)| field.clone()).collect())
        };
        let none: [&str; 0] = [];
        assert_eq!(faults(1, "EUR"), none);
        assert_eq!(faults(MAX_MINOR, "JPY"), none);
        assert_eq!(faults(0, "EUR"), ["price.amountMinor"]);
        assert_eq!(faults(MAX_MINOR + 1, "EUR"), ["price.amountMinor"]);
        assert_eq!(faults(1, "eur"), ["price.currencyCode"]);
        assert_eq!(faults(-1, "EURO"), ["price.amountMinor", "price.currencyCode"]);
    }
}
