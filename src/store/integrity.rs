//! What our own constraints rule out. Whoever sees it all the same has found a fault in this program or a row that was
//! changed past it, so it is an `INTERNAL_ERROR` that names the row, and the transaction is rolled back.

use std::fmt::Display;

use crate::error::{Error, Result};

/// Refuses a statement that was for one row and touched another number of them.
pub(super) fn one_row(touched: usize, statement: &str, table: &str, id: impl Display) -> Result<()> {
    rows_touched(touched, 1, &format!("{statement} {table} {id}"))
}

/// Refuses a statement that touched another number of rows than it was for.
pub(super) fn rows_touched(touched: usize, wanted: usize, statement: &str) -> Result<()> {
    if touched == wanted {
        Ok(())
    } else {
        Err(Error::internal(anyhow::anyhow!("{statement}: touched {touched} rows, not {wanted}")))
    }
}

/// A row that no domain value is made of, though the checks of its table should leave none.
pub(super) fn corrupt(table: &str, id: impl Display, column: &str) -> Error {
    Error::internal(anyhow::anyhow!("{table} {id}: {column} breaks its check"))
}
