//! Ticket imports. The upload and its job are stored in one transaction, and a worker then stores the rows in batches.
//!
//! Each batch is a step of the operation: rows are marked as imported by their key, new ones become tickets with a comment
//! and an activity, invalid rows are recorded, and the operation's progress advances.

mod batch;
mod run;

use crate::{
    operations::{model::Operation, ops as operation},
    support::import::{
        job::ImportTickets,
        model::{Format, ReadOptions},
        store,
    },
};
use mainstay_kernel::{error::Result, id::AccountId, unit_of_work::Work, upload::Upload};

/// Stores an uploaded file and the operation that imports it.
///
/// # Errors
/// `NOT_FOUND` if the account is unknown.
pub async fn begin(
    work: &mut Work,
    account: AccountId,
    (format, options): (Format, ReadOptions),
    mut file: Upload,
) -> Result<Operation> {
    let role = work.permit()?.caller().role() as i16;
    let began = operation::begin(work, account, ImportTickets { role, options }).await?;
    let connection = work.connection().await?;
    store::set_format(connection, began.id, format).await?;
    let mut position = 0;
    while let Some(piece) = file.next().await? {
        store::append(connection, began.id, position, &piece).await?;
        position += 1;
    }
    Ok(began)
}
