//! Ids of this module's resources; see [`mainstay_kernel::id`].

mainstay_kernel::id::ids! {
    /// The registration of an address.
    RegistrationId
}
