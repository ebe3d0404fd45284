//! The events that the module publishes, as its `module.proto` declares them.

mainstay_kernel::event_kinds! {
    /// A post was created, as a draft.
    PostCreated = "content.post.created";
    /// The content of a post changed.
    PostUpdated = "content.post.updated";
    /// The time at which a post will be published was set or changed.
    PostScheduled = "content.post.scheduled";
    /// A post was published, by a caller or because its time had come.
    PostPublished = "content.post.published";
    /// A published or scheduled post became a draft again.
    PostUnpublished = "content.post.unpublished";
    /// A post was deleted.
    PostDeleted = "content.post.deleted";
}
