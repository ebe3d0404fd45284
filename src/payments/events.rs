//! The events that the module publishes, as its `module.proto` declares them.

mainstay_kernel::event_kinds! {
    /// A payment succeeded.
    PaymentSucceeded = "payments.payment.succeeded";
    /// A payment failed, and its order is open again.
    PaymentFailed = "payments.payment.failed";
    /// A refund succeeded. It was requested here or made at the gateway itself.
    RefundSucceeded = "payments.refund.succeeded";
    /// A refund failed, or the bank returned the money of a refund that had succeeded.
    RefundFailed = "payments.refund.failed";
}
