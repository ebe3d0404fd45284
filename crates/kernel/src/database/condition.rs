//! Conditions that diesel's query builder can't express: row comparison and text search.
//!
//! Unlike `diesel::dsl::sql`, these keep the statement cacheable: the text is the same for every value.

use chrono::{DateTime, Utc};
use diesel::{
    expression::{AppearsOnTable, Expression, SelectableExpression, ValidGrouping, is_aggregate},
    pg::Pg,
    query_builder::{AstPass, QueryFragment, QueryId},
    result::QueryResult,
    sql_types::{Array, Bool, SmallInt, Text, Timestamptz},
};
use uuid::Uuid;

use crate::{database::search, page::Key};

/// A condition made of SQL text and values.
#[derive(Debug, Clone, Default)]
pub struct Condition(Vec<Part>);

#[derive(Debug, Clone)]
enum Part {
    Sql(&'static str),
    Number(i16),
    Time(DateTime<Utc>),
    Id(Uuid),
    Ids(Vec<Uuid>),
    Text(String),
    Texts(Vec<String>),
}

impl Condition {
    /// Creates a condition without values. The predicate of a partial index must have this form, because the planner
    /// can't prove with a bind parameter that the index applies.
    pub fn plain(sql: &'static str) -> Self {
        Self(vec![Part::Sql(sql)])
    }

    /// Creates `columns < values` or `columns > values` by rows: `columns` is written `(a, b)`, with one column per
    /// value.
    pub fn beyond(columns: &'static str, descending: bool, key: Key) -> Self {
        let mut parts = vec![Part::Sql(columns), Part::Sql(if descending { " < (" } else { " > (" })];
        if let Some(number) = key.rank {
            parts.extend([Part::Number(number), Part::Sql(", ")]);
        }
        parts.extend([Part::Time(key.time), Part::Sql(", "), Part::Id(key.id), Part::Sql(")")]);
        Self(parts)
    }

    /// Creates `column IN (ids)`, planned for few ids: their rows are looked up and then sorted, even if an index has the order of
    /// the list.
    pub fn among(column: &'static str, ids: Vec<Uuid>) -> Self {
        Self(vec![Part::Sql(column), Part::Sql(" IN (SELECT unnest("), Part::Ids(ids), Part::Sql("::uuid[]))")])
    }

    /// Creates `document @@ websearch_to_tsquery('simple', query)`, planned for few matches. The document is a result
    /// of the SQL function `search_words`, and the query is user input ([`search`]).
    ///
    /// The sub-select hides the words from the planner. Its default estimate for words without statistics, which are
    /// most words, would otherwise choose a scan of the whole table in sort order.
    pub fn matches(document: &'static str, query: String) -> Self {
        Self(vec![
            Part::Sql(document),
            Part::Sql(" @@ (SELECT websearch_to_tsquery('simple', "),
            Part::Text(search::terms(&query)),
            Part::Sql("))"),
        ])
    }

    /// Creates the same condition, planned by the statistics of the words. It suits frequent words.
    pub fn matches_many(document: &'static str, query: String) -> Self {
        Self(vec![
            Part::Sql(document),
            Part::Sql(" @@ websearch_to_tsquery('simple', "),
            Part::Text(search::terms(&query)),
            Part::Sql(")"),
        ])
    }

    /// Creates `column @> texts`.
    pub fn contains(column: &'static str, texts: Vec<String>) -> Self {
        Self(vec![Part::Sql(column), Part::Sql(" @> "), Part::Texts(texts)])
    }

    /// Moves the condition into a sub-select that begins with this text, such as `id IN (SELECT id FROM others WHERE`.
    #[must_use]
    pub fn within(self, begin: &'static str) -> Self {
        let parts = std::iter::once(Part::Sql(begin)).chain(self.0).chain([Part::Sql(")")]);
        Self(parts.collect())
    }
}

impl QueryFragment<Pg> for Condition {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        for part in &self.0 {
            match part {
                Part::Sql(sql) => out.push_sql(sql),
                Part::Number(number) => out.push_bind_param::<SmallInt, _>(number)?,
                Part::Time(time) => out.push_bind_param::<Timestamptz, _>(time)?,
                Part::Id(id) => out.push_bind_param::<diesel::sql_types::Uuid, _>(id)?,
                Part::Ids(ids) => out.push_bind_param::<Array<diesel::sql_types::Uuid>, _>(ids)?,
                Part::Text(text) => out.push_bind_param::<Text, _>(text)?,
                Part::Texts(texts) => out.push_bind_param::<Array<Text>, _>(texts)?,
            }
        }
        Ok(())
    }
}

impl QueryId for Condition {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl Expression for Condition {
    type SqlType = Bool;
}

impl<Table> AppearsOnTable<Table> for Condition {}
impl<Table> SelectableExpression<Table> for Condition {}

impl<GroupBy> ValidGrouping<GroupBy> for Condition {
    type IsAggregate = is_aggregate::Never;
}
