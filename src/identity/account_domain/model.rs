//! Mail domains of accounts, and what proves them.
//!
//! ```text
//! Pending ──record found──▶ Verified ──record missing three times, or of another account──▶ Lapsed
//!                               ▲                                                              │
//!                               └───────────────────────record found───────────────────────────┘
//! ```

use std::{collections::HashSet, sync::LazyLock};

use chrono::{DateTime, TimeDelta, Utc};
use data_encoding::HEXLOWER;

use crate::identity::{
    account_domain::id::AccountDomainId,
    member::model::{AccountRole, MemberRole},
    user::model::EmailAddress,
};
use mainstay_kernel::{
    error::{Error, Result},
    id::AccountId,
    numbered::numbered,
    secret::random,
};

/// The maximum number of mail domains of an account.
pub const MAX_PER_ACCOUNT: i64 = 20;

/// The label of the TXT record, below the domain.
const LABEL: &str = "_mainstay-challenge";
/// The beginning of the text of the TXT record.
const PREFIX: &str = "mainstay-verification=";

/// The time between two look-ups of a verified domain.
const PERIOD: TimeDelta = TimeDelta::days(30);
/// How recently the record must have been found when a person joins.
const RECENT: TimeDelta = TimeDelta::days(1);
/// The time between two look-ups after one that has not found the record.
const RETRY: TimeDelta = TimeDelta::days(1);
/// The look-ups in a row without the record after which a domain lapses.
const MAX_FAILURES: i16 = 3;
/// How long a domain stays verified if no name server answers, such as during an outage of the resolver.
const MAX_UNANSWERED: TimeDelta = TimeDelta::days(60);

numbered! {
    /// The state of a mail domain.
    State {
        /// The record was never found.
        Pending = 1,
        /// The record was found: people join.
        Verified = 2,
        /// The record is missing, or another account has proved the domain.
        Lapsed = 3,
    }
}

/// The name of a mail domain, in ASCII without capitals, which belongs to one organization.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DomainName(String);

impl DomainName {
    /// Parses a name, and converts it to the form that it has in [`EmailAddress`].
    ///
    /// # Errors
    /// `VALIDATION_FAILED` for another text, a public suffix, and the domain of a public mail provider.
    pub fn parse(text: &str) -> Result<Self> {
        let text = text.trim();
        let text = text.strip_suffix('.').unwrap_or(text);
        // The name of the record has to fit into 253 bytes, too.
        let address = EmailAddress::parse(&format!("a@{text}"));
        let address = address.map_err(|_| Error::field("domain", "must be the domain of mail addresses"))?;
        let domain = address.domain();
        if psl::domain(domain.as_bytes()).is_none() {
            return Err(Error::field("domain", "must not be a public suffix"));
        }
        if is_public_provider(domain) {
            return Err(Error::field("domain", "must not be the domain of a public mail provider"));
        }
        match domain.len() + LABEL.len() + 1 {
            ..=253 => Ok(Self(domain.to_owned())),
            _ => Err(Error::field("domain", "must be shorter")),
        }
    }

    /// Takes a name that was parsed when it was stored.
    pub fn stored(name: String) -> Self {
        Self(name)
    }

    /// Returns the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the name of the TXT record.
    pub fn record_name(&self) -> String {
        format!("{LABEL}.{}", self.0)
    }
}

/// Returns whether a public mail provider has a domain, or one above it.
fn is_public_provider(domain: &str) -> bool {
    static PROVIDERS: LazyLock<HashSet<&str>> =
        LazyLock::new(|| include_str!("providers.txt").lines().filter(|line| !line.starts_with('#')).collect());
    let mut above = std::iter::successors(Some(domain), |domain| Some(domain.split_once('.')?.1));
    above.any(|domain| PROVIDERS.contains(domain))
}

/// A mail domain to be added.
#[derive(Debug, Clone)]
pub struct Draft {
    pub account: Option<AccountId>,
    pub domain: DomainName,
    pub role: AccountRole,
}

/// A mail domain of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountDomain {
    pub id: AccountDomainId,
    pub account: AccountId,
    pub domain: DomainName,
    /// The role of people who join: member or viewer.
    pub role: AccountRole,
    /// What the TXT record has after its prefix.
    pub token: String,
    pub state: State,
    /// The look-ups in a row that have not found the record.
    pub failures: i16,
    /// When the record was last found.
    pub verified_at: Option<DateTime<Utc>>,
    /// When the verified domain is looked up next.
    pub due_at: Option<DateTime<Utc>>,
    /// The version, which each change increments by one.
    pub version: i64,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

impl AccountDomain {
    /// Creates a domain that is not proved yet.
    pub fn new(account: AccountId, domain: DomainName, role: AccountRole, now: DateTime<Utc>) -> Self {
        Self {
            id: AccountDomainId::generate(now),
            account,
            domain,
            role,
            token: HEXLOWER.encode(&random::<16>()),
            state: State::Pending,
            failures: 0,
            verified_at: None,
            due_at: None,
            version: 1,
            created_at: now,
            updated_at: now,
        }
    }

    /// Returns the role as that of a member.
    pub fn member_role(&self) -> MemberRole {
        MemberRole::BuiltIn(self.role)
    }

    /// Returns the text of the TXT record.
    pub fn record_value(&self) -> String {
        format!("{PREFIX}{}", self.token)
    }

    /// Returns whether the texts of the record prove the domain for the account.
    pub fn is_proved_by(&self, texts: &[String]) -> bool {
        let value = self.record_value();
        texts.iter().any(|text| text.trim() == value)
    }

    /// Returns whether the record was found so recently that people join.
    pub fn is_recent(&self, now: DateTime<Utc>) -> bool {
        self.verified_at.is_some_and(|at| now - at <= RECENT)
    }

    /// Returns the domain after its record was found.
    #[must_use]
    pub fn found(self, now: DateTime<Utc>) -> Self {
        let (verified_at, due_at) = (Some(now), Some(now + PERIOD));
        Self { state: State::Verified, failures: 0, verified_at, due_at, ..self.next(now) }
    }

    /// Returns the verified domain after a look-up that has not found its record.
    #[must_use]
    pub fn missing(self, now: DateTime<Utc>) -> Self {
        let failures = self.failures.saturating_add(1);
        match failures {
            MAX_FAILURES.. => Self { failures, ..self.lapse(now) },
            _ => Self { failures, due_at: Some(now + RETRY), ..self.next(now) },
        }
    }

    /// Returns the verified domain after a look-up without an answer, which says nothing about the record.
    #[must_use]
    pub fn unanswered(self, now: DateTime<Utc>) -> Self {
        match self.verified_at {
            Some(at) if now - at <= MAX_UNANSWERED => Self { due_at: Some(now + RETRY), ..self.next(now) },
            _ => self.lapse(now),
        }
    }

    /// Returns the domain as no longer proved.
    #[must_use]
    pub fn lapse(self, now: DateTime<Utc>) -> Self {
        Self { state: State::Lapsed, due_at: None, ..self.next(now) }
    }

    fn next(self, now: DateTime<Utc>) -> Self {
        Self { version: self.version + 1, updated_at: now, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> std::result::Result<String, String> {
        DomainName::parse(text).map(|domain| domain.0).map_err(|error| error.fields()[0].1.clone())
    }

    #[test]
    fn a_domain_has_the_form_that_it_has_in_addresses() {
        for text in ["Acme.example", " acme.example. ", "ACME.EXAMPLE"] {
            assert_eq!(parsed(text).as_deref(), Ok("acme.example"), "{text}");
        }
        for text in ["bücher.example", "Bu\u{308}cher.example", "xn--bcher-kva.example"] {
            assert_eq!(parsed(text).as_deref(), Ok("xn--bcher-kva.example"), "{text}");
        }
        // The Cyrillic letter looks like the Latin one.
        assert_eq!(parsed("\u{430}cme.example").as_deref(), Ok("xn--cme-5cd.example"));
        assert_eq!(parsed("mail.acme.co.uk").as_deref(), Ok("mail.acme.co.uk"));
    }

    #[test]
    fn a_domain_without_one_owner_is_refused() {
        for text in ["co.uk", "github.io", "com"] {
            assert!(parsed(text).is_err(), "{text}");
        }
        for text in ["gmail.com", "GMX.de", "mail.gmail.com", "mailinator.com"] {
            assert_eq!(parsed(text), Err("must not be the domain of a public mail provider".to_owned()), "{text}");
        }
        let long = format!("{}.{}.{}.{}.example", "a".repeat(63), "b".repeat(63), "c".repeat(63), "d".repeat(40));
        for text in ["", "acme", "a@acme.example", "acme.example..", "acme .example", "[203.0.113.7]", &long] {
            assert!(parsed(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_domain_lapses_after_three_look_ups_without_its_record() {
        let now = DateTime::from_timestamp(1_790_000_000, 0).expect("a time");
        let account = AccountId(uuid::Uuid::nil());
        let domain = DomainName::parse("acme.example").expect("a domain");
        let new = AccountDomain::new(account, domain, AccountRole::Member, now);
        let texts = |text: &str| vec!["v=spf1 -all".to_owned(), text.to_owned()];
        assert!(new.is_proved_by(&texts(&new.record_value())) && !new.is_proved_by(&texts(PREFIX)));
        let verified = new.found(now);
        assert_eq!((verified.state, verified.due_at), (State::Verified, Some(now + PERIOD)));
        assert!(verified.is_recent(now + RECENT) && !verified.is_recent(now + RECENT + TimeDelta::seconds(1)));
        let mut failing = verified.clone();
        for failures in 1..MAX_FAILURES {
            failing = failing.missing(now);
            assert_eq!(
                (failing.state, failing.failures, failing.due_at),
                (State::Verified, failures, Some(now + RETRY))
            );
        }
        assert_eq!(failing.clone().found(now).failures, 0);
        let lapsed = failing.missing(now);
        assert_eq!((lapsed.state, lapsed.failures, lapsed.due_at), (State::Lapsed, MAX_FAILURES, None));
        // An outage of the resolver is no evidence, for a while.
        let waiting = verified.clone().unanswered(now + MAX_UNANSWERED);
        assert_eq!((waiting.state, waiting.failures), (State::Verified, 0));
        assert_eq!(waiting.unanswered(now + MAX_UNANSWERED + RETRY).state, State::Lapsed);
    }
}
