//! Bounded counting, which limits the cost of a total.

use diesel::{
    pg::Pg,
    query_builder::{AstPass, Query, QueryFragment, QueryId},
    result::QueryResult,
    sql_types::BigInt,
};
use diesel_async::RunQueryDsl;

use crate::{database::Connection, error::Result, page::Total};

/// The most rows that are counted. Beyond it the total is a lower bound.
pub const BOUND: i64 = 10_000;

/// A type-erased query, so that one function counts all of them.
type Limited = Box<dyn QueryFragment<Pg> + Send>;

struct CountOf(Limited);

impl QueryFragment<Pg> for CountOf {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql("SELECT count(*) FROM (");
        self.0.walk_ast(out.reborrow())?;
        out.push_sql(") AS bounded");
        Ok(())
    }
}

impl QueryId for CountOf {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl Query for CountOf {
    type SqlType = BigInt;
}

/// Counts the rows of a query that is limited to one more than [`BOUND`].
pub async fn bounded(mut connection: &Connection, limited: Limited) -> Result<Total> {
    let rows: i64 = CountOf(limited).get_result(&mut connection).await?;
    Ok(Total { rows: rows.min(BOUND), lower_bound: rows > BOUND })
}
