//! The events that the module publishes, as its `module.proto` declares them.

mainstay_kernel::event_kinds! {
    /// An operation ended, successfully or not.
    OperationFinished = "operations.operation.finished";
}
