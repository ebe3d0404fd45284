//! The relying party of WebAuthn (level 2): the options for authenticators, and the verification of their responses.
//!
//! Every passkey is discoverable, and every use of it takes a verification of the user, so that a passkey alone proves two
//! factors. No attestation is requested: the model of an authenticator changes nothing here.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use passki::{
    AuthenticationCredential, AuthenticationOptions, Passki, PasskiError, RegistrationCredential, RegistrationOptions,
    ResidentKeyRequirement, StoredPasskey, UserVerificationRequirement,
};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{
    identity::{
        config::IdentityConfig,
        second_factor::model::{CEREMONY_LIFE, Credential},
        user::model::User,
    },
    proto::identity::v1::Reason as IdentityReason,
};
use mainstay_kernel::{
    error::{Error, Result},
    id::UserId,
};

/// The algorithms that are offered, by their COSE numbers: ES256, EdDSA and RS256, one of which every authenticator has.
const ALGORITHMS: [i32; 3] = [-7, -8, -257];
/// The maximum length of a credential's id (WebAuthn, 5.1.3), and of a stored public key: RSA with 8192 bits has 1041.
const MAX_ID_BYTES: usize = 1023;
const MAX_KEY_BYTES: usize = 2000;

/// The relying party; without a host name, passkeys are unavailable.
pub struct RelyingParty(Option<Passki>);

impl std::fmt::Debug for RelyingParty {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RelyingParty")
    }
}

/// The response of a new passkey.
pub struct Attestation(RegistrationCredential);

/// The response of a passkey that proves its user.
pub struct Assertion {
    /// The id that the authenticator gave the passkey.
    pub credential_id: Vec<u8>,
    response: Box<AuthenticationCredential>,
}

fn parse<T: DeserializeOwned>(text: &str, field: &'static str) -> Result<T> {
    serde_json::from_str(text).map_err(|_| Error::field(field, "must be the JSON text of a credential"))
}

impl Attestation {
    /// Reads the text in a field.
    ///
    /// # Errors
    /// `VALIDATION_FAILED`.
    pub fn parse(text: &str, field: &'static str) -> Result<Self> {
        parse(text, field).map(Self)
    }
}

impl Assertion {
    /// Reads the text in a field.
    ///
    /// # Errors
    /// `VALIDATION_FAILED`.
    pub fn parse(text: &str, field: &'static str) -> Result<Self> {
        let response: Box<AuthenticationCredential> = parse(text, field)?;
        let id = URL_SAFE_NO_PAD.decode(&response.raw_id).ok().filter(|id| (1..=MAX_ID_BYTES).contains(&id.len()));
        let credential_id = id.ok_or_else(|| Error::field(field, "has no id of a credential"))?;
        Ok(Self { credential_id, response })
    }

    /// Returns whether the authenticator says that the passkey is one of a user; `None` if it says nothing.
    pub fn is_of(&self, user: UserId) -> Option<bool> {
        let handle = self.response.response.user_handle.as_ref()?;
        Some(URL_SAFE_NO_PAD.decode(handle).is_ok_and(|handle| handle == user.0.as_bytes()))
    }
}

fn invalid(error: &PasskiError) -> Error {
    Error::new(IdentityReason::InvalidPasskey).caused_by(anyhow::anyhow!("{error}"))
}

fn failed(error: &PasskiError) -> Error {
    Error::internal(anyhow::anyhow!("passkey options: {error}"))
}

/// Writes options with the challenge of a ceremony in place of the one that the library has made.
fn written(options: impl serde::Serialize, challenge: &[u8]) -> Result<String> {
    let mut options = serde_json::to_value(options).map_err(Error::internal)?;
    options["challenge"] = URL_SAFE_NO_PAD.encode(challenge).into();
    Ok(options.to_string())
}

fn stored(credential: &Credential) -> StoredPasskey {
    let mut stored = StoredPasskey::default();
    stored.credential_id.clone_from(&credential.id);
    stored.public_key.clone_from(&credential.public_key);
    stored.algorithm = credential.algorithm;
    // The counter stays 0, because it is compared where it is stored, after the signature.
    let transports = credential.transports.iter().cloned().map(Value::String);
    stored.transports = transports.filter_map(|name| serde_json::from_value(name).ok()).collect();
    stored
}

fn registration_options(exclude: &[StoredPasskey]) -> RegistrationOptions<'_> {
    let mut options = RegistrationOptions::default();
    options.timeout = timeout_ms();
    options.resident_key = ResidentKeyRequirement::Required;
    options.user_verification = UserVerificationRequirement::Required;
    options.exclude_credentials = Some(exclude);
    options
}

fn authentication_options() -> AuthenticationOptions {
    let mut options = AuthenticationOptions::default();
    options.timeout = timeout_ms();
    options.user_verification = UserVerificationRequirement::Required;
    options
}

fn timeout_ms() -> u64 {
    u64::try_from(CEREMONY_LIFE.num_milliseconds()).unwrap_or_default()
}

impl RelyingParty {
    /// Reads the configuration.
    pub fn new(config: &IdentityConfig) -> Self {
        let party = config.relying_party.as_ref();
        Self(party.map(|party| Passki::new(&party.id, &party.origins, &config.app_name)))
    }

    fn party(&self) -> Result<&Passki> {
        self.0.as_ref().ok_or_else(|| IdentityReason::PasskeysUnavailable.into())
    }

    /// Returns whether passkeys are available.
    pub fn is_available(&self) -> bool {
        self.0.is_some()
    }

    /// Writes the options for a new passkey of a user, who has others already.
    ///
    /// # Errors
    /// `PASSKEYS_UNAVAILABLE`.
    pub fn creation_options(&self, user: &User, others: &[Credential], challenge: &[u8]) -> Result<String> {
        let others: Vec<_> = others.iter().map(stored).collect();
        let (id, email) = (user.id.0.as_bytes(), user.email.as_str());
        let begun = self.party()?.start_passkey_registration(id, email, &user.name, registration_options(&others));
        let (mut options, _) = begun.map_err(|error| failed(&error))?;
        options.pub_key_cred_params.retain(|parameter| ALGORITHMS.contains(&parameter.alg));
        written(options, challenge)
    }

    /// Writes the options for a proof by one of these passkeys; if there is none, by any that the authenticator has.
    ///
    /// # Errors
    /// `PASSKEYS_UNAVAILABLE`.
    pub fn request_options(&self, passkeys: &[Credential], challenge: &[u8]) -> Result<String> {
        let passkeys: Vec<_> = passkeys.iter().map(stored).collect();
        let begun = self.party()?.start_passkey_authentication(&passkeys, authentication_options());
        let (options, _) = begun.map_err(|error| failed(&error))?;
        written(options, challenge)
    }

    /// Verifies the response of a new passkey of a user.
    ///
    /// # Errors
    /// `PASSKEYS_UNAVAILABLE`; `INVALID_PASSKEY` if the response does not match the challenge, the origin or the options.
    pub fn register(&self, user: UserId, Attestation(response): &Attestation, challenge: &[u8]) -> Result<Credential> {
        let party = self.party()?;
        let begun = party.start_passkey_registration(user.0.as_bytes(), "", "", registration_options(&[]));
        let (_, mut state) = begun.map_err(|error| failed(&error))?;
        state.challenge = challenge.to_vec();
        let new = party.finish_passkey_registration(response, &state).map_err(|error| invalid(&error))?;
        let is_bounded = (1..=MAX_ID_BYTES).contains(&new.credential_id.len()) && new.public_key.len() <= MAX_KEY_BYTES;
        if !is_bounded || !ALGORITHMS.contains(&new.algorithm) {
            return Err(IdentityReason::InvalidPasskey.into());
        }
        let name = |transport| serde_json::to_value(transport).ok()?.as_str().map(str::to_owned);
        let mut transports: Vec<_> = new.transports.iter().filter_map(name).collect();
        transports.sort_unstable();
        transports.dedup();
        Ok(Credential {
            id: new.credential_id,
            public_key: new.public_key,
            algorithm: new.algorithm,
            counter: new.counter,
            transports,
            is_synced: new.be,
        })
    }

    /// Verifies the proof by a passkey, except for its counter, which is returned.
    ///
    /// # Errors
    /// `PASSKEYS_UNAVAILABLE`; `INVALID_PASSKEY` if the response does not match the passkey, the challenge, the origin or the
    /// options.
    pub fn verify(&self, passkey: &Credential, proof: &Assertion, challenge: &[u8]) -> Result<u32> {
        let party = self.party()?;
        let begun = party.start_passkey_authentication(&[], authentication_options());
        let (_, mut state) = begun.map_err(|error| failed(&error))?;
        state.challenge = challenge.to_vec();
        let proved = party.finish_passkey_authentication(&proof.response, &state, &stored(passkey));
        proved.map(|proved| proved.counter).map_err(|error| invalid(&error))
    }
}
