//! `mainstay.operations.v1.OperationService`.

use chrono::DateTime;
use futures_util::FutureExt as _;
use tonic::Request;
use uuid::Uuid;

use super::{Call, Reply, page::Pager, render::time};
use crate::{
    app::App,
    contract::proto::operations::v1::{self as pb, operation_service_server::OperationService},
    domain::{operation::Operation, page::Key},
    id::OperationId,
    ops::operation as ops,
};

/// The RPC bodies.
#[derive(Debug, Clone)]
pub struct Operations {
    /// The house.
    pub app: App,
}

/// An operation as a message.
pub(super) fn operation(operation: Operation) -> pb::Operation {
    let progress = operation.progress;
    pb::Operation {
        id: operation.id.to_string(),
        kind: operation.kind.number().into(),
        state: operation.state.number().into(),
        progress: Some(pb::OperationProgress {
            rows_total: progress.total,
            rows_done: progress.done,
            rows_created: progress.created,
            rows_known: progress.known,
            rows_failed: progress.failed,
        }),
        failure: operation.failure.map(|(code, message)| pb::OperationFailure { code, message }),
        version: operation.version,
        create_time: Some(time(operation.created_at)),
        update_time: Some(time(operation.updated_at)),
        finish_time: operation.finished_at.map(time),
    }
}

#[tonic::async_trait]
impl OperationService for Operations {
    async fn get_operation(&self, request: Request<pb::GetOperationRequest>) -> Reply<pb::GetOperationResponse> {
        let call = Call::admit(request)?;
        let (permit, id) = (call.permit()?, OperationId::parse(&call.message.operation_id)?);
        let found = self.app.database.read(move |connection| ops::get(connection, permit, id).boxed()).await?;
        call.read(pb::GetOperationResponse { data: Some(operation(found)) })
    }

    async fn list_operations(&self, request: Request<pb::ListOperationsRequest>) -> Reply<pb::ListOperationsResponse> {
        let call = Call::admit(request)?;
        let permit = call.permit()?;
        let pb::ListOperationsRequest { page, page_size, page_token } = &call.message;
        let pager = Pager::read(*page, *page_size, page_token, &"operations")?;
        let read =
            self.app.database.read(move |connection| ops::list(connection, permit, pager.start, pager.size).boxed());
        let (mut rows, total) = read.await?;
        let meta = pager.meta(&mut rows, total, |row| Key { rank: None, time: row.created_at, id: row.id.0 });
        call.read(pb::ListOperationsResponse { data: rows.into_iter().map(operation).collect(), meta: Some(meta) })
    }

    async fn list_operation_errors(
        &self,
        request: Request<pb::ListOperationErrorsRequest>,
    ) -> Reply<pb::ListOperationErrorsResponse> {
        let call = Call::admit(request)?;
        let (permit, id) = (call.permit()?, OperationId::parse(&call.message.operation_id)?);
        let pb::ListOperationErrorsRequest { page, page_size, page_token, .. } = &call.message;
        let pager = Pager::read(*page, *page_size, page_token, &("operation errors", id))?;
        let read = self
            .app
            .database
            .read(move |connection| ops::errors(connection, permit, id, pager.start, pager.size).boxed());
        let (mut rows, total) = read.await?;
        let key =
            |line| Key { rank: None, time: DateTime::from_timestamp_micros(line).unwrap_or_default(), id: Uuid::nil() };
        let meta = pager.meta(&mut rows, total, |row| key(row.line));
        let data = rows
            .into_iter()
            .map(|row| pb::OperationError { line: row.line, code: row.code, message: row.message })
            .collect();
        call.read(pb::ListOperationErrorsResponse { data, meta: Some(meta) })
    }
}
