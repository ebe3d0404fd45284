//! The events that the module publishes, as its `module.proto` declares them.

mainstay_kernel::event_kinds! {
    /// The record of a mail domain was found for the first time, or again after it lapsed.
    AccountDomainVerified = "identity.account_domain.verified";
    /// A mail domain is no longer proved.
    AccountDomainLapsed = "identity.account_domain.lapsed";
}
