//! Identifiers.

mainstay_kernel::id::ids! {
    /// A charge for an order.
    PaymentId
    /// A refund of a payment.
    RefundId
}
