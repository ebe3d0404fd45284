//! The keys of a provider, and the signatures of its ID tokens.

use jsonwebtoken::{
    Algorithm, DecodingKey, Validation,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse},
};
use serde_json::Value;

use super::Claims;

/// The maximum number of keys that are kept.
const MAX_KEYS: usize = 64;
const MAX_TOKEN_BYTES: usize = 16_384;

/// A key with the one algorithm that it is used for, so that no header chooses another one.
struct Key {
    id: Option<String>,
    algorithm: Algorithm,
    decoding: DecodingKey,
}

/// The public keys of a provider.
#[derive(Default)]
pub struct KeySet(Vec<Key>);

impl std::fmt::Debug for KeySet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|key| &key.id)).finish()
    }
}

/// Why a token is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenFault {
    /// The token names a key that is not in the set; the provider may have changed its keys.
    UnknownKey,
    /// The provider did not sign the token, or not with an algorithm of the key.
    Forged,
}

impl KeySet {
    /// Reads a JSON Web Key Set (RFC 7517), without the keys of other algorithms.
    pub fn read(set: &Value) -> Self {
        let keys = set.get("keys").and_then(Value::as_array).into_iter().flatten();
        let keys = keys.filter_map(|key| serde_json::from_value::<Jwk>(key.clone()).ok());
        Self(keys.filter_map(|key| read(&key)).take(MAX_KEYS).collect())
    }

    /// Returns the claims of a token that the provider has signed.
    ///
    /// # Errors
    /// The reason for the refusal.
    pub fn verify(&self, token: &str) -> Result<Claims, TokenFault> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(TokenFault::Forged);
        }
        let header = jsonwebtoken::decode_header(token).map_err(|_| TokenFault::Forged)?;
        let key = match &header.kid {
            Some(id) => self.0.iter().find(|key| key.id.as_ref() == Some(id)),
            // Without an id there must be no choice.
            None => Some(self.0.as_slice()).filter(|keys| keys.len() == 1).map(|keys| &keys[0]),
        };
        let key = key.ok_or(TokenFault::UnknownKey)?;
        if header.alg != key.algorithm {
            return Err(TokenFault::Forged);
        }
        let mut validation = Validation::new(key.algorithm);
        // `Claims::check` checks them, by the clock of the application.
        validation.validate_exp = false;
        validation.validate_aud = false;
        validation.set_required_spec_claims::<&str>(&[]);
        let data = jsonwebtoken::decode::<Claims>(token, &key.decoding, &validation);
        data.map(|data| data.claims).map_err(|_| TokenFault::Forged)
    }
}

fn read(key: &Jwk) -> Option<Key> {
    let algorithm = match &key.algorithm {
        AlgorithmParameters::RSA(_) => Algorithm::RS256,
        AlgorithmParameters::EllipticCurve(curve) if curve.curve == EllipticCurve::P256 => Algorithm::ES256,
        AlgorithmParameters::OctetKeyPair(pair) if pair.curve == EllipticCurve::Ed25519 => Algorithm::EdDSA,
        // A symmetric key that is published is no secret.
        _ => return None,
    };
    let is_other = |declared: &KeyAlgorithm| *declared != KeyAlgorithm::from(algorithm);
    let is_for_signatures = key.common.public_key_use.as_ref().is_none_or(|use_| *use_ == PublicKeyUse::Signature);
    if !is_for_signatures || key.common.key_algorithm.as_ref().is_some_and(is_other) {
        return None;
    }
    Some(Key { id: key.common.key_id.clone(), algorithm, decoding: DecodingKey::from_jwk(key).ok()? })
}
