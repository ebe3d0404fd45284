//! The keys that sign and verify access tokens: Ed25519 (RFC 8032), published as JWKS (RFC 7517, RFC 8037).

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::{DecodingKey, EncodingKey};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::identity::signing_key::model::Life;
use mainstay_kernel::{
    error::{Error, Result},
    secret::SecretKey,
};

/// A signing key as stored.
#[derive(Debug, Clone)]
pub struct SealedKey {
    /// The `kid`: the key's thumbprint (RFC 7638).
    pub id: String,
    /// The private key in PKCS #8, sealed under the server's secret with the `kid` as its label.
    pub private_key: Vec<u8>,
    /// The public key, 32 bytes.
    pub public_key: Vec<u8>,
    /// The times at which the key begins to sign and retires.
    pub life: Life,
}

impl SealedKey {
    /// Generates a key.
    ///
    /// # Errors
    /// `INTERNAL_ERROR` when the cryptographic library fails.
    pub fn generate(secret: &SecretKey, life: Life) -> Result<Self> {
        let failed = |what: &'static str| move |_| Error::internal(anyhow::anyhow!("Ed25519: {what}"));
        let pair = Ed25519KeyPair::generate().map_err(failed("generating a key"))?;
        let private = pair.to_pkcs8().map_err(failed("writing a key"))?;
        let public_key = pair.public_key().as_ref().to_vec();
        let id = thumbprint(&public_key);
        Ok(Self { private_key: secret.seal(&id, private.as_ref())?, id, public_key, life })
    }
}

/// The JWK thumbprint: SHA-256 over the required members in order (RFC 7638, 3; RFC 8037, 2).
fn thumbprint(public_key: &[u8]) -> String {
    let x = URL_SAFE_NO_PAD.encode(public_key);
    URL_SAFE_NO_PAD.encode(Sha256::digest(format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#)))
}

/// A signing key in memory.
pub struct Key {
    id: String,
    x: String,
    life: Life,
    decoding: DecodingKey,
    /// The private key; `None` if it was sealed under another secret, in which case the key only verifies.
    encoding: Option<EncodingKey>,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key").field("id", &self.id).field("life", &self.life).finish_non_exhaustive()
    }
}

impl Key {
    /// Opens a stored key.
    ///
    /// # Errors
    /// `INTERNAL_ERROR` for an invalid public key.
    pub fn open(sealed: SealedKey, secret: &SecretKey) -> Result<Self> {
        let private = secret.unseal(&sealed.id, &sealed.private_key);
        if private.is_none() {
            tracing::warn!(key = sealed.id, "a signing key is sealed under another SECRET_KEY and can only verify");
        }
        let x = URL_SAFE_NO_PAD.encode(&sealed.public_key);
        Ok(Self {
            decoding: DecodingKey::from_ed_components(&x).map_err(Error::internal)?,
            encoding: private.map(|private| EncodingKey::from_ed_der(private.expose_secret())),
            id: sealed.id,
            x,
            life: sealed.life,
        })
    }

    /// The `kid` in the header of tokens (RFC 7515, section 4.1.4).
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The private key; `None` if the key only verifies.
    pub(crate) fn signing(&self) -> Option<&EncodingKey> {
        self.encoding.as_ref()
    }

    pub(crate) fn verifying(&self) -> &DecodingKey {
        &self.decoding
    }
}

/// The keys that sign, will sign, or may have signed tokens that are still valid.
#[derive(Debug, Default)]
pub struct KeyRing(Vec<Key>);

impl KeyRing {
    /// Opens stored keys.
    ///
    /// # Errors
    /// `INTERNAL_ERROR` for an invalid public key.
    pub fn open(sealed: Vec<SealedKey>, secret: &SecretKey) -> Result<Self> {
        Ok(Self(sealed.into_iter().map(|key| Key::open(key, secret)).collect::<Result<_>>()?))
    }

    /// Returns the key that signs now.
    pub fn signing(&self, now: DateTime<Utc>) -> Option<&Key> {
        let candidates = self.0.iter().filter(|key| key.encoding.is_some() && key.life.signs(now));
        candidates.max_by_key(|key| key.life.signs_from)
    }

    /// Returns the key of a `kid`, while tokens it signed may be valid.
    pub fn find(&self, id: &str, now: DateTime<Utc>, token_life: TimeDelta) -> Option<&Key> {
        self.0.iter().find(|key| key.id == id && key.life.verifies(now, token_life))
    }

    /// Returns whether a new key is due: no key can sign, or the newest key is old.
    pub fn wants_rotation(&self, now: DateTime<Utc>, age: TimeDelta) -> bool {
        let candidates = self.0.iter().filter(|key| key.encoding.is_some() && key.life.retired_at.is_none());
        candidates.max_by_key(|key| key.life.created_at).is_none_or(|newest| newest.life.is_old(now, age))
    }

    /// Returns the JSON Web Key Set: every key that a valid token may name, now or soon.
    pub fn jwks(&self, now: DateTime<Utc>, token_life: TimeDelta) -> Value {
        let published = self.0.iter().filter(|key| key.life.verifies(now, token_life));
        let key = |key: &Key| json!({ "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": key.id, "x": key.x });
        json!({ "keys": published.map(key).collect::<Vec<_>>() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_thumbprint_is_that_of_rfc_8037() {
        // RFC 8037, A.2 and A.3.
        let x = URL_SAFE_NO_PAD.decode("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo").expect("base64url");
        assert_eq!(thumbprint(&x), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }

    #[test]
    fn a_key_of_another_secret_verifies_and_does_not_sign() {
        let now = DateTime::from_timestamp(1_790_000_000, 0).expect("a time");
        let ours = SecretKey::new([1; 32]);
        let sealed = SealedKey::generate(&ours, Life::begin(now, true)).expect("a key");
        let open = |secret| KeyRing::open(vec![sealed.clone()], secret).expect("a ring");
        assert!(open(&ours).signing(now).is_some());
        assert!(!open(&ours).wants_rotation(now, TimeDelta::days(30)));
        assert!(open(&ours).wants_rotation(now + TimeDelta::days(30), TimeDelta::days(30)));
        let theirs = open(&SecretKey::new([2; 32]));
        assert!(theirs.signing(now).is_none() && theirs.find(&sealed.id, now, TimeDelta::minutes(5)).is_some());
        assert!(theirs.wants_rotation(now, TimeDelta::days(30)));
        assert_eq!(theirs.jwks(now, TimeDelta::minutes(5))["keys"][0]["kid"], sealed.id.as_str());
    }
}
