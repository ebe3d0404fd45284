//! Conversion of rows to the values of a module.

use diesel::result::{OptionalExtension as _, QueryResult};

use crate::error::{Error, Result};

/// Converts the row of a look-up.
///
/// # Errors
/// `NOT_FOUND` without a row, which names `what` was looked up.
pub fn found<R, T: TryFrom<R>>(row: QueryResult<R>, what: &'static str) -> Result<T>
where
    Error: From<T::Error>,
{
    Ok(row.optional()?.ok_or_else(|| Error::not_found(what))?.try_into()?)
}

/// Converts a row, if there is one.
pub fn optional<R, T: TryFrom<R>>(row: QueryResult<R>) -> Result<Option<T>>
where
    Error: From<T::Error>,
{
    Ok(row.optional()?.map(T::try_from).transpose()?)
}

/// Converts rows.
pub fn all<R, T: TryFrom<R>>(rows: QueryResult<Vec<R>>) -> Result<Vec<T>>
where
    Error: From<T::Error>,
{
    Ok(rows?.into_iter().map(T::try_from).collect::<Result<_, _>>()?)
}
