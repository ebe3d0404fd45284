//! Statements that Postgres prepares once per connection: those written in SQL ([`Statement`]), and those for which diesel
//! does not do so by itself ([`Prepare::prepared`]). Postgres parses and plans all others at every call, in a round trip of
//! their own. And those whose text is written once per process ([`Prepare::fixed`]).

use std::sync::OnceLock;

use diesel::{
    expression::{AsExpression, TypedExpressionType},
    pg::{Pg, PgQueryBuilder},
    query_builder::{AstPass, Query, QueryBuilder as _, QueryFragment, QueryId},
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

    /// Writes the text once per process, for a statement on a hot path: diesel writes it at every call, two allocations for
    /// each column. `text` belongs to this statement alone, which must have the same text at every call.
    fn fixed(self, text: &'static OnceLock<String>) -> Fixed<Self> {
        Fixed { statement: self, text }
    }

    /// Lets the statement fail by an error of Postgres unless it touches so many rows. `name` says in the error what
    /// touched others: `update tickets`.
    fn exactly(self, rows: usize, name: &'static str) -> Exactly<Self> {
        Exactly { statement: self, rows, name }
    }
}

impl<S: QueryFragment<Pg>> Prepare for S {}

/// A statement that touches as many rows as expected, or fails; see [`Prepare::exactly`]. It is prepared once per connection.
#[derive(Debug, Clone)]
pub struct Exactly<S> {
    statement: S,
    rows: usize,
    name: &'static str,
}

impl<S: QueryFragment<Pg>> QueryFragment<Pg> for Exactly<S> {
    /// The text of the error is no number: that is the error. The planner can't compute it ahead, because it counts.
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        let Self { statement, rows, name } = self;
        out.push_sql("WITH touched AS (");
        statement.walk_ast(out.reborrow())?;
        out.push_sql(&format!(
            " RETURNING 1) SELECT CASE WHEN count(*) = {rows} THEN 0 \
             ELSE ('{name}: touched ' || count(*) || ' rows, not {rows}')::integer END FROM touched"
        ));
        Ok(())
    }

    fn is_safe_to_cache_prepared(&self, _: &Pg) -> QueryResult<bool> {
        Ok(true)
    }
}

impl<S> QueryId for Exactly<S> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<S> Query for Exactly<S> {
    type SqlType = Untyped;
}

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

/// A statement whose text is written once per process; see [`Prepare::fixed`].
#[derive(Debug, Clone)]
pub struct Fixed<S> {
    statement: S,
    text: &'static OnceLock<String>,
}

/// Writes the text of a statement.
fn render(statement: &impl QueryFragment<Pg>, backend: &Pg) -> QueryResult<String> {
    let mut builder = PgQueryBuilder::default();
    statement.to_sql(&mut builder, backend)?;
    Ok(builder.finish())
}

impl<S: QueryFragment<Pg>> QueryFragment<Pg> for Fixed<S> {
    fn walk_ast<'b>(&'b self, out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        self.statement.walk_ast(out)
    }

    fn to_sql(&self, out: &mut PgQueryBuilder, backend: &Pg) -> QueryResult<()> {
        let text = match self.text.get() {
            Some(text) => text,
            None => {
                let text = render(&self.statement, backend)?;
                self.text.get_or_init(|| text)
            }
        };
        debug_assert_eq!(*text, render(&self.statement, backend)?, "a statement whose text is fixed");
        out.push_sql(text);
        Ok(())
    }

    fn is_safe_to_cache_prepared(&self, _: &Pg) -> QueryResult<bool> {
        Ok(true)
    }
}

impl<S: QueryId> QueryId for Fixed<S> {
    type QueryId = S::QueryId;
    const HAS_STATIC_QUERY_ID: bool = S::HAS_STATIC_QUERY_ID;
}

impl<S: Query> Query for Fixed<S> {
    type SqlType = S::SqlType;
}

#[cfg(test)]
mod tests {
    use diesel::{expression::IntoSql as _, sql_types::Integer};

    use super::*;

    #[test]
    fn a_fixed_text_is_written_once() {
        static TEXT: OnceLock<String> = OnceLock::new();
        for number in [1_i32, 2] {
            let statement = diesel::select(number.into_sql::<Integer>());
            let expected = render(&statement, &Pg).expect("written");
            assert_eq!(render(&statement.fixed(&TEXT), &Pg).expect("written"), expected);
        }
        TEXT.get().expect("kept");
    }

    #[test]
    #[should_panic(expected = "a statement whose text is fixed")]
    #[cfg(debug_assertions)]
    fn another_text_is_noticed() {
        static TEXT: OnceLock<String> = OnceLock::new();
        let number = || 1_i32.into_sql::<Integer>();
        render(&diesel::select(number()).fixed(&TEXT), &Pg).expect("written");
        render(&diesel::select((number(), number())).fixed(&TEXT), &Pg).ok();
    }
}
