//! Errors for states that database constraints rule out. Such a state means a defect of this program or an external
//! change of a row. The error is an `INTERNAL_ERROR` that names the row, and the transaction is rolled back.

use std::fmt::Display;

use crate::error::{Error, Result};

/// Fails if a statement for one row affected another number of rows.
pub fn one_row(touched: usize, statement: &str, table: &str, id: impl Display) -> Result<()> {
    rows_touched(touched, 1, &format!("{statement} {table} {id}"))
}

/// Fails if a statement affected another number of rows than `expected`.
pub fn rows_touched(touched: usize, expected: usize, statement: &str) -> Result<()> {
    if touched == expected {
        Ok(())
    } else {
        Err(Error::internal(anyhow::anyhow!("{statement}: touched {touched} rows, not {expected}")))
    }
}

/// Creates the error for a row without a valid domain value. The check constraints of its table should prevent it.
pub fn corrupt(table: &str, id: impl Display, column: &str) -> Error {
    Error::internal(anyhow::anyhow!("{table} {id}: {column} breaks its check"))
}
