//! Mails, pending and finished.

use std::{borrow::Cow, sync::OnceLock};

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use crate::{
    mail::{
        id::MailId,
        model::{Mail, State, Topic},
    },
    schema::mails,
};
use mainstay_kernel::{
    database::{
        Connection, after_commit,
        condition::Condition,
        convert,
        integrity::corrupt,
        statement::{MAX_PREPARED_ROWS, Prepare as _},
    },
    error::{Error, Result},
    queue::rows::traceparent,
};

/// The numbers by which the version before stores its own kinds, and reads them: they keep a mail unique beside its mails.
/// The next version drops the column.
const NUMBERS: [(i16, &str); 27] = [
    (1, "password_reset"),
    (2, "order_confirmation"),
    (3, "payment_receipt"),
    (4, "registration"),
    (5, "refund"),
    (6, "subscription_receipt"),
    (7, "subscription_unpaid"),
    (8, "sign_in"),
    (9, "ticket_received"),
    (10, "ticket_reply"),
    (11, "password_changed"),
    (12, "email_change"),
    (13, "email_changed"),
    (14, "invitation"),
    (15, "deletion_scheduled"),
    (16, "deletion_done"),
    (21, "second_factor_added"),
    (22, "second_factor_removed"),
    (23, "recovery_code_used"),
    (24, "second_factor_reset"),
    (27, "identity_linked"),
    (28, "identity_unlinked"),
    (31, "impersonation"),
    (32, "domain_lapsed"),
    (41, "passkey_added"),
    (42, "passkey_removed"),
    (43, "passkey_refused"),
];

/// A mail without its due time: a new mail is due at once, by the clock of Postgres.
#[derive(Debug, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = mails, treat_none_as_null = true, treat_none_as_default_value = false)]
struct Row {
    id: MailId,
    kind: Option<i16>,
    kind_name: Option<String>,
    is_urgent: bool,
    topic_id: Uuid,
    parent_id: Option<Uuid>,
    state: i16,
    attempts: i32,
    failure: Option<String>,
    leased_until: Option<DateTime<Utc>>,
    leases: i32,
    counted_at: Option<DateTime<Utc>>,
    expires_at: DateTime<Utc>,
    created_at: DateTime<Utc>,
    finished_at: Option<DateTime<Utc>>,
}

impl From<&Mail> for Row {
    fn from(mail: &Mail) -> Self {
        let Topic { kind, id, parent } = &mail.topic;
        Self {
            id: mail.id,
            kind: NUMBERS.iter().find(|(_, name)| name == kind).map(|(number, _)| *number),
            kind_name: Some(kind.to_string()),
            is_urgent: mail.is_urgent,
            topic_id: *id,
            parent_id: *parent,
            state: mail.state.number(),
            attempts: mail.attempts,
            failure: mail.failure.clone(),
            leased_until: mail.leased_until,
            leases: mail.leases,
            counted_at: mail.counted_at,
            expires_at: mail.expires_at,
            created_at: mail.created_at,
            finished_at: mail.finished_at,
        }
    }
}

/// A row and its due time.
type Stored = (Row, Option<DateTime<Utc>>);

impl TryFrom<Stored> for Mail {
    type Error = Error;

    fn try_from((row, due_at): Stored) -> Result<Self> {
        let named =
            || NUMBERS.iter().find(|(number, _)| row.kind == Some(*number)).map(|(_, name)| Cow::Borrowed(*name));
        let kind = row.kind_name.map(Cow::Owned).or_else(named);
        let (Some(kind), Some(state)) = (kind, State::from_number(row.state.into())) else {
            return Err(corrupt("mails", row.id, "a number"));
        };
        Ok(Self {
            id: row.id,
            topic: Topic { kind, id: row.topic_id, parent: row.parent_id },
            is_urgent: row.is_urgent,
            state,
            attempts: row.attempts,
            failure: row.failure,
            leased_until: row.leased_until,
            leases: row.leases,
            due_at,
            counted_at: row.counted_at,
            expires_at: row.expires_at,
            created_at: row.created_at,
            finished_at: row.finished_at,
        })
    }
}

/// Stores new mails, which are due at once. A mail with an existing kind and topic is skipped; one of a team's kind differs
/// in the parent, too.
pub async fn insert(mut connection: &Connection, mails: &[Mail]) -> Result<()> {
    if mails.is_empty() {
        return Ok(());
    }
    let trace = traceparent();
    let values =
        |mail: &Mail| (Row::from(mail), mails::due_at.eq(diesel::dsl::now), mails::traceparent.eq(trace.clone()));
    match mails {
        [one] => {
            static TEXT: OnceLock<String> = OnceLock::new();
            let insert = diesel::insert_into(mails::table).values(values(one)).on_conflict_do_nothing();
            insert.fixed(&TEXT).execute(&mut connection).await?
        }
        many => {
            let rows: Vec<_> = many.iter().map(values).collect();
            let insert = diesel::insert_into(mails::table).values(rows).on_conflict_do_nothing();
            match many.len() {
                ..=MAX_PREPARED_ROWS => insert.prepared().execute(&mut connection).await?,
                _ => insert.execute(&mut connection).await?,
            }
        }
    };
    after_commit::wake_workers();
    Ok(())
}

/// Returns one mail, locked against changes until the transaction ends.
///
/// # Errors
/// `NOT_FOUND`.
pub async fn lock(connection: &Connection, id: MailId) -> Result<Mail> {
    let query = mails::table.find(id).select((Row::as_select(), mails::due_at)).for_no_key_update();
    convert::found::<Stored, _>(query.first(&mut &*connection).await, "mail")
}

/// Stores the new state of a locked mail.
pub async fn update(connection: &mut Connection, mail: &Mail) -> Result<()> {
    let values = (Row::from(mail), mails::due_at.eq(mail.due_at));
    let updated = diesel::update(mails::table.find(mail.id)).set(values).prepared().execute(connection).await?;
    if updated == 1 { Ok(()) } else { Err(Error::internal(anyhow::anyhow!("mails {}: {updated} rows", mail.id))) }
}

/// Stores that a mail was counted against its recipient's limit.
pub async fn set_counted(connection: &mut Connection, id: MailId, at: DateTime<Utc>) -> Result<()> {
    let values = mails::counted_at.eq(at);
    let updated = diesel::update(mails::table.find(id)).set(values).prepared().execute(connection).await?;
    if updated == 1 { Ok(()) } else { Err(Error::internal(anyhow::anyhow!("mails {id}: {updated} rows"))) }
}

/// Returns at most `limit` mails that failed or were given up, newest first.
pub async fn list_failed(connection: &mut Connection, limit: i64) -> Result<Vec<Mail>> {
    // The states are literals, so that the planner sees that the partial index applies.
    let query: mails::BoxedQuery<'_, diesel::pg::Pg> = mails::table.into_boxed();
    let query = query.filter(Condition::plain("mails.state IN (3, 4)"));
    let query = query.order((mails::finished_at.desc(), mails::id.desc())).limit(limit);
    convert::all::<Stored, _>(query.select((Row::as_select(), mails::due_at)).load(connection).await)
}

/// Removes at most `limit` mails that were sent or failed before `before`; returns how many.
pub async fn delete_expired(connection: &mut Connection, before: DateTime<Utc>, limit: i64) -> Result<usize> {
    let query = mails::table.filter(mails::state.ne(State::Pending.number())).filter(mails::finished_at.lt(before));
    let ids: Vec<MailId> = query.select(mails::id).limit(limit).load(connection).await?;
    // A mail that was redriven meanwhile is no longer finished.
    let still_done = mails::table.filter(mails::id.eq_any(&ids)).filter(mails::finished_at.lt(before));
    Ok(diesel::delete(still_done).execute(connection).await?)
}

/// Removes the mails about these topics, and about topics whose parent is one of these.
pub async fn erase(connection: &mut Connection, topics: &[Uuid]) -> Result<usize> {
    let about = mails::topic_id.eq_any(topics.to_vec()).or(mails::parent_id.eq_any(topics.to_vec()));
    Ok(diesel::delete(mails::table.filter(about)).execute(connection).await?)
}
