//! `mainstay.operations.v1.OperationService`.

use prost::Message;
use tonic::Request;

use crate::operations::id::OperationId;
use crate::operations::{
    model::{Operation, RowError},
    ops::{self, Kinds},
};
use crate::proto::operations::v1::{self as pb, operation_service_server::OperationService};
use mainstay_kernel::{
    app::App,
    database::Connection,
    error::Result,
    grpc::{
        Call, Reply,
        render::time,
        watch::{self, Event, Topic},
    },
    page::Key,
    unit_of_work::Work,
};

#[derive(Debug, Clone)]
pub struct Operations {
    pub app: App,
}

fn render(operation: Operation) -> pb::Operation {
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

/// Runs a write that begins an operation, and responds with the message that contains it. A repeated request with the
/// same key gets the operation as it is now. The policy of the method has a `pending_field` and a `poll_location`.
///
/// # Errors
/// As [`Call::write`]; `NOT_FOUND` for a repeated request whose operation is gone or no longer within reach.
pub async fn write<M, R: Message + Default>(
    call: &Call<M>,
    app: &App,
    begin: impl AsyncFnOnce(&mut Work) -> Result<Operation>,
    message: fn(pb::Operation) -> R,
) -> Reply<R> {
    let permit = call.permit()?;
    let committed = call.commit(app, async move |work: &mut Work| Ok(message(render(begin(work).await?))));
    let current = committed.await?.resolve(async |id| {
        let read = async move |connection: &mut Connection| ops::replayed(connection, &permit, OperationId(id)).await;
        Ok(message(render(app.database.autocommit(read).await?)))
    });
    call.respond(current.await?)
}

fn render_error(error: RowError) -> pb::OperationError {
    pb::OperationError { line: error.line, code: error.code, message: error.message }
}

static OPERATIONS: Topic<Operation> =
    Topic { name: ops::TOPIC, load: ops::load_changed, version: |operation| (operation.id.0, operation.version) };

fn watch_message(
    hidden: &[&'static str],
    event: Event<Operation>,
    resume_token: String,
) -> pb::WatchOperationsResponse {
    let data = match event {
        Event::Changed(operation) => {
            Some(operation).filter(|operation| !hidden.iter().any(|kind| *kind == operation.kind)).map(render)
        }
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
        let kinds = self.app.part::<Kinds>();
        let get = async move |connection: &_| ops::get(connection, &permit, kinds, id).await;
        let operation = self.app.database.read(get).await?;
        call.read(pb::GetOperationResponse { data: Some(render(operation)) })
    }

    async fn list_operations(&self, request: Request<pb::ListOperationsRequest>) -> Reply<pb::ListOperationsResponse> {
        let call = Call::admit(request)?;
        let pager = call.pager(&self.app)?;
        let (permit, kinds) = (call.permit()?, self.app.part::<Kinds>().clone());
        let list = async move |connection: &_| ops::list(connection, permit, kinds, pager.page).await;
        let (operations, meta) = call.list(&self.app, pager, list, |row| Key::new(row.created_at, row.id.0)).await?;
        call.read(pb::ListOperationsResponse { data: operations.into_iter().map(render).collect(), meta })
    }

    type WatchOperationsStream = watch::Messages<pb::WatchOperationsResponse>;

    async fn watch_operations(
        &self,
        request: Request<pb::WatchOperationsRequest>,
    ) -> Reply<Self::WatchOperationsStream> {
        let call = Call::admit(request)?;
        let hidden = self.app.part::<Kinds>().hidden(&call.permit()?);
        let message = move |event, token| watch_message(&hidden, event, token);
        Ok(OPERATIONS.watch(&self.app, &call, &call.message.resume_token, message).await?)
    }

    async fn list_operation_errors(
        &self,
        request: Request<pb::ListOperationErrorsRequest>,
    ) -> Reply<pb::ListOperationErrorsResponse> {
        let call = Call::admit(request)?;
        let pb::ListOperationErrorsRequest { operation_id, .. } = &call.message;
        let (permit, id) = (call.permit()?, OperationId::parse(operation_id)?);
        let kinds = self.app.part::<Kinds>().clone();
        let pager = call.pager(&self.app)?;
        let list = async move |connection: &_| ops::errors(connection, permit, kinds, id, pager.page).await;
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

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};
    use mainstay_kernel::id::AccountId;

    use super::*;

    #[test]
    fn a_watch_does_not_show_an_operation_of_a_hidden_kind() {
        let now = DateTime::<Utc>::default();
        let operation = Operation::new(("fleet.end_leases", None), uuid::Uuid::nil(), AccountId::generate(now), now);
        let shown = |hidden: &[&'static str]| {
            let message = watch_message(hidden, Event::Changed(operation.clone()), "token".to_owned());
            (message.data.is_some(), message.resume_token)
        };
        assert_eq!(shown(&["import_tickets"]), (true, "token".to_owned()));
        assert_eq!(shown(&["fleet.end_leases"]), (false, "token".to_owned()));
    }
}
