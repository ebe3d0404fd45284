//! Access and refresh tokens are written here.

use aws_lc_rs::hmac;
use chrono::{DateTime, TimeDelta, Utc};
use data_encoding::HEXLOWER;
use jsonwebtoken::{Algorithm, Header};
use secrecy::SecretString;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::identity::{
    credential::model::{Fingerprint, RefreshClaim},
    member::model::Member,
    oauth_client::model::{IDENTITY_SCOPES, OauthClient},
    role::model::Granted,
    session::model::{Grant, Method, Session},
    tokens::{
        Tokens,
        access::{Impersonator, Pair},
        claims::{Act, Claims, ID_TYPE, SERVICE, TYPE, role_name},
    },
    user::model::User,
};
use mainstay_kernel::{
    contract::policy,
    error::{Error, Result},
    id::SessionId,
};

impl Tokens {
    /// Issues the tokens of a session, with what the user's role grants now. They derive from the session's last refresh alone, so
    /// that a concurrent refresh gets the identical pair from any instance. `None` when no key can sign.
    ///
    /// # Errors
    /// `INTERNAL_ERROR` when the cryptographic library fails.
    pub fn issue(
        &self,
        user: &User,
        member: Option<&Member>,
        granted: &Granted,
        session: &Session,
    ) -> Result<Option<Pair>> {
        let Some(access) = self.sign(TYPE, &self.claims(user, member, granted, session))? else { return Ok(None) };
        let (inner, needs_second_factor) = (&self.0, *granted == Granted::UntilSecondFactor);
        let claim = RefreshClaim { user: user.id, session: session.id, generation: session.generation };
        let mac = hmac::sign(&inner.mac, &claim.bytes());
        Ok(Some(Pair {
            access,
            expires_in: TimeDelta::seconds(expiry(session, inner.life) - issuance(session)),
            refresh: claim.write(mac.as_ref()),
            session: session.id,
            account: member.map(|member| member.account),
            needs_second_factor,
        }))
    }

    /// Issues the access token of an impersonation until a time. `None` when no key can sign.
    ///
    /// # Errors
    /// `INTERNAL_ERROR` when the cryptographic library fails.
    pub fn impersonate(
        &self,
        user: &User,
        member: &Member,
        granted: &Granted,
        (session, end): (&Session, DateTime<Utc>),
        by: Impersonator,
    ) -> Result<Option<SecretString>> {
        let (rid, rver) = by.role.map(|(id, version)| (id.0, version)).unzip();
        let (sub, sid) = (by.user.0, by.session.0);
        let act = Act { sub, sid, epoch: by.epoch, rid, rver, writes: by.allows_writes };
        let claims = self.claims(user, Some(member), granted, session);
        self.sign(TYPE, &Claims { exp: end.timestamp(), act: Some(act), amr: Vec::new(), ..claims })
    }

    /// Returns the claims of the access token of a session.
    fn claims(&self, user: &User, member: Option<&Member>, granted: &Granted, session: &Session) -> Claims {
        let inner = &self.0;
        let (authenticated, issued) = (session.authenticated_at, issuance(session));
        let needs_second_factor = *granted == Granted::UntilSecondFactor;
        let (arole, custom) = match granted {
            Granted::BuiltIn(role) => (Some(role).filter(|role| role.role() == policy::Role::Customer), None),
            Granted::Nothing | Granted::UntilSecondFactor => (None, None),
            Granted::Custom { id, version, scopes } => (None, Some((id.0, *version, scopes.join(" ")))),
        };
        let scope = match &session.grant {
            Some(grant) => Some(self.scopes_of_grant(grant, granted).join(" ")),
            None => custom.as_ref().map(|(.., scopes)| scopes.clone()),
        };
        Claims {
            iss: inner.issuer.clone(),
            aud: inner.issuer.clone(),
            sub: user.id.0,
            acct: member.map(|member| member.account.0),
            mid: member.map(|member| member.id.0),
            mver: member.map(|member| member.version),
            role: role_name(user.role).to_owned(),
            arole: arole.map(|role| role.name().to_owned()),
            client_id: session.client().map(|client| client.0),
            scope,
            rid: custom.as_ref().map(|(id, ..)| *id),
            rver: custom.as_ref().map(|(_, version, _)| *version),
            sid: session.id.0,
            epoch: session.epoch,
            // Required by RFC 9068; without it, two refreshes within a second would yield the same token.
            jti: format!("{}.{}.{issued}", session.id, session.generation),
            iat: issued,
            exp: expiry(session, inner.life),
            auth_time: authenticated.timestamp(),
            amr: methods(session).iter().map(|&method| method.to_owned()).collect(),
            needs_second_factor,
            confined: session.provider.is_some(),
            act: None,
            secret: None,
        }
    }

    /// Issues the access token of a client of OAuth itself, which has proved a secret. `None` when no key can sign.
    ///
    /// # Errors
    /// `INTERNAL_ERROR` when the cryptographic library fails.
    pub(crate) fn issue_to_client(
        &self,
        client: &OauthClient,
        secret: Fingerprint,
        scopes: &[String],
    ) -> Result<Option<SecretString>> {
        let (inner, now) = (&self.0, self.0.clock.now());
        // The token is its own session, which ends with it.
        let id = SessionId::generate(now);
        let claims = Claims {
            iss: inner.issuer.clone(),
            aud: inner.issuer.clone(),
            sub: client.id.0,
            acct: client.account.map(|account| account.0),
            mid: None,
            mver: None,
            role: SERVICE.to_owned(),
            arole: None,
            client_id: Some(client.id.0),
            scope: Some(scopes.join(" ")),
            rid: None,
            rver: None,
            sid: id.0,
            epoch: client.credentials_epoch,
            jti: id.to_string(),
            iat: now.timestamp(),
            exp: now.timestamp() + inner.life.num_seconds(),
            auth_time: 0,
            amr: Vec::new(),
            needs_second_factor: false,
            confined: false,
            act: None,
            secret: Some(HEXLOWER.encode(&secret)),
        };
        self.sign(TYPE, &claims)
    }

    /// Returns those scopes of an application that the user has now, and those of OpenID Connect.
    fn scopes_of_grant<'g>(&self, grant: &'g Grant, granted: &Granted) -> Vec<&'g str> {
        let built_in = match granted {
            Granted::BuiltIn(role) => self.0.policies.scopes_of(*role),
            _ => [].into(),
        };
        let holds = |name: &str| match granted {
            Granted::Custom { scopes, .. } => scopes.iter().any(|scope| scope == name),
            _ => built_in.iter().any(|scope| scope.as_str() == name),
        };
        let names = grant.scopes.iter().map(String::as_str);
        names.filter(|name| IDENTITY_SCOPES.contains(name) || holds(name)).collect()
    }

    /// Issues the ID token of an application (OpenID Connect Core 1.0, 2), for which the user has signed in. `None` when no key
    /// can sign.
    ///
    /// # Errors
    /// `INTERNAL_ERROR` when the cryptographic library fails.
    pub(crate) fn identify(
        &self,
        issuer: &str,
        session: &Session,
        nonce: Option<&str>,
    ) -> Result<Option<SecretString>> {
        let (now, life) = (self.0.clock.now().timestamp(), self.0.life.num_seconds());
        let claims = json!({
            "iss": issuer,
            "sub": session.user.0,
            "aud": session.client().map(|client| client.0),
            "iat": now,
            "exp": now + life,
            "auth_time": session.authenticated_at.timestamp(),
            "acr": if session.has_second_factor { "2" } else { "1" },
            "amr": methods(session),
        });
        let nonce = nonce.map(|nonce| ("nonce".to_owned(), json!(nonce)));
        let claims: Map<String, Value> = claims.as_object().cloned().into_iter().flatten().chain(nonce).collect();
        self.sign(ID_TYPE, &claims)
    }

    /// Signs a token. `None` when no key can sign.
    fn sign(&self, kind: &str, claims: &impl Serialize) -> Result<Option<SecretString>> {
        let ring = self.ring();
        let Some(key) = ring.signing(self.0.clock.now()) else { return Ok(None) };
        let Some(signing) = key.signing() else { return Ok(None) };
        let mut header = Header::new(Algorithm::EdDSA);
        header.typ = Some(kind.to_owned());
        header.kid = Some(key.id().to_owned());
        let token = jsonwebtoken::encode(&header, claims, signing).map_err(Error::internal)?;
        Ok(Some(token.into()))
    }
}

/// Returns when the access token of a session is issued.
fn issuance(session: &Session) -> i64 {
    session.refreshed_at.max(session.authenticated_at).timestamp()
}

/// Returns when the access token of a session expires: no later than the session.
fn expiry(session: &Session, life: TimeDelta) -> i64 {
    (issuance(session) + life.num_seconds()).min(session.expires_at.timestamp())
}

/// Returns the proofs of a session (RFC 8176), which has no value for a sign-in provider. A passkey is a proof of possession
/// after a verification of the user.
fn methods(session: &Session) -> &'static [&'static str] {
    match (session.method, session.has_second_factor) {
        (Method::Password, false) => &["pwd"],
        (Method::Password, true) => &["pwd", "otp", "mfa"],
        (Method::Provider, false) => &[],
        (Method::Provider, true) => &["otp", "mfa"],
        (Method::Passkey, _) => &["pop", "mfa"],
        // The token in the link and the code are passwords that work once.
        (Method::Mail, false) => &["otp"],
        (Method::Mail, true) => &["otp", "mfa"],
    }
}
