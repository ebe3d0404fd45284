//! Money: an integer number of a currency's minor units. Amounts are never rounded, and currencies are never mixed.

use crate::error::{Error, Reason, Result};

/// A currency code (ISO 4217).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Currency([u8; 3]);

/// The active codes of ISO 4217 for money, without those for funds, metals and testing.
const CODES: &str = "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF \
                     CLP CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD \
                     HNL HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL \
                     LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP \
                     PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT \
                     TND TOP TRY TTD TWD TZS UAH UGX USD UYU UZS VES VND VUV WST XAF XCD XCG XOF XPF YER ZAR ZMW ZWG";

impl Currency {
    /// Parses a code in capitals; `None` if it is unknown.
    pub fn parse(code: &str) -> Option<Self> {
        let bytes = code.as_bytes().try_into().ok()?;
        CODES.split_ascii_whitespace().any(|other| other == code).then_some(Self(bytes))
    }

    /// Returns the code.
    pub fn code(&self) -> &str {
        std::str::from_utf8(&self.0).expect("made of ASCII")
    }
}

/// The currencies of ISO 4217 whose minor unit is not a hundredth: without a fraction, or with thousandths.
const WHOLE: &str = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF";
const THOUSANDTHS: &str = "BHD IQD JOD KWD LYD OMR TND";

impl Currency {
    /// Returns the number of decimal places: 0, 2 or 3.
    pub fn places(self) -> u32 {
        let is_of = |codes: &str| codes.split_ascii_whitespace().any(|code| code == self.code());
        if is_of(WHOLE) {
            0
        } else if is_of(THOUSANDTHS) {
            3
        } else {
            2
        }
    }
}

/// Currencies in which Stripe charges more or fewer than eight digits, with the number of digits in minor units (cards:
/// <https://docs.stripe.com/currencies#minimum-and-maximum-charge-amounts>). Stripe counts Madagascar's ariary in whole
/// units, so that its eight digits are ten in hundredths of ISO 4217. It counts Iceland's króna and Uganda's shilling in
/// hundredths, so that its eight digits are six in the whole units of ISO 4217.
const OTHER_DIGITS: [(&str, u32); 9] =
    [("IDR", 12), ("LBP", 11), ("COP", 10), ("HUF", 10), ("JPY", 10), ("MGA", 10), ("INR", 9), ("ISK", 6), ("UGX", 6)];
const USUAL_DIGITS: u32 = 8;

impl Currency {
    /// Returns the largest amount in minor units. It has as many digits as gateways accept, mostly eight.
    pub fn max_minor(self) -> i64 {
        let digits =
            OTHER_DIGITS.iter().find(|(code, _)| *code == self.code()).map_or(USUAL_DIGITS, |(_, digits)| *digits);
        10_i64.pow(digits) - 1
    }

    /// Returns the smallest part of the currency that gateways charge, in minor units: amounts are multiples of it. Stripe
    /// charges hundredths of currencies with thousandths, and whole ariary
    /// (<https://docs.stripe.com/currencies#three-decimal>, `#zero-decimal`).
    pub fn step(self) -> i64 {
        match (self.code(), self.places()) {
            ("MGA", _) => 100,
            (_, 3) => 10,
            _ => 1,
        }
    }
}

impl std::fmt::Debug for Currency {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.code())
    }
}

/// An amount from 0 to [`Currency::max_minor`] in minor units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Money {
    minor: i64,
    currency: Currency,
}

fn out_of_range(message: String) -> Error {
    Error::with_message(Reason::AmountOutOfRange, message)
}

impl Money {
    /// Creates an amount.
    ///
    /// # Errors
    /// `AMOUNT_OUT_OF_RANGE` if it is negative or greater than [`Currency::max_minor`].
    pub fn new(minor: i64, currency: Currency) -> Result<Self> {
        let max = currency.max_minor();
        if (0..=max).contains(&minor) {
            Ok(Self { minor, currency })
        } else {
            let code = currency.code();
            Err(out_of_range(format!("The amount must be from 0 to {max} in the smallest unit of {code}.")))
        }
    }

    /// Builds an amount from the columns of a row.
    ///
    /// # Errors
    /// `INTERNAL_ERROR` for an unknown currency.
    pub fn from_columns(minor: i64, currency: &str) -> Result<Self> {
        let code = Currency::parse(currency);
        Self::new(minor, code.ok_or_else(|| Error::internal(anyhow::anyhow!("a row has the currency {currency}")))?)
    }

    /// Returns the amount in minor units.
    pub fn minor(self) -> i64 {
        self.minor
    }

    /// Returns the currency.
    pub fn currency(self) -> Currency {
        self.currency
    }

    /// Multiplies the amount.
    ///
    /// # Errors
    /// `AMOUNT_OUT_OF_RANGE` if the product is greater than [`Currency::max_minor`].
    pub fn times(self, count: i32) -> Result<Self> {
        Self::new(self.minor.saturating_mul(count.into()), self.currency)
    }

    /// Adds an amount.
    ///
    /// # Errors
    /// `AMOUNT_OUT_OF_RANGE` if the sum is greater than [`Currency::max_minor`]; `CURRENCIES_MIXED`.
    pub fn plus(self, other: Self) -> Result<Self> {
        self.same_currency(other)?;
        Self::new(self.minor.saturating_add(other.minor), self.currency)
    }

    /// Subtracts an amount.
    ///
    /// # Errors
    /// `AMOUNT_OUT_OF_RANGE` if `other` is greater; `CURRENCIES_MIXED`.
    pub fn minus(self, other: Self) -> Result<Self> {
        self.same_currency(other)?;
        if other.minor > self.minor {
            return Err(out_of_range(format!("The amount exceeds the {} that are left.", self.minor)));
        }
        Self::new(self.minor - other.minor, self.currency)
    }

    fn same_currency(self, other: Self) -> Result<()> {
        if self.currency == other.currency {
            Ok(())
        } else {
            let (one, another) = (self.currency.code(), other.currency.code());
            Err(Error::with_message(Reason::CurrenciesMixed, format!("Amounts in {one} and {another} can't be added.")))
        }
    }
}

/// Human-readable: `EUR 39.90`, `JPY 500`.
impl std::fmt::Display for Money {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (code, places) = (self.currency.code(), self.currency.places());
        let unit = 10_i64.pow(places);
        match places {
            0 => write!(f, "{code} {}", self.minor),
            places => write!(f, "{code} {}.{:0width$}", self.minor / unit, self.minor % unit, width = places as usize),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn money(minor: i64, code: &str) -> Money {
        Money::new(minor, Currency::parse(code).expect("a currency")).expect("an amount")
    }

    #[test]
    fn only_codes_of_iso_4217_are_currencies() {
        assert_eq!(Currency::parse("EUR").map(|currency| currency.code().to_owned()), Some("EUR".to_owned()));
        for wrong in ["", "eur", "EU", "EURO", "XXX", "XAU", "AB ", "ÄA"] {
            assert_eq!(Currency::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_maximum_amount_depends_on_the_currency() {
        for (code, max) in [
            ("USD", 99_999_999),
            ("KRW", 99_999_999),
            ("INR", 999_999_999),
            ("JPY", 9_999_999_999),
            ("HUF", 9_999_999_999),
            ("COP", 9_999_999_999),
            ("MGA", 9_999_999_999),
            ("LBP", 99_999_999_999),
            ("IDR", 999_999_999_999),
            ("ISK", 999_999),
            ("UGX", 999_999),
        ] {
            let currency = Currency::parse(code).expect("a currency");
            assert_eq!(Money::new(max, currency).expect("the maximum").minor(), max);
            assert!(Money::new(max + 1, currency).is_err(), "{code}");
            // The sum of a million maximum amounts fits in 64 bits.
            assert!(max.checked_mul(1_000_000).is_some());
        }
        assert_eq!(money(150_000_000, "IDR").to_string(), "IDR 1500000.00");
        for (code, step) in [("EUR", 1), ("JPY", 1), ("ISK", 1), ("KWD", 10), ("TND", 10), ("MGA", 100)] {
            assert_eq!(Currency::parse(code).map(Currency::step), Some(step), "{code}");
        }
        assert!(OTHER_DIGITS.iter().all(|(code, _)| Currency::parse(code).is_some()));
    }

    #[test]
    fn amounts_are_formatted_with_the_places_of_their_currency() {
        let text = |minor, code| money(minor, code).to_string();
        assert_eq!([text(3990, "EUR"), text(5, "USD"), text(0, "GBP")], ["EUR 39.90", "USD 0.05", "GBP 0.00"]);
        assert_eq!([text(500, "JPY"), text(1_234_567, "KWD")], ["JPY 500", "KWD 1234.567"]);
        let all = |codes: &str| codes.split_ascii_whitespace().all(|code| Currency::parse(code).is_some());
        assert!(all(WHOLE) && all(THOUSANDTHS), "a currency that is none");
    }

    #[test]
    fn amounts_add_up_within_their_currency_and_bound() {
        assert_eq!(money(2, "EUR").plus(money(3, "EUR")).expect("five"), money(5, "EUR"));
        assert_eq!(money(2, "EUR").times(3).expect("six"), money(6, "EUR"));
        assert_eq!(money(5, "EUR").minus(money(5, "EUR")).expect("nothing"), money(0, "EUR"));
        assert!(money(2, "EUR").plus(money(3, "USD")).is_err());
        assert!(money(2, "EUR").minus(money(1, "USD")).is_err());
        let over = money(2, "EUR").minus(money(3, "EUR")).expect_err("more than there is");
        assert!(over.message().contains("exceeds the 2 that are left"), "{over:?}");
        assert!(money(99_999_999, "EUR").plus(money(1, "EUR")).is_err());
        assert!(money(99_999_999, "EUR").times(i32::MAX).is_err());
        assert!(Money::new(i64::MAX, Currency::parse("EUR").expect("a currency")).is_err());
        assert!(Money::new(-1, Currency::parse("EUR").expect("a currency")).is_err());
    }
}
