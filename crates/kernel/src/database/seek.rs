//! The beginning of a page, in SQL.

use diesel::query_dsl::methods::{FilterDsl, OffsetDsl};

use crate::{database::condition::Condition, page::Start};

/// From this many rows on, those before a page are cheaper skipped in the index of the order alone, and those of the page
/// looked up by id, than each looked at.
const FAR: i64 = 2000;

/// Returns whether a page begins so far down that its rows are better looked up by the ids of
/// [`seek`]'s query.
pub fn is_far(start: Start) -> bool {
    matches!(start, Start::Offset(FAR..))
}

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

/// Begins a list where its page does, newest first: the rows of a boxed query in the order of a column of times and, where
/// those are equal, of the id, at most `limit` of them. The column is written once, as `payments::created_at`, so that the
/// page begins by the order that the list has.
#[doc(hidden)]
#[macro_export]
macro_rules! __newest_first {
    ($query:expr, $table:ident :: $time:ident, $start:expr, $limit:expr) => {{
        const COLUMNS: &str =
            concat!("(", stringify!($table), ".", stringify!($time), ", ", stringify!($table), ".id)");
        let ordered = $query.order(($table::$time.desc(), $table::id.desc())).limit($limit);
        let page = $crate::database::seek::seek(ordered, $start, COLUMNS, true);
        if $crate::database::seek::is_far($start) {
            let ids = page.select($table::id);
            $table::table.filter($table::id.eq_any(ids)).order(($table::$time.desc(), $table::id.desc())).into_boxed()
        } else {
            page
        }
    }};
}
pub use crate::__newest_first as newest_first;
