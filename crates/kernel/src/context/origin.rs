//! The origin of the changes that a request or a job makes, for the audit log.

use std::{borrow::Cow, net::IpAddr, sync::Arc};

use uuid::Uuid;

use crate::numbered::numbered;

numbered! {
    /// The kind of an actor.
    ActorKind {
        /// A client without credentials.
        Anonymous = 1,
        /// A user of an account.
        User = 2,
        /// An agent or an admin.
        Staff = 3,
        /// A service.
        Service = 4,
        /// A job, a scheduled task, or a command of an operator.
        System = 5,
    }
}

/// Who acts, and by what.
#[derive(Debug, Clone)]
pub struct Origin {
    /// The short name of the RPC, the page, or the kind of job.
    pub method: Cow<'static, str>,
    /// The kind of the actor.
    pub actor: ActorKind,
    /// The user or service key.
    pub actor_id: Option<Uuid>,
    /// The member of the staff who acts in the name of the user.
    pub impersonator: Option<Uuid>,
    /// The application that acts for the user.
    pub application: Option<Uuid>,
    /// The account of the actor, if it is a user of one.
    pub account: Option<Uuid>,
    /// The address of the client.
    pub client: Option<IpAddr>,
    /// The program of the client, as it names itself.
    pub user_agent: Option<Arc<str>>,
    /// The reason that the request gave.
    pub reason: Option<String>,
}

impl Origin {
    /// Returns the origin of a request without credentials. `client` is `None` if the request bypassed the listener.
    pub(crate) fn of_client(
        method: impl Into<Cow<'static, str>>,
        client: Option<IpAddr>,
        user_agent: Option<&str>,
    ) -> Self {
        let user_agent = user_agent.map(Arc::from);
        Self { actor: ActorKind::Anonymous, client, user_agent, ..Self::system(method) }
    }

    /// Returns the origin of a job, a task or a command.
    pub fn system(method: impl Into<Cow<'static, str>>) -> Self {
        Self {
            method: method.into(),
            actor: ActorKind::System,
            actor_id: None,
            impersonator: None,
            application: None,
            account: None,
            client: None,
            user_agent: None,
            reason: None,
        }
    }
}
