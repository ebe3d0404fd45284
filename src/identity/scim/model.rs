//! What an identity provider provisions: the people of an account, and groups that give them roles.

mod filter;

use chrono::{DateTime, Utc};

use crate::identity::{
    member::{id::MemberId, model::MemberRole},
    scim::id::ScimGroupId,
    user::model::EmailAddress,
};
use mainstay_kernel::{
    error::{Error, Reason},
    id::{AccountId, UserId},
};

pub use filter::{GroupFilter, Path, UserFilter};

/// The maximum number of groups of an account.
pub const MAX_GROUPS: i64 = 1000;
/// The maximum number of members of a group.
pub const MAX_MEMBERS: usize = 10_000;
/// The maximum number of members that one request adds to a group or removes, or whose role it changes.
pub const MAX_CHANGES: usize = 1000;
/// The maximum length of an `externalId` and of a `displayName` of a group, in characters.
pub const MAX_TEXT: usize = 200;

/// Returns a `MALFORMED_REQUEST` with the type of RFC 7644, section 3.12.
pub fn invalid(kind: &'static str, message: impl Into<String>) -> Error {
    Error::with_message(Reason::MalformedRequest, message.into()).with("scimType", kind)
}

/// Returns the error for more items than one request may have.
pub fn too_many(what: &str, max: usize) -> Error {
    Error::with_message(Reason::PayloadTooLarge, format!("A request may have {max} {what}: send several requests."))
}

/// A person in an account, as its provider sees the person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    pub user: UserId,
    pub email: String,
    pub name: String,
    /// The provider's own id of the person.
    pub external_id: Option<String>,
    /// The membership; `None` while the person is suspended.
    pub member: Option<MemberId>,
    /// A number that each change increases.
    pub version: i64,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// What is stored about a provisioned person beside the membership.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Provisioned {
    pub external_id: Option<String>,
    /// The role of the suspended membership.
    pub role: Option<MemberRole>,
}

/// New values for some attributes of a person.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UserPatch {
    pub email: Option<EmailAddress>,
    pub name: Option<String>,
    pub external_id: Option<Option<String>>,
    pub is_active: Option<bool>,
}

/// A group of a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    pub id: ScimGroupId,
    pub account: AccountId,
    pub name: String,
    pub external_id: Option<String>,
    /// The version, which each change increments by one.
    pub version: i64,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// A member of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupMember {
    pub group: ScimGroupId,
    pub user: UserId,
}

/// A group with its members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupDetails {
    pub group: Group,
    pub members: Vec<GroupMember>,
}

/// New values for some attributes of a group, and the changes of its members in their order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GroupPatch {
    pub name: Option<String>,
    pub external_id: Option<Option<String>>,
    pub members: Vec<MemberChange>,
}

/// A change of the members of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MemberChange {
    Add(Vec<UserId>),
    Remove(Vec<UserId>),
    Replace(Vec<UserId>),
}

impl Group {
    /// Creates a group.
    pub fn new(account: AccountId, name: String, external_id: Option<String>, now: DateTime<Utc>) -> Self {
        let id = ScimGroupId::generate(now);
        Self { id, account, name, external_id, version: 1, created_at: now, updated_at: now }
    }
}

/// A part of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slice {
    /// The number of resources before it.
    pub offset: i64,
    pub limit: i64,
}

impl Slice {
    /// The maximum number of resources of one response.
    pub const MAX: i64 = 200;
    const DEFAULT: i64 = 100;

    /// Reads a part by its first position, from 1, and its length. RFC 7644, section 3.4.2.4 corrects values that are too
    /// small.
    pub fn new(start_index: i32, count: Option<i32>) -> Self {
        let limit = count.map_or(Self::DEFAULT, i64::from).clamp(0, Self::MAX);
        Self { offset: (i64::from(start_index) - 1).max(0), limit }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_list_is_bounded() {
        for (start, count, offset, limit) in
            [(0, None, 0, 100), (1, Some(10), 0, 10), (-5, Some(-1), 0, 0), (11, Some(i32::MAX), 10, 200)]
        {
            assert_eq!(Slice::new(start, count), Slice { offset, limit }, "{start} {count:?}");
        }
    }
}
