//! Sample items in SQL.

use chrono::{DateTime, {{ "NaiveDate, " if uses.date }}Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use mainstay_kernel::{
    caller::Visibility,
    database::{
        Connection,
        integrity::{ {{- "corrupt, " if uses.corrupt }}one_row},
        seek::listed,
        statement::Prepare as _,
        violated_foreign_key,
        visibility::visible,
    },
    error::{Error, Reason, Result},
    id::AccountId,
{% if uses.money %}
    money::Money,
{% endif %}
    page::{Listed, Page},
};
use uuid::Uuid;

use super::model::{SampleItem, {% for field in fields if field.variants %}{{ field.rust }}, {% endfor %}SampleItemId};
{% for resource in referenced %}
use crate::{{ resource.name }}::model::{{ resource.id }};
{% endfor %}
use crate::schema::sample_items;

#[derive(Debug, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = sample_items, treat_none_as_null = true, treat_none_as_default_value = false)]
struct Row {
    id: SampleItemId,
    account_id: AccountId,
{% for column in columns %}
    {{ column.name }}: {{ "Option<" ~ column.rust ~ ">" if column.is_optional else column.rust }},
{% endfor %}
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl From<&SampleItem> for Row {
    fn from(sample_item: &SampleItem) -> Self {
        let SampleItem { id, account, {{ names }}, version, created_at, updated_at } = sample_item.clone();
        Self {
            id,
            account_id: account,
{% for column in columns %}
            {{ column.write }},
{% endfor %}
            version,
            created_at,
            updated_at,
        }
    }
}

impl TryFrom<Row> for SampleItem {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        let Row { id, account_id, {{ column_names }}, version, created_at, updated_at } = row;
        Ok(Self {
            id,
            account: account_id,
{% for field in fields %}
            {{ field.read }},
{% endfor %}
            version,
            created_at,
            updated_at,
        })
    }
}

visible!(sample_items);

fn require(row: Option<Row>) -> Result<SampleItem> {
    row.ok_or_else(|| Error::not_found("sample item"))?.try_into()
}

/// Stores a new sample item.
///
/// # Errors
/// `NOT_FOUND` if the account does not exist.
pub(super) async fn insert(connection: &mut Connection, sample_item: &SampleItem) -> Result<()> {
    match diesel::insert_into(sample_items::table).values(Row::from(sample_item)).execute(connection).await {
        Err(error) if violated_foreign_key(&error) == Some("sample_items_account_id_fkey") => {
            Err(Error::not_found("account").caused_by(error))
        }
        inserted => one_row(inserted?, "insert", "sample_items", sample_item.id),
    }
}

pub(super) async fn get(connection: &Connection, visibility: Visibility, id: SampleItemId) -> Result<SampleItem> {
    let query = visible(visibility).filter(sample_items::id.eq(id)).select(Row::as_select());
    require(query.first(&mut &*connection).await.optional()?)
}

/// Returns a sample item that is visible to the caller, locked against changes until the transaction ends.
pub(super) async fn lock(connection: &Connection, visibility: Visibility, id: SampleItemId) -> Result<SampleItem> {
    // A boxed query has no lock clause, so visibility is checked on the row. The error is the same.
    let query = sample_items::table.find(id).select(Row::as_select()).for_no_key_update();
    let row: Option<Row> = query.first(&mut &*connection).await.optional()?;
    require(row.filter(|row| visibility.reaches(row.account_id, None)))
}

/// Stores the next version of a locked sample item.
pub(super) async fn update(connection: &Connection, sample_item: &SampleItem) -> Result<()> {
    let earlier = sample_items::table.find(sample_item.id).filter(sample_items::version.eq(sample_item.version - 1));
    let update = diesel::update(earlier).set(Row::from(sample_item)).exactly(1, "update sample_items");
    update.execute(&mut &*connection).await?;
    Ok(())
}

/// Deletes a locked sample item.
///
/// # Errors
/// `BUSINESS_RULE_VIOLATION` if another resource refers to it.
pub(super) async fn delete(connection: &Connection, id: SampleItemId) -> Result<()> {
    let delete = diesel::delete(sample_items::table.find(id)).exactly(1, "delete sample_items");
    match delete.execute(&mut &*connection).await {
        Err(error) if violated_foreign_key(&error).is_some() => {
            let message = "Another resource refers to this sample item.";
            Err(Error::with_message(Reason::BusinessRuleViolation, message).caused_by(error))
        }
        deleted => deleted.map(drop).map_err(Error::from),
    }
}

/// Returns a page of sample items, newest first.
pub(super) async fn list(
    connection: &Connection,
    visibility: Visibility,
    page: Page,
) -> Result<Listed<SampleItem>> {
    listed!(connection, visible(visibility), sample_items::created_at, page, Row => SampleItem)
}

/// Returns the existing sample items among these ids, of all accounts, in no particular order.
pub(super) async fn get_batch(connection: &mut Connection, ids: Vec<Uuid>) -> Result<Vec<SampleItem>> {
    let ids: Vec<_> = ids.into_iter().map(SampleItemId).collect();
    let query = sample_items::table.filter(sample_items::id.eq_any(ids)).select(Row::as_select());
    let rows: Vec<Row> = query.load(connection).await?;
    rows.into_iter().map(Row::try_into).collect()
}
