//! Canned answers: all staff reads and maintains them.

use crate::{
    identity::member::ops as member,
    support::{
        answer::{
            model::{
                CannedAnswer, Patch,
                template::{self, Values},
            },
            store,
        },
        id::{CannedAnswerId, TicketId},
        ticket::store as tickets,
    },
};
use mainstay_kernel::{
    caller::Permit,
    database::Connection,
    error::Result,
    page::{Listed, Page},
    unit_of_work::Work,
    version::ExpectedVersions,
};

// For the sample data.
pub(crate) use store::erase;

/// Creates a canned answer.
///
/// # Errors
/// `VALIDATION_FAILED` for a faulty placeholder, `ALREADY_EXISTS`.
pub async fn create(work: &mut Work, name: String, body: String) -> Result<CannedAnswer> {
    let author = work.permit()?.caller().principal();
    let answer = CannedAnswer::new(name, body, author, work.now())?;
    let new = answer.clone();
    work.write(async move |connection: &Connection| store::insert(connection, new).await).await?;
    Ok(answer)
}

/// Returns a canned answer, with an empty text unless that is asked for.
///
/// # Errors
/// `NOT_FOUND`.
pub async fn get(connection: &Connection, _: &Permit, id: CannedAnswerId, texts: bool) -> Result<CannedAnswer> {
    store::get(connection, id, texts).await
}

/// Returns a page of the canned answers whose name contains a text plus one more if another page follows, and the total
/// unless paging by key. They have empty texts unless these are asked for.
pub async fn list(
    connection: &Connection,
    _: Permit,
    name: &str,
    page: Page,
    texts: bool,
) -> Result<Listed<CannedAnswer>> {
    let total = page.total(store::total(connection, name)).await?;
    Ok((store::list(connection, name, page.and_next(), texts).await?, total))
}

/// Locks a canned answer until the transaction ends.
async fn lock(work: &mut Work, id: CannedAnswerId, expected: Option<ExpectedVersions>) -> Result<CannedAnswer> {
    work.permit()?;
    let answer = work.read(async |connection: &Connection| store::lock(connection, id).await).await?;
    work.before(&answer);
    ExpectedVersions::check(expected.as_ref(), answer.version)?;
    Ok(answer)
}

/// Updates a canned answer. A patch that changes nothing keeps the version.
///
/// # Errors
/// `NOT_FOUND`, `ETAG_MISMATCH`, `VALIDATION_FAILED` for a faulty placeholder, `ALREADY_EXISTS`.
pub async fn update(
    work: &mut Work,
    id: CannedAnswerId,
    expected: Option<ExpectedVersions>,
    patch: Patch,
) -> Result<CannedAnswer> {
    let answer = lock(work, id, expected).await?;
    let Some(next) = answer.apply(patch, work.now())? else { return Ok(answer) };
    let row = next.clone();
    work.write(async move |connection: &Connection| store::update(connection, row).await).await?;
    Ok(next)
}

/// Deletes a canned answer.
///
/// # Errors
/// `NOT_FOUND`, `ETAG_MISMATCH`.
pub async fn delete(work: &mut Work, id: CannedAnswerId, expected: Option<ExpectedVersions>) -> Result<()> {
    lock(work, id, expected).await?;
    work.queue(move |connection| Box::pin(async move { store::delete(connection, id).await }));
    Ok(())
}

/// Returns the text of a canned answer for a ticket.
///
/// # Errors
/// `NOT_FOUND`.
pub async fn render(connection: &Connection, permit: &Permit, id: CannedAnswerId, ticket: TicketId) -> Result<String> {
    let answer = store::get(connection, id, true).await?;
    let ticket = tickets::get(connection, permit.visibility(), ticket, false).await?;
    let agent = permit.user().map(|(user, ..)| user);
    let people: Vec<_> = ticket.requester.into_iter().chain(agent).collect();
    let people = tickets::people(connection, &people).await?;
    let find = |id| people.iter().find(|(user, _)| Some(*user) == id).map(|(_, name)| name.clone());
    let requester: Vec<_> = ticket.requester.into_iter().collect();
    let is_member = !member::of_account(connection, ticket.account, &requester).await?.is_empty();
    let customer_name = match find(ticket.requester) {
        Some(name) if is_member => name,
        _ => store::account_name(connection, ticket.account).await?,
    };
    let values = Values {
        customer_name,
        ticket_id: ticket.id.to_string(),
        ticket_subject: ticket.content.subject,
        agent_name: find(agent).unwrap_or_default(),
    };
    Ok(template::render(&answer.body, &values))
}
