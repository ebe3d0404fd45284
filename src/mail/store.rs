//! Mails, pending and finished.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use crate::{
    identity::registration::id::RegistrationId, mail::id::MailId, orders::id::OrderId, payments::id::PaymentId,
};
use crate::{
    mail::model::{Mail, State, Subject},
    schema::mails,
};
use mainstay_kernel::{
    database::{Connection, integrity::corrupt},
    error::{Error, Result},
    id::UserId,
};

#[derive(Debug, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = mails, treat_none_as_null = true)]
struct Row {
    id: MailId,
    kind: i16,
    subject_id: Uuid,
    user_id: Option<UserId>,
    state: i16,
    attempts: i32,
    failure: Option<String>,
    held_until: Option<DateTime<Utc>>,
    expires_at: DateTime<Utc>,
    created_at: DateTime<Utc>,
    finished_at: Option<DateTime<Utc>>,
}

/// The numbers of the kinds in the table.
const PASSWORD_RESET: i16 = 1;
const ORDER_CONFIRMATION: i16 = 2;
const PAYMENT_RECEIPT: i16 = 3;
const REGISTRATION: i16 = 4;

impl From<&Mail> for Row {
    fn from(mail: &Mail) -> Self {
        let (kind, subject_id, user_id) = match mail.subject {
            Subject::PasswordReset { request, user } => (PASSWORD_RESET, request, Some(user)),
            Subject::OrderConfirmation(OrderId(id)) => (ORDER_CONFIRMATION, id, None),
            Subject::PaymentReceipt(PaymentId(id)) => (PAYMENT_RECEIPT, id, None),
            Subject::Registration(RegistrationId(id)) => (REGISTRATION, id, None),
        };
        Self {
            id: mail.id,
            kind,
            subject_id,
            user_id,
            state: mail.state.number(),
            attempts: mail.attempts,
            failure: mail.failure.clone(),
            held_until: mail.held_until,
            expires_at: mail.expires_at,
            created_at: mail.created_at,
            finished_at: mail.finished_at,
        }
    }
}

impl TryFrom<Row> for Mail {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        let subject = match (row.kind, row.user_id) {
            (PASSWORD_RESET, Some(user)) => Some(Subject::PasswordReset { request: row.subject_id, user }),
            (ORDER_CONFIRMATION, None) => Some(Subject::OrderConfirmation(OrderId(row.subject_id))),
            (REGISTRATION, None) => Some(Subject::Registration(RegistrationId(row.subject_id))),
            (PAYMENT_RECEIPT, None) => Some(Subject::PaymentReceipt(PaymentId(row.subject_id))),
            _ => None,
        };
        let (Some(subject), Some(state)) = (subject, State::from_number(row.state.into())) else {
            return Err(corrupt("mails", row.id, "a number"));
        };
        Ok(Self {
            id: row.id,
            subject,
            state,
            attempts: row.attempts,
            failure: row.failure,
            held_until: row.held_until,
            expires_at: row.expires_at,
            created_at: row.created_at,
            finished_at: row.finished_at,
        })
    }
}

/// Stores a new mail, unless one with the same kind and subject exists; returns whether it was stored.
pub async fn insert(connection: &mut Connection, mail: &Mail) -> Result<bool> {
    let target = diesel::insert_into(mails::table).values(Row::from(mail));
    let inserted = target.on_conflict((mails::kind, mails::subject_id)).do_nothing().execute(connection).await?;
    Ok(inserted == 1)
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
    let updated = diesel::update(mails::table.find(mail.id)).set(Row::from(mail)).execute(connection).await?;
    if updated == 1 { Ok(()) } else { Err(Error::internal(anyhow::anyhow!("mails {}: {updated} rows", mail.id))) }
}

/// Removes at most `limit` mails that were sent or failed before `before`; returns how many.
pub async fn forget(connection: &mut Connection, before: DateTime<Utc>, limit: i64) -> Result<usize> {
    let done = mails::table.filter(mails::state.ne(State::Pending.number())).filter(mails::finished_at.lt(before));
    let ids: Vec<MailId> = done.select(mails::id).limit(limit).load(connection).await?;
    Ok(diesel::delete(mails::table.filter(mails::id.eq_any(ids))).execute(connection).await?)
}
