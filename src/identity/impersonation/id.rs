//! Ids of this module's resources; see [`mainstay_kernel::id`].

mainstay_kernel::id::ids! {
    /// The impersonation of a user by staff.
    ImpersonationId
}
