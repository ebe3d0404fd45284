//! Every reason in the catalogue occurs over every protocol: in a case of the table, which runs over all of them, or in
//! a test of this folder, which records its observations.

mod coverage;
mod dependencies;
mod limits;
mod requests;
mod required_key;
mod rules;
mod watches;

use std::collections::BTreeSet;

use crate::{
    cases::{self, Expected},
    support::{PROTOCOLS, modules},
};
use coverage::{GAPS, Gap};

/// Reasons that occur in a test of this folder, which is named after the reason.
const TESTED_HERE: [&str; 31] = [
    "ADDRESS_OF_ANOTHER_DOMAIN",
    "BUSINESS_RULE_VIOLATION",
    "CIRCUIT_OPEN",
    "CLIENT_CLOSED_REQUEST",
    "CONFLICT",
    "DEADLINE_EXCEEDED",
    "IDEMPOTENCY_IN_PROGRESS",
    "IDEMPOTENCY_KEY_EXPIRED",
    "INTERNAL_ERROR",
    "LAST_ADMIN",
    "MAIL_SIGN_IN_DISABLED",
    "METHOD_NOT_ALLOWED",
    "NOT_ACCEPTABLE",
    "OVERLOADED",
    "PASSKEYS_UNAVAILABLE",
    "PAYLOAD_TOO_LARGE",
    "RATE_LIMIT_EXCEEDED",
    "REAUTHENTICATION_REQUIRED",
    "REGISTRATION_CLOSED",
    "ROUTE_NOT_FOUND",
    "SECOND_FACTOR_REQUIRED",
    "SESSION_REVOKED",
    "TOKEN_EXPIRED",
    "UNAVAILABLE",
    "UPSTREAM_TIMEOUT",
    "UNSUPPORTED_MEDIA_TYPE",
    "MALFORMED_REQUEST",
    "INVALID_TOKEN",
    "RESUME_TOKEN_EXPIRED",
    "TOO_MANY_WATCHES",
    "WATCH_LAGGED",
];

#[test]
fn every_reason_of_the_catalogue_is_reached() {
    let mut reached: BTreeSet<_> = TESTED_HERE.into_iter().collect();
    reached.extend(cases::all().into_iter().filter_map(|case| match case.expected {
        Expected::Reason(reason) => Some(reason),
        Expected::Status(_) => None,
    }));
    let catalogue: BTreeSet<_> = modules().contract.catalogue.iter().map(|reason| reason.facts().code).collect();
    let missed: Vec<_> = catalogue.difference(&reached).collect();
    assert!(missed.is_empty(), "nothing reaches {missed:?}");
    let unknown: Vec<_> = reached.difference(&catalogue).collect();
    assert!(unknown.is_empty(), "the catalogue has no {unknown:?}");
}

#[test]
fn every_reason_named_here_has_its_test() {
    let sources = [
        include_str!("reasons/limits.rs"),
        include_str!("reasons/dependencies.rs"),
        include_str!("reasons/requests.rs"),
        include_str!("reasons/rules.rs"),
        include_str!("reasons/watches.rs"),
    ];
    for reason in TESTED_HERE {
        let name = format!("fn {}(", reason.to_lowercase());
        assert!(sources.iter().any(|source| source.contains(&name)), "there is no {name})");
        let unseen = GAPS.iter().any(|gap| gap.reason == reason && gap.protocols == PROTOCOLS);
        let marker = format!("ReasonCoverage::of(\"{reason}\")");
        assert!(
            unseen || sources.iter().any(|source| source.contains(&marker)),
            "nothing says where {reason} was seen"
        );
    }
    for Gap { reason, .. } in GAPS {
        assert!(TESTED_HERE.contains(&reason), "{reason} has a gap and no test");
    }
}
