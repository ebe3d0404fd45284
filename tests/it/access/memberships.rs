//! Access by membership: method × role in an account × membership. The expected outcome derives from the policies.

use futures_util::{StreamExt as _, stream};
use mainstay::identity::{
    member::model::{AccountRole, MemberRole},
    role::model::Assigned,
};
use mainstay_kernel::contract::{
    Method,
    policy::{Access, Reach, Role, Scope},
};
use serde_json::json;
use uuid::Uuid;

use super::{Expected, OF_ACCOUNT_KEYS, Who, expected, fits, owner};
use crate::{
    cases::{self, Call, Scene, member_of},
    support::{
        Actor, Protocol, TestApp, methods,
        people::{User, fresh_id, users},
        policies,
    },
};

/// Methods that need the role of an owner, beside the scope: their request takes or gives this role.
const OWNERS_ONLY: [&str; 3] =
    ["AccountService.TransferOwnership", "MemberService.RemoveMember", "MemberService.UpdateMember"];

/// A role of members.
#[derive(Debug, Clone)]
enum Held {
    BuiltIn(AccountRole),
    /// A custom role with these scopes.
    Custom(Vec<Scope>),
}

impl Held {
    /// The built-in roles, and a custom one with every other scope that manages nothing.
    fn all() -> Vec<Self> {
        let work = |scope: &Scope| !scope.as_str().ends_with(".manage");
        let scopes = policies().scopes().filter(|scope| scope.is_of_accounts()).map(|scope| scope.name.clone());
        let custom = Self::Custom(scopes.filter(work).step_by(2).collect());
        AccountRole::ALL.map(Self::BuiltIn).into_iter().chain([custom]).collect()
    }

    fn scopes(&self) -> Vec<Scope> {
        match self {
            Self::BuiltIn(role) => match MemberRole::BuiltIn(*role).assigned() {
                Assigned::BuiltIn(role) => policies().scopes_of(role).to_vec(),
                Assigned::Custom(_) => panic!("{role:?} is built in"),
            },
            Self::Custom(scopes) => scopes.clone(),
        }
    }

    fn is_owner(&self) -> bool {
        matches!(self, Self::BuiltIn(AccountRole::Owner))
    }

    /// The statements that give a member of an account this role.
    fn give(&self, user: &User, account: Uuid) -> String {
        let of = format!("WHERE user_id = '{}' AND account_id = '{account}'", user.id);
        match self {
            Self::BuiltIn(role) => format!("UPDATE members SET role = {} {of};", role.number()),
            Self::Custom(scopes) => {
                let (id, scopes) = (fresh_id(), scopes.iter().map(Scope::as_str).collect::<Vec<_>>().join(","));
                format!(
                    "INSERT INTO roles (id, account_id, name, description, scopes, created_at, updated_at)
                     VALUES ('{id}', '{account}', 'Role {id}', '', '{{{scopes}}}', now(), now());
                     UPDATE members SET role = NULL, custom_role_id = '{id}' {of};"
                )
            }
        }
    }
}

/// The relation of a caller to the account of the resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Membership {
    /// A member, with a session of the account. Callers whose request succeeds are members of another account, too.
    Own,
    /// A member of another account.
    Other,
    /// A member of this and another account, with a session of the other one.
    Several,
    /// Removed from an account, with an access token from before.
    Removed,
    /// Removed from the only account, and signed in since.
    Alone,
    /// Deactivated, with an access token from before.
    Deactivated,
}

fn expects(method: &Method, held: &Held, membership: Membership, owner: Who) -> Expected {
    let scopes = match membership {
        Membership::Removed | Membership::Deactivated => return Expected::Refused(401),
        Membership::Alone => Vec::new(),
        _ => held.scopes(),
    };
    let needs_account = |reach: Reach| membership == Membership::Alone && reach == Reach::OwnAccount;
    let reach = method.grant(Role::Customer).and_then(|grant| grant.reach_with(&scopes).ok());
    if reach.is_some_and(needs_account) {
        return Expected::Refused(403);
    }
    if method.name.starts_with(OF_ACCOUNT_KEYS) {
        return Expected::Refused(403);
    }
    let owns = |reach| match reach {
        Reach::Any => true,
        Reach::OwnAccount => membership == Membership::Own && owner == Who::Customer,
        Reach::OwnUser | Reach::Unspecified => false,
    };
    match expected(method, Role::Customer, &scopes, false, owns) {
        Expected::Good if OWNERS_ONLY.contains(&method.name.as_str()) && !held.is_owner() => Expected::Refused(403),
        expected => expected,
    }
}

/// Creates a member of these accounts for each role, with sessions of the first account.
async fn members(scene: &Scene, roles: &[Held], accounts: &[Uuid]) -> Vec<Actor> {
    let users = users(&scene.database, &vec![(Role::Customer, Some(accounts[0])); roles.len()]).await;
    let mut statements = String::new();
    for (user, held) in users.iter().zip(roles) {
        for account in &accounts[1..] {
            // Later than the first membership, which a new session takes.
            statements.push_str(&format!(
                "INSERT INTO accounts (id, name, created_at) VALUES ('{account}', 'Account', now()) ON CONFLICT DO NOTHING;
                 INSERT INTO members (id, account_id, user_id, role, created_at, updated_at)
                 VALUES (gen_random_uuid(), '{account}', '{}', 5, clock_timestamp(), clock_timestamp());",
                user.id
            ));
        }
        statements.extend(accounts.iter().map(|account| held.give(user, *account)));
    }
    scene.database.sql(&statements).await;
    users.into_iter().map(|user| Actor::user(&scene.endpoint, user)).collect()
}

/// Callers who have lost what they had; each case has one for every role.
struct Former(Vec<(Membership, Vec<Actor>)>);

impl Former {
    async fn new(app: &TestApp, roles: &[Held]) -> Self {
        let scene = Scene::new(app).await;
        let account = scene.cast.customer.as_user().account;
        let (removed, deactivated) =
            (members(&scene, roles, &[account]).await, members(&scene, roles, &[account]).await);
        let mut alone = Vec::new();
        for who in &removed {
            who.token().await;
            let member = json!({ "memberId": member_of(&scene.database, who).await });
            scene.cast.customer.call(Protocol::Grpc, "MemberService.RemoveMember", member).await.success();
            alone.push(Actor::user(&scene.endpoint, who.as_user().clone()));
        }
        for who in &deactivated {
            who.token().await;
            let request = json!({ "userId": who.as_user().id.to_string(), "reason": "Left" });
            scene.cast.admin.call(Protocol::Grpc, "UserService.DeactivateUser", request).await.success();
        }
        Self(vec![(Membership::Removed, removed), (Membership::Deactivated, deactivated), (Membership::Alone, alone)])
    }
}

async fn good_call(scene: &Scene, method: &Method) -> Call {
    (cases::good_case(&method.name).call)(scene.clone()).await
}

/// Sends the valid request of a method as every caller. Refusals change nothing, so that these callers share the resource;
/// each successful request has a scene for itself.
async fn check(app: &TestApp, method: &'static Method, roles: &[Held], former: &Former) -> Vec<String> {
    let scene = Scene::new(app).await;
    let call = good_call(&scene, method).await;
    let (owner, own, other) = (owner(&scene, &call), scene.cast.customer.as_user().account, fresh_id());
    let mut callers = vec![
        (Membership::Own, members(&scene, roles, &[own]).await),
        (Membership::Other, members(&scene, roles, &[other]).await),
        (Membership::Several, members(&scene, roles, &[fresh_id(), own]).await),
    ];
    callers.extend(former.0.iter().cloned());
    let mut faults = Vec::new();
    for (membership, actors) in callers {
        for (held, actor) in roles.iter().zip(actors) {
            let expected = expects(method, held, membership, owner);
            let answer = match (&expected, membership) {
                (Expected::Good, Membership::Own) => {
                    let scene = Scene::new(app).await;
                    let call = good_call(&scene, method).await;
                    let own = scene.cast.customer.as_user().account;
                    let both = members(&scene, std::slice::from_ref(held), &[own, fresh_id()]).await;
                    call.send_as(&both[0], Protocol::Grpc, &method.name).await
                }
                // A request about the caller or the caller's account, which has nothing to do with this account.
                (Expected::Good, _) => continue,
                _ => call.send_as(&actor, Protocol::Grpc, &method.name).await,
            };
            if !fits(&expected, &answer) {
                let found = format!("{} {}", answer.status, answer.body);
                faults.push(format!("{} by {held:?}, {membership:?}: {expected:?}, but {found}", method.name));
            }
        }
    }
    faults
}

#[tokio::test(flavor = "multi_thread")]
async fn access_follows_roles_and_memberships() {
    let (app, roles) = (&TestApp::start().await, &Held::all());
    let former = &Former::new(app, roles).await;
    let granted = methods().into_iter().filter(|method| method.access == Access::Granted);
    let checks = stream::iter(granted).map(|method| check(app, method, roles, former)).buffer_unordered(8);
    let faults: Vec<_> = checks.collect::<Vec<_>>().await.concat();
    assert!(faults.is_empty(), "{}:\n{}", faults.len(), faults.join("\n"));
}
