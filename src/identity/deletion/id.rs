//! Ids of this module's resources; see [`mainstay_kernel::id`].

mainstay_kernel::id::ids! {
    /// The deletion of a user or an account.
    DeletionId
    /// The mails to one person about a deletion.
    DeletionNoticeId
}
