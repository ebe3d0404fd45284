//! Webhook endpoints, and the delivery of events to them.

mod delivery;
mod endpoint;
mod event;

pub use delivery::{Attempt, Delivery, DeliveryState, longest_wait};
pub use endpoint::{Endpoint, Patch, Secrets, Status, check_url};
pub use event::{Event, EventKind};
