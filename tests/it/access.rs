//! Access control: method × role × own or foreign resource, derived from the policies, so no method's permissions are
//! repeated here.

mod memberships;

use futures_util::{StreamExt as _, stream};
use http::Method as Verb;
use mainstay_kernel::contract::{
    Method,
    policy::{Access, BuiltInRole, Reach, Role, Scope},
};

use serde_json::{Value, json};

use crate::{
    cases::{self, Call, Scene},
    support::{
        Actor, Protocol, Response, TestApp, methods,
        people::{User, every_scope, fresh_id, users},
        policies, rest,
    },
};

/// Methods that reject a caller to whom the resource is visible but who did not create it, except an admin.
const OWN_WORK_ONLY: [&str; 1] = ["CommentService.DeleteComment"];

/// Methods that reject every caller except the resource's creator.
const AUTHOR_ONLY: [&str; 1] = ["CommentService.UpdateComment"];

/// Methods that reject every caller except the one whose address or second factor the request is about.
const OWN_ONLY: [&str; 6] = [
    "AccountDomainService.JoinAccount",
    "AuthService.BeginPasskeyReauthentication",
    "InvitationService.AcceptInvitation",
    "PasskeyService.ConfirmPasskey",
    "SecondFactorService.ConfirmTotp",
    "SecondFactorService.RegenerateRecoveryCodes",
];

/// Methods whose path names no resource but that still reject a foreign account, or resources of one.
const REFUSES_FOREIGN_ACCOUNTS: [&str; 14] = [
    "AccountDomainService.CreateAccountDomain",
    "AccountProviderService.CreateAccountProvider",
    "DeletionService.CreateDeletion",
    "FileService.CreateUpload",
    "FileService.UploadFile",
    "InvitationService.CreateInvitation",
    "OrderService.CreateOrder",
    "PaymentService.ChargePayment",
    "RoleService.CreateRole",
    "RoleService.ListRoles",
    "ServiceKeyService.CreateServiceKey",
    "SubscriptionService.CreateSubscription",
    "TicketService.BatchGetTickets",
    "TicketService.CreateTicket",
];

/// Methods that tell a caller who reaches only what is the caller's why a request is refused: a post of another author is
/// published, or the request names the author; the request asks for a key of the account.
const OF_OTHERS: [&str; 3] =
    ["PostService.CreatePost", "PostService.UnpublishPost", "ServiceKeyService.CreateServiceKey"];
/// The scopes that the custom role of the tests lacks.
const NOT_OF_SPECIALISTS: [&str; 4] =
    ["dashboard.system.read", "orders.products.manage", "support.tickets.delete", "webhooks.inbound.manage"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    Anonymous,
    Customer,
    Colleague,
    Stranger,
    Agent,
    /// An agent with a custom role of the staff.
    Specialist,
    Admin,
    ServiceWithScope,
    ServiceWithout,
    /// A key of the customer's account with every scope of an owner.
    AccountKey,
    /// A personal access token of the customer with every scope of an owner.
    Token,
}

/// The service whose methods accept the keys of an account alone.
const OF_ACCOUNT_KEYS: &str = "ScimResourceService.";

/// Methods in whose cases the customer is deactivated, or has a deletion scheduled: tokens of the customer are refused.
const ENDS_TOKENS: [&str; 4] = [
    "DeletionService.CancelDeletion",
    "DeletionService.GetDeletion",
    "DeletionService.ListDeletions",
    "UserService.ReactivateUser",
];

const EVERYBODY: [Who; 11] = [
    Who::Anonymous,
    Who::Customer,
    Who::Colleague,
    Who::Stranger,
    Who::Agent,
    Who::Specialist,
    Who::Admin,
    Who::ServiceWithScope,
    Who::ServiceWithout,
    Who::AccountKey,
    Who::Token,
];

#[derive(Debug, PartialEq, Eq)]
enum Expected {
    Good,
    /// A list without resources of the other account.
    Empty,
    Refused(u16),
}

impl Who {
    fn role(self) -> Option<Role> {
        match self {
            Self::Anonymous => None,
            Self::Customer | Self::Colleague | Self::Stranger | Self::AccountKey | Self::Token => Some(Role::Customer),
            Self::Agent | Self::Specialist => Some(Role::Agent),
            Self::Admin => Some(Role::Admin),
            Self::ServiceWithScope | Self::ServiceWithout => Some(Role::Service),
        }
    }

    /// The scopes that the contract or the custom role gives the caller.
    fn scopes(self, method: &Method) -> Vec<Scope> {
        let policies = policies();
        let all = || every_scope().into_iter();
        let of = |names: Vec<String>| policies.declared(names.iter().map(String::as_str)).to_vec();
        match self {
            Self::Anonymous => Vec::new(),
            // Each customer owns the account.
            Self::Customer | Self::Colleague | Self::Stranger | Self::AccountKey | Self::Token => {
                policies.scopes_of(BuiltInRole::Owner).to_vec()
            }
            Self::Agent => policies.scopes_of(BuiltInRole::Agent).to_vec(),
            Self::Specialist => of(all().filter(|name| !NOT_OF_SPECIALISTS.contains(&name.as_str())).collect()),
            Self::Admin | Self::ServiceWithScope => of(all().collect()),
            Self::ServiceWithout => {
                let needed = method.grant(Role::Service).and_then(|grant| grant.scope.as_ref());
                of(all().filter(|name| needed.is_none_or(|needed| needed.as_str() != name)).collect())
            }
        }
    }

    async fn actor(self, scene: &Scene, method: &Method) -> Actor {
        let cast = &scene.cast;
        let scopes = || self.scopes(method).iter().map(Scope::to_string).collect::<Vec<_>>();
        match self {
            Self::Anonymous => cast.anonymous.clone(),
            Self::Customer => cast.customer.clone(),
            Self::Colleague => cast.colleague.clone(),
            Self::Stranger => cast.stranger.clone(),
            Self::Agent => cast.agent.clone(),
            Self::Specialist => specialist(scene, &scopes()).await,
            Self::Admin => cast.admin.clone(),
            Self::ServiceWithScope => cast.service.clone(),
            Self::ServiceWithout => Actor::service(&cast.admin, &scopes()),
            Self::AccountKey | Self::Token => {
                let kind = if self == Self::Token { "SERVICE_KEY_KIND_PERSON" } else { "SERVICE_KEY_KIND_ACCOUNT" };
                // By a session of its own: that of the customer begins with the customer's request, after the case.
                let creator = Actor::user(&scene.endpoint, cast.customer.as_user().clone());
                Actor::key(&creator, json!({ "scopes": scopes(), "kind": kind }))
            }
        }
    }

    /// The caller as whom a token acts.
    fn person(self) -> Self {
        if self == Self::Token { Self::Customer } else { self }
    }

    /// Returns whether the policy excludes the credential, whatever its scopes: a token where a session is needed, and the
    /// key of an account where services have no grant, or customers reach only themselves.
    fn is_excluded(self, method: &Method) -> bool {
        let of_customers = || method.grant(Role::Customer)?.reach_with(&self.scopes(method)).ok();
        match self {
            Self::Token => method.needs_session(),
            Self::AccountKey => method.grant(Role::Service).is_none() || of_customers() == Some(Reach::OwnUser),
            _ => false,
        }
    }

    /// Returns whether the owner's resource is visible to this caller.
    fn owns(self, owner: Self, reach: Reach) -> bool {
        match reach {
            Reach::Any => true,
            Reach::OwnUser => self.person() == owner,
            Reach::OwnAccount => {
                let same_account = [Self::Customer, Self::Colleague, Self::AccountKey, Self::Token];
                self == owner || (same_account.contains(&self) && same_account.contains(&owner))
            }
            Reach::Unspecified => false,
        }
    }

    fn expects(self, method: &Method, owner: Self) -> Expected {
        match self.role() {
            _ if method.access == Access::Public => Expected::Good,
            None => Expected::Refused(401),
            Some(_) if self == Self::Token && ENDS_TOKENS.contains(&method.name.as_str()) => Expected::Refused(401),
            Some(_) if self.is_excluded(method) => Expected::Refused(403),
            Some(_) if method.name.starts_with(OF_ACCOUNT_KEYS) && self != Self::AccountKey => Expected::Refused(403),
            Some(role) => {
                let is_owner = self.person() == owner;
                expected(method, role, &self.scopes(method), is_owner, |reach| self.owns(owner, reach))
            }
        }
    }
}

/// The outcome of a request by a caller with this role and these scopes, according to the policy. `owns` says whether the
/// resource is visible to a caller of a reach.
fn expected(
    method: &Method,
    role: Role,
    scopes: &[Scope],
    is_owner: bool,
    owns: impl FnOnce(Reach) -> bool,
) -> Expected {
    let Some(grant) = method.grant(role) else { return Expected::Refused(403) };
    let Ok(reach) = grant.reach_with(scopes) else { return Expected::Refused(403) };
    let addresses = !rest::route(method).template.variables().is_empty();
    let foreign = !owns(reach);
    let name = method.name.as_str();
    match (addresses, foreign) {
        (_, true) if OF_OTHERS.contains(&name) && reach == Reach::OwnUser => Expected::Refused(403),
        (true, true) => Expected::Refused(404),
        (true, false) if OWN_WORK_ONLY.contains(&name) && !is_owner && role != Role::Admin => Expected::Refused(403),
        (true, false) if AUTHOR_ONLY.contains(&name) && !is_owner => Expected::Refused(403),
        (false, true) if OWN_ONLY.contains(&name) => Expected::Refused(422),
        (false, true) if REFUSES_FOREIGN_ACCOUNTS.contains(&name) => Expected::Refused(404),
        // A method about the caller's own user acts on the caller, regardless of the scene's owner.
        (false, true) if reach == Reach::OwnAccount => Expected::Empty,
        _ => Expected::Good,
    }
}

/// Creates an agent with a custom role of the staff.
async fn specialist(scene: &Scene, scopes: &[String]) -> Actor {
    let [user] = <[User; 1]>::try_from(users(&scene.database, &[(Role::Agent, None)]).await).expect("one");
    let (id, role, scopes) = (user.id, fresh_id(), scopes.join(","));
    let assign = format!(
        "INSERT INTO roles (id, name, description, scopes, created_at, updated_at)
         VALUES ('{role}', 'Specialist {role}', '', '{{{scopes}}}', now(), now());
         UPDATE users SET staff_role_id = '{role}' WHERE id = '{id}'"
    );
    scene.database.sql(&assign).await;
    Actor::user(&scene.endpoint, user)
}

/// The caller of the valid request in the table of cases.
fn owner(scene: &Scene, call: &Call) -> Who {
    let is = |actor: &Actor| format!("{:?}", actor) == format!("{:?}", call.who);
    let cast = &scene.cast;
    let all = [
        (&cast.customer, Who::Customer),
        (&cast.agent, Who::Agent),
        (&cast.admin, Who::Admin),
        (&cast.anonymous, Who::Anonymous),
    ];
    if call.who.is_service() {
        return Who::AccountKey;
    }
    let entry = all.into_iter().find(|&(actor, _)| is(actor));
    entry.unwrap_or_else(|| panic!("the valid request has an unexpected caller: {:?}", call.who)).1
}

fn fits(expected: &Expected, answer: &Response) -> bool {
    match expected {
        Expected::Good => answer.reason.is_empty(),
        Expected::Empty => {
            if let Some(file) = answer.body.as_str() {
                // Only the header line.
                return answer.reason.is_empty() && file.lines().count() == 1;
            }
            let items = answer.body.as_array().or_else(|| answer.data().as_array());
            // A message of a watch may consist of a token only.
            let is_item =
                |item: &Value| item.as_object().is_none_or(|item| item.keys().any(|key| key != "resumeToken"));
            answer.reason.is_empty() && items.is_some_and(|items| !items.iter().any(is_item))
        }
        Expected::Refused(status) => answer.status == *status,
    }
}

/// The valid request of a method, and its callers.
struct Setting {
    call: Call,
    owner: Who,
    actors: Vec<Actor>,
}

impl Setting {
    async fn new(app: &TestApp, method: &Method, callers: &[Who]) -> Self {
        let scene = Scene::new(app).await;
        let mut actors = Vec::new();
        for who in callers {
            let actor = who.actor(&scene, method).await;
            if matches!(who, Who::AccountKey | Who::Token) {
                // Before the case, which may deactivate the customer or schedule a deletion.
                actor.token().await.expect("a key");
            }
            actors.push(actor);
        }
        let call = (cases::good_case(&method.name).call)(scene.clone()).await;
        Self { owner: owner(&scene, &call), call, actors }
    }
}

/// Sends the valid request of a method as every caller over both protocols. Refusals and reads change nothing, so that these
/// callers share the resource; every other request has a scene for itself.
async fn check(app: &TestApp, method: &'static Method) -> Vec<String> {
    let shared = Box::pin(Setting::new(app, method, &EVERYBODY)).await;
    let is_read = rest::route(method).http_method == Some(Verb::GET);
    let mut faults = Vec::new();
    for (who, actor) in EVERYBODY.iter().zip(&shared.actors) {
        for protocol in [Protocol::Grpc, Protocol::Rest] {
            let expected = who.expects(method, shared.owner);
            let is_shared = match expected {
                Expected::Good => is_read,
                // The list of a caller may contain what another caller of the scene made.
                Expected::Empty => false,
                Expected::Refused(_) => true,
            };
            let answer = if is_shared {
                shared.call.send_as(actor, protocol, &method.name).await
            } else {
                let own = Box::pin(Setting::new(app, method, &[*who])).await;
                own.call.send_as(&own.actors[0], protocol, &method.name).await
            };
            if !fits(&expected, &answer) {
                let found = format!("{} {}", answer.status, answer.body);
                faults.push(format!("{} by {who:?} over {protocol:?}: {expected:?}, but {found}", method.name));
            }
        }
    }
    faults
}

#[tokio::test(flavor = "multi_thread")]
async fn access_follows_the_policies() {
    let app = &TestApp::start().await;
    let checks = stream::iter(methods()).map(|method| check(app, method)).buffer_unordered(6);
    let faults: Vec<_> = checks.collect::<Vec<_>>().await.concat();
    assert!(faults.is_empty(), "{}:\n{}", faults.len(), faults.join("\n"));
}
