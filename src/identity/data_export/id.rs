//! Ids of this module's resources; see [`mainstay_kernel::id`].

mainstay_kernel::id::ids! {
    /// The export of the data of a user or an account.
    DataExportId
}
