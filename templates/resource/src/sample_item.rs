//! Sample items.

pub mod events;
pub mod model;
pub mod ops;
pub mod service;
pub mod store;

use mainstay_kernel::personal::Personal;

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
