//! Mails, pending and finished.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use crate::{
    mail::{
        id::MailId,
        model::{Kind, Mail, State, Subject},
    },
    schema::mails,
};
use mainstay_kernel::{
    database::{Connection, condition::Condition, integrity::corrupt, statement::Prepare as _},
    error::{Error, Result},
};

#[derive(Debug, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = mails, treat_none_as_null = true, treat_none_as_default_value = false)]
struct Row {
    id: MailId,
    kind: i16,
    subject_id: Uuid,
    parent_id: Option<Uuid>,
    state: i16,
    attempts: i32,
    failure: Option<String>,
    leased_until: Option<DateTime<Utc>>,
    counted_at: Option<DateTime<Utc>>,
    expires_at: DateTime<Utc>,
    created_at: DateTime<Utc>,
    finished_at: Option<DateTime<Utc>>,
}

impl From<&Mail> for Row {
    fn from(mail: &Mail) -> Self {
        let (kind, subject_id, parent_id) = mail.subject.parts();
        Self {
            id: mail.id,
            kind: kind.number(),
            subject_id,
            parent_id,
            state: mail.state.number(),
            attempts: mail.attempts,
            failure: mail.failure.clone(),
            leased_until: mail.leased_until,
            counted_at: mail.counted_at,
            expires_at: mail.expires_at,
            created_at: mail.created_at,
            finished_at: mail.finished_at,
        }
    }
}

impl TryFrom<Row> for Mail {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        let kind = Kind::from_number(row.kind.into());
        let subject = kind.and_then(|kind| Subject::of_parts(kind, row.subject_id, row.parent_id));
        let (Some(subject), Some(state)) = (subject, State::from_number(row.state.into())) else {
            return Err(corrupt("mails", row.id, "a number"));
        };
        Ok(Self {
            id: row.id,
            subject,
            state,
            attempts: row.attempts,
            failure: row.failure,
            leased_until: row.leased_until,
            counted_at: row.counted_at,
            expires_at: row.expires_at,
            created_at: row.created_at,
            finished_at: row.finished_at,
        })
    }
}

/// Stores new mails, but for those whose kind and subject another one has; returns the ids of those that were stored.
pub async fn insert(mut connection: &Connection, mails: &[Mail]) -> Result<Vec<MailId>> {
    let rows: Vec<_> = mails.iter().map(Row::from).collect();
    let target = diesel::insert_into(mails::table).values(rows);
    let inserted = target.on_conflict((mails::kind, mails::subject_id)).do_nothing().returning(mails::id);
    Ok(match mails {
        [_] => inserted.prepared().get_results(&mut connection).await?,
        _ => inserted.get_results(&mut connection).await?,
    })
}

/// Returns one mail, locked against changes until the transaction ends.
///
/// # Errors
/// `NOT_FOUND`.
pub async fn lock(connection: &mut Connection, id: MailId) -> Result<Mail> {
    let row: Option<Row> =
        mails::table.find(id).select(Row::as_select()).for_no_key_update().first(connection).await.optional()?;
    row.ok_or_else(|| Error::not_found("mail"))?.try_into()
}

/// Stores the new state of a locked mail.
pub async fn update(connection: &mut Connection, mail: &Mail) -> Result<()> {
    let updated =
        diesel::update(mails::table.find(mail.id)).set(Row::from(mail)).prepared().execute(connection).await?;
    if updated == 1 { Ok(()) } else { Err(Error::internal(anyhow::anyhow!("mails {}: {updated} rows", mail.id))) }
}

/// Stores that a mail was counted among those that its recipient gets.
pub async fn set_counted(connection: &mut Connection, id: MailId, at: DateTime<Utc>) -> Result<()> {
    let counted = mails::counted_at.eq(at);
    let updated = diesel::update(mails::table.find(id)).set(counted).prepared().execute(connection).await?;
    if updated == 1 { Ok(()) } else { Err(Error::internal(anyhow::anyhow!("mails {id}: {updated} rows"))) }
}

/// Returns at most `limit` mails that failed or were given up, the last one first.
pub async fn list_failed(connection: &mut Connection, limit: i64) -> Result<Vec<Mail>> {
    // Failed and given up, as literals: so the planner sees that the partial index applies.
    let query: mails::BoxedQuery<'_, diesel::pg::Pg> = mails::table.into_boxed();
    let query = query.filter(Condition::plain("mails.state IN (3, 4)"));
    let query = query.order((mails::finished_at.desc(), mails::id.desc())).limit(limit);
    let rows: Vec<Row> = query.select(Row::as_select()).load(connection).await?;
    rows.into_iter().map(Mail::try_from).collect()
}

/// Removes at most `limit` mails that were sent or failed before `before`; returns how many.
pub async fn delete_expired(connection: &mut Connection, before: DateTime<Utc>, limit: i64) -> Result<usize> {
    let done = mails::table.filter(mails::state.ne(State::Pending.number())).filter(mails::finished_at.lt(before));
    let ids: Vec<MailId> = done.select(mails::id).limit(limit).load(connection).await?;
    Ok(diesel::delete(mails::table.filter(mails::id.eq_any(ids))).execute(connection).await?)
}
