//! The SQL for the removal of sample data.

use diesel_async::SimpleAsyncConnection as _;
use mainstay_kernel::{database::Connection, error::Result};

/// Suspends the triggers that protect ledgers and audit trails, and the foreign keys, until they are resumed or the
/// transaction ends. Requires a superuser, which the private Postgres has.
pub(super) async fn suspend_triggers(connection: &mut Connection) -> Result<()> {
    Ok(connection.batch_execute("SET LOCAL session_replication_role = replica").await?)
}

/// Ends [`suspend_triggers`].
pub(super) async fn resume_triggers(connection: &mut Connection) -> Result<()> {
    Ok(connection.batch_execute("SET LOCAL session_replication_role = origin").await?)
}
