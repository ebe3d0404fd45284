//! Avatars.

use uuid::Uuid;

/// An avatar in the storage. Its id is unguessable, and knowing it grants access to the avatar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Avatar(pub Uuid);

impl Avatar {
    /// Returns the URL, in the size that suits most pages.
    pub fn url(self) -> String {
        format!("/avatars/{}/256", self.0)
    }
}
