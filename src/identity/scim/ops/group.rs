//! Groups, which give their members roles.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use super::{
    Outdated, account_of, lock, lock_open,
    role::{Before, Mapping, apply},
};
use crate::identity::scim::{
    id::ScimGroupId,
    model::{
        Group, GroupDetails, GroupFilter, GroupPatch, MAX_CHANGES, MAX_GROUPS, MAX_MEMBERS, MemberChange, Slice,
        invalid, too_many,
    },
    store,
};
use mainstay_kernel::{
    audit::Record,
    caller::Permit,
    contract::Policies,
    database::Connection,
    error::{Error, Result},
    id::{AccountId, UserId},
    unit_of_work::Work,
    version::ExpectedVersions,
};

/// Returns a part of the groups of the account that a filter selects, with their members if they are asked for, and their
/// number.
///
/// # Errors
/// `PERMISSION_DENIED` unless the caller is a service key of an account; `PAYLOAD_TOO_LARGE` for more than [`MAX_MEMBERS`]
/// members.
pub async fn list_groups(
    connection: &Connection,
    permit: &Permit,
    filter: &GroupFilter,
    slice: Slice,
    has_members: bool,
) -> Result<(Vec<GroupDetails>, i64)> {
    let account = account_of(permit)?;
    let total = store::total_groups(connection, account, filter).await?;
    let groups = store::list_groups(connection, account, filter, slice).await?;
    Ok((with_members(connection, groups, has_members).await?, total))
}

async fn with_members(connection: &Connection, groups: Vec<Group>, has_members: bool) -> Result<Vec<GroupDetails>> {
    let ids: Vec<_> = groups.iter().filter(|_| has_members).map(|group| group.id).collect();
    let mut members = match ids.is_empty() {
        true => Vec::new(),
        false => store::members_of(connection, &ids, MAX_MEMBERS + 1).await?,
    };
    if members.len() > MAX_MEMBERS {
        return Err(too_many(
            "members of groups in its response (excludedAttributes=members leaves them out)",
            MAX_MEMBERS,
        ));
    }
    let mut details: Vec<_> = groups.into_iter().map(|group| GroupDetails { group, members: Vec::new() }).collect();
    // Both are in the order of the ids of the groups.
    for group in details.iter_mut().rev() {
        let first = members.partition_point(|member| member.group < group.group.id);
        group.members = members.split_off(first);
    }
    Ok(details)
}

/// Returns a group of the account.
///
/// # Errors
/// `PERMISSION_DENIED` as for [`list_groups`]; `NOT_FOUND`.
pub async fn get_group(
    connection: &Connection,
    permit: &Permit,
    id: ScimGroupId,
    has_members: bool,
) -> Result<GroupDetails> {
    let group = find(connection, account_of(permit)?, id).await?;
    complete(connection, group, has_members).await
}

async fn find(connection: &Connection, account: AccountId, id: ScimGroupId) -> Result<Group> {
    store::find_group(connection, account, id).await?.ok_or_else(|| Error::not_found("group"))
}

async fn complete(connection: &Connection, group: Group, has_members: bool) -> Result<GroupDetails> {
    let mut details = with_members(connection, vec![group], has_members).await?;
    details.pop().ok_or_else(|| Error::not_found("group"))
}

/// Creates a group, and gives its members the role with its name.
///
/// # Errors
/// `PERMISSION_DENIED` as for [`list_groups`]; `ALREADY_EXISTS`; `BUSINESS_RULE_VIOLATION` beyond the maximum of groups;
/// `MALFORMED_REQUEST` without a name, or for a member who is no person of the account; `PAYLOAD_TOO_LARGE`;
/// `DELETION_SCHEDULED` of the account.
pub async fn create_group(
    work: &mut Work,
    policies: &Policies,
    new: GroupPatch,
    has_members: bool,
    outdated: &mut Outdated,
) -> Result<GroupDetails> {
    let (permit, now) = (work.permit()?, work.now());
    let name = new.name.clone().ok_or_else(|| invalid("invalidValue", "displayName is required."))?;
    let connection = work.connection().await?;
    let account = lock_open(connection, &permit).await?;
    if store::count_groups(connection, account).await? >= MAX_GROUPS {
        return Err(Error::rule(format!("An account has at most {MAX_GROUPS} groups.")));
    }
    let group = Group::new(account, name, new.external_id.clone().flatten(), now);
    store::insert_group(connection, &group).await?;
    let change = Change { group: group.clone(), policies, is_renamed: false };
    let records = change.members(connection, &new.members, now, outdated).await?;
    let details = complete(connection, group, has_members).await?;
    records.into_iter().for_each(|record| work.audit(record));
    Ok(details)
}

/// Changes a group, and the roles of those whom that concerns.
///
/// # Errors
/// As for [`create_group`]; `NOT_FOUND`, `ETAG_MISMATCH`.
pub async fn update_group(
    work: &mut Work,
    policies: &Policies,
    id: ScimGroupId,
    expected: Option<ExpectedVersions>,
    patch: GroupPatch,
    has_members: bool,
    outdated: &mut Outdated,
) -> Result<GroupDetails> {
    let (permit, now) = (work.permit()?, work.now());
    let connection = work.connection().await?;
    let account = lock_open(connection, &permit).await?;
    let group = find(connection, account, id).await?;
    ExpectedVersions::check(expected.as_ref(), group.version)?;
    let next = Group {
        name: patch.name.unwrap_or_else(|| group.name.clone()),
        external_id: patch.external_id.unwrap_or_else(|| group.external_id.clone()),
        version: group.version + 1,
        updated_at: now,
        ..group.clone()
    };
    let is_renamed = next.name.to_lowercase() != group.name.to_lowercase();
    let change = Change { group: next.clone(), policies, is_renamed };
    let records = change.members(connection, &patch.members, now, outdated).await?;
    let details = complete(connection, next, has_members).await?;
    records.into_iter().for_each(|record| work.audit(record));
    Ok(details)
}

/// Deletes a group. Its members have the roles of their other groups.
///
/// # Errors
/// `PERMISSION_DENIED` as for [`list_groups`]; `NOT_FOUND`, `ETAG_MISMATCH`; `PAYLOAD_TOO_LARGE` for a group that gives a role to
/// more than [`MAX_CHANGES`] members.
pub async fn delete_group(
    work: &mut Work,
    policies: &Policies,
    id: ScimGroupId,
    expected: Option<ExpectedVersions>,
    outdated: &mut Outdated,
) -> Result<()> {
    let (permit, now) = (work.permit()?, work.now());
    let connection = work.connection().await?;
    let account = lock(connection, &permit).await?;
    let group = find(connection, account, id).await?;
    ExpectedVersions::check(expected.as_ref(), group.version)?;
    let mapping = Mapping::read(connection, policies, account).await?;
    let users = match mapping.of_name(&group.name) {
        Some(_) => current(connection, id).await?.into_iter().collect(),
        None => Vec::new(),
    };
    let before = Before { roles: mapping.of_users(connection, account, &users).await?, users };
    store::delete_group(connection, id).await?;
    let records = apply(connection, policies, account, &mapping, before, now, outdated).await?;
    records.into_iter().for_each(|record| work.audit(record));
    Ok(())
}

async fn current(connection: &Connection, id: ScimGroupId) -> Result<BTreeSet<UserId>> {
    let members = store::members_of(connection, &[id], MAX_MEMBERS).await?;
    Ok(members.into_iter().map(|member| member.user).collect())
}

/// The next version of a group.
struct Change<'p> {
    group: Group,
    policies: &'p Policies,
    is_renamed: bool,
}

impl Change<'_> {
    /// Stores the group with the changes of its members, and gives the roles that follow.
    async fn members(
        self,
        connection: &mut Connection,
        changes: &[MemberChange],
        now: DateTime<Utc>,
        outdated: &mut Outdated,
    ) -> Result<Vec<Record>> {
        let Self { group, policies, is_renamed } = self;
        let account = group.account;
        let old = current(connection, group.id).await?;
        let new = changed(old.clone(), changes);
        let added: Vec<_> = new.difference(&old).copied().collect();
        let removed: Vec<_> = old.difference(&new).copied().collect();
        if added.len() + removed.len() > MAX_CHANGES {
            return Err(too_many("added and removed members", MAX_CHANGES));
        }
        if new.len() > MAX_MEMBERS {
            return Err(too_many("members of a group", MAX_MEMBERS));
        }
        if store::people(connection, account, &added).await?.len() != added.len() {
            return Err(invalid("invalidValue", "A member of a group is a user of the account."));
        }
        let mapping = Mapping::read(connection, policies, account).await?;
        let users =
            if is_renamed { old.union(&new).copied().collect() } else { [added.clone(), removed.clone()].concat() };
        let before = Before { roles: mapping.of_users(connection, account, &users).await?, users };
        if group.version > 1 {
            store::update_group(connection, &group).await?;
        }
        if !added.is_empty() {
            store::add_members(connection, &group, &added, now).await?;
        }
        if !removed.is_empty() {
            store::remove_members(connection, &group, &removed).await?;
        }
        apply(connection, policies, account, &mapping, before, now, outdated).await
    }
}

/// Returns the members after changes in their order.
fn changed(members: BTreeSet<UserId>, changes: &[MemberChange]) -> BTreeSet<UserId> {
    changes.iter().fold(members, |mut members, change| match change {
        MemberChange::Add(users) => {
            members.extend(users);
            members
        }
        MemberChange::Remove(users) => {
            for user in users {
                members.remove(user);
            }
            members
        }
        MemberChange::Replace(users) => users.iter().copied().collect(),
    })
}
