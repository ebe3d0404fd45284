//! Identifiers.

mainstay_kernel::id::ids! {
    /// A file.
    FileId
}
