//! Identifiers.

mainstay_kernel::id::ids! {
    /// A mail to one recipient.
    MailId
}
