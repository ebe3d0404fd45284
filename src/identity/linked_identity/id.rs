//! Ids of this module's resources; see [`mainstay_kernel::id`].

mainstay_kernel::id::ids! {
    /// A person at a provider with whom a user signs in.
    LinkedIdentityId
}
