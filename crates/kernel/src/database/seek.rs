//! The beginning of a page, in SQL.

use diesel::query_dsl::methods::{FilterDsl, OffsetDsl};

use crate::{database::condition::Condition, page::Start};

/// Begins a list where its page does. `columns` are those by which it is ordered, all of them in one direction, written
/// `(a, b)`: as [`Condition::beyond`] compares them.
pub fn seek<Q>(query: Q, start: Start, columns: &'static str, descending: bool) -> Q
where
    Q: OffsetDsl<Output = Q> + FilterDsl<Condition, Output = Q>,
{
    match start {
        // The first page, as most are, needs none.
        Start::Offset(0) => query,
        Start::Offset(offset) => query.offset(offset),
        Start::After(key) => query.filter(Condition::beyond(columns, descending, key)),
    }
}
