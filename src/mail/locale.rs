//! Formats of amounts and times by language.

use chrono::{DateTime, Utc};

use mainstay_kernel::money::Money;

/// The formats of amounts and times in a language.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Locale {
    English,
    German,
}

impl Locale {
    /// Returns the locale of a language. German has a separate locale; all other languages use the English formats, in
    /// which amounts and times are unambiguous.
    pub fn of(language: &str) -> Self {
        if language.split('-').next() == Some("de") { Self::German } else { Self::English }
    }

    /// Writes an amount.
    pub fn money(self, amount: Money) -> String {
        let text = amount.to_string();
        match (self, text.split_once(' ')) {
            (Self::German, Some((currency, number))) => format!("{} {currency}", number.replace('.', ",")),
            _ => text,
        }
    }

    /// Returns the label of the unsubscribe link.
    pub(super) fn unsubscribe(self) -> &'static str {
        match self {
            Self::English => "Unsubscribe from notifications",
            Self::German => "Benachrichtigungen abbestellen",
        }
    }

    /// Writes a time, in UTC.
    pub fn time(self, time: DateTime<Utc>) -> String {
        match self {
            Self::English => time.format("%Y-%m-%d %H:%M UTC").to_string(),
            Self::German => time.format("%d.%m.%Y, %H:%M Uhr UTC").to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use mainstay_kernel::money::Currency;

    use super::*;

    #[test]
    fn amounts_and_times_are_written_as_the_language_does() {
        let (english, german) = (Locale::of("fr"), Locale::of("de-AT"));
        let money = |minor, code| Money::new(minor, Currency::parse(code).expect("a currency")).expect("an amount");
        assert_eq!(english.money(money(1999, "EUR")), "EUR 19.99");
        assert_eq!(german.money(money(1999, "EUR")), "19,99 EUR");
        assert_eq!(german.money(money(500, "JPY")), "500 JPY");
        let time = DateTime::from_timestamp(1_790_000_000, 0).expect("a time");
        assert_eq!(english.time(time), "2026-09-21 14:13 UTC");
        assert_eq!(german.time(time), "21.09.2026, 14:13 Uhr UTC");
    }
}
