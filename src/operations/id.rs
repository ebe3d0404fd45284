//! Ids of this module's resources; see [`mainstay_kernel::id`].

mainstay_kernel::id::ids! {
    /// A long-running operation, which continues after its request was answered.
    OperationId
}
