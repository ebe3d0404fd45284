//! Columns that a query reads on demand, such as texts that a read mask excludes from the response.
//!
//! One query and one row type serve both cases: an empty value replaces a column that is not requested.

use diesel::{
    expression::{AppearsOnTable, Expression, SelectableExpression, ValidGrouping},
    pg::Pg,
    query_builder::{AstPass, QueryFragment, QueryId},
    result::QueryResult,
    sql_types::{Binary, Text},
};

/// A type with an empty value.
pub trait Emptiable {
    /// The empty value in SQL.
    const EMPTY: &'static str;
}

impl Emptiable for Text {
    const EMPTY: &'static str = "''";
}

impl Emptiable for Binary {
    const EMPTY: &'static str = "''::bytea";
}

/// A column, or an empty value in its place.
#[derive(Debug, Clone, Copy)]
pub struct Optional<C> {
    column: C,
    is_selected: bool,
}

/// Selects a column if it is requested, else an empty value.
pub fn optional<C>(column: C, is_selected: bool) -> Optional<C> {
    Optional { column, is_selected }
}

impl<C: Expression> Expression for Optional<C> {
    type SqlType = C::SqlType;
}

impl<C: Expression<SqlType: Emptiable> + QueryFragment<Pg>> QueryFragment<Pg> for Optional<C> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        if self.is_selected {
            return self.column.walk_ast(out);
        }
        out.push_sql(<C::SqlType as Emptiable>::EMPTY);
        Ok(())
    }
}

impl<C> QueryId for Optional<C> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<C: AppearsOnTable<Table>, Table> AppearsOnTable<Table> for Optional<C> {}
impl<C: SelectableExpression<Table>, Table> SelectableExpression<Table> for Optional<C> {}

impl<C: ValidGrouping<GroupBy>, GroupBy> ValidGrouping<GroupBy> for Optional<C> {
    type IsAggregate = C::IsAggregate;
}
