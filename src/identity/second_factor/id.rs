//! Ids of this module's resources; see [`mainstay_kernel::id`].

mainstay_kernel::id::ids! {
    /// A passkey of a user.
    PasskeyId
    /// A device that a user has remembered.
    RememberedDeviceId
}
