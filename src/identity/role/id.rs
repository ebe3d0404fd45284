//! Ids of this module's resources; see [`mainstay_kernel::id`].

mainstay_kernel::id::ids! {
    /// A custom role of an account or of the staff.
    RoleId
}
