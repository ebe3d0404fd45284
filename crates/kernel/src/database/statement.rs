//! Statements that Postgres prepares once per connection: those written in SQL ([`Statement`]), and those for which diesel
//! does not do so by itself ([`Prepare`]). Postgres parses and plans all others at every call, in a round trip of their own.

use diesel::{
    expression::{AsExpression, TypedExpressionType},
    pg::Pg,
    query_builder::{AstPass, Query, QueryFragment, QueryId},
    result::QueryResult,
    sql_types::{SqlType, Untyped},
};

/// A statement with its parameters, for which `?` stands in the text.
pub(crate) struct Statement<'q> {
    sql: &'q str,
    parameters: Vec<Box<dyn QueryFragment<Pg> + Send + 'q>>,
}

impl<'q> Statement<'q> {
    /// Begins a statement.
    pub(crate) fn new(sql: &'q str) -> Self {
        Self { sql, parameters: Vec::new() }
    }

    /// Adds the next parameter.
    pub(crate) fn bind<S, T>(mut self, value: T) -> Self
    where
        S: SqlType + TypedExpressionType,
        T: AsExpression<S>,
        T::Expression: QueryFragment<Pg> + Send + 'q,
    {
        self.parameters.push(Box::new(value.as_expression()));
        self
    }
}

impl QueryFragment<Pg> for Statement<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        debug_assert_eq!(self.sql.matches('?').count(), self.parameters.len(), "{}", self.sql);
        let mut parts = self.sql.split('?');
        out.push_sql(parts.next().unwrap_or_default());
        for (parameter, part) in self.parameters.iter().zip(parts) {
            parameter.walk_ast(out.reborrow())?;
            out.push_sql(part);
        }
        Ok(())
    }
}

impl QueryId for Statement<'_> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl Query for Statement<'_> {
    type SqlType = Untyped;
}

/// An `INSERT` of up to so many rows may be [prepared](Prepare): the text varies with their number.
pub const MAX_PREPARED_ROWS: usize = 16;

/// Lets Postgres prepare a statement once per connection, although diesel would not: it takes the text of every `UPDATE`,
/// and of every `INSERT` of a slice, for one that varies.
///
/// Only for a statement whose text is the same at every call but for a few variants: a changeset with
/// `treat_none_as_null`, one row rather than many. A connection keeps every variant until it ends.
pub trait Prepare: Sized {
    /// Marks the statement.
    fn prepared(self) -> Prepared<Self> {
        Prepared(self)
    }
}

impl<S: QueryFragment<Pg>> Prepare for S {}

/// A statement that is prepared once per connection; see [`Prepare`].
#[derive(Debug, Clone)]
pub struct Prepared<S>(S);

impl<S: QueryFragment<Pg>> QueryFragment<Pg> for Prepared<S> {
    fn walk_ast<'b>(&'b self, out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        self.0.walk_ast(out)
    }

    fn is_safe_to_cache_prepared(&self, _: &Pg) -> QueryResult<bool> {
        Ok(true)
    }
}

/// The text identifies the statement.
impl<S> QueryId for Prepared<S> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<S: Query> Query for Prepared<S> {
    type SqlType = S::SqlType;
}
