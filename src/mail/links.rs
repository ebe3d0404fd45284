//! The links of mails.

use std::fmt::Display;

use uuid::Uuid;

use crate::mail::config::Brand;

/// The path of the page that sets a new password.
pub const RESET: &str = "/reset-password";
/// The path of the page that confirms an address.
pub const REGISTER: &str = "/register";

/// The path of the page that confirms the new address of a user.
pub const CONFIRM_EMAIL: &str = "/confirm-email";
/// The path of the page that undoes the change of an address.
pub const UNDO_EMAIL: &str = "/undo-email-change";

/// The path of the page that cancels a deletion.
pub const CANCEL_DELETION: &str = "/cancel-deletion";

/// The path of the page that accepts an invitation.
pub const INVITATION: &str = "/invitation";

/// The path of the page that ends notifications, and of the one-click requests of RFC 8058.
pub const UNSUBSCRIBE: &str = "/unsubscribe";

/// The links of mails.
#[derive(Debug, Clone, Copy)]
pub struct Links<'a>(pub &'a Brand);

impl Links<'_> {
    /// The id of resources in samples.
    pub const SAMPLE_ID: Uuid = Uuid::from_u128(0x0197_b61a_93d4_7c55_a8e2_6d1f_3b5c_7e90);
    /// The path of the page that signs in with the link of a mail.
    pub const SIGN_IN: &'static str = "/sign-in";
    /// The path of the page with the ways to sign in.
    pub const WAYS_TO_SIGN_IN: &'static str = "/session/sign-in";
    /// The parameter with the reason of a failure, by which the form of that page leads back to it.
    pub const FAILURE: &'static str = "failure";
    /// The token in the links of samples.
    pub const SAMPLE_TOKEN: &'static str = "a-sample-of-a-token";

    /// Returns the page that sets a new password, with a token.
    pub fn reset(self, token: &str) -> String {
        format!("{}{RESET}?token={token}", self.0.pages_url())
    }

    /// Returns the page that requests a password reset.
    pub fn request_reset(self) -> String {
        format!("{}{RESET}", self.0.pages_url())
    }

    /// Returns the page that signs in, with a token.
    pub fn sign_in(self, token: &str) -> String {
        format!("{}{}?token={token}", self.0.pages_url(), Self::SIGN_IN)
    }

    /// Returns the page that confirms an address, with a token.
    pub fn register(self, token: &str) -> String {
        format!("{}{REGISTER}?token={token}", self.0.pages_url())
    }

    /// Returns the page that confirms the new address of a user, with a token.
    pub fn confirm_email(self, token: &str) -> String {
        format!("{}{CONFIRM_EMAIL}?token={token}", self.0.pages_url())
    }

    /// Returns the page that undoes the change of an address, with a token.
    pub fn undo_email(self, token: &str) -> String {
        format!("{}{UNDO_EMAIL}?token={token}", self.0.pages_url())
    }

    /// Returns the page that cancels a deletion, with a token.
    pub fn cancel_deletion(self, token: &str) -> String {
        format!("{}{CANCEL_DELETION}?token={token}", self.0.pages_url())
    }

    /// Returns the page that accepts an invitation, with a token.
    pub fn invitation(self, token: &str) -> String {
        format!("{}{INVITATION}?token={token}", self.0.pages_url())
    }

    /// Returns the page that ends notifications, always on this server.
    pub fn unsubscribe(self, token: &str) -> String {
        format!("{}{UNSUBSCRIBE}?token={token}", self.0.public_url)
    }

    /// Returns the front end's page of a resource, as in `https://shop.example/orders/…`; `None` without a front end.
    pub fn app(self, page: &str, id: impl Display) -> Option<String> {
        self.0.app_url.as_ref().map(|url| format!("{url}/{page}/{id}"))
    }
}
