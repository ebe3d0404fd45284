//! The events that the module publishes, as its `module.proto` declares them.

mainstay_kernel::event_kinds! {
    /// An order was placed.
    OrderCreated = "orders.order.created";
    /// An order was canceled before it was paid.
    OrderCancelled = "orders.order.cancelled";
    /// An order was paid.
    OrderPaid = "orders.order.paid";
    /// The full amount of an order was refunded.
    OrderRefunded = "orders.order.refunded";
}
