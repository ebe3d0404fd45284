//! The claims of an access token (RFC 9068).

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::identity::user::model::Role;
use mainstay_kernel::contract::policy::{self, BuiltInRole};

/// RFC 9068, 2.1: prevents any other JWT under the same keys from passing for an access token.
pub(super) const TYPE: &str = "at+jwt";
/// The role of a client of OAuth in a token of its own, which no user has.
pub(super) const SERVICE: &str = "service";
/// The type of ID tokens, which are no access tokens.
pub(super) const ID_TYPE: &str = "JWT";

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Claims {
    pub(super) iss: String,
    pub(super) aud: String,
    pub(super) sub: Uuid,
    /// The account of the session, the membership of the user there, and its version; absent for a user who is a member of
    /// no account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) acct: Option<Uuid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) mid: Option<Uuid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) mver: Option<i64>,
    pub(super) role: String,
    /// The built-in role in the account; absent for staff and for a custom role.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) arole: Option<String>,
    /// The application for which the token is (RFC 9068, 2.2); absent for a session of the user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) client_id: Option<Uuid>,
    /// The scopes of an application, or of a custom role, separated by spaces (RFC 9068, 2.2.3), the latter with its id and
    /// version; absent for a built-in role without an application.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) scope: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) rid: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) rver: Option<i64>,
    pub(super) sid: Uuid,
    pub(super) epoch: i32,
    pub(super) jti: String,
    pub(super) iat: i64,
    pub(super) exp: i64,
    /// When the user last proved who they are (RFC 9068, 2.2.1), and how (RFC 8176); absent in a token of an earlier version.
    #[serde(default)]
    pub(super) auth_time: i64,
    #[serde(default)]
    pub(super) amr: Vec<String>,
    /// Whether the user must prove or add a second factor before anything else.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) needs_second_factor: bool,
    /// Whether the session is of its account alone, because it began with the provider of the account.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) confined: bool,
    /// The staff that acts in the name of the user (RFC 8693, 4.1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) act: Option<Act>,
    /// The fingerprint of the secret that a client has proved, in a token of the client itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) secret: Option<String>,
}

/// The member of the staff in an impersonation, with what the access token depends on, and whether it may write.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Act {
    pub(super) sub: Uuid,
    pub(super) sid: Uuid,
    pub(super) epoch: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) rid: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) rver: Option<i64>,
    pub(super) writes: bool,
}

/// Returns the built-in role of a token.
pub(super) fn built_in_of(platform: policy::Role, of_account: Option<&str>) -> Option<BuiltInRole> {
    match platform {
        policy::Role::Agent => Some(BuiltInRole::Agent),
        policy::Role::Admin => Some(BuiltInRole::Admin),
        policy::Role::Customer => BuiltInRole::OF_ACCOUNTS.into_iter().find(|role| of_account == Some(role.name())),
        policy::Role::Service | policy::Role::Unspecified => None,
    }
}

pub(super) fn role_name(role: Role) -> &'static str {
    match role {
        Role::Customer => "customer",
        Role::Agent => "agent",
        Role::Admin => "admin",
    }
}

pub(super) fn role_of(name: &str) -> Option<policy::Role> {
    match name {
        "customer" => Some(policy::Role::Customer),
        "agent" => Some(policy::Role::Agent),
        "admin" => Some(policy::Role::Admin),
        _ => None,
    }
}
