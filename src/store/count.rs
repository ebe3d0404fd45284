//! Counting that stops at a bound, so that a total never costs more than a page is worth.

use diesel::{
    pg::Pg,
    query_builder::{AstPass, Query, QueryFragment, QueryId},
    result::QueryResult,
    sql_types::BigInt,
};
use diesel_async::{RunQueryDsl, methods::LoadQuery};

use super::Connection;
use crate::{domain::page::Total, error::Result};

/// Counting stops here; beyond it the total is a lower bound.
pub const BOUND: i64 = 10_000;

/// `SELECT count(*) FROM (query) AS bounded`. The query must be limited to one row more than [`BOUND`].
#[derive(Debug, Clone, Copy)]
struct CountOf<Q>(Q);

impl<Q: QueryFragment<Pg>> QueryFragment<Pg> for CountOf<Q> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql("SELECT count(*) FROM (");
        self.0.walk_ast(out.reborrow())?;
        out.push_sql(") AS bounded");
        Ok(())
    }
}

impl<Q> QueryId for CountOf<Q> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<Q> Query for CountOf<Q> {
    type SqlType = BigInt;
}

/// How many rows a query limited to [`BOUND`] + 1 rows has.
pub async fn bounded<Q>(connection: &mut Connection, limited: Q) -> Result<Total>
where
    Q: QueryFragment<Pg> + Send + 'static,
    for<'q> CountOf<Q>: LoadQuery<'q, Connection, i64>,
{
    let rows: i64 = CountOf(limited).get_result(connection).await?;
    Ok(Total { rows: rows.min(BOUND), lower_bound: rows > BOUND })
}
