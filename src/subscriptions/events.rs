//! The events that the module publishes, as its `module.proto` declares them.

mainstay_kernel::event_kinds! {
    /// A subscription began, failed to begin, was renewed, became past due, or is to end with its period.
    SubscriptionUpdated = "subscriptions.subscription.updated";
    /// A subscription ended.
    SubscriptionCancelled = "subscriptions.subscription.cancelled";
}
