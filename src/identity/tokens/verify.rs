//! Access and refresh tokens are read here.

use std::sync::Arc;

use aws_lc_rs::hmac;
use chrono::{DateTime, Utc};
use data_encoding::HEXLOWER;
use jsonwebtoken::{Algorithm, Validation};
use serde::{Deserialize, de::DeserializeOwned};
use uuid::Uuid;

use crate::identity::{
    credential::model::RefreshClaim,
    oauth_client::id::OauthClientId,
    revocation::model::{SubjectVersion, TokenClaims},
    tokens::{
        Tokens,
        access::{Access, TokenError},
        claims::{Claims, ID_TYPE, SERVICE, TYPE, built_in_of, role_of},
    },
};
use mainstay_kernel::{
    caller::{Caller, Means, SignIn},
    contract::policy::{self, DeclaredScope, Scope},
    error::Result,
    id::{AccountId, ServiceKeyId, SessionId, UserId},
};

/// The maximum length of a token: issued tokens have about 500 bytes, and four thirds of the scopes of a custom role.
const MAX_TOKEN_BYTES: usize = 8192;

/// The claim of an ID token that names the client.
#[derive(Deserialize)]
struct Audience {
    aud: OauthClientId,
}

impl Tokens {
    /// Parses a refresh token; `None` if it was not issued by this server. The MAC is compared in constant time.
    pub fn read_refresh(&self, token: &str) -> Option<RefreshClaim> {
        let (claim, mac) = RefreshClaim::read(token)?;
        hmac::verify(&self.0.mac, &claim.bytes(), &mac).is_ok().then_some(claim)
    }

    /// Verifies an access token by its signature alone; the caller must check whether the token was revoked since.
    ///
    /// # Errors
    /// The reason for the rejection.
    pub fn verify(&self, token: &str) -> Result<Access, TokenError> {
        let claims: Claims = self.decode(token, TYPE, &self.0.validation)?;
        let now = self.0.clock.now();
        let expires_at = DateTime::from_timestamp(claims.exp, 0).ok_or(TokenError::Forged)?;
        // Without a leeway (RFC 7519, 4.1.4): the token ends with its session, and a client exchanges it early enough. The leeway
        // would matter for the beginning of a token alone, which is not checked.
        if now >= expires_at {
            return Err(TokenError::Expired);
        }
        if claims.role == SERVICE {
            return self.of_client(&claims, expires_at).ok_or(TokenError::Forged);
        }
        let (user, session) = (UserId(claims.sub), SessionId(claims.sid));
        let platform = role_of(&claims.role).ok_or(TokenError::Forged)?;
        let member = match (claims.acct, claims.mid, claims.mver) {
            (Some(_), Some(id), Some(version)) => Some(SubjectVersion::new(id, version)),
            (None, None, None) => None,
            // A token of an earlier version of the server, which the client exchanges.
            _ => return Err(TokenError::Expired),
        };
        let scopes = self.scopes(platform, &claims).ok_or(TokenError::Forged)?;
        let role = claims.rid.zip(claims.rver).map(|(id, version)| SubjectVersion::new(id, version));
        let at = DateTime::from_timestamp(claims.auth_time, 0).ok_or(TokenError::Forged)?;
        let means = match (&claims.act, claims.client_id) {
            (Some(act), _) => Means::Impersonation { by: UserId(act.sub), allows_writes: act.writes },
            (None, Some(client)) => Means::Application(client),
            (None, None) => Means::Session,
        };
        let impersonator = claims.act.as_ref().map(|act| TokenClaims {
            user: UserId(act.sub),
            session: SessionId(act.sid),
            epoch: act.epoch,
            member: None,
            role: act.rid.zip(act.rver).map(|(id, version)| SubjectVersion::new(id, version)),
            key: None,
        });
        let (needs_second_factor, is_confined) = (claims.needs_second_factor, claims.confined);
        let sign_in = SignIn { at, needs_second_factor, means, is_confined };
        let account = claims.acct.map(AccountId);
        let caller = Caller::User { id: user, account, role: platform, session, scopes, sign_in };
        let claims = TokenClaims { user, session, epoch: claims.epoch, member, role, key: None };
        Ok(Access { caller, claims, impersonator, networks: None, secret: None, expires_at })
    }

    /// Returns the content of the token of a client itself.
    fn of_client(&self, claims: &Claims, expires_at: DateTime<Utc>) -> Option<Access> {
        let secret = HEXLOWER.decode(claims.secret.as_ref()?.as_bytes()).ok()?.try_into().ok()?;
        let account = claims.acct.map(AccountId);
        let policies = self.0.policies;
        let is_given = |name: &&str| {
            let is = |scope: &DeclaredScope| scope.name.as_str() == *name && scope.is_of_accounts();
            account.is_none() || policies.scopes().any(is)
        };
        let scopes = policies.declared(claims.scope.as_deref()?.split(' ').filter(is_given));
        Some(Access {
            caller: Caller::Service { id: ServiceKeyId(claims.sub), account, scopes },
            // No user has the nil UUID. The version of the client is that at the check in Postgres.
            claims: TokenClaims {
                user: UserId(Uuid::nil()),
                session: SessionId(claims.sid),
                epoch: claims.epoch,
                member: None,
                role: None,
                key: None,
            },
            impersonator: None,
            networks: None,
            secret: Some(secret),
            expires_at,
        })
    }

    /// Returns the client of an ID token, also of one that has expired (OpenID Connect RP-Initiated Logout 1.0, 2), as long as
    /// this service has the key that signed it.
    ///
    /// # Errors
    /// The reason for the rejection.
    pub(crate) fn client_of(&self, issuer: &str, id_token: &str) -> Result<OauthClientId, TokenError> {
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_issuer(&[issuer]);
        validation.set_required_spec_claims(&["iss", "aud"]);
        // The audience is the answer.
        validation.validate_aud = false;
        validation.validate_exp = false;
        self.decode(id_token, ID_TYPE, &validation).map(|Audience { aud }| aud)
    }

    /// Verifies the type and the signature of a token, and returns its claims.
    fn decode<C: DeserializeOwned>(&self, token: &str, kind: &str, validation: &Validation) -> Result<C, TokenError> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(TokenError::Forged);
        }
        let header = jsonwebtoken::decode_header(token).map_err(|_| TokenError::Forged)?;
        if header.alg != Algorithm::EdDSA || header.typ.as_deref() != Some(kind) {
            return Err(TokenError::Forged);
        }
        let id = header.kid.ok_or(TokenError::Forged)?;
        let ring = self.ring();
        let key = ring.find(&id, self.0.clock.now(), self.0.life).ok_or(TokenError::UnknownKey)?;
        let verified = jsonwebtoken::decode::<C>(token, key.verifying(), validation);
        Ok(verified.map_err(|_| TokenError::Forged)?.claims)
    }

    /// Returns the scopes of a token: those of its custom role, else of its built-in role. A custom role of an account never
    /// grants a scope of the staff, not even one that has become one since.
    fn scopes(&self, platform: policy::Role, claims: &Claims) -> Option<Arc<[Scope]>> {
        let policies = self.0.policies;
        let custom = match (&claims.scope, claims.rid, claims.rver) {
            (Some(scopes), Some(_), Some(_)) => scopes,
            // A customer without an account holds nothing, as does a user without the second factor that is required.
            (scope, None, None)
                if (scope.is_none() || claims.client_id.is_some())
                    && (claims.needs_second_factor
                        || (platform == policy::Role::Customer && claims.acct.is_none())) =>
            {
                return Some([].into());
            }
            (None, None, None) => {
                return built_in_of(platform, claims.arole.as_deref()).map(|role| policies.scopes_of(role));
            }
            // An application has at most what the built-in role has.
            (Some(scopes), None, None) if claims.client_id.is_some() => {
                let held = built_in_of(platform, claims.arole.as_deref()).map(|role| policies.scopes_of(role))?;
                let is_given = |scope: &&Scope| scopes.split(' ').any(|name| name == scope.as_str());
                return Some(held.iter().filter(is_given).cloned().collect());
            }
            _ => return None,
        };
        let of_accounts = |name: &&str| {
            let is = |scope: &DeclaredScope| scope.name.as_str() == *name && scope.is_of_accounts();
            platform != policy::Role::Customer || policies.scopes().any(is)
        };
        Some(policies.declared(custom.split(' ').filter(of_accounts)))
    }
}
