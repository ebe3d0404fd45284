//! Ids of this module's resources; see [`mainstay_kernel::id`].

mainstay_kernel::id::ids! {
    /// A subscription of an account to a product, paid each period.
    SubscriptionId
}
