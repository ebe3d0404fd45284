//! Settings of tickets and their imports.

use mainstay_kernel::config::{Reader, Retention, Section, Variable};

/// The history of tickets.
pub const ACTIVITIES: Retention = Retention::of(
    &["activities"],
    "ACTIVITIES_KEPT",
    "",
    ["30d", "36500d"],
    "How long the activities of tickets are kept, then removed by the month; if absent, they are kept",
)
.or_forever();

#[derive(Debug, Clone)]
pub struct SupportConfig {
    /// The most open tickets per customer.
    pub open_ticket_limit: i64,
    /// The maximum size of an import file in bytes.
    pub max_import_bytes: usize,
    /// The number of concurrent imports and bulk changes, which have separate job slots.
    pub imports: usize,
}

impl Section for SupportConfig {
    const VARIABLES: &'static [Variable] = &[
        Variable::plain("OPEN_TICKET_LIMIT", "10", "Maximum open tickets per customer, and of all keys of an account"),
        Variable::plain("MAX_IMPORT_BYTES", "64MiB", "Maximum size of an import file"),
        Variable::plain("IMPORT_CONCURRENCY", "2", "Concurrent imports and bulk changes"),
    ];

    fn read(read: &mut Reader) -> Self {
        Self {
            open_ticket_limit: read.positive("OPEN_TICKET_LIMIT"),
            max_import_bytes: read.positive_bytes("MAX_IMPORT_BYTES"),
            imports: read.positive("IMPORT_CONCURRENCY"),
        }
    }
}
