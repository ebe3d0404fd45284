//! Identifiers.

mainstay_kernel::id::ids! {
    /// A registration to one recipient.
    RegistrationId
}
