//! Ids of this module's resources; see [`mainstay_kernel::id`].

mainstay_kernel::id::ids! {
    /// A registered client; its text is the `client_id` of OAuth.
    OauthClientId
}
