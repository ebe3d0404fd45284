//! The start of a page in SQL: an offset or keyset pagination.

use diesel::query_dsl::methods::{FilterDsl, LimitDsl, OffsetDsl};

use crate::{
    database::condition::Condition,
    page::{Page, Start},
};

/// From this offset on, the page is read in two steps: an index-only scan skips to its ids, and a look-up reads its
/// rows. Below it, a plain offset is cheaper.
const FAR: i64 = 2000;

/// Returns whether the offset of a page is so large that [`seek`]'s query should select ids only.
pub fn is_far(page: Page) -> bool {
    matches!(page.start, Start::Offset(FAR..))
}

/// Applies a page to a query. `columns` is its sort order, all in one direction, written `(a, b)` as
/// [`Condition::beyond`] compares it.
pub fn seek<Q>(query: Q, page: Page, columns: &'static str, descending: bool) -> Q
where
    Q: LimitDsl<Output = Q> + OffsetDsl<Output = Q> + FilterDsl<Condition, Output = Q>,
{
    let query = query.limit(page.size);
    match page.start {
        // The first page, which is the most frequent one, needs no OFFSET.
        Start::Offset(0) => query,
        Start::Offset(offset) => query.offset(offset),
        Start::After(key) => query.filter(Condition::beyond(columns, descending, key)),
    }
}

/// Applies a page to a boxed query, newest first: ordered by a column of times and then by id. The macro derives the
/// keyset columns from the sort column, such as `payments::created_at`, so that both always agree.
#[doc(hidden)]
#[macro_export]
macro_rules! __newest_first {
    ($query:expr, $table:ident :: $time:ident, $page:expr) => {{
        let page: $crate::page::Page = $page;
        const COLUMNS: &str =
            concat!("(", stringify!($table), ".", stringify!($time), ", ", stringify!($table), ".id)");
        let ordered = $query.order(($table::$time.desc(), $table::id.desc()));
        let rows = $crate::database::seek::seek(ordered, page, COLUMNS, true);
        if $crate::database::seek::is_far(page) {
            let ids = rows.select($table::id);
            $table::table.filter($table::id.eq_any(ids)).order(($table::$time.desc(), $table::id.desc())).into_boxed()
        } else {
            rows
        }
    }};
}
pub use crate::__newest_first as newest_first;

/// Reads a page of a list from a boxed query, newest first: its rows plus one more if another page follows, and the
/// total, up to a bound, unless the page starts after a key. The query is built twice: for the total and for the page.
#[doc(hidden)]
#[macro_export]
macro_rules! __listed {
    ($connection:expr, $query:expr, $table:ident :: $time:ident, $page:expr, $row:ty => $entity:ty) => {{
        let (connection, page): (&$crate::database::Connection, $crate::page::Page) = ($connection, $page);
        let limited = $query.select($table::id).limit($crate::database::count::BOUND + 1);
        let total = page.total($crate::database::count::bounded(connection, Box::new(limited))).await?;
        let query = $crate::database::seek::newest_first!($query, $table::$time, page.and_next());
        let rows = query.select(<$row>::as_select()).load(&mut &*connection).await;
        $crate::database::convert::all::<$row, $entity>(rows).map(|entities| (entities, total))
    }};
}
pub use crate::__listed as listed;
