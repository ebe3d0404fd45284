//! Links, digests and checkpoints.

mod verify;

use aws_lc_rs::hmac;
use chrono::{DateTime, TimeDelta, Utc};
use mainstay_kernel::{id, secret::SecretKey};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::audit::entry::model::time_of;

pub use verify::{Fault, Rules, Verifier};

/// Names what a digest covers, so that a later version can cover more.
const ENTRY: &[u8] = b"mainstay audit entry v1";
const KEY: &str = "audit checkpoints v1";
/// The length of a key's id, before the MAC of a seal.
const KEY_ID: usize = 8;

/// An entry as the chain covers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEntry {
    pub id: Uuid,
    pub writer: i64,
    pub method: String,
    pub outcome: i16,
    pub actor_kind: i16,
    pub actor_id: Option<Uuid>,
    pub account_id: Option<Uuid>,
    pub resource_kind: String,
    pub resource_id: Option<Uuid>,
    pub request_id: Option<String>,
    /// The JSON as it was written.
    pub changes: String,
    pub salt: Option<Vec<u8>>,
    pub personal: Option<String>,
    pub personal_digest: Option<Vec<u8>>,
}

impl StoredEntry {
    /// Returns SHA-256 over the fields, each with its length; the personal values count by their digest.
    pub fn digest(&self) -> [u8; 32] {
        let id = |id: Option<Uuid>| id.map(|id| id.as_bytes().to_vec());
        let text = |text: &str| Some(text.as_bytes().to_vec());
        let fields = [
            id(Some(self.id)),
            text(&self.method),
            Some(self.outcome.to_be_bytes().to_vec()),
            Some(self.actor_kind.to_be_bytes().to_vec()),
            id(self.actor_id),
            id(self.account_id),
            text(&self.resource_kind),
            id(self.resource_id),
            self.request_id.as_deref().and_then(text),
            text(&self.changes),
            self.personal_digest.clone(),
        ];
        let mut hash = Sha256::new().chain_update(ENTRY);
        for field in fields {
            // An absent field differs from an empty one.
            hash.update(field.as_ref().map_or(u64::MAX, |field| field.len() as u64).to_be_bytes());
            hash.update(field.unwrap_or_default());
        }
        hash.finalize().into()
    }

    /// Returns whether the personal values, unless they are erased, are those of the digest.
    pub fn has_its_personal_values(&self) -> bool {
        let (Some(salt), Some(personal)) = (&self.salt, &self.personal) else {
            return self.salt.is_none() && self.personal.is_none();
        };
        let digest = Sha256::new().chain_update(salt).chain_update(personal).finalize();
        self.personal_digest.as_deref() == Some(digest.as_slice())
    }
}

/// A link of the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    pub id: Uuid,
    pub number: i64,
    pub entry: Uuid,
    pub digest: Vec<u8>,
    pub hash: Vec<u8>,
    pub seal: Option<Vec<u8>>,
}

/// The end of the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    pub number: i64,
    pub hash: Vec<u8>,
    pub link: Uuid,
    pub writer: i64,
    pub entry: Uuid,
}

impl Link {
    /// Returns what the hash of a link is.
    fn hash(before: &[u8], number: i64, entry: Uuid, digest: &[u8]) -> [u8; 32] {
        let hash = Sha256::new().chain_update(before).chain_update(number.to_be_bytes());
        hash.chain_update(entry).chain_update(digest).finalize().into()
    }

    fn sealed_bytes(&self) -> Vec<u8> {
        [&self.number.to_be_bytes(), self.entry.as_bytes().as_slice(), &self.digest, &self.hash].concat()
    }
}

/// The keys of checkpoints: the present one first, then those of earlier secrets.
#[derive(Debug)]
pub struct Seals(Vec<([u8; KEY_ID], hmac::Key)>);

impl Seals {
    /// Derives the keys from secrets.
    pub fn new<'s>(secrets: impl IntoIterator<Item = &'s SecretKey>) -> Self {
        let keys = secrets.into_iter().map(|secret| {
            let key = secret.mac(KEY);
            let mut id = [0; KEY_ID];
            id.copy_from_slice(&hmac::sign(&key, b"id").as_ref()[..KEY_ID]);
            (id, key)
        });
        Self(keys.collect())
    }

    fn seal(&self, link: &Link) -> Option<Vec<u8>> {
        let (id, key) = self.0.first()?;
        Some([id.as_slice(), hmac::sign(key, &link.sealed_bytes()).as_ref()].concat())
    }

    /// Returns whether a seal is genuine; `None` if it was made with the key of another secret.
    fn verify(&self, link: &Link, seal: &[u8]) -> Option<bool> {
        let (id, mac) = seal.split_at_checked(KEY_ID)?;
        let (_, key) = self.0.iter().find(|(known, _)| known == id)?;
        Some(hmac::verify(key, &link.sealed_bytes(), mac).is_ok())
    }
}

impl Head {
    /// Adds a link for each entry, with a checkpoint on the first and the last of them: the first link of a month, with which
    /// the chain begins once those before it are removed, is therefore a checkpoint.
    pub fn lengthen(&mut self, entries: &[StoredEntry], seals: &Seals, now: DateTime<Utc>) -> Vec<Link> {
        // One time for all, which no clock that was set back makes earlier than that of the last link.
        let now = now.max(time_of(self.link) + TimeDelta::milliseconds(1));
        let mut ids: Vec<_> = entries.iter().map(|_| id::new(now)).collect();
        ids.sort_unstable();
        let mut links = Vec::with_capacity(entries.len());
        for (entry, id) in entries.iter().zip(ids) {
            let (number, digest) = (self.number + 1, entry.digest().to_vec());
            let hash = Link::hash(&self.hash, number, entry.id, &digest).to_vec();
            *self = Self { number, hash: hash.clone(), link: id, writer: entry.writer, entry: entry.id };
            links.push(Link { id, number, entry: entry.id, digest, hash, seal: None });
        }
        let last = links.len().saturating_sub(1);
        for (index, link) in links.iter_mut().enumerate() {
            if index == 0 || index == last {
                link.seal = seals.seal(link);
            }
        }
        links
    }
}
