//! Prepared statements: raw SQL ([`Statement`]), statements that diesel does not prepare by itself
//! ([`Prepare::prepared`]), and statements whose text is rendered once per process ([`Prepare::fixed`]).
//!
//! Postgres prepares each of them once per connection. Any other statement costs a round trip and a plan at every call.

use std::{marker::PhantomData, sync::OnceLock};

use diesel::{
    expression::{AsExpression, TypedExpressionType},
    pg::{Pg, PgQueryBuilder},
    query_builder::{AstPass, Query, QueryBuilder as _, QueryFragment, QueryId},
    result::QueryResult,
    sql_types::{SqlType, Untyped},
};

/// A statement in SQL with its parameters. Each `?` in the text stands for the next parameter.
pub(crate) struct Statement<'q> {
    sql: &'q str,
    parameters: Vec<Box<dyn QueryFragment<Pg> + Send + 'q>>,
}

impl<'q> Statement<'q> {
    pub(crate) fn new(sql: &'q str) -> Self {
        Self { sql, parameters: Vec::new() }
    }

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

/// The most rows of an `INSERT` that may be [prepared](Prepare), because its text varies with their number.
pub const MAX_PREPARED_ROWS: usize = 16;

/// Prepares a statement once per connection where diesel would not: diesel assumes that the text of every `UPDATE`, and
/// of every `INSERT` of a slice, varies.
///
/// It suits statements with a constant text or a few variants, such as a changeset with `treat_none_as_null`, or an
/// insert of one row. A connection keeps every variant until it is closed.
pub trait Prepare: Sized {
    /// Marks the statement.
    fn prepared(self) -> Prepared<Self> {
        Prepared(self)
    }

    /// Renders the text once per process, for a statement on a hot path. diesel otherwise renders it at every call,
    /// with two allocations per column. `text` must belong to this statement only, and the statement must have the same
    /// text at every call.
    fn fixed(self, text: &'static OnceLock<String>) -> Fixed<Self> {
        Fixed { statement: self, text }
    }

    /// Makes the statement fail with an error of Postgres unless it affects `rows` rows. The error contains `name`,
    /// such as `update tickets`.
    fn exactly(self, rows: usize, name: &'static str) -> Exactly<Self> {
        Exactly { statement: self, rows, name }
    }

    /// Reads the columns of raw SQL by position. `T` names their types in SQL, such as `BigInt` or `(Text, BigInt)`.
    fn columns<T>(self) -> Columns<Self, T> {
        Columns { statement: self, types: PhantomData }
    }
}

impl<S: QueryFragment<Pg>> Prepare for S {}

/// A statement that fails unless it affects the expected number of rows ([`Prepare::exactly`]), prepared once per
/// connection.
#[derive(Debug, Clone)]
pub struct Exactly<S> {
    statement: S,
    rows: usize,
    name: &'static str,
}

impl<S: QueryFragment<Pg>> QueryFragment<Pg> for Exactly<S> {
    /// The cast of the error text to a number fails, which is the error. The planner can't evaluate it early, because
    /// it depends on the count.
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

/// Raw SQL with the types of its columns; see [`Prepare::columns`].
#[derive(Debug, Clone)]
pub struct Columns<S, T> {
    statement: S,
    types: PhantomData<fn() -> T>,
}

impl<S: QueryFragment<Pg>, T> QueryFragment<Pg> for Columns<S, T> {
    fn walk_ast<'b>(&'b self, out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        self.statement.walk_ast(out)
    }
}

impl<S, T> QueryId for Columns<S, T> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<S, T> Query for Columns<S, T> {
    type SqlType = T;
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

/// A statement whose text is rendered once per process; see [`Prepare::fixed`].
#[derive(Debug, Clone)]
pub struct Fixed<S> {
    statement: S,
    text: &'static OnceLock<String>,
}

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
