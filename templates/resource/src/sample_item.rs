//! Sample items.

pub mod events;
pub mod model;
pub mod ops;
pub mod service;
pub mod store;

use mainstay_kernel::{config::Retention, personal::Personal};

/// How long the rows are kept.
pub const RETENTION: Retention =
    Retention::without_age(&["my_module.sample_items"], "until the sample item or its account is deleted");

/// The personal data: the sample items are erased with their account.
pub const PERSONAL: [Personal; {{ personal | length + 1 }}] = [
    Personal::of_account("my_module.sample_items", "account_id").erased(),
{% for column in personal %}
{% if loop.first %}
    // By their names, the following columns may lead to a person.
{% endif %}
    Personal::of_account("my_module.sample_items", "{{ column.name }}").matching("account_id = $1").erased().not_exported(),
{% endfor %}
];
