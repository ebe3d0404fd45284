    /// A sample item was done it.
    SampleItemDoneIt = "my_module.sample_item.done_it";
