//! The operation that ends the open leases of an account.

use chrono::{DateTime, Utc};
use mainstay::operations::{
    model::{Operation, Progress},
    ops::{self as operations, End, OperationKind, Run},
};
use mainstay_kernel::{error::Result, fault, id::AccountId, unit_of_work::Work};
use serde::{Deserialize, Serialize};

use super::{ops, store};

/// Ends the leases of an account that began before a time, in steps of a few leases.
#[derive(Debug, Serialize, Deserialize)]
pub struct EndLeases {
    /// The time of the request, by the clock of its server: the work leaves the leases that began later, so that it ends,
    /// and those that a server whose clock is ahead began shortly before.
    pub before: DateTime<Utc>,
}

/// Begins the operation.
///
/// # Errors
/// `NOT_FOUND` if the account does not exist, `DELETION_BEGUN`.
pub async fn begin(work: &mut Work, account: AccountId) -> Result<Operation> {
    let account = work.permit()?.account(Some(account))?;
    let request = EndLeases { before: work.now() };
    operations::begin(work, account, request).await
}

impl OperationKind for EndLeases {
    const NAME: &'static str = "fleet.end_leases";
    const SCOPE: &'static str = "fleet.leases.write";
    const READ_SCOPE: &'static str = "fleet.leases.read";

    async fn run(&self, run: &mut Run<'_>) -> Result<End> {
        let (app, account, before) = (run.app(), run.operation().account, self.before);
        if run.operation().progress.total == 0 {
            let count =
                app.database.autocommit(async move |connection| store::count_open(connection, account, before).await);
            let total = count.await?;
            run.step(move |_| Box::pin(async move { Ok(Progress { total, ..Progress::default() }) })).await?;
        }
        while !run.is_stopping() {
            let done = run.operation().progress.rows_done();
            run.step(move |work| Box::pin(ops::end_some(work, account, before))).await?;
            if run.operation().progress.rows_done() == done {
                return Ok(End::Succeeded);
            }
            fault::point("fleet.end_leases")?;
        }
        Ok(End::Stopped)
    }
}
