//! E-mail addresses, in one canonical form that is stored, compared, rate-limited and written to.
//!
//! The canonical form is lowercase ASCII, and a local part beyond ASCII is rejected. Otherwise three implementations
//! (Rust's lowercasing, Postgres' and the mail server's) would have to agree on all of Unicode, and they do not: `İ`
//! becomes `i̇` in one and `i` in another, so one mailbox would have several spellings, each with separate rate limits.
//!
//! Little is lost. A local part beyond ASCII (RFC 6531) is delivered only if every server on the way supports SMTPUTF8,
//! and comparing it needs a separate profile (RFC 8265). A domain beyond ASCII is converted to its ASCII form, `xn--…`
//! (UTS 46, nontransitional), as browsers do with the text of an `<input type=email>`. RFC 5321, 2.4 allows capitals in a
//! local part to distinguish two mailboxes, but advises against it.

use std::fmt;

use mainstay_kernel::{
    contract::validate::{check, text::normalize_email},
    error::{Error, Result},
};

/// The longest address that SMTP can deliver to, in bytes (RFC 5321, 4.5.3.1.3, without the angle brackets).
const MAX_BYTES: usize = 254;

/// An e-mail address.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EmailAddress(String);

impl EmailAddress {
    /// The message for an address to which no mail can be sent.
    pub const FAULT: &str = "must be an e-mail address that mail can be sent to";

    /// Parses a mail recipient and converts it to the canonical form. The accepted set equals that of the library that
    /// composes the mail. An address that was accepted here but rejected there would never receive its mail.
    ///
    /// # Errors
    /// `VALIDATION_FAILED` for other text, and for a local part beyond ASCII.
    pub fn parse(text: &str) -> Result<Self> {
        let address = Self::find(text)?;
        if check::is_email(&address.0) && address.0.parse::<lettre::Address>().is_ok() {
            Ok(address)
        } else {
            Err(Error::field("email", Self::FAULT))
        }
    }

    /// Parses the address of an existing user, to whom mail is sent: of the addresses that earlier versions accepted, one
    /// without a dot in its domain belongs to a mail server of the same network.
    ///
    /// # Errors
    /// `VALIDATION_FAILED` for other text, and if no mail can be written to it.
    pub fn parse_known(text: &str) -> Result<Self> {
        let address = Self::find(text)?;
        match address.0.parse::<lettre::Address>() {
            Ok(_) => Ok(address),
            Err(_) => Err(Error::field("email", Self::FAULT)),
        }
    }

    /// Parses an address for a lookup, as defined by HTML forms. Earlier versions accepted these addresses, and their
    /// owners can still sign in.
    ///
    /// # Errors
    /// `VALIDATION_FAILED` for other text, and for a local part beyond ASCII.
    pub fn find(text: &str) -> Result<Self> {
        let mut address = text.to_ascii_lowercase();
        normalize_email(&mut address);
        if address.len() <= MAX_BYTES && check::is_form_email(&address) {
            Ok(Self(address))
        } else {
            Err(Error::field("email", "must be an e-mail address"))
        }
    }

    /// Returns the domain.
    pub fn domain(&self) -> &str {
        self.0.rsplit_once('@').map_or("", |(_, domain)| domain)
    }

    /// Returns the address without its tag ([RFC 5233](https://www.rfc-editor.org/rfc/rfc5233)): `ada+shop@example.org` and
    /// `ada@example.org` share a mailbox. `None` for an address without a tag.
    pub fn without_tag(&self) -> Option<String> {
        let (local, domain) = self.0.rsplit_once('@')?;
        let (mailbox, _) = local.split_once('+').filter(|(mailbox, _)| !mailbox.is_empty())?;
        Some(format!("{mailbox}@{domain}"))
    }

    /// Returns the canonical form.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<EmailAddress> for String {
    fn from(address: EmailAddress) -> Self {
        address.0
    }
}

/// Omits the address, which must not appear in logs.
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
    fn an_address_has_one_canonical_form() {
        let folded = |text: &str| EmailAddress::parse(text).map(String::from).ok();
        assert_eq!(folded("Ada.Lovelace+X@Mail.EXAMPLE.com").as_deref(), Some("ada.lovelace+x@mail.example.com"));
        for spelling in ["xn--bcher-kva.example", "bücher.example", "Bu\u{308}cher.Example", "ｂücher。example \t"]
        {
            assert_eq!(folded(&format!(" Ada@{spelling}")).as_deref(), Some("ada@xn--bcher-kva.example"), "{spelling}");
        }
    }

    #[test]
    fn a_tag_names_no_other_mailbox() {
        let mailbox = |text: &str| EmailAddress::find(text).expect("an address").without_tag();
        for text in ["Ada+shop@Example.com", "ada+a+b@example.com", "ada+@example.com"] {
            assert_eq!(mailbox(text).as_deref(), Some("ada@example.com"), "{text}");
        }
        for text in ["ada@example.com", "+ada@example.com", "ada-shop@example.com"] {
            assert_eq!(mailbox(text), None, "{text}");
        }
    }

    #[test]
    fn characters_that_unicode_folds_to_ascii_are_refused() {
        // Dotted and dotless i, the long s, the Kelvin sign, full-width letters and signs, a combining dot, a ligature.
        let spellings = [
            "v\u{130}ctim@example.com",
            "v\u{131}ctim@example.com",
            "\u{17f}am@example.com",
            "\u{212a}ate@example.com",
            "\u{ff41}da@example.com",
            "ada\u{ff20}example.com",
            "i\u{307}da@example.com",
            "o\u{fb03}ce@example.com",
            "\u{a0}ada@example.com",
            "\u{200b}ada@example.com",
            "ada@exam\u{202e}ple.com",
        ];
        for spelling in spellings {
            assert!(EmailAddress::parse(spelling).is_err(), "{spelling}");
        }
        assert!(EmailAddress::parse(&format!("{}@example.com", "a".repeat(243))).is_err());
    }

    #[test]
    fn an_address_to_which_no_mail_can_be_written_is_refused() {
        let long = format!("{}@example.com", "a".repeat(65));
        let domains = ["ada@192.0.2.1", "ada@example.123", "a@b", "ada@gmail", "ada@xn--a", "ada@xn--a.example"];
        for old in ["a..b@example.com", "a.@example.com", ".a@example.com", &long].into_iter().chain(domains) {
            let error = EmailAddress::parse(old).expect_err("no mail can be written to it");
            assert_eq!(error.fields(), [("email".to_owned(), EmailAddress::FAULT.to_owned())], "{old}");
            assert_eq!(EmailAddress::find(old).expect("an earlier version accepted it").as_str(), old);
            let can_be_written = old.parse::<lettre::Address>().is_ok();
            assert_eq!(EmailAddress::parse_known(old).is_ok(), can_be_written, "{old}");
        }
    }

    proptest! {
        /// Mail can be written to each address that the contract accepts.
        #[test]
        fn the_contract_is_as_strict_as_the_mail_library(
            local in "[a-z.!'+_=-]{1,66}",
            domain in "[a-z0-9.-]{1,70}(\\.example)?",
        ) {
            let text = format!("{local}@{domain}");
            prop_assert!(!check::is_email(&text) || text.parse::<lettre::Address>().is_ok(), "{}", text);
        }
    }
}
