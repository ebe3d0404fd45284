//! Composes the address and the text of a mail.

use chrono::{DateTime, Utc};
use secrecy::ExposeSecret as _;

use crate::{
    identity::{
        auth::ops as auth,
        credential::model as token,
        registration::{
            id::RegistrationId,
            ops::{Notice, notice},
        },
        user::ops as user,
    },
    mail::{
        letters,
        model::{Mail, Subject},
        transport::Letter,
    },
    orders::order::{
        model::Order,
        ops::{items, read as read_order},
    },
    payments::payment::ops::read as read_payment,
};
use mainstay_kernel::{
    caller::Visibility,
    database::Connection,
    error::{Error, Reason, Result},
    id::UserId,
    secret::random,
};

/// Composes a mail, or returns `None` if it has no recipient. A reset's token is generated here, and only its hash is
/// stored, so each attempt has a token of its own.
pub(crate) async fn letter(connection: &mut Connection, mail: &Mail, now: DateTime<Utc>) -> Result<Option<Letter>> {
    let (order, payment) = match mail.subject {
        Subject::PasswordReset { user, .. } => return reset(connection, mail, user, now).await,
        Subject::Registration(id) => return registration(connection, id).await,
        Subject::OrderConfirmation(id) => (read_order(connection, Visibility::All, id).await?, None),
        Subject::PaymentReceipt(id) => {
            let payment = read_payment(connection, Visibility::All, id).await?;
            (read_order(connection, Visibility::All, payment.order).await?, Some(payment))
        }
    };
    let Some(to) = recipient(connection, &order).await? else { return Ok(None) };
    Ok(Some(match payment {
        Some(payment) => letters::payment_receipt(to, &order, &payment, mail.created_at),
        None => letters::order_confirmation(to, &order, &items(connection, &order).await?),
    }))
}

async fn reset(connection: &mut Connection, mail: &Mail, user: UserId, now: DateTime<Utc>) -> Result<Option<Letter>> {
    let user = match user::read(connection, Visibility::All, user).await {
        Err(error) if error.reason() == Reason::NotFound => return Ok(None),
        found => found?,
    };
    let token = token::write_reset(&random());
    let hash = token::hash(token.expose_secret());
    auth::store_reset(connection, hash, user.id, now, mail.expires_at).await?;
    Ok::<_, Error>(Some(letters::password_reset(user.email.into(), &token, mail.expires_at)))
}

async fn registration(connection: &mut Connection, id: RegistrationId) -> Result<Option<Letter>> {
    Ok(notice(connection, id).await?.map(|notice| match notice {
        Notice::Token(registration, token) => {
            letters::registration(registration.email.into(), &token, registration.expires_at)
        }
        Notice::Known(registration) => letters::already_registered(registration.email.into()),
    }))
}

/// Returns the recipient of mail about an order: the address it names, or the user who placed it if that user belongs
/// to its account.
async fn recipient(connection: &mut Connection, order: &Order) -> Result<Option<String>> {
    match &order.confirmation_email {
        Some(email) => Ok(Some(email.clone())),
        None => user::email_of(connection, order.placed_by, order.account).await,
    }
}
