//! Adds the sample data through the operations of the other modules, each at its historical time, and removes it again.

mod attachment;
mod cast;
mod content;
mod desk;
mod remove;
mod sales;
mod subscriptions;
mod team;
mod tickets;
mod webhooks;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::{FutureExt as _, StreamExt as _, TryStreamExt as _, stream};
use mainstay_kernel::{
    app::App,
    clock::Clock,
    error::{Error, Result},
    outbound::Receivers,
    unit_of_work::Work,
};
use uuid::Uuid;

use crate::{
    identity::{
        service_key::{model::Draft, ops as service_key},
        session::ops as session,
        user::{model::EmailAddress, ops as user},
    },
    mail::ops as mail,
    payments,
    sample::model::{
        AGENTS, MARK, NEWCOMER, SERVICE_KEY,
        texts::Texts,
        timeline::{Story, Subject, stories},
    },
    webhooks::endpoint::ops as endpoint,
};
use cast::Cast;
use sales::Catalog;

pub use remove::{Removal, remove};

/// The number of stories that are written concurrently.
const CONCURRENCY: usize = 4;

/// How complete the sample data is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Absent,
    /// The process that added the sample data ended before it was complete.
    Partial,
    Complete,
}

/// Returns how complete the sample data is: the first person is its first row, the newcomer its last.
pub async fn state(app: &App) -> Result<State> {
    let [first, last] = [AGENTS[0].email(), NEWCOMER.email()].map(|email| EmailAddress::parse(&email));
    let (first, last) = (first?, last?);
    let find = app.database.autocommit(async move |connection| {
        let (first, last) = (user::by_email(connection, &first).await?, user::by_email(connection, &last).await?);
        Ok((first.is_some(), last.is_some()))
    });
    Ok(match find.await? {
        (_, true) => State::Complete,
        (true, false) => State::Partial,
        (false, false) => State::Absent,
    })
}

/// Returns whether any person has signed in, who may have changed the sample data.
pub async fn is_used(app: &App) -> Result<bool> {
    app.database.autocommit(async |connection| session::any(connection).await).await
}

/// Adds the sample data, unless it is complete. Data from an interrupted call is removed first. No worker may run
/// meanwhile, because it would take the jobs of the past.
///
/// # Errors
/// `RULE_VIOLATED` if the gateway is not the sandbox, if there is no admin, or if a webhook endpoint exists;
/// `UNAVAILABLE` if Postgres is unreachable.
pub async fn add(app: &App) -> Result<()> {
    match state(app).await? {
        State::Complete => return Ok(()),
        State::Partial => drop(remove(app).await?),
        State::Absent => {}
    }
    if app.database.autocommit(async |connection| endpoint::any(connection).await).await? {
        let refusal =
            "Sample data is for a database without webhook endpoints, whose receivers would get events of the past.";
        return Err(Error::rule(refusal));
    }
    let writer = Writer::open(app).await?;
    let mut topics = subscriptions::write(&writer).await?;
    subscriptions::leave_dead_job(&writer, topics[0]).await?;
    content::write(&writer).await?;
    webhooks::receive(&writer).await?;
    writer.create_service_key().await?;
    let role = team::create_roles(&writer).await?;
    let mut endpoints = Vec::new();
    let mut rest = stories(writer.now);
    for plan in &webhooks::PLANS {
        // Only events after the creation of an endpoint are delivered to it.
        let since = writer.now - TimeDelta::days(plan.days_ago);
        let later = rest.split_off(rest.partition_point(|story| story.at < since));
        topics.extend(writer.tell(rest).await?);
        endpoints.push((plan, webhooks::create(&writer, plan).await?));
        rest = later;
    }
    topics.extend(writer.tell(rest).await?);
    tickets::import(&writer).await?;
    desk::write(&writer).await?;
    attachment::write(&writer).await?;
    for (plan, endpoint) in endpoints {
        webhooks::deliver(&writer, plan, endpoint).await?;
    }
    let finish = app.database.transaction(async move |work: &mut Work| {
        topics.push(team::cancel_deletion(&writer, work).await?);
        topics.push(team::invite(&writer, work, role).await?);
        let connection = work.connection().await?;
        // Historical events send no mail.
        mail::erase(connection, &topics).await?;
        cast::register(connection, &NEWCOMER, writer.now).await
    });
    finish.await.map(drop)
}

/// The context for writing the sample data.
struct Writer {
    /// The application, without real receivers of webhooks.
    app: App,
    /// The end of the sample data.
    now: DateTime<Utc>,
    cast: Cast,
    catalog: Catalog,
    texts: Texts,
}

impl Writer {
    async fn open(app: &App) -> Result<Self> {
        let (app, now) = (app.clone().with_part(Receivers::scripted(webhooks::script)), app.clock.now());
        as_of(&app, now)?;
        let cast = Cast::create(&app, now).await?;
        let catalog = Catalog::create(&app, &cast.admin, now).await?;
        Ok(Self { app, now, cast, catalog, texts: Texts::read()? })
    }

    /// Returns the application as of a time.
    fn at(&self, time: DateTime<Utc>) -> Result<App> {
        as_of(&self.app, time)
    }

    /// Writes stories concurrently; returns the ids of all possible topics of mail.
    async fn tell(&self, stories: Vec<Story>) -> Result<Vec<Uuid>> {
        let write = |story: Story| match story.subject {
            Subject::Ticket => tickets::write(self, story).boxed(),
            Subject::Order => sales::write(self, story).boxed(),
        };
        stream::iter(stories).map(write).buffer_unordered(CONCURRENCY).try_concat().await
    }

    /// Creates a service key. Its secret is discarded, so no program can use it.
    async fn create_service_key(&self) -> Result<()> {
        let permit = self.cast.admin.permit("identity.v1.ServiceKeyService/CreateServiceKey")?;
        let at = self.now - TimeDelta::days(30);
        let draft = Draft {
            kind: None,
            account: None,
            allowed_networks: Vec::new(),
            name: format!("{SERVICE_KEY}{MARK}"),
            scopes: vec!["support.tickets.read".to_owned(), "orders.read".to_owned()],
            expires_at: Some(self.now + TimeDelta::days(335)),
        };
        let policies = &self.app.contract.policies;
        let create = self.app.database.transaction(async move |work: &mut Work| {
            work.act_as(permit, at).await?;
            service_key::create(work, policies, draft).await
        });
        create.await.map(drop)
    }
}

/// Returns an application whose clock begins at a time.
fn as_of(app: &App, time: DateTime<Utc>) -> Result<App> {
    let clock = Clock::default();
    clock.advance(time - clock.now());
    let app = payments::with_clock(app, clock);
    app.ok_or_else(|| Error::rule("Sample data needs the sandbox gateway: PAYMENT_GATEWAY=sandbox."))
}
