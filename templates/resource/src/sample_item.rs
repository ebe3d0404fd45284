//! Sample items.

pub mod events;
pub mod model;
pub mod ops;
pub mod service;
pub mod store;

use mainstay_kernel::personal::Personal;

/// The personal data: the sample items are erased with their account.
pub const PERSONAL: Personal = Personal::of_account("my_module.sample_items", "account_id").erased();
