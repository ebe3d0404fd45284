//! The audit log: its entries for callers, and the chain that makes a change of them detectable. The kernel writes the
//! entries, in the units of work that they record ([`mainstay_kernel::audit`]).

pub mod chain;
pub mod config;
pub mod entry;
mod examples;
pub mod export;
mod jobs;

use mainstay_kernel::{
    config::Retention, module::Module, partitions::PartitionedTable, schedule::MINUTE, telemetry::metrics::Metric,
};

use self::{
    chain::command::Audit,
    config::{AUDIT_LOG, AuditConfig},
    entry::service::AuditEntries,
    export::{receiver, receiver::Receiver},
};
use crate::proto::{DESCRIPTOR_SET, audit::v1::audit_service_server::AuditServiceServer};

pub(crate) fn module() -> Module {
    Module::new("audit", DESCRIPTOR_SET)
        .needs(&["identity"])
        .config::<AuditConfig>()
        .retention([
            AUDIT_LOG,
            Retention::without_age(
                &["audit_chain", "audit_export"],
                "one row: the end of the chain, and of its export",
            ),
        ])
        .service(|app| AuditServiceServer::new(AuditEntries { app: app.clone() }))
        .every(MINUTE, "chain_audit_log", "Adds the committed entries of the audit log to its chain", jobs::chain)
        .every(
            MINUTE,
            "export_audit_log",
            "Sends the entries of the audit log to the receiver of AUDIT_EXPORT_URL",
            jobs::export,
        )
        .check(receiver::check)
        .part(|app| Receiver::open(&app.config, &app.alerts))
        .alerts([(receiver::PROVIDER, "auth")])
        .metrics([Metric::gauge(
            "mainstay_audit_export_behind_seconds",
            "Age of the oldest link of the audit log that the receiver of AUDIT_EXPORT_URL has not taken",
        )])
        .measure(|app| Box::pin(export::ops::measure(app)))
        // An entry without a link is still to be chained, at any age.
        .partitioned(
            PartitionedTable::by_month("audit_entries")
                .retention(|config| AUDIT_LOG.kept(config))
                .unless("NOT EXISTS (SELECT FROM (SELECT entry_id FROM audit_links) AS link WHERE entry_id = id)"),
        )
        .partitioned(PartitionedTable::by_month("audit_links").retention(|config| AUDIT_LOG.kept(config)))
        .command::<Audit>()
        .examples(examples::by_name)
}
