//! Access and refresh tokens are written here.

use aws_lc_rs::hmac;
use chrono::{DateTime, Utc};
use jsonwebtoken::{Algorithm, Header};
use secrecy::SecretString;

use crate::identity::{
    credential::model::RefreshClaim,
    member::model::Member,
    role::model::Granted,
    session::model::{Method, Session},
    tokens::{
        Tokens,
        access::{Impersonator, Pair},
        claims::{Act, Claims, TYPE, role_name},
    },
    user::model::User,
};
use mainstay_kernel::{
    contract::policy,
    error::{Error, Result},
};

impl Tokens {
    /// Issues the tokens of a session, with what the user's role grants now. They derive from the session's last refresh alone, so that a concurrent refresh
    /// gets the identical pair from any instance. `None` when no key can sign.
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
        let Some(access) = self.sign(&self.claims(user, member, granted, session))? else { return Ok(None) };
        let (inner, needs_second_factor) = (&self.0, *granted == Granted::UntilSecondFactor);
        let claim = RefreshClaim { user: user.id, session: session.id, generation: session.generation };
        let mac = hmac::sign(&inner.mac, &claim.bytes());
        Ok(Some(Pair {
            access,
            expires_in: inner.life,
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
        self.sign(&Claims { exp: end.timestamp(), act: Some(act), amr: Vec::new(), ..claims })
    }

    /// Returns the claims of the access token of a session.
    fn claims(&self, user: &User, member: Option<&Member>, granted: &Granted, session: &Session) -> Claims {
        let inner = &self.0;
        let authenticated = session.authenticated_at;
        let issued = session.refreshed_at.max(authenticated).timestamp();
        let needs_second_factor = *granted == Granted::UntilSecondFactor;
        // RFC 8176 has no value for a sign-in provider. A passkey is a proof of possession after a verification of the user.
        let methods: &[&str] = match (session.method, session.has_second_factor) {
            (Method::Password, false) => &["pwd"],
            (Method::Password, true) => &["pwd", "otp", "mfa"],
            (Method::Provider, false) => &[],
            (Method::Provider, true) => &["otp", "mfa"],
            (Method::Passkey, _) => &["pop", "mfa"],
            // The token in the link and the code are passwords that work once.
            (Method::Mail, false) => &["otp"],
            (Method::Mail, true) => &["otp", "mfa"],
        };
        let (arole, custom) = match granted {
            Granted::BuiltIn(role) => (Some(role).filter(|role| role.role() == policy::Role::Customer), None),
            Granted::Nothing | Granted::UntilSecondFactor => (None, None),
            Granted::Custom { id, version, scopes } => (None, Some((id.0, *version, scopes.join(" ")))),
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
            scope: custom.as_ref().map(|(.., scopes)| scopes.clone()),
            rid: custom.as_ref().map(|(id, ..)| *id),
            rver: custom.as_ref().map(|(_, version, _)| *version),
            sid: session.id.0,
            epoch: session.epoch,
            // Required by RFC 9068; without it, two refreshes within a second would yield the same token.
            jti: format!("{}.{}.{issued}", session.id, session.generation),
            iat: issued,
            exp: issued + inner.life.num_seconds(),
            auth_time: authenticated.timestamp(),
            amr: methods.iter().map(|&method| method.to_owned()).collect(),
            needs_second_factor,
            confined: session.provider.is_some(),
            act: None,
        }
    }

    /// Signs an access token. `None` when no key can sign.
    fn sign(&self, claims: &Claims) -> Result<Option<SecretString>> {
        let ring = self.ring();
        let Some(key) = ring.signing(self.0.clock.now()) else { return Ok(None) };
        let Some(signing) = key.signing() else { return Ok(None) };
        let mut header = Header::new(Algorithm::EdDSA);
        header.typ = Some(TYPE.to_owned());
        header.kid = Some(key.id().to_owned());
        let access = jsonwebtoken::encode(&header, claims, signing).map_err(Error::internal)?;
        Ok(Some(access.into()))
    }
}
