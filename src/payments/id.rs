//! Ids of this module's resources; see [`mainstay_kernel::id`].

mainstay_kernel::id::ids! {
    /// A charge for an order.
    PaymentId
    /// A refund of a payment.
    RefundId
}
