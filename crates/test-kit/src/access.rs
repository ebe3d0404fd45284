//! Access checks: every method, called by every kind of caller.

use mainstay_kernel::contract::{
    Method,
    policy::{Access, Role},
};
use tonic::{Code, Request, client::Grpc};
use tonic_prost::ProstCodec;

use crate::{Client, TestServer};

impl TestServer {
    /// Calls every method of a package as every kind of caller, and checks that exactly the callers with a grant in the
    /// method's policy are admitted; returns the number of methods. The requests are empty messages, and the results of
    /// admitted calls are not checked.
    ///
    /// # Panics
    /// Panics if a caller is admitted without a grant, or rejected with one.
    pub async fn check_access(&self, package: &str) -> usize {
        let policies = &self.app().contract.policies;
        let scopes: Vec<_> = policies.scopes().map(|scope| scope.name.to_string()).collect();
        let methods = policies.iter().filter(|method| method.descriptor.parent_file().package_name() == package);
        let scopes: Vec<_> = scopes.iter().map(String::as_str).collect();
        let callers = [
            ("an anonymous caller", self.anonymous(), None),
            ("a customer", self.customer().await, Some(Role::Customer)),
            ("an agent", self.agent().await, Some(Role::Agent)),
            ("an admin", self.admin().await, Some(Role::Admin)),
            ("a service with every scope", self.service(&scopes).await, Some(Role::Service)),
        ];
        let mut count = 0;
        for method in methods {
            for (name, client, role) in &callers {
                let expected = match (method.access, role) {
                    (Access::Public, _) => None,
                    (Access::Granted, None) => Some(Code::Unauthenticated),
                    (Access::Granted, Some(role)) => method.grant(*role).is_none().then_some(Code::PermissionDenied),
                };
                assert_eq!(refusal(client, method).await, expected, "{name} calls {}", method.name);
            }
            let scope = method.grant(Role::Service).and_then(|grant| grant.scope.as_ref());
            if let Some(needed) = scope.filter(|_| method.access == Access::Granted) {
                let needed = needed.to_string();
                let others: Vec<_> = scopes.iter().copied().filter(|scope| *scope != needed).collect();
                let code = refusal(&self.service(&others).await, method).await;
                assert_eq!(code, Some(Code::PermissionDenied), "a service without {needed} calls {}", method.name);
            }
            count += 1;
        }
        count
    }
}

/// Calls a method with an empty message; returns the code if the caller was rejected.
async fn refusal(client: &Client, method: &Method) -> Option<Code> {
    let mut grpc = Grpc::new(client.grpc());
    grpc.ready().await.expect("the server accepts connections");
    let path = method.path.parse().expect("a path");
    let called = grpc.unary(Request::new(()), path, ProstCodec::<(), ()>::default()).await;
    called
        .err()
        .map(|status| status.code())
        .filter(|code| matches!(code, Code::Unauthenticated | Code::PermissionDenied))
}
