//! Violations that the database's own constraints rule out. If one occurs all the same, this program has a fault or a
//! row was changed behind its back; so it is an `INTERNAL_ERROR` that names the row, and the transaction is rolled
//! back.

use std::fmt::Display;

use crate::error::{Error, Result};

/// Fails if a statement for one row touched another number of rows.
pub fn one_row(touched: usize, statement: &str, table: &str, id: impl Display) -> Result<()> {
    rows_touched(touched, 1, &format!("{statement} {table} {id}"))
}

/// Fails if a statement touched another number of rows than `expected`.
pub fn rows_touched(touched: usize, expected: usize, statement: &str) -> Result<()> {
    if touched == expected {
        Ok(())
    } else {
        Err(Error::internal(anyhow::anyhow!("{statement}: touched {touched} rows, not {expected}")))
    }
}

/// Makes the error for a row that maps to no domain value, which the checks of its table should prevent.
pub fn corrupt(table: &str, id: impl Display, column: &str) -> Error {
    Error::internal(anyhow::anyhow!("{table} {id}: {column} breaks its check"))
}
