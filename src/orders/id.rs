//! Identifiers.

mainstay_kernel::id::ids! {
    /// A product.
    ProductId
    /// An order.
    OrderId
}
