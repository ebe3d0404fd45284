//! An authenticator in software, with one passkey, whose faults a test chooses.

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// The origin of the pages of a test server, whose port is not known before it starts.
const ORIGIN: &str = "http://localhost:0";

/// An authenticator. A change of a field makes its next responses wrong.
pub(crate) struct Authenticator {
    /// The origin of the page.
    pub(crate) origin: String,
    /// The domain for which it signs, in place of that of the options.
    pub(crate) rp_id: Option<String>,
    /// The challenge that it signs, in place of that of the options.
    pub(crate) challenge: Option<String>,
    /// The flags: 1 user present, 4 user verified.
    pub(crate) flags: u8,
    /// The algorithm that it claims (COSE).
    pub(crate) algorithm: i64,
    /// The counter of its last signature.
    pub(crate) counter: u32,
    /// The user to whom the passkey belongs.
    pub(crate) user_handle: Option<String>,
    /// The id of the passkey.
    pub(crate) credential: Vec<u8>,
    key: EcdsaKeyPair,
}

fn base64(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Writes the head of a CBOR item (RFC 8949, 3).
fn head(kind: u8, length: usize) -> Vec<u8> {
    let kind = kind << 5;
    match u16::try_from(length).expect("short") {
        length @ 0..24 => vec![kind | length as u8],
        length @ 24..256 => vec![kind | 24, length as u8],
        length => [&[kind | 25], length.to_be_bytes().as_slice()].concat(),
    }
}

fn bytes(bytes: &[u8]) -> Vec<u8> {
    [head(2, bytes.len()), bytes.to_vec()].concat()
}

fn text(text: &str) -> Vec<u8> {
    [head(3, text.len()), text.as_bytes().to_vec()].concat()
}

fn number(number: i64) -> Vec<u8> {
    let kind = u8::from(number < 0);
    head(kind, usize::try_from(if number < 0 { -1 - number } else { number }).expect("a length"))
}

/// Wraps authenticator data in an attestation object without an attestation.
pub(crate) fn attestation_object(data: &[u8]) -> Vec<u8> {
    [head(5, 3), text("fmt"), text("none"), text("attStmt"), head(5, 0), text("authData"), bytes(data)].concat()
}

impl Authenticator {
    pub(crate) fn new() -> Self {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).expect("a key");
        Self {
            origin: ORIGIN.to_owned(),
            rp_id: None,
            challenge: None,
            flags: 1 | 4,
            algorithm: -7,
            counter: 0,
            user_handle: None,
            credential: Sha256::digest(key.public_key().as_ref()).to_vec(),
            key,
        }
    }

    fn client_data(&self, kind: &str, options: &Value) -> String {
        let challenge =
            self.challenge.clone().unwrap_or_else(|| options["challenge"].as_str().expect("one").to_owned());
        json!({ "type": kind, "challenge": challenge, "origin": self.origin, "crossOrigin": false }).to_string()
    }

    fn header(&self, rp_id: &Value, flags: u8) -> Vec<u8> {
        let rp_id = self.rp_id.as_deref().or(rp_id.as_str()).expect("an id");
        [Sha256::digest(rp_id).as_slice(), &[flags], &self.counter.to_be_bytes()].concat()
    }

    /// Returns the authenticator data of a new passkey.
    pub(crate) fn attested(&self, rp_id: &Value) -> Vec<u8> {
        let point = self.key.public_key().as_ref();
        let pairs = [(1, number(2)), (3, number(self.algorithm)), (-1, number(1)), (-2, bytes(&point[1..33]))];
        let pairs = pairs.into_iter().chain([(-3, bytes(&point[33..]))]);
        let cose: Vec<u8> = pairs.flat_map(|(label, value)| [number(label), value].concat()).collect();
        let length = u16::try_from(self.credential.len()).expect("short").to_be_bytes();
        [self.header(rp_id, self.flags | 0x40).as_slice(), &[0; 16], &length, &self.credential, &head(5, 5), &cose]
            .concat()
    }

    /// Responds to the options for a new passkey.
    pub(crate) fn create(&mut self, options: &str) -> String {
        let options: Value = serde_json::from_str(options).expect("JSON");
        self.user_handle = options["user"]["id"].as_str().map(str::to_owned);
        self.respond(&options, &attestation_object(&self.attested(&options["rp"]["id"])))
    }

    /// Responds to the options for a new passkey with any attestation object.
    pub(crate) fn respond(&self, options: &Value, attestation_object: &[u8]) -> String {
        let response = json!({
            "clientDataJSON": base64(self.client_data("webauthn.create", options).as_bytes()),
            "attestationObject": base64(attestation_object),
            "transports": ["internal", "of-the-future"],
        });
        let id = base64(&self.credential);
        json!({ "id": id, "rawId": id, "type": "public-key", "response": response, "clientExtensionResults": {} })
            .to_string()
    }

    /// Responds to the options for a proof, and counts it.
    pub(crate) fn get(&mut self, options: &str) -> String {
        self.counter += 1;
        self.sign(options)
    }

    /// Responds to the options for a proof.
    pub(crate) fn sign(&self, options: &str) -> String {
        let options: Value = serde_json::from_str(options).expect("JSON");
        let client = self.client_data("webauthn.get", &options);
        let data = self.header(&options["rpId"], self.flags);
        let signed = [data.as_slice(), &Sha256::digest(&client)].concat();
        let signature = self.key.sign(&SystemRandom::new(), &signed).expect("a signature");
        let response = json!({
            "clientDataJSON": base64(client.as_bytes()),
            "authenticatorData": base64(&data),
            "signature": base64(signature.as_ref()),
            "userHandle": self.user_handle,
        });
        let id = base64(&self.credential);
        json!({ "id": id, "rawId": id, "type": "public-key", "response": response, "clientExtensionResults": {} })
            .to_string()
    }
}
