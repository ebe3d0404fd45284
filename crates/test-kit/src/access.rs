//! Access checks: every method, called by every kind of caller.

use mainstay_kernel::{
    contract::{
        Method,
        policy::{Access, BuiltInRole, DeclaredScope, Role, Scope},
    },
    database::Connection,
    module::Modules,
};
use tonic::{Code, Request, client::Grpc};
use tonic_prost::ProstCodec;

use crate::{Client, TestServer};

/// A caller, with the role and the scopes by which the contract admits it.
struct Caller {
    name: String,
    client: Client,
    role: Option<Role>,
    scopes: Vec<Scope>,
}

impl Caller {
    /// Returns the code with which a method refuses the caller, by the contract; `None` if it admits the caller.
    fn expected(&self, method: &Method) -> Option<Code> {
        match (method.access, self.role) {
            (Access::Public, _) => None,
            (Access::Granted, None) => Some(Code::Unauthenticated),
            (Access::Granted, Some(role)) => {
                let is_admitted = method.grant(role).is_some_and(|grant| grant.reach_with(&self.scopes).is_ok());
                (!is_admitted).then_some(Code::PermissionDenied)
            }
        }
    }
}

impl TestServer {
    /// Checks that every column of the database that leads to a person or an account is declared with
    /// [`Module::personal`](mainstay_kernel::module::Module::personal), so that erasures and exports cover its rows.
    ///
    /// # Panics
    /// Panics with the columns that are not.
    pub async fn check_personal_data(&self) {
        let personal = Modules::of(self.app()).personal();
        let undeclared = self.app().database.autocommit(async |connection| personal.undeclared(connection).await).await;
        assert_eq!(undeclared.expect("the catalogue"), Vec::<String>::new(), "not declared with Module::personal");
    }

    /// Checks that every table of the database is declared with
    /// [`Module::retention`](mainstay_kernel::module::Module::retention): its rows are removed by age, or it has a reason.
    ///
    /// # Panics
    /// Panics with the tables that are not.
    pub async fn check_retention(&self) {
        let retentions = Modules::of(self.app()).retentions();
        let read = async |connection: &mut Connection| retentions.undeclared(connection).await;
        let undeclared = self.app().database.autocommit(read).await;
        assert_eq!(undeclared.expect("the catalogue"), Vec::<String>::new(), "not declared with Module::retention");
    }

    /// Calls every method of a package as every kind of caller: without credentials, with each built-in role, and with custom
    /// roles of an account and of the staff and service keys that have only the method's scope, and that have all others.
    /// Checks that exactly the callers are admitted whom the method's policy grants access; returns the number of methods.
    /// The requests are empty messages, and the results of admitted calls are not checked.
    ///
    /// # Panics
    /// Panics if a caller is admitted without a grant, or rejected with one.
    pub async fn check_access(&self, package: &str) -> usize {
        let policies = &self.app().contract.policies;
        let mut callers = vec![Caller {
            name: "an anonymous caller".to_owned(),
            client: self.anonymous(),
            role: None,
            scopes: Vec::new(),
        }];
        for role in BuiltInRole::all() {
            let (client, scopes) = (self.with_role(role).await, policies.scopes_of(role).to_vec());
            callers.push(Caller { name: role.full_name().to_owned(), client, role: Some(role.role()), scopes });
        }
        let declared: Vec<_> = policies.scopes().collect();
        let methods = policies.iter().filter(|method| method.descriptor.parent_file().package_name() == package);
        let mut count = 0;
        for method in methods {
            for caller in callers.iter().chain(&self.with_and_without(method, &declared).await) {
                let (refusal, name) = (refusal(&caller.client, method).await, &caller.name);
                assert_eq!(refusal, caller.expected(method), "{name} calls {}", method.name);
            }
            count += 1;
        }
        count
    }

    /// Returns callers with only the scope that a method requires of their role, and with all other scopes.
    async fn with_and_without(&self, method: &Method, declared: &[&DeclaredScope]) -> Vec<Caller> {
        let mut callers = Vec::new();
        for role in [Role::Customer, Role::Agent, Role::Service] {
            let Some(needed) = method.grant(role).and_then(|grant| grant.scope.clone()) else { continue };
            for is_needed in [true, false] {
                let is_held = |scope: &&&DeclaredScope| {
                    // An account's role has no scope of the staff.
                    (scope.name == needed) == is_needed && (role != Role::Customer || scope.is_of_accounts())
                };
                let scopes: Vec<_> = declared.iter().filter(is_held).map(|scope| scope.name.clone()).collect();
                if scopes.is_empty() {
                    continue;
                }
                let names: Vec<_> = scopes.iter().map(Scope::as_str).collect();
                let client = match role {
                    Role::Service => self.service(&names).await,
                    role => self.with_scopes(role == Role::Agent, &names).await,
                };
                let with = if is_needed { "only" } else { "all but" };
                let name = format!("{} with {with} {needed}", role.as_str_name());
                callers.push(Caller { name, client, role: Some(role), scopes });
            }
        }
        callers
    }
}

/// Calls a method with an empty message; returns the code if the caller was rejected.
async fn refusal(client: &Client, method: &Method) -> Option<Code> {
    let mut grpc = Grpc::new(client.grpc());
    grpc.ready().await.expect("the server accepts connections");
    let path = method.path.parse().expect("a path");
    let (request, codec) = (Request::new(()), ProstCodec::<(), ()>::default());
    // A stream is not read: a watch lasts for minutes, and a refusal precedes the stream.
    let called = if method.descriptor.is_server_streaming() {
        grpc.server_streaming(request, path, codec).await.map(drop)
    } else {
        grpc.unary(request, path, codec).await.map(drop)
    };
    called
        .err()
        .map(|status| status.code())
        .filter(|code| matches!(code, Code::Unauthenticated | Code::PermissionDenied))
}
