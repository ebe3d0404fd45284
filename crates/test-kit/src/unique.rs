//! Names that no other test uses.

use uuid::Uuid;

/// Returns a name that no other test uses.
pub(crate) fn unique() -> String {
    let now = mainstay_kernel::clock::Clock::default().now();
    Uuid::simple(mainstay_kernel::id::new(now)).to_string()
}
