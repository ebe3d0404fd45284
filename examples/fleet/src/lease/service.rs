//! Handlers of `fleet.v1.LeaseService`.

use mainstay::operations;
use mainstay_kernel::{
    app::App,
    grpc::{Call, Reply, render::time},
    id::AccountId,
    unit_of_work::Work,
};
use tonic::Request;

use super::{
    end_all,
    model::{Lease, LeaseId},
    ops,
};
use crate::{
    config::FleetConfig,
    proto::fleet::v1::{self as pb, lease_service_server::LeaseService},
    vehicle::model::VehicleId,
};

/// The RPC handlers.
#[derive(Debug)]
pub struct Leases {
    app: App,
}

impl Leases {
    /// Creates the service of an application.
    pub fn new(app: &App) -> Self {
        Self { app: app.clone() }
    }
}

fn render(lease: Lease) -> pb::Lease {
    let Lease { id, vehicle, account, order, expires_at, ended_at, version, created_at, updated_at } = lease;
    pb::Lease {
        id: Some(id.to_string()),
        vehicle_id: Some(vehicle.to_string()),
        account_id: Some(account.to_string()),
        order_id: order.map(|order| order.to_string()),
        version: Some(version),
        create_time: Some(time(created_at)),
        update_time: Some(time(updated_at)),
        expire_time: Some(time(expires_at)),
        end_time: ended_at.map(time),
    }
}

#[tonic::async_trait]
impl LeaseService for Leases {
    async fn create_lease(&self, request: Request<pb::CreateLeaseRequest>) -> Reply<pb::CreateLeaseResponse> {
        let call = Call::admit(request)?;
        let vehicle = VehicleId::parse(&call.message.vehicle_id)?;
        let account = call.message.account_id.as_deref().map(AccountId::parse).transpose()?;
        let duration = self.app.config.section::<FleetConfig>().lease_duration;
        call.write(&self.app, async move |work: &mut Work| {
            let lease = ops::create(work, vehicle, account, duration).await?;
            Ok(pb::CreateLeaseResponse { data: Some(render(lease)) })
        })
        .await
    }

    async fn get_lease(&self, request: Request<pb::GetLeaseRequest>) -> Reply<pb::GetLeaseResponse> {
        let call = Call::admit(request)?;
        let (permit, id) = (call.permit()?, LeaseId::parse(&call.message.lease_id)?);
        let lease = self
            .app
            .database
            .query(call.reach(), async move |connection| ops::get(connection, permit, id).await)
            .await?;
        call.read(pb::GetLeaseResponse { data: Some(render(lease)) })
    }

    async fn list_leases(&self, request: Request<pb::ListLeasesRequest>) -> Reply<pb::ListLeasesResponse> {
        let call = Call::admit(request)?;
        let pager = call.pager(&self.app)?;
        let permit = call.permit()?;
        let list = async move |connection: &_| ops::list(connection, permit, pager.page).await;
        let (leases, meta) = call.list(&self.app, pager, list, Lease::key).await?;
        call.read(pb::ListLeasesResponse { data: leases.into_iter().map(render).collect(), meta })
    }

    async fn end_lease(&self, request: Request<pb::EndLeaseRequest>) -> Reply<pb::EndLeaseResponse> {
        let call = Call::admit(request)?;
        let (id, expected) = (LeaseId::parse(&call.message.lease_id)?, call.if_match.clone());
        call.write(&self.app, async move |work: &mut Work| {
            let lease = ops::end(work, id, expected).await?;
            Ok(pb::EndLeaseResponse { data: Some(render(lease)) })
        })
        .await
    }

    async fn end_leases(&self, request: Request<pb::EndLeasesRequest>) -> Reply<pb::EndLeasesResponse> {
        let call = Call::admit(request)?;
        let account = AccountId::parse(&call.message.account_id)?;
        let begin = async move |work: &mut Work| end_all::begin(work, account).await;
        operations::write(&call, &self.app, begin, |operation| pb::EndLeasesResponse { data: Some(operation) }).await
    }
}
