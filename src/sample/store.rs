//! What a removal of sample data needs of Postgres.

use diesel_async::SimpleAsyncConnection as _;
use mainstay_kernel::{database::Connection, error::Result};

/// Suspends the triggers that keep books and trails as they are, and the foreign keys, until they are resumed or the
/// transaction ends. Needs a superuser, as of the private Postgres.
pub(super) async fn suspend_triggers(connection: &mut Connection) -> Result<()> {
    Ok(connection.batch_execute("SET LOCAL session_replication_role = replica").await?)
}

/// Ends [`suspend_triggers`].
pub(super) async fn resume_triggers(connection: &mut Connection) -> Result<()> {
    Ok(connection.batch_execute("SET LOCAL session_replication_role = origin").await?)
}
