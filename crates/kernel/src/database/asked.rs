//! Columns that are read only for callers who ask for them, such as the texts that a mask leaves out of a response.
//!
//! One query serves both, with rows of one type: in the place of a column that nobody asks for stands an empty value.

use diesel::{
    expression::{AppearsOnTable, Expression, SelectableExpression, ValidGrouping},
    pg::Pg,
    query_builder::{AstPass, QueryFragment, QueryId},
    result::QueryResult,
    sql_types::{Binary, Text},
};

/// A type that has an empty value.
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
pub struct IfAsked<C> {
    column: C,
    is_asked: bool,
}

/// Selects a column if it is asked for, and else an empty value.
pub fn if_asked<C>(column: C, is_asked: bool) -> IfAsked<C> {
    IfAsked { column, is_asked }
}

impl<C: Expression> Expression for IfAsked<C> {
    type SqlType = C::SqlType;
}

impl<C: Expression<SqlType: Emptiable> + QueryFragment<Pg>> QueryFragment<Pg> for IfAsked<C> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        if self.is_asked {
            return self.column.walk_ast(out);
        }
        out.push_sql(<C::SqlType as Emptiable>::EMPTY);
        Ok(())
    }
}

impl<C> QueryId for IfAsked<C> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<C: AppearsOnTable<Table>, Table> AppearsOnTable<Table> for IfAsked<C> {}
impl<C: SelectableExpression<Table>, Table> SelectableExpression<Table> for IfAsked<C> {}

impl<C: ValidGrouping<GroupBy>, GroupBy> ValidGrouping<GroupBy> for IfAsked<C> {
    type IsAggregate = C::IsAggregate;
}
