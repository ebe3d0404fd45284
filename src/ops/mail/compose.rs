//! Makes of what a mail is about what it says, and to whom.

use chrono::{DateTime, Utc};
use secrecy::ExposeSecret as _;

use crate::{
    caller::Visibility,
    domain::{
        mail::{Mail, Subject},
        order::Order,
        token,
    },
    email::{Letter, letters},
    error::{Error, Reason, Result},
    id::UserId,
    identity::random,
    store::{Connection, order, password_reset, payment, user},
};

/// What a mail says now; `None` when there is nobody to say it to. The token of a reset is made for it, and stored as a
/// hash: each attempt has its own, for none is kept that could be said again.
pub(super) async fn letter(connection: &mut Connection, mail: &Mail, now: DateTime<Utc>) -> Result<Option<Letter>> {
    let (order, payment) = match mail.subject {
        Subject::PasswordReset { user, .. } => return reset(connection, mail, user, now).await,
        Subject::OrderConfirmation(id) => (order::get(connection, Visibility::All, id).await?, None),
        Subject::PaymentReceipt(id) => {
            let payment = payment::get(connection, Visibility::All, id).await?;
            (order::get(connection, Visibility::All, payment.order).await?, Some(payment))
        }
    };
    let Some(to) = recipient(connection, &order).await? else { return Ok(None) };
    Ok(Some(match payment {
        Some(payment) => letters::payment_receipt(to, &order, &payment, mail.created_at),
        None => letters::order_confirmation(to, &order, &order::items(connection, &order).await?),
    }))
}

async fn reset(connection: &mut Connection, mail: &Mail, user: UserId, now: DateTime<Utc>) -> Result<Option<Letter>> {
    let user = match user::get(connection, Visibility::All, user).await {
        Err(error) if error.reason() == Reason::NotFound => return Ok(None),
        found => found?,
    };
    let token = token::write_reset(&random());
    let hash = token::hash(token.expose_secret());
    password_reset::insert(connection, hash, user.id, now, mail.expires_at).await?;
    Ok::<_, Error>(Some(letters::password_reset(user.email, &token, mail.expires_at)))
}

/// Whom mail about an order goes to: the address it names, else the user of its account who placed it.
pub(super) async fn recipient(connection: &mut Connection, order: &Order) -> Result<Option<String>> {
    match &order.confirmation_email {
        Some(email) => Ok(Some(email.clone())),
        None => user::email_of(connection, order.placed_by, order.account).await,
    }
}
