//! `mainstay.dashboard.v1.OverviewService`.

mod live;

use tonic::{Request, Response};

use crate::dashboard::overview::cached::CachedOverviews;
use crate::proto::dashboard::v1::{self as pb, overview_service_server::OverviewService};
use mainstay_kernel::{
    app::App,
    grpc::{Call, Reply, watch},
};

/// The default number of days of an overview.
const DEFAULT_DAYS: i32 = 7;

#[derive(Debug, Clone)]
pub struct Overviews {
    pub app: App,
}

impl Overviews {
    fn overviews(&self) -> &CachedOverviews {
        self.app.part()
    }
}

fn days_or_default(requested: i32) -> i32 {
    if requested == 0 { DEFAULT_DAYS } else { requested }
}

#[tonic::async_trait]
impl OverviewService for Overviews {
    async fn get_ticket_overview(
        &self,
        request: Request<pb::GetTicketOverviewRequest>,
    ) -> Reply<pb::GetTicketOverviewResponse> {
        let call = Call::admit(request)?;
        let overview = self.overviews().tickets(&self.app, days_or_default(call.message.days)).await?;
        call.read(pb::GetTicketOverviewResponse { data: Some(overview) })
    }

    type WatchTicketOverviewStream = watch::Messages<pb::WatchTicketOverviewResponse>;

    async fn watch_ticket_overview(
        &self,
        request: Request<pb::WatchTicketOverviewRequest>,
    ) -> Reply<Self::WatchTicketOverviewStream> {
        let call = Call::admit(request)?;
        Ok(Response::new(live::tickets(&self.app, days_or_default(call.message.days)).await?))
    }

    async fn get_sales_overview(
        &self,
        request: Request<pb::GetSalesOverviewRequest>,
    ) -> Reply<pb::GetSalesOverviewResponse> {
        let call = Call::admit(request)?;
        let overview = self.overviews().sales(&self.app, days_or_default(call.message.days)).await?;
        call.read(pb::GetSalesOverviewResponse { data: Some(overview) })
    }

    async fn get_sign_in_overview(
        &self,
        request: Request<pb::GetSignInOverviewRequest>,
    ) -> Reply<pb::GetSignInOverviewResponse> {
        let call = Call::admit(request)?;
        let overview = self.overviews().sign_ins(&self.app, days_or_default(call.message.days)).await?;
        call.read(pb::GetSignInOverviewResponse { data: Some(overview) })
    }

    async fn get_work_overview(
        &self,
        request: Request<pb::GetWorkOverviewRequest>,
    ) -> Reply<pb::GetWorkOverviewResponse> {
        let call = Call::admit(request)?;
        let overview = self.overviews().work(&self.app).await?;
        call.read(pb::GetWorkOverviewResponse { data: Some(overview) })
    }
}
