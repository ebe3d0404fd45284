//! Signed links to files, for storages that can't sign URLs. A link grants access to its bearer until it expires.

use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use mainstay_kernel::{
    error::{Error, Reason, Result},
    secret::SecretKey,
};
use uuid::Uuid;

/// The action that a link permits. A download link does not permit an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Upload,
    Download,
    /// The download of an archive, which is no file of an account.
    Archive,
}

/// Signs and verifies links.
#[derive(Debug)]
pub(crate) struct Links(hmac::Key);

impl Links {
    pub(crate) fn new(secret: &SecretKey) -> Self {
        Self(secret.mac("file links v1"))
    }

    fn signed_text(action: Action, id: Uuid, expires: i64) -> Vec<u8> {
        let action: u8 = match action {
            Action::Upload => 1,
            Action::Download => 2,
            Action::Archive => 3,
        };
        [&[action], id.as_bytes().as_slice(), &expires.to_be_bytes()].concat()
    }

    /// Returns the query of a link.
    pub(crate) fn sign(&self, action: Action, id: Uuid, expires: DateTime<Utc>) -> String {
        let expires = expires.timestamp();
        let tag = hmac::sign(&self.0, &Self::signed_text(action, id, expires));
        format!("expires={expires}&signature={}", URL_SAFE_NO_PAD.encode(tag))
    }

    /// Verifies a link.
    ///
    /// # Errors
    /// `PERMISSION_DENIED` if the signature is invalid, or the link has expired.
    pub(crate) fn verify(
        &self,
        action: Action,
        id: Uuid,
        expires: i64,
        signature: &str,
        now: DateTime<Utc>,
    ) -> Result<()> {
        let tag = URL_SAFE_NO_PAD.decode(signature).unwrap_or_default();
        let is_ours = hmac::verify(&self.0, &Self::signed_text(action, id, expires), &tag).is_ok();
        match is_ours {
            true if now.timestamp() < expires => Ok(()),
            true => Err(Error::with_message(Reason::PermissionDenied, "The link has expired.")),
            false => Err(Error::with_message(Reason::PermissionDenied, "The link is not valid.")),
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn a_link_is_for_one_file_one_action_and_some_time() {
        let links = Links::new(&SecretKey::new([1; 32]));
        let now = DateTime::from_timestamp(1_790_000_000, 0).expect("a time");
        let (file, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let query = links.sign(Action::Upload, file, now + TimeDelta::minutes(1));
        let (expires, signature) = query.split_once("&signature=").expect("two parts");
        let expires = expires.trim_start_matches("expires=").parse().expect("a number");
        links.verify(Action::Upload, file, expires, signature, now).expect("ours");
        let later = now + TimeDelta::minutes(1);
        for (action, file, expires, signature, now) in [
            (Action::Download, file, expires, signature, now),
            (Action::Archive, file, expires, signature, now),
            (Action::Upload, other, expires, signature, now),
            (Action::Upload, file, expires + 1, signature, now),
            (Action::Upload, file, expires, "", now),
            (Action::Upload, file, expires, &signature[1..], now),
            (Action::Upload, file, expires, signature, later),
        ] {
            links.verify(action, file, expires, signature, now).expect_err("not valid");
        }
        let theirs = Links::new(&SecretKey::new([2; 32]));
        theirs.verify(Action::Upload, file, expires, signature, now).expect_err("another secret");
    }
}
