//! Files: announced, then uploaded, and immutable from then on.

use chrono::{DateTime, TimeDelta, Utc};
use mainstay_kernel::{id::AccountId, numbered::numbered};
use uuid::Uuid;

use crate::files::id::FileId;

numbered! {
    /// The purpose of a file.
    Purpose {
        /// Any file, to be downloaded.
        Attachment = 1,
        /// An image, to be displayed.
        Image = 2,
    }
}

numbered! {
    /// The status of a file.
    Status {
        /// The content is missing, or not checked.
        Pending = 1,
        /// The content is stored.
        Ready = 2,
    }
}

/// The state of a file, with its data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    Pending {
        /// When the upload expires.
        expires: DateTime<Utc>,
    },
    Ready {
        /// The key of the content in the storage.
        key: String,
        /// When the file is deleted, if it is unreferenced.
        unused_until: Option<DateTime<Utc>>,
    },
}

/// A file to be uploaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// The account; the caller's if absent.
    pub account: Option<AccountId>,
    pub name: String,
    pub content_type: String,
    pub size_bytes: i64,
    /// The hash that the content must have.
    pub sha256: Option<[u8; 32]>,
    pub purpose: Purpose,
}

/// A stored content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    pub key: String,
    pub content_type: String,
    pub sha256: [u8; 32],
}

/// A file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    pub id: FileId,
    /// The account whose quota the file uses.
    pub account: AccountId,
    /// The principal that uploaded it.
    pub owner: Uuid,
    pub name: String,
    pub content_type: String,
    pub size_bytes: i64,
    /// The hash of the content; while the file is pending, as announced.
    pub sha256: Option<[u8; 32]>,
    pub purpose: Purpose,
    pub state: State,
    /// The version, which each change increments by one.
    pub version: i64,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

impl File {
    /// How long an unreferenced file is kept, from its upload or from the removal of its last reference.
    pub const UNUSED_LIFETIME: TimeDelta = TimeDelta::days(7);

    /// Announces a file.
    pub fn announce(
        id: FileId,
        account: AccountId,
        owner: Uuid,
        draft: Draft,
        lifetime: TimeDelta,
        now: DateTime<Utc>,
    ) -> Self {
        let Draft { name, content_type, size_bytes, sha256, purpose, .. } = draft;
        let state = State::Pending { expires: now + lifetime };
        Self {
            id,
            account,
            owner,
            name,
            content_type,
            size_bytes,
            sha256,
            purpose,
            state,
            version: 1,
            created_at: now,
            updated_at: now,
        }
    }

    /// Returns the file with its content, unreferenced.
    #[must_use]
    pub fn complete(self, content: Content, now: DateTime<Utc>) -> Self {
        Self {
            content_type: content.content_type,
            sha256: Some(content.sha256),
            state: State::Ready { key: content.key, unused_until: Some(now + Self::UNUSED_LIFETIME) },
            version: self.version + 1,
            updated_at: now,
            ..self
        }
    }

    pub fn status(&self) -> Status {
        match self.state {
            State::Pending { .. } => Status::Pending,
            State::Ready { .. } => Status::Ready,
        }
    }

    /// Returns whether the content can still be uploaded.
    pub fn is_awaited(&self, now: DateTime<Utc>) -> bool {
        matches!(self.state, State::Pending { expires } if now < expires)
    }

    /// Returns the key to which the content is uploaded. The uploaded content is checked and copied, because it may be
    /// replaced while the URL is valid.
    pub fn upload_key(id: FileId) -> String {
        format!("uploads/{id}")
    }

    /// Returns the key under which the content is stored. Each attempt has a separate key, so that no attempt
    /// overwrites another's content.
    pub fn content_key(id: FileId, attempt: Uuid) -> String {
        format!("files/{id}-{}", attempt.simple())
    }
}

/// The path of images that something public refers to.
const IMAGES: &str = "/images/";

/// Returns the image that a URL in a text refers to, if the image is on this server.
pub fn image_at(address: &str) -> Option<FileId> {
    let id = address.strip_prefix(IMAGES)?.split(['?', '#']).next()?;
    id.parse().ok().map(FileId)
}

/// A resource that refers to files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parent {
    pub id: Uuid,
    /// The account to which the parent is visible, if it belongs to one.
    pub account: Option<AccountId>,
    /// Whether the parent is public.
    pub is_public: bool,
    /// Whether it is hidden from all customers. None of its files may then be visible to a customer.
    pub is_internal: bool,
}

/// A filter of files, in addition to the caller's visibility.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    pub account: Option<AccountId>,
    /// Only files that this parent refers to.
    pub parent: Option<Uuid>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_leads_to_an_image_of_ours_or_to_none() {
        let id = FileId(Uuid::from_u128(0x0197_b5f4_8a20_7d13_9c4b_6e5f_7a8b_9c01));
        for ours in [format!("/images/{id}"), format!("/images/{id}?width=300#top")] {
            assert_eq!(image_at(&ours), Some(id), "{ours}");
        }
        for other in ["", "/images/", "/images/a", "/files/", &format!("https://elsewhere.example/images/{id}")] {
            assert_eq!(image_at(other), None, "{other}");
        }
    }
}
