//! Identifiers.

mainstay_kernel::id::ids! {
    /// A subscription of an account to a product, paid each period.
    SubscriptionId
}
