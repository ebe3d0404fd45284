//! Who joins an account by a mail domain.

use crate::identity::{
    account::store as accounts,
    account_domain::{model::AccountDomain, store},
    user::model::EmailAddress,
};
use chrono::{DateTime, Utc};
use mainstay_kernel::{database::Connection, error::Result, id::UserId};

/// Returns the domain by which the holder of a confirmed address joins an account, which is locked; `None` if no account has
/// verified the domain of the address and its record was found within a day, the account is scheduled for deletion, or the
/// person was removed from it. A subdomain is another domain.
pub(crate) async fn joining(
    connection: &Connection,
    email: &EmailAddress,
    user: Option<UserId>,
    now: DateTime<Utc>,
) -> Result<Option<AccountDomain>> {
    let Some(found) = store::verified(connection, email.domain()).await? else { return Ok(None) };
    if accounts::lock(connection, found.account).await?.deletion_at.is_some() {
        return Ok(None);
    }
    // Under the lock: the domain may have been deleted, or have lapsed, meanwhile.
    let domain = store::verified(connection, email.domain()).await?;
    let Some(domain) = domain.filter(|domain| domain.account == found.account && domain.is_recent(now)) else {
        return Ok(None);
    };
    let is_excluded = store::is_excluded(connection, domain.account, user, email).await?;
    Ok((!is_excluded).then_some(domain))
}
