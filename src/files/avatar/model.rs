//! Avatars.

use uuid::Uuid;

/// An avatar in the storage. Its id can't be guessed: whoever knows it may see the avatar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Avatar(pub Uuid);

impl Avatar {
    /// Returns where it is shown, in the size that suits most pages.
    pub fn url(self) -> String {
        format!("/avatars/{}/256", self.0)
    }
}
