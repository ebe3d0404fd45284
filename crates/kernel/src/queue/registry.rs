//! Kinds of jobs, without their types.

use futures_util::{FutureExt as _, future::BoxFuture};
use graphile_worker::{IntoTaskHandlerResult, Job as Queued, JobDefinition, TaskHandler, WorkerContext};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::{
    app::App,
    error::{Error, Result},
    queue::{Handler, Lane, gone_is_done, key, store as queue},
};

/// What the worker needs to know of a job without its type.
#[derive(Debug, Clone, Copy)]
pub struct Kind {
    pub(crate) name: &'static str,
    pub(crate) lane: Lane,
    pub(crate) definition: fn() -> JobDefinition,
    give_up: fn(App, i64, Value) -> BoxFuture<'static, Result<()>>,
}

impl Kind {
    /// Returns the kind of a job.
    pub fn of<J: Handler>() -> Self {
        Self {
            name: J::NAME,
            lane: J::LANE,
            definition: Work::<J>::definition,
            give_up: |app, id, payload| {
                async move {
                    let job: J = serde_json::from_value(payload).map_err(Error::internal)?;
                    let key = key::<J>(job.subject());
                    let replaced =
                        app.database.autocommit(async move |connection| queue::has_other(connection, &key, id).await);
                    if replaced.await? { Ok(()) } else { job.give_up(&app).await }
                }
                .boxed()
            },
        }
    }
}

/// The context of a job.
#[derive(Debug, Clone)]
pub(super) struct JobContext {
    pub(super) app: App,
    pub(super) stop: CancellationToken,
}

/// A job as the queue's library runs it.
#[derive(Serialize, Deserialize)]
#[serde(transparent, bound = "J: Handler")]
struct Work<J>(J);

impl<J: Handler> TaskHandler for Work<J> {
    const IDENTIFIER: &'static str = J::NAME;

    async fn run(self, context: WorkerContext) -> impl IntoTaskHandlerResult {
        let context: &JobContext = context.get_ext().ok_or_else(|| "the worker gives no context".to_owned())?;
        let ended = self.0.run(&context.app, &context.stop).await;
        gone_is_done(ended).map_err(|error| error.detail())
    }
}

/// Gives up a job, found by its name in the queue. A job that was replaced while it ran looks as dead as one that used
/// up its attempts; it is left alone, because its replacement takes care of its subject.
///
/// # Errors
/// The job's own error, and `INTERNAL_ERROR` for a name or a payload of another version of this program.
pub(crate) async fn give_up(app: App, job: &Queued) -> Result<()> {
    let name = job.task_identifier();
    let kind = app.part::<&[Kind]>().iter().copied().find(|kind| kind.name == name);
    let kind = kind.ok_or_else(|| Error::internal(anyhow::anyhow!("jobs: unknown job type {name}")))?;
    (kind.give_up)(app, *job.id(), job.payload().clone()).await
}
