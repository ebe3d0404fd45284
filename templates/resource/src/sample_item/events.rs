//! The events of sample items, as `module.proto` declares them.

mainstay_kernel::event_kinds! {
    /// A sample item was created.
    SampleItemCreated = "my_module.sample_item.created";
    /// A sample item was changed.
    SampleItemChanged = "my_module.sample_item.changed";
    /// A sample item was deleted.
    SampleItemDeleted = "my_module.sample_item.deleted";
}
