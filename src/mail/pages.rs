//! The pages that the links of mails open when no front end serves them: password reset and registration, each
//! requested with an address and confirmed with a token; the confirmation and undoing of another address; the cancellation of a
//! deletion; the acceptance of an invitation; and the sign-in with a link, in the browser that asked for it.
//!
//! The pages work without scripts and load no resources. A token is in the URL only until its form is shown: the form
//! sends it in the body, no `Referer` carries it, no cache stores it, and the log omits query strings. A GET request
//! changes nothing, so mail scanners that fetch links in advance use up no token. A form is accepted only from this
//! origin.

mod form;
mod view;

use std::{net::IpAddr, time::Duration};

use axum::{
    Extension,
    extract::{Request, State},
    http::{HeaderMap, Uri},
    response::Response,
    routing::{MethodRouter, get},
};
use mainstay_kernel::{
    app::App,
    caller::ClientAddress,
    error::{Error, Reason},
};
use tokio::time::{error::Elapsed, timeout};

use crate::{
    identity::{
        auth::ops as auth,
        deletion::ops as deletion,
        email_change::ops as email_change,
        invitation::ops::{self as invitation, NewMember},
        registration::ops::{self as registration, NewUser},
        user::model::{self as user, EmailAddress, Language},
    },
    mail::{
        links::{self, Links},
        suppression::ops as suppression,
    },
    proto::identity::v1::Reason as IdentityReason,
};

use form::{Form, NotRead};
use view::{Done, Offer, Page, Problem, View};
// For the pages of other modules, which look the same.
pub(crate) use view::{minutes, respond, respond_with_script};

/// How long a form may take to arrive, and then its password to be hashed.
const FORM_TIMEOUT: Duration = Duration::from_secs(10);

pub(super) fn pages() -> [(&'static str, MethodRouter<App>); 8] {
    [
        (links::RESET, show(Page::Reset).post(submit_reset)),
        (links::REGISTER, show(Page::Registration).post(submit_registration)),
        (links::CONFIRM_EMAIL, show(Page::EmailChange).post(confirm_email)),
        (links::UNDO_EMAIL, show(Page::EmailUndo).post(undo_email)),
        (links::CANCEL_DELETION, show(Page::Deletion).post(cancel_deletion)),
        (links::INVITATION, get(show_invitation).post(accept_invitation)),
        // The module of identity handles the form, which sets the cookies of a session.
        (Links::SIGN_IN, get(show_sign_in)),
        (links::UNSUBSCRIBE, show(Page::Unsubscription).post(unsubscribe)),
    ]
}

/// Shows the form of a link.
fn show(page: Page) -> MethodRouter<App> {
    get(async move |State(app): State<App>, headers: HeaderMap, uri: Uri| {
        view::render(&app, &headers, &View::form(page, token(&uri)))
    })
}

/// Returns the token of a link.
fn token(uri: &Uri) -> String {
    parameter(uri, "token")
}

fn parameter(uri: &Uri, wanted: &str) -> String {
    let query = uri.query().unwrap_or_default();
    let pair = url::form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == wanted);
    pair.map(|(_, value)| value.into_owned()).unwrap_or_default()
}

async fn show_invitation(State(app): State<App>, headers: HeaderMap, uri: Uri) -> Response {
    let token = token(&uri);
    let view = match timeout(FORM_TIMEOUT, offer(&app, &token)).await.unwrap_or(Err(Problem::Other)) {
        Ok(offer) => View::form(Page::Invitation, token).with_offer(offer),
        Err(problem) => View::again(Page::Invitation, Form::default(), problem),
    };
    view::render(&app, &headers, &view)
}

async fn accept_invitation(
    State(app): State<App>,
    Extension(ClientAddress(from)): Extension<ClientAddress>,
    headers: HeaderMap,
    request: Request,
) -> Response {
    let form = match read(request).await {
        Ok(form) => form,
        Err(problem) => return view::render(&app, &headers, &View::again(Page::Invitation, Form::default(), problem)),
    };
    let view = match timeout(FORM_TIMEOUT, offer(&app, &form.token)).await.unwrap_or(Err(Problem::Other)) {
        Ok(offer) => {
            let outcome = timeout(FORM_TIMEOUT, join(&app, &form, &offer, from)).await;
            conclude(Page::Invitation, outcome, form).with_offer(offer)
        }
        Err(problem) => View::again(Page::Invitation, form, problem),
    };
    view::render(&app, &headers, &view)
}

/// Returns what the invitation of a token offers.
async fn offer(app: &App, token: &str) -> Result<Offer, Problem> {
    let preview = invitation::preview(app, token).await.map_err(|error| problem(&error))?;
    Ok(Offer {
        account: preview.account_name,
        inviter: preview.inviter_name,
        email: preview.invitation.email.into(),
        is_registered: preview.is_registered,
    })
}

async fn join(app: &App, form: &Form, offer: &Offer, from: IpAddr) -> Result<Done, Problem> {
    let password = form.password.clone().into();
    let joined = if offer.is_registered {
        invitation::accept_with_password(app, &form.token, password, from).await
    } else {
        let name = user::name(&form.name).map_err(|_| Problem::Name)?;
        invitation::accept_as_new_user(app, &form.token, NewMember { password, name, language: None }, from).await
    };
    joined.map(|_| Done::Joined).map_err(|error| problem(&error))
}

/// Shows the form of a link or, after it failed, the reason.
async fn show_sign_in(State(app): State<App>, headers: HeaderMap, uri: Uri) -> Response {
    let again = |problem| View::again(Page::SignIn, Form::default(), problem);
    let view = match parameter(&uri, Links::FAILURE).as_str() {
        "" => View::form(Page::SignIn, token(&uri)),
        "browser" => again(Problem::Browser),
        "link" => again(Problem::Link),
        _ => again(Problem::Other),
    };
    view::render(&app, &headers, &view)
}

/// Ends notifications: for the page's own form, and for one-click requests of mailbox providers (RFC 8058). The token
/// in the URL is the only credential, so a page without the token can't unsubscribe a user.
async fn unsubscribe(State(app): State<App>, headers: HeaderMap, uri: Uri) -> Response {
    let token = token(&uri);
    let view = match suppression::unsubscribe(&app, &token).await {
        Ok(true) => View::outcome(Page::Unsubscription, Done::Unsubscribed),
        Ok(false) => View::again(Page::Unsubscription, Form::default(), Problem::Link),
        Err(error) => View::again(Page::Unsubscription, Form { token, ..Form::default() }, problem(&error)),
    };
    view::render(&app, &headers, &view)
}

async fn submit_reset(
    State(app): State<App>,
    Extension(ClientAddress(from)): Extension<ClientAddress>,
    headers: HeaderMap,
    request: Request,
) -> Response {
    submit(&app, &headers, request, Page::Reset, async |form: &Form| reset(&app, form, from).await).await
}

async fn submit_registration(
    State(app): State<App>,
    Extension(ClientAddress(from)): Extension<ClientAddress>,
    headers: HeaderMap,
    request: Request,
) -> Response {
    let language = view::language(&headers);
    let register = async |form: &Form| register(&app, form, language, from).await;
    submit(&app, &headers, request, Page::Registration, register).await
}

async fn confirm_email(
    State(app): State<App>,
    Extension(ClientAddress(from)): Extension<ClientAddress>,
    headers: HeaderMap,
    request: Request,
) -> Response {
    let confirm = async |form: &Form| done(email_change::confirm(&app, &form.token, from), Done::EmailChanged).await;
    submit(&app, &headers, request, Page::EmailChange, confirm).await
}

async fn undo_email(State(app): State<App>, headers: HeaderMap, request: Request) -> Response {
    let undo = async |form: &Form| done(email_change::undo(&app, &form.token), Done::EmailRestored).await;
    submit(&app, &headers, request, Page::EmailUndo, undo).await
}

async fn cancel_deletion(State(app): State<App>, headers: HeaderMap, request: Request) -> Response {
    let cancel = async |form: &Form| done(deletion::cancel_by_token(&app, &form.token), Done::DeletionCancelled).await;
    submit(&app, &headers, request, Page::Deletion, cancel).await
}

/// Reads the form of a page, handles it, and shows the outcome.
async fn submit(
    app: &App,
    headers: &HeaderMap,
    request: Request,
    page: Page,
    handle: impl AsyncFnOnce(&Form) -> Result<Done, Problem>,
) -> Response {
    let view = match read(request).await {
        Ok(form) => conclude(page, timeout(FORM_TIMEOUT, handle(&form)).await, form),
        Err(problem) => View::again(page, Form::default(), problem),
    };
    view::render(app, headers, &view)
}

/// Converts the outcome of an operation without a result.
async fn done(outcome: impl Future<Output = Result<(), Error>>, done: Done) -> Result<Done, Problem> {
    outcome.await.map(|()| done).map_err(|error| problem(&error))
}

async fn read(request: Request) -> Result<Form, Problem> {
    let form = timeout(FORM_TIMEOUT, form::read(request)).await;
    form.unwrap_or(Err(NotRead::Late)).map_err(Problem::NotRead)
}

/// Shows the outcome of a form, or an error page if it timed out.
fn conclude(page: Page, outcome: Result<Result<Done, Problem>, Elapsed>, form: Form) -> View {
    match outcome.unwrap_or(Err(Problem::Other)) {
        Ok(done) => View::outcome(page, done),
        Err(problem) => View::again(page, form, problem),
    }
}

async fn reset(app: &App, form: &Form, from: IpAddr) -> Result<Done, Problem> {
    if form.token.is_empty() {
        let email = EmailAddress::parse_known(&form.email).map_err(|_| Problem::Email)?;
        auth::request_reset(app, email, from).await.map_err(|error| problem(&error))?;
        return Ok(Done::Requested);
    }
    auth::confirm_reset(app, &form.token, form.password.clone().into(), from).await.map_err(|error| problem(&error))?;
    Ok(Done::Reset)
}

async fn register(app: &App, form: &Form, language: &'static str, from: IpAddr) -> Result<Done, Problem> {
    let language = Language::parse(language).unwrap_or_default();
    if form.token.is_empty() {
        let email = EmailAddress::parse(&form.email).map_err(|_| Problem::Email)?;
        registration::request(app, email, language, from).await.map_err(|error| problem(&error))?;
        return Ok(Done::Requested);
    }
    let name = user::name(&form.name).map_err(|_| Problem::Name)?;
    let account_name = match form.account.trim() {
        "" => String::new(),
        account => user::name(account).map_err(|_| Problem::Name)?,
    };
    let new = NewUser { password: form.password.clone().into(), name, account_name, language: None };
    registration::confirm(app, &form.token, new, from).await.map_err(|error| problem(&error))?;
    Ok(Done::Registered)
}

/// Only a password can be invalid here; all other fields were checked before.
fn problem(error: &Error) -> Problem {
    match error.reason() {
        reason if reason == IdentityReason::InvalidCredentials => Problem::WrongPassword,
        reason if reason == IdentityReason::RegistrationClosed => Problem::Closed,
        reason if reason == IdentityReason::DeletionBegun => Problem::Link,
        reason if reason == Reason::ValidationFailed => Problem::Password,
        reason if reason == Reason::InvalidToken || reason == Reason::AlreadyExists => Problem::Link,
        reason if reason == Reason::RateLimitExceeded => Problem::Often(error.wait().map(minutes)),
        _ => {
            tracing::warn!(error = error.detail(), "a form could not be handled");
            Problem::Other
        }
    }
}
