//! `mainstay.operations.v1.DeadJobService`.

use tonic::Request;

use crate::operations::dead_job::ops;
use crate::proto::operations::v1::{self as pb, dead_job_service_server::DeadJobService};
use mainstay_kernel::{
    app::App,
    error::Error,
    grpc::{Call, Reply, render::time},
    queue::dead::DeadJob,
    unit_of_work::Work,
};

#[derive(Debug, Clone)]
pub struct DeadJobs {
    pub app: App,
}

fn render(job: DeadJob) -> pb::DeadJob {
    pb::DeadJob {
        id: job.id,
        kind: job.kind,
        attempts: job.attempts,
        failure: job.error,
        dead_time: Some(time(job.dead_at)),
    }
}

fn non_empty(text: &str) -> Option<String> {
    Some(text.to_owned()).filter(|text| !text.is_empty())
}

#[tonic::async_trait]
impl DeadJobService for DeadJobs {
    async fn list_dead_jobs(&self, request: Request<pb::ListDeadJobsRequest>) -> Reply<pb::ListDeadJobsResponse> {
        let call = Call::admit(request)?;
        let (permit, kind) = (call.permit()?, non_empty(&call.message.kind));
        let list = async move |connection: &_| ops::list(connection, permit, kind).await;
        let jobs = self.app.database.query(call.reach(), list).await?;
        call.read(pb::ListDeadJobsResponse { data: jobs.into_iter().map(render).collect() })
    }

    async fn redrive_dead_jobs(
        &self,
        request: Request<pb::RedriveDeadJobsRequest>,
    ) -> Reply<pb::RedriveDeadJobsResponse> {
        let call = Call::admit(request)?;
        let (ids, kind) = (call.message.ids.clone(), non_empty(&call.message.kind));
        if ids.is_empty() == kind.is_none() {
            return Err(Error::field("ids", "must be given, or else a kind").into());
        }
        call.write(&self.app, async move |work: &mut Work| {
            let count = i32::try_from(ops::redrive(work, ids, kind).await?).unwrap_or(i32::MAX);
            Ok(pb::RedriveDeadJobsResponse { data: Some(pb::RedrivenJobs { count }) })
        })
        .await
    }
}
