//! The sign-out of a person that an application asks for.

use aws_lc_rs::hmac;
use data_encoding::HEXLOWER;
use mainstay_kernel::{app::App, caller::Visibility, database::Connection, error::Result, id::SessionId};

use crate::identity::{
    oauth::{
        model::{Logout, Parameters},
        ops::Decision,
    },
    oauth_client::{model::OauthClient, ops as client},
    session::ops as session,
    signing_key::ops as signing_key,
    tokens::{TokenError, Tokens},
    user::store as users,
};

/// What follows from a request to sign a person out.
#[derive(Debug)]
pub(crate) enum SignOut {
    /// The browser has no session, or no longer. The sign-out leads to an address, or to none.
    Ended(Option<String>),
    /// The person is asked. The token of the page is part of the answer.
    Ask { client: Option<String>, email: String, csrf: String },
    /// The person stays signed in.
    Stays,
    /// The request is not that of the client of its ID token, or names another address.
    Wrong,
    /// The form is not that of a page for this request and this session.
    Foreign,
}

/// Ends the session of a browser with a refresh token, once the person agrees.
///
/// # Errors
/// `UNAVAILABLE`.
pub(crate) async fn sign_out(
    app: &App,
    issuer: &str,
    (parameters, query): (&Parameters, &str),
    refresh_token: Option<&str>,
    decision: Option<Decision<'_>>,
) -> Result<SignOut> {
    let hinted = match parameters.get("id_token_hint") {
        Some(token) => hinted(app, issuer, token).await?,
        None => None,
    };
    let Some(Logout { client, url }) = Logout::read(parameters, hinted.as_ref()) else { return Ok(SignOut::Wrong) };
    let claim = refresh_token.and_then(|token| app.part::<Tokens>().read_refresh(token));
    let Some(claim) = claim else { return Ok(SignOut::Ended(url)) };
    let session = session::of_access(app, claim.user, claim.session).await?;
    // A refresh token of an application is none of a browser.
    let is_alive = session.is_some_and(|session| session.client().is_none() && session.is_alive(app.clock.now()));
    if !is_alive {
        return Ok(SignOut::Ended(url));
    }
    let (key, message) = (app.secret.mac("oauth sign-outs v1"), message(claim.session, query));
    let Some(Decision { allows, csrf }) = decision else {
        let user = app
            .database
            .read(async move |connection: &Connection| users::get(connection, Visibility::All, claim.user).await);
        let csrf = HEXLOWER.encode(hmac::sign(&key, &message).as_ref());
        return Ok(SignOut::Ask { client, email: user.await?.email.as_str().to_owned(), csrf });
    };
    if hmac::verify(&key, &message, &HEXLOWER.decode(csrf.as_bytes()).unwrap_or_default()).is_err() {
        return Ok(SignOut::Foreign);
    }
    if !allows {
        return Ok(SignOut::Stays);
    }
    session::leave_session(app, claim.user, claim.session).await?;
    Ok(SignOut::Ended(url))
}

fn message(session: SessionId, query: &str) -> Vec<u8> {
    [session.0.as_bytes(), query.as_bytes()].concat()
}

/// Returns the client of an ID token; `None` if the token is not one of this service, or its client is deleted.
async fn hinted(app: &App, issuer: &str, token: &str) -> Result<Option<OauthClient>> {
    let tokens = app.part::<Tokens>();
    let id = match tokens.client_of(issuer, token) {
        Err(TokenError::UnknownKey) => {
            tokens.reload_for_unknown_key(signing_key::refresh(app)).await?;
            tokens.client_of(issuer, token)
        }
        read => read,
    };
    match id {
        Ok(id) => client::find(app, id).await,
        Err(_) => Ok(None),
    }
}
