//! `mainstay.operations.v1.OperationService`.

use tonic::Request;

use crate::operations::id::OperationId;
use crate::operations::{
    model::{Operation, RowError},
    ops::{self, Kinds},
};
use crate::proto::operations::v1::{self as pb, operation_service_server::OperationService};
use mainstay_kernel::{
    app::App,
    grpc::{
        Call, Reply,
        render::time,
        watch::{self, Event, Topic},
    },
    unit_of_work::Work,
};

#[derive(Debug, Clone)]
pub struct Operations {
    pub app: App,
}

pub(crate) fn render(operation: Operation) -> pb::Operation {
    let progress = operation.progress;
    let failure = operation.state.failure().cloned();
    pb::Operation {
        id: operation.id.to_string(),
        kind: operation.kind_number.unwrap_or_default().into(),
        kind_name: operation.kind.into_owned(),
        state: operation.state.status().number().into(),
        progress: Some(pb::OperationProgress {
            rows_total: progress.total,
            rows_done: progress.rows_done(),
            rows_created: progress.created,
            rows_known: progress.known,
            rows_failed: progress.failed,
        }),
        failure: failure.map(|failure| pb::OperationFailure { code: failure.code, message: failure.message }),
        version: operation.version,
        create_time: Some(time(operation.created_at)),
        update_time: Some(time(operation.updated_at)),
        finish_time: operation.state.finished_at().map(time),
    }
}

fn render_error(error: RowError) -> pb::OperationError {
    pb::OperationError { line: error.line, code: error.code, message: error.message }
}

static OPERATIONS: Topic<Operation> =
    Topic { name: ops::TOPIC, load: ops::load_changed, version: |operation| (operation.id.0, operation.version) };

fn watch_message(event: Event<Operation>, resume_token: String) -> pb::WatchOperationsResponse {
    let data = match event {
        Event::Changed(operation) => Some(render(operation)),
        // Operations are deleted long after their last use, so deletions are not reported.
        Event::Deleted(_) | Event::Position => None,
    };
    pb::WatchOperationsResponse { data, resume_token }
}

#[tonic::async_trait]
impl OperationService for Operations {
    async fn get_operation(&self, request: Request<pb::GetOperationRequest>) -> Reply<pb::GetOperationResponse> {
        let call = Call::admit(request)?;
        let (permit, id) = (call.permit()?, OperationId::parse(&call.message.operation_id)?);
        let operation = self.app.database.read(async move |connection| ops::get(connection, &permit, id).await).await?;
        call.read(pb::GetOperationResponse { data: Some(render(operation)) })
    }

    async fn list_operations(&self, request: Request<pb::ListOperationsRequest>) -> Reply<pb::ListOperationsResponse> {
        let call = Call::admit(request)?;
        let pager = call.pager(&self.app)?;
        let permit = call.permit()?;
        let list = async move |connection: &_| ops::list(connection, permit, pager.page).await;
        let (operations, meta) = call.list(&self.app, pager, list, Operation::key).await?;
        call.read(pb::ListOperationsResponse { data: operations.into_iter().map(render).collect(), meta })
    }

    type WatchOperationsStream = watch::Messages<pb::WatchOperationsResponse>;

    async fn watch_operations(
        &self,
        request: Request<pb::WatchOperationsRequest>,
    ) -> Reply<Self::WatchOperationsStream> {
        let call = Call::admit(request)?;
        Ok(OPERATIONS.watch(&self.app, &call, &call.message.resume_token, watch_message).await?)
    }

    async fn list_operation_errors(
        &self,
        request: Request<pb::ListOperationErrorsRequest>,
    ) -> Reply<pb::ListOperationErrorsResponse> {
        let call = Call::admit(request)?;
        let pb::ListOperationErrorsRequest { operation_id, .. } = &call.message;
        let (permit, id) = (call.permit()?, OperationId::parse(operation_id)?);
        let pager = call.pager(&self.app)?;
        let list = async move |connection: &_| ops::errors(connection, permit, id, pager.page).await;
        let (errors, meta) = call.list(&self.app, pager, list, RowError::key).await?;
        call.read(pb::ListOperationErrorsResponse { data: errors.into_iter().map(render_error).collect(), meta })
    }
    async fn cancel_operation(
        &self,
        request: Request<pb::CancelOperationRequest>,
    ) -> Reply<pb::CancelOperationResponse> {
        let call = Call::admit(request)?;
        let (id, expected) = (OperationId::parse(&call.message.operation_id)?, call.if_match.clone());
        let kinds = self.app.part::<Kinds>().clone();
        call.write(&self.app, async move |work: &mut Work| {
            let operation = ops::cancel(work, &kinds, id, expected).await?;
            Ok(pb::CancelOperationResponse { data: Some(render(operation)) })
        })
        .await
    }
}
