//! Amounts in Stripe's format (<https://docs.stripe.com/currencies#minor-units>): in the smallest unit, which for a few
//! currencies differs from ISO 4217.
//!
//! | currency | ISO 4217 | Stripe |
//! |---|---|---|
//! | ISK, UGX | whole | hundredths that are always 00 (`#special-cases`) |
//! | MGA | hundredths | whole (`#zero-decimal`) |
//! | currencies with thousandths | thousandths | thousandths that end in 0 (`#three-decimal`) |

use mainstay_kernel::money::{Currency, Money};

/// Returns the conversion of an amount from ISO 4217's smallest unit: a factor and a divisor.
fn scale(currency: Currency) -> (i64, i64) {
    match currency.code() {
        "ISK" | "UGX" => (100, 1),
        "MGA" => (1, 100),
        _ => (1, 1),
    }
}

/// Converts an amount to Stripe's format; `None` if Stripe can't represent it.
pub(crate) fn to_stripe(amount: Money) -> Option<String> {
    let (factor, divisor) = scale(amount.currency());
    let is_charged = amount.minor() % amount.currency().step() == 0;
    is_charged.then(|| (amount.minor() * factor / divisor).to_string())
}

/// Converts an amount from Stripe's format; `None` if it can't be represented here.
pub(crate) fn from_stripe(minor: i64, currency: &str) -> Option<Money> {
    let currency = Currency::parse(&currency.to_ascii_uppercase())?;
    let (factor, divisor) = scale(currency);
    let minor = minor.checked_mul(divisor)?;
    if minor % factor == 0 { Money::new(minor / factor, currency).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_written_as_stripe_writes_them() {
        for (minor, code, theirs) in [
            (450, "EUR", "450"),
            (500, "JPY", "500"),
            (500, "ISK", "50000"),
            (5, "UGX", "500"),
            (500, "MGA", "5"),
            (1_230, "KWD", "1230"),
            (999_999, "ISK", "99999900"),
            (150_000_000, "IDR", "150000000"),
            (999_999_999_999, "IDR", "999999999999"),
            (9_999_999_900, "MGA", "99999999"),
        ] {
            let ours = Money::new(minor, Currency::parse(code).expect("a currency")).expect("an amount");
            assert_eq!(to_stripe(ours).as_deref(), Some(theirs), "{minor} {code}");
            let back = from_stripe(theirs.parse().expect("a number"), &code.to_ascii_lowercase());
            assert_eq!(back, Some(ours), "{theirs} {code}");
        }
    }

    /// <https://docs.stripe.com/currencies#minimum-and-maximum-charge-amounts>
    #[test]
    fn maximum_amounts_have_as_many_digits_as_stripe_accepts() {
        let letters = || (b'A'..=b'Z').map(char::from);
        let pairs = || letters().flat_map(|first| letters().map(move |second| format!("{first}{second}")));
        let codes = pairs().flat_map(|pair| letters().map(move |third| format!("{pair}{third}")));
        let mut count = 0;
        for currency in codes.filter_map(|code| Currency::parse(&code)) {
            let max = currency.max_minor();
            let theirs = to_stripe(Money::new(max - max % currency.step(), currency).expect("an amount"));
            let digits = match currency.code() {
                "IDR" => 12,
                "LBP" => 11,
                "COP" | "HUF" | "JPY" => 10,
                "INR" => 9,
                _ => 8,
            };
            assert_eq!(theirs.map(|theirs| theirs.len()), Some(digits), "{currency:?}");
            count += 1;
        }
        assert!(count > 100, "{count} currencies");
    }

    #[test]
    fn unsupported_amounts_are_refused() {
        for (minor, code) in [(501, "MGA"), (1, "MGA"), (1_234, "KWD"), (1, "TND")] {
            let ours = Money::new(minor, Currency::parse(code).expect("a currency")).expect("an amount");
            assert_eq!(to_stripe(ours), None, "{minor} {code}");
        }
        for (minor, code) in [(50, "isk"), (-1, "eur"), (i64::MAX, "mga"), (1, "xxx")] {
            assert_eq!(from_stripe(minor, code), None, "{minor} {code}");
        }
    }
}
