//! Identifiers.

mainstay_kernel::id::ids! {
    /// The registration of an address.
    RegistrationId
}
