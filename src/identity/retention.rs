//! How long the rows of the module's tables are kept.

use mainstay_kernel::config::Retention;

pub(super) const SESSIONS: Retention = Retention::of(
    &["sessions"],
    "SESSIONS_KEPT",
    "1d",
    ["1d", "400d"],
    "How long sessions are kept after they expired",
);

/// The mails of these requests may still be in the queue.
pub(super) const CONFIRMATIONS: Retention = Retention::of(
    &["registrations", "password_resets", "email_changes", "mail_logins"],
    "CONFIRMATIONS_KEPT",
    "1d",
    ["1d", "400d"],
    "How long registrations, password resets, changes of addresses and sign-ins by mail are kept after they expired",
);

/// An expired invitation can be resent.
pub(super) const INVITATIONS: Retention = Retention::of(
    &["invitations"],
    "INVITATIONS_KEPT",
    "30d",
    ["1d", "400d"],
    "How long invitations are kept after they expired",
);

pub(super) const SIGN_INS: Retention = Retention::of(
    &["sign_ins"],
    "SIGN_INS_KEPT",
    "90d",
    ["1d", "400d"],
    "How long the counts of sign-ins are kept; the overview of the dashboard reads them",
);

/// The address outlives the mail.
pub(super) const DELETION_NOTICES: Retention = Retention::of(
    &["deletion_notices"],
    "DELETION_NOTICES_KEPT",
    "1d",
    ["1d", "30d"],
    "How long the addresses for the last mails of deletions are kept after the erasure",
);

/// Exports are listed for longer than their archives can be downloaded.
pub(super) const DATA_EXPORTS: Retention = Retention::of(
    &["data_exports"],
    "DATA_EXPORTS_KEPT",
    "30d",
    ["30d", "400d"],
    "How long exports of data are listed after they ended",
);

pub(super) const ARCHIVES: Retention = Retention::of(
    &[],
    "DATA_EXPORT_ARCHIVES_KEPT",
    "7d",
    ["1h", "30d"],
    "How long the archive of an export of data can be downloaded; then it is removed",
);

pub(super) const TABLES: [Retention; 16] = [
    SESSIONS,
    CONFIRMATIONS,
    INVITATIONS,
    SIGN_INS,
    DELETION_NOTICES,
    DATA_EXPORTS,
    ARCHIVES,
    Retention::without_age(&["deletions", "erased_rows"], "kept: they prove the erasures, and have no personal value"),
    Retention::without_age(&["revocations"], "until the sessions and tokens that they end would have ended"),
    Retention::without_age(
        &["remembered_devices"],
        "until they expire, SECOND_FACTOR_REMEMBERED after their beginning",
    ),
    Retention::without_age(&["oauth_codes", "oauth_devices"], "until a day after they expired"),
    Retention::without_age(&["oauth_clients"], "until an admin deletes them, or until the erasure of the account"),
    Retention::without_age(&["signing_keys"], "until the tokens that a retired key signed have expired"),
    Retention::without_age(
        &["users", "members", "second_factors", "passkeys", "linked_identities", "oauth_consents"],
        "until the erasure of the user",
    ),
    Retention::without_age(
        &[
            "accounts",
            "roles",
            "account_domains",
            "account_providers",
            "domain_exclusions",
            "scim_users",
            "scim_groups",
            "scim_group_members",
        ],
        "until the erasure of the account",
    ),
    Retention::without_age(
        &["service_keys", "impersonations"],
        "until the erasure of the user or the account: they say which access was given",
    ),
];
