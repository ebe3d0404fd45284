//! Statements written in SQL that Postgres prepares once per connection. (It parses and plans those of
//! [`diesel::sql_query`] at every call, in a round trip of its own.)

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
