//! [`Visibility`](crate::caller::Visibility) as a SQL filter: the counterpart of `Visibility::reaches` for one row.

/// Defines `Boxed`, a boxed query of a table, and `visible`, which starts one with the caller's rows: those of an
/// account by `account_id`, and those of a principal by the given column. Without a column, a row belongs to an account
/// alone.
#[doc(hidden)]
#[macro_export]
macro_rules! __visible {
    ($table:ident) => {
        $crate::__visible!($table, |_| $crate::database::condition::Condition::plain("false"));
    };
    ($table:ident, $principal:ident) => {
        $crate::__visible!($table, |id| $table::$principal.eq(id));
    };
    ($table:ident, |$id:pat_param| $own:expr) => {
        pub(crate) type Boxed<'q> = $table::BoxedQuery<'q, diesel::pg::Pg>;

        pub(crate) fn visible<'q>(visibility: Visibility) -> Boxed<'q> {
            let query = $table::table.into_boxed();
            match visibility {
                Visibility::All => query,
                Visibility::Account(account) => query.filter($table::account_id.eq(account)),
                Visibility::Principal($id) => query.filter($own),
            }
        }
    };
}
pub use crate::__visible as visible;
