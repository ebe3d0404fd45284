//! Authorizations of devices: the codes, and the decision of a person on another device (RFC 8628).

use std::net::IpAddr;

use aws_lc_rs::hmac;
use data_encoding::HEXLOWER;
use mainstay_kernel::{
    app::App,
    caller::Visibility,
    database::Connection,
    error::{Error, Result},
    secret::random,
    unit_of_work::Work,
};
use secrecy::{ExposeSecret as _, SecretString};

use super::{
    authorize::{Absent, visitor},
    consent::agree,
    tokens::Failure,
};
use crate::identity::{
    auth::limits,
    credential::model as token,
    oauth::{
        model::{
            Parameters,
            device::{Agreement, DeviceRequest, UserCode},
        },
        store::device as store,
    },
    oauth_client::{model::OauthClient, ops as oauth_client, store as clients},
    session::model::Session,
    user::store as users,
};

/// How often a user code is chosen again because another device has it.
const MAX_ATTEMPTS: usize = 3;

/// The codes of a device.
#[derive(Debug)]
pub(crate) struct Begun {
    pub(crate) device_code: SecretString,
    pub(crate) user_code: UserCode,
    pub(crate) request: DeviceRequest,
}

/// Begins the authorization of a device at an address.
pub(crate) async fn begin(
    app: &App,
    client: &OauthClient,
    parameters: &Parameters,
    from: IpAddr,
) -> Result<Begun, Failure> {
    limits::oauth_device(app, client.id, from).await?;
    let scopes = client.allowed(parameters.get("scope").unwrap_or_default().split_ascii_whitespace());
    let request = DeviceRequest::new(client.id, scopes, from.to_string(), app.clock.now());
    for _ in 0..MAX_ATTEMPTS {
        let (device_code, user_code) = (token::write_device_code(&random()), UserCode::generate(&random()));
        let (hash, mac, row) = (token::hash(device_code.expose_secret()), mac(app, user_code), request.clone());
        let insert = async move |connection: &mut Connection| store::insert(connection, row, hash, mac).await;
        if app.database.autocommit(insert).await? {
            return Ok(Begun { device_code, user_code, request });
        }
    }
    Err(Failure::Other(Error::unavailable(anyhow::anyhow!("no user code is free"))))
}

/// Returns the form of a user code by which it is stored.
fn mac(app: &App, code: UserCode) -> [u8; 32] {
    let tag = hmac::sign(&app.secret.mac("user codes v1"), code.as_bytes());
    std::array::from_fn(|index| tag.as_ref()[index])
}

/// What a person sends by a form of the page.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry<'e> {
    pub(crate) user_code: &'e str,
    /// The token of the page.
    pub(crate) csrf: &'e str,
    /// Whether the person allows the access; `None` before the person has seen who asks.
    pub(crate) decision: Option<bool>,
}

/// A request about which a person is asked.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) client: String,
    pub(crate) email: String,
    pub(crate) user_code: UserCode,
    pub(crate) request: DeviceRequest,
    pub(crate) csrf: String,
}

/// What follows from a visit of the page.
#[derive(Debug)]
pub(crate) enum Visit {
    /// The person must sign in, or add a second factor first.
    Absent(Absent),
    /// The form is not that of a page for this code and this session.
    Foreign,
    /// The person is asked for the code. The last one may be wrong.
    Enter { csrf: String, is_wrong: bool },
    /// The person is asked for the consent.
    Ask(Box<Asked>),
    /// The person has decided.
    Done { allows: bool },
}

/// Decides about a visit of the page, from a browser with the refresh token of a session.
///
/// # Errors
/// `RATE_LIMIT_EXCEEDED`, `UNAVAILABLE`.
pub(crate) async fn visit(
    app: &App,
    refresh_token: Option<&str>,
    from: IpAddr,
    entry: Option<Entry<'_>>,
) -> Result<Visit> {
    let session = match visitor(app, refresh_token).await? {
        Ok(session) => session,
        Err(absent) => return Ok(Visit::Absent(absent)),
    };
    let enter = |is_wrong| Ok(Visit::Enter { csrf: csrf(app, &session, None), is_wrong });
    let Some(Entry { user_code, csrf: sent, decision }) = entry else { return enter(false) };
    let code = UserCode::parse(user_code);
    let Some(allows) = decision else {
        if !is_own(app, &session, None, sent) {
            return Ok(Visit::Foreign);
        }
        // What is no code is no guess.
        let Some(code) = code else { return enter(true) };
        let attempt = limits::user_code(app, session.user, from).await?;
        let Some((client, request)) = open(app, code).await? else { return enter(true) };
        app.limiter.take_back(attempt).await;
        let user = session.user;
        let user = app.database.read(async move |connection| users::get(connection, Visibility::All, user).await);
        let (client, email) = (client.name, user.await?.email.as_str().to_owned());
        let csrf = csrf(app, &session, Some(code));
        return Ok(Visit::Ask(Box::new(Asked { client, email, user_code: code, request, csrf })));
    };
    let Some(code) = code.filter(|code| is_own(app, &session, Some(*code), sent)) else { return Ok(Visit::Foreign) };
    let Some((client, request)) = open(app, code).await? else { return enter(true) };
    if decide(app, &session, code, (&client, request), allows).await? {
        Ok(Visit::Done { allows })
    } else {
        enter(true)
    }
}

/// Returns the client and the request of a code whose decision is open.
async fn open(app: &App, code: UserCode) -> Result<Option<(OauthClient, DeviceRequest)>> {
    let mac = mac(app, code);
    let found = app.database.autocommit(async move |connection| store::find(connection, mac).await).await?;
    let Some(request) = found.filter(|request| request.is_open(app.clock.now())) else { return Ok(None) };
    Ok(oauth_client::find(app, request.client).await?.map(|client| (client, request)))
}

/// Stores the decision of a person; returns `false` if another one was faster.
async fn decide(
    app: &App,
    session: &Session,
    code: UserCode,
    (client, request): (&OauthClient, DeviceRequest),
    allows: bool,
) -> Result<bool> {
    let (mac, now, client, account) = (mac(app, code), app.clock.now(), client.id, session.account);
    let by = Agreement {
        user: session.user,
        session: session.id,
        member: account.map(|own| own.member),
        scopes: request.scopes,
    };
    if allows {
        limits::oauth_code(app, by.user).await?;
    }
    let store = app.database.transaction(async move |work: &mut Work| {
        let (row, mark) = (by.clone(), mac);
        // The client is locked first, as by its deletion, which also removes the request.
        let decide = async move |connection: &Connection| {
            Ok(clients::keep(connection, client).await? && store::decide(connection, mark, &row, allows, now).await?)
        };
        let is_first = work.write(decide).await?;
        if is_first && allows {
            agree(work, client, (by.user, account.map(|own| own.account)), &by.scopes).await?;
        }
        Ok(is_first)
    });
    store.await
}

fn key(app: &App) -> hmac::Key {
    app.secret.mac("device consents v1")
}

fn message(session: &Session, code: Option<UserCode>) -> Vec<u8> {
    let code = code.as_ref().map(UserCode::as_bytes).unwrap_or_default();
    [session.id.0.as_bytes(), code].concat()
}

/// Returns the token of the page for the entry of a code or, with the code, for the decision: a page of another site can't make
/// it.
fn csrf(app: &App, session: &Session, code: Option<UserCode>) -> String {
    HEXLOWER.encode(hmac::sign(&key(app), &message(session, code)).as_ref())
}

fn is_own(app: &App, session: &Session, code: Option<UserCode>, sent: &str) -> bool {
    let sent = HEXLOWER.decode(sent.as_bytes()).unwrap_or_default();
    hmac::verify(&key(app), &message(session, code), &sent).is_ok()
}
