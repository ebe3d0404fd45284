//! Identifiers.

mainstay_kernel::id::ids! {
    /// A post.
    PostId
}
