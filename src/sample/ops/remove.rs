//! Removes the sample data: the sample accounts with all their data, and everything that carries the mark.

use mainstay_kernel::{
    app::App,
    error::{Error, Result},
    unit_of_work::Work,
};

use crate::{
    content::post::ops as post,
    files::file::ops as file,
    identity::{
        deletion::ops as deletion, member::ops as member, role::ops as role, service_key::ops as service_key,
        user::ops as user,
    },
    mail::ops as mail,
    operations::ops as operation,
    orders::{order::ops as order, product::ops as product},
    payments::{customer::ops as payment, ledger::ops as ledger},
    sample::{
        model::{ANSWERS, ARTICLES, DOMAIN, EXPORTS, INBOUND_PREFIX, MARK, PLANS, SERVICE_KEY, STAFF_ROLE},
        store,
    },
    subscriptions::ops as subscription,
    support::{answer::ops as answer, ticket::ops as ticket},
    webhooks::{endpoint::ops as endpoint, inbound_event::ops as inbound_event},
};

/// The number of removed resources.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Removal {
    pub accounts: usize,
    /// The tickets and comments.
    pub tickets: usize,
    pub orders: usize,
    /// The products that were archived instead, because orders or subscriptions of other accounts refer to them.
    pub archived_products: usize,
    /// Whether the role of the staff stays, because users of other accounts have it.
    pub is_role_kept: bool,
}

/// Removes the sample data in one transaction, including data that others added to the sample accounts. This removes
/// ledger entries and append-only records, so it is for the private database only. No server may run meanwhile.
///
/// # Errors
/// `INTERNAL_ERROR` if other data refers to the sample data, in which case nothing is removed; `UNAVAILABLE` if
/// Postgres is unreachable.
pub async fn remove(app: &App) -> Result<Removal> {
    let now = app.clock.now();
    let removal = app.database.transaction(async move |work: &mut Work| {
        let connection = work.connection().await?;
        // The ledger's sums are rebuilt, so no other transaction may add to them meanwhile.
        ledger::begin_again(connection).await?;
        let users = user::of_domain(connection, DOMAIN).await?;
        let users: Vec<_> = users.iter().map(|user| user.id).collect();
        // Accounts of others, which a sample person has joined, stay.
        let mut accounts = member::founded_by(connection, &users).await?;
        accounts.extend(deletion::being_erased_of(connection, &users).await?);
        if users.is_empty() {
            return Ok(Removal { accounts: 0, tickets: 0, orders: 0, archived_products: 0, is_role_kept: false });
        }
        endpoint::erase(connection, &accounts).await?;
        inbound_event::erase(connection, INBOUND_PREFIX).await?;
        let posts = post::erase(connection, &accounts, i64::MAX).await?;
        operation::erase(connection, &accounts).await?;
        let tickets = ticket::erase(connection, &accounts, &users).await?;
        file::detach(connection, &[tickets.as_slice(), &posts].concat(), now).await?;
        file::erase(connection, &accounts, now).await?;
        store::suspend_triggers(connection).await?;
        ticket::erase_activities(connection, &tickets).await?;
        let subscriptions = subscription::erase(connection, &accounts).await?;
        let orders = order::erase(connection, &accounts).await?;
        let payments = payment::erase(connection, &accounts, &subscriptions).await?;
        store::resume_triggers(connection).await?;
        let topics = [tickets.as_slice(), &subscriptions, &orders, &payments].concat();
        mail::erase(connection, &topics).await?;
        answer::erase(connection, &answers()).await?;
        let archived_products = product::retire(connection, &products(), now).await?;
        service_key::erase(connection, &format!("{SERVICE_KEY}{MARK}")).await?;
        // Foreign keys reject this while any other row refers to the accounts.
        user::erase(connection, &accounts, &users).await?;
        let is_role_kept = role::erase_of_staff(connection, &format!("{STAFF_ROLE}{MARK}")).await?;
        let (accounts, tickets, orders) = (accounts.len(), tickets.len(), orders.len());
        Ok::<_, Error>(Removal { accounts, tickets, orders, archived_products, is_role_kept })
    });
    removal.await
}

/// Returns the names of the sample canned answers.
fn answers() -> Vec<String> {
    ANSWERS.iter().map(|(name, _)| format!("{name}{MARK}")).collect()
}

/// Returns the names of the sample products.
fn products() -> Vec<String> {
    let articles = ARTICLES.iter().chain(&EXPORTS).chain(&PLANS);
    articles.map(|article| format!("{}{MARK}", article.name)).collect()
}
