//! E-mail addresses, in the one form in which they are stored, compared, counted by the limits and written to.
//!
//! That form is ASCII without capitals; other text is no address here. Three readings of one text (Rust's lower case,
//! Postgres' and the mail server's) would otherwise have to agree on all of Unicode, which they do not: `İ` is `i̇` to
//! one and `i` to another, so one mailbox would have several spellings, each with attempts of its own.
//!
//! What is given up is small. A local part beyond ASCII (RFC 6531) is delivered only if every server on the way supports
//! SMTPUTF8, and comparing it takes a profile of its own (RFC 8265). A domain beyond ASCII has an ASCII form, `xn--…`
//! (RFC 5890), into which browsers convert what is typed into an `<input type=email>`. The capitals of a local part could
//! tell two mailboxes apart by RFC 5321, 2.4, which itself advises against it.

use std::fmt;

use mainstay_kernel::{
    contract::validate::check,
    error::{Error, Result},
};

/// The longest address that SMTP can deliver to (RFC 5321, 4.5.3.1.3, without the angle brackets).
const MAX_BYTES: usize = 254;

/// An e-mail address.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EmailAddress(String);

impl EmailAddress {
    /// What is wrong with an address to which no mail can be sent.
    pub const FAULT: &str = "must be an e-mail address that mail can be sent to";

    /// Reads an address that mail is to be sent to, and folds it. It accepts exactly what the library parses that writes the
    /// mail: an address that is accepted, and to which no mail can be written, would wait for mail for ever.
    ///
    /// # Errors
    /// `VALIDATION_FAILED` for other text, and for anything beyond ASCII.
    pub fn parse(text: &str) -> Result<Self> {
        let address = Self::find(text)?;
        if check::is_email(text) && text.parse::<lettre::Address>().is_ok() {
            Ok(address)
        } else {
            Err(Error::field("email", Self::FAULT))
        }
    }

    /// Reads an address by which something is looked for, as HTML forms define it. Earlier versions accepted all of these, and
    /// who has one still signs in.
    ///
    /// # Errors
    /// `VALIDATION_FAILED` for other text, and for anything beyond ASCII.
    pub fn find(text: &str) -> Result<Self> {
        if text.len() <= MAX_BYTES && check::is_form_email(text) {
            Ok(Self(text.to_ascii_lowercase()))
        } else {
            Err(Error::field("email", "must be an e-mail address"))
        }
    }

    /// Returns the folded text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<EmailAddress> for String {
    fn from(address: EmailAddress) -> Self {
        address.0
    }
}

/// Without the address, which belongs in no log.
impl fmt::Debug for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EmailAddress(…)")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn capitals_are_folded_and_nothing_else_is() {
        let folded = |text| EmailAddress::parse(text).map(String::from).ok();
        assert_eq!(folded("Ada.Lovelace+X@Mail.EXAMPLE.com").as_deref(), Some("ada.lovelace+x@mail.example.com"));
        assert_eq!(folded("ada@xn--bcher-kva.example").as_deref(), Some("ada@xn--bcher-kva.example"));
    }

    #[test]
    fn what_unicode_folds_to_ascii_is_no_address() {
        // Dotted and dotless i, the long s, the Kelvin sign, full-width letters and signs, a combining dot, a ligature.
        let spellings = [
            "v\u{130}ctim@example.com",
            "v\u{131}ctim@example.com",
            "\u{17f}am@example.com",
            "\u{212a}ate@example.com",
            "\u{ff41}da@example.com",
            "ada\u{ff20}example.com",
            "ada@example\u{3002}com",
            "i\u{307}da@example.com",
            "o\u{fb03}ce@example.com",
            " ada@example.com",
            "ada@example.com\u{200b}",
        ];
        for spelling in spellings {
            assert!(EmailAddress::parse(spelling).is_err(), "{spelling}");
        }
        assert!(EmailAddress::parse(&format!("{}@example.com", "a".repeat(243))).is_err());
    }

    #[test]
    fn an_address_to_which_no_mail_can_be_written_is_refused() {
        let long = format!("{}@example.com", "a".repeat(65));
        for old in ["a..b@example.com", "a.@example.com", ".a@example.com", &long] {
            let error = EmailAddress::parse(old).expect_err("no mail can be written to it");
            assert_eq!(error.fields(), [("email".to_owned(), EmailAddress::FAULT.to_owned())], "{old}");
            assert_eq!(EmailAddress::find(old).expect("an earlier version accepted it").as_str(), old);
        }
    }

    proptest! {
        /// What the contract accepts, and what mail is written to, is the same.
        #[test]
        fn there_is_one_validator(local in "[a-z.!'+_=-]{1,66}", domain in "[a-z0-9.-]{1,70}") {
            let text = format!("{local}@{domain}");
            let can_be_written = text.parse::<lettre::Address>().is_ok();
            prop_assert_eq!(EmailAddress::parse(&text).is_ok(), check::is_email(&text) && can_be_written);
            prop_assert!(!check::is_email(&text) || can_be_written, "{}", text);
        }
    }
}
