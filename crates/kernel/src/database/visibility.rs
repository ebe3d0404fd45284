//! [`Visibility`](crate::caller::Visibility) in SQL: the counterpart of `Visibility::reaches`, which checks one row.

/// Defines `Boxed`, a query of a table that can be narrowed further, and `visible`, which starts one with the rows that
/// a caller reaches: those of an account by `account_id`, those of a principal by the column named here.
#[doc(hidden)]
#[macro_export]
macro_rules! __visible {
    ($table:ident, $principal:ident) => {
        pub(crate) type Boxed<'q> = $table::BoxedQuery<'q, diesel::pg::Pg>;

        /// Selects the rows that a caller reaches.
        pub(crate) fn visible<'q>(visibility: Visibility) -> Boxed<'q> {
            let query = $table::table.into_boxed();
            match visibility {
                Visibility::All => query,
                Visibility::Account(account) => query.filter($table::account_id.eq(account)),
                Visibility::Principal(id) => query.filter($table::$principal.eq(id)),
            }
        }
    };
}
pub use crate::__visible as visible;
