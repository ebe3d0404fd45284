//! The actors of the sample data, and their permits.

use chrono::{DateTime, TimeDelta, Utc};
use mainstay_kernel::{
    app::App,
    caller::{Caller, Permit, SignIn},
    contract::{Policies, policy::BuiltInRole},
    database::{Connection, Reach},
    error::{Error, Result},
    id::{AccountId, SessionId},
    page::Page,
    unit_of_work::Work,
};
use uuid::Uuid;

use crate::{
    identity::{
        member::ops as member,
        registration::ops::{Profile, create_without_password},
        user::{
            model::{EmailAddress, Filter, Language, Role, User},
            ops as user,
        },
    },
    sample::model::{AGENTS, CUSTOMERS, DAYS, MARK, Person},
};

/// A person who acts.
#[derive(Debug, Clone)]
pub(super) struct Actor {
    policies: &'static Policies,
    pub(super) user: User,
    /// The account that the person acts in; `None` for an admin who is a member of none.
    account: Option<AccountId>,
    pub(super) language: Language,
}

impl Actor {
    fn new(policies: &'static Policies, user: User, account: Option<AccountId>) -> Self {
        Self { policies, language: user.language.clone(), user, account }
    }

    /// Returns the account of a sample person.
    pub(super) fn account(&self) -> Result<AccountId> {
        self.account.ok_or_else(|| Error::internal(anyhow::anyhow!("{} has no account", self.user.id)))
    }

    /// Returns the permit for a method, such as `support.v1.TicketService/CreateTicket`, that the method's policy grants.
    pub(super) fn permit(&self, method: &str) -> Result<Permit> {
        let (id, role, account) = (self.user.id, self.user.role, self.account);
        let role = match role {
            Role::Customer => BuiltInRole::Owner,
            Role::Agent => BuiltInRole::Agent,
            Role::Admin => BuiltInRole::Admin,
        };
        let (session, scopes) = (SessionId(Uuid::nil()), self.policies.scopes_of(role));
        let sign_in = SignIn::at(self.user.created_at);
        let caller = Caller::User { id, account, role: role.role(), session, scopes, sign_in };
        Permit::of(self.policies, &format!("/mainstay.{method}"), caller)
    }
}

/// All actors.
#[derive(Debug)]
pub(super) struct Cast {
    /// The first admin of the database, who is not part of the sample data.
    pub(super) admin: Actor,
    pub(super) agents: Vec<Actor>,
    pub(super) customers: Vec<Actor>,
}

impl Cast {
    /// Creates the sample people, before any of their actions.
    pub(super) async fn create(app: &App, now: DateTime<Utc>) -> Result<Self> {
        let (since, policies) = (now - TimeDelta::days(DAYS + 30), &app.contract.policies);
        let transaction = app.database.transaction(async move |work: &mut Work| {
            let connection = work.connection().await?;
            let (mut agents, mut customers) = (Vec::new(), Vec::new());
            for (day, person) in (0..).map(TimeDelta::days).zip(AGENTS.iter().chain(&CUSTOMERS)) {
                let (user, account) = register(connection, person, since + day).await?;
                let actor = Actor::new(policies, user, Some(account));
                if person.role == Role::Agent { agents.push(actor) } else { customers.push(actor) }
            }
            Ok::<_, Error>((agents, customers))
        });
        let (agents, customers) = transaction.await?;
        let permit = agents.first().ok_or_else(no_admin)?.permit("identity.v1.UserService/ListUsers")?;
        let filter = Filter { roles: vec![Role::Admin.number()], ..Filter::default() };
        let list = async move |connection: &Connection| user::list(connection, permit, filter, Page::first(1)).await;
        let (admins, _) = app.database.query(Reach::across_accounts("sample data"), list).await?;
        let user = admins.into_iter().next().ok_or_else(no_admin)?;
        let id = user.id;
        let account = app
            .database
            .query(Reach::across_accounts("sample data"), async move |connection| {
                member::first_account(connection, id).await
            })
            .await?;
        Ok(Self { admin: Actor::new(policies, user, account), agents, customers })
    }
}

fn no_admin() -> Error {
    Error::rule("There is no admin yet: `mainstay users create-admin` creates one.")
}

/// Creates an account and its person, who can't sign in.
pub(super) async fn register(
    connection: &mut Connection,
    person: &Person,
    at: DateTime<Utc>,
) -> Result<(User, AccountId)> {
    let profile = Profile {
        email: EmailAddress::parse(&person.email())?,
        name: person.name.to_owned(),
        account_name: format!("{}{MARK}", person.company),
        role: person.role,
        language: Language::parse(person.language)?,
    };
    let (user, account) = create_without_password(connection, profile, at).await?;
    Ok((user, account.id))
}
