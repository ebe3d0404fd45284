//! Reads people and the members of accounts.
//!
//! The visibility determines who is found. In a call it is that of the caller ([`Permit::visibility`]): a customer finds the
//! members of the own account, and the staff everyone. A job has no caller and passes [`Visibility::All`].
//!
//! [`Permit::visibility`]: mainstay_kernel::caller::Permit::visibility

use mainstay_kernel::{
    caller::Visibility,
    database::Connection,
    error::{Error, Result},
    id::{AccountId, UserId},
};

pub use super::model::Person;
use crate::identity::{
    member::store as members,
    user::{model::EmailAddress, store as users},
};

/// Returns a person.
///
/// # Errors
/// `NOT_FOUND`, also for a person who is not visible to the caller.
pub async fn person(connection: &Connection, visibility: Visibility, id: UserId) -> Result<Person> {
    Ok(users::get(connection, visibility, id).await?.into())
}

/// Returns the person with an address; `None` also if the person is not visible to the caller.
pub async fn person_with_address(
    connection: &mut Connection,
    visibility: Visibility,
    email: &EmailAddress,
) -> Result<Option<Person>> {
    let Some((user, _)) = users::by_email(connection, email).await? else { return Ok(None) };
    let visible = users::get_batch(connection, visibility, &[user.id]).await?;
    Ok(visible.into_iter().next().map(Person::from))
}

/// Returns the active members of an account, those of the longest standing first, at most 100.
///
/// # Errors
/// `NOT_FOUND` for an account that the caller does not reach.
pub async fn members(connection: &Connection, visibility: Visibility, account: AccountId) -> Result<Vec<Person>> {
    if !visibility.reaches(account, None) {
        return Err(Error::not_found("account"));
    }
    let ids = members::active(connection, account).await?;
    let mut people = users::get_batch(connection, Visibility::All, &ids).await?;
    people.sort_by_key(|person| ids.iter().position(|id| *id == person.id));
    Ok(people.into_iter().map(Person::from).collect())
}

/// Returns whether a user is an active member of an account. The staff are no members of the accounts that they reach.
pub async fn is_member(connection: &Connection, account: AccountId, user: UserId) -> Result<bool> {
    Ok(members::find_active(connection, account, user).await?.is_some())
}
