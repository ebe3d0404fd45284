//! Identifiers.

mainstay_kernel::id::ids! {
    /// A long-running operation, which continues after its request was answered.
    OperationId
}
