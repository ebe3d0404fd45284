//! `mainstay.identity.v1.SessionService`.

use std::net::{IpAddr, Ipv4Addr};

use chrono::TimeDelta;
use prost::Message;
use secrecy::ExposeSecret as _;
use tonic::Request;

use crate::identity::{
    session::{
        model::{Device, Session},
        ops,
    },
    tokens::{Pair, Tokens},
};
use crate::proto::identity::v1::{self as pb, session_service_server::SessionService};
use mainstay_kernel::{
    app::App,
    caller::ClientAddress,
    grpc::{Call, Reply, render::time},
    id::{SessionId, UserId},
    unit_of_work::Work,
};

#[derive(Debug, Clone)]
pub struct SessionRpcs {
    pub app: App,
}

/// Reads the device from a request: its user agent and address.
pub(crate) fn device<M>(request: &Request<M>) -> Device {
    let user_agent = request.metadata().get("user-agent").and_then(|value| value.to_str().ok()).unwrap_or_default();
    Device::new(user_agent, client_address(request).to_string())
}

/// Returns the client's address; the unspecified address for a request that bypassed the server's listener.
pub(crate) fn client_address<M>(request: &Request<M>) -> IpAddr {
    request.extensions().get().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |&ClientAddress(address)| address)
}

/// Renders the tokens that a client holds while signed in.
pub(crate) fn pair(pair: Pair) -> pb::TokenPair {
    pb::TokenPair {
        access_token: pair.access.expose_secret().to_owned(),
        token_type: "Bearer".to_owned(),
        expires_in: seconds(pair.expires_in),
        refresh_token: pair.refresh.expose_secret().to_owned(),
        session_id: pair.session.to_string(),
        device_token: None,
        account_id: pair.account.map(|account| account.to_string()),
        second_factor_required: pair.needs_second_factor,
    }
}

/// Renders a lifetime.
pub(crate) fn seconds(life: TimeDelta) -> i32 {
    i32::try_from(life.num_seconds()).unwrap_or(i32::MAX)
}

fn render(session: Session, current: Option<SessionId>) -> pb::Session {
    pb::Session {
        id: session.id.to_string(),
        user_agent: session.device.user_agent,
        ip_address: session.device.address,
        create_time: Some(time(session.created_at)),
        refresh_time: Some(time(session.refreshed_at)),
        expire_time: Some(time(session.expires_at)),
        current: Some(session.id) == current,
        account_id: session.account.map(|own| own.account.to_string()),
        oauth_client_id: session.grant.map(|grant| grant.client.to_string()),
    }
}

impl SessionRpcs {
    /// Ends a session of a user.
    async fn revoke<M, R: Message + Default>(
        &self,
        call: &Call<M>,
        user: UserId,
        id: SessionId,
        response: R,
    ) -> Reply<R> {
        let policies = &self.app.contract.policies;
        let reply = call.write(&self.app, async move |work: &mut Work| {
            ops::end(work, policies, user, id).await?;
            Ok(response)
        });
        let response = reply.await?;
        self.app.part::<Tokens>().invalidate_session(id);
        Ok(response)
    }

    /// Ends all sessions of a user.
    async fn revoke_all<M, R: Message + Default>(&self, call: &Call<M>, user: UserId, response: R) -> Reply<R> {
        let policies = &self.app.contract.policies;
        let reply = call.write(&self.app, async move |work: &mut Work| {
            ops::end_all(work, policies, user).await?;
            Ok(response)
        });
        let response = reply.await?;
        ops::remove_outdated(&self.app, user).await;
        Ok(response)
    }
}

#[tonic::async_trait]
impl SessionService for SessionRpcs {
    async fn list_sessions(&self, request: Request<pb::ListSessionsRequest>) -> Reply<pb::ListSessionsResponse> {
        let call = Call::admit(request)?;
        let (user, _, current) = ops::caller(&call.permit()?)?;
        let sessions = ops::list(&self.app, user).await?;
        let data = sessions.into_iter().map(|session| render(session, Some(current))).collect();
        call.read(pb::ListSessionsResponse { data })
    }

    async fn list_user_sessions(
        &self,
        request: Request<pb::ListUserSessionsRequest>,
    ) -> Reply<pb::ListUserSessionsResponse> {
        let call = Call::admit(request)?;
        let current = call.permit()?.user().map(|(_, _, session)| session);
        let sessions = ops::list(&self.app, UserId::parse(&call.message.user_id)?).await?;
        let data = sessions.into_iter().map(|session| render(session, current)).collect();
        call.read(pb::ListUserSessionsResponse { data })
    }

    async fn revoke_session(&self, request: Request<pb::RevokeSessionRequest>) -> Reply<pb::RevokeSessionResponse> {
        let call = Call::admit(request)?;
        let (user, ..) = ops::caller(&call.permit()?)?;
        let id = SessionId::parse(&call.message.session_id)?;
        self.revoke(&call, user, id, pb::RevokeSessionResponse {}).await
    }

    async fn revoke_user_session(
        &self,
        request: Request<pb::RevokeUserSessionRequest>,
    ) -> Reply<pb::RevokeUserSessionResponse> {
        let call = Call::admit(request)?;
        let (user, id) = (UserId::parse(&call.message.user_id)?, SessionId::parse(&call.message.session_id)?);
        self.revoke(&call, user, id, pb::RevokeUserSessionResponse {}).await
    }

    async fn revoke_all_sessions(
        &self,
        request: Request<pb::RevokeAllSessionsRequest>,
    ) -> Reply<pb::RevokeAllSessionsResponse> {
        let call = Call::admit(request)?;
        let (user, ..) = ops::caller(&call.permit()?)?;
        self.revoke_all(&call, user, pb::RevokeAllSessionsResponse {}).await
    }

    async fn revoke_all_user_sessions(
        &self,
        request: Request<pb::RevokeAllUserSessionsRequest>,
    ) -> Reply<pb::RevokeAllUserSessionsResponse> {
        let call = Call::admit(request)?;
        let user = UserId::parse(&call.message.user_id)?;
        self.revoke_all(&call, user, pb::RevokeAllUserSessionsResponse {}).await
    }
}
