//! The list of all kinds of jobs. A new one needs a file in `jobs`, a handler, and a line in [`all`].

use futures_util::{FutureExt as _, future::BoxFuture};
use graphile_worker::{IntoTaskHandlerResult, Job as Queued, JobDefinition, TaskHandler, WorkerContext};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Handler, JobContext};
use crate::{
    app::App,
    error::{Error, Result},
    jobs::{
        DeliverWebhook, FindRefunds, ForgetDeliveries, ImportTickets, Lane, ProcessInboundEvent, SendMail, Settle,
        SyncRefunds, SyncSubscription, gone_is_done, key, text,
    },
    store::queue,
};

/// All kinds of jobs.
pub(super) fn all() -> Vec<Kind> {
    vec![
        Kind::of::<ImportTickets>(),
        Kind::of::<Settle>(),
        Kind::of::<SyncRefunds>(),
        Kind::of::<FindRefunds>(),
        Kind::of::<SyncSubscription>(),
        Kind::of::<ProcessInboundEvent>(),
        Kind::of::<DeliverWebhook>(),
        Kind::of::<ForgetDeliveries>(),
        Kind::of::<SendMail>(),
    ]
}

/// What the worker needs to know of a job without its type.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kind {
    pub(super) name: &'static str,
    pub(super) lane: Lane,
    pub(super) definition: fn() -> JobDefinition,
    give_up: fn(App, i64, Value) -> BoxFuture<'static, Result<()>>,
}

impl Kind {
    fn of<J: Handler>() -> Self {
        Self {
            name: J::NAME,
            lane: J::LANE,
            definition: Work::<J>::definition,
            give_up: |app, id, payload| {
                async move {
                    let job: J = serde_json::from_value(payload).map_err(Error::internal)?;
                    let key = key::<J>(job.subject());
                    let replaced = app.database.autocommit(move |connection| {
                        async move { queue::has_other(connection, &key, id).await }.boxed()
                    });
                    if replaced.await? { Ok(()) } else { job.give_up(&app).await }
                }
                .boxed()
            },
        }
    }
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
        gone_is_done(ended).map_err(|error| text(&error))
    }
}

/// Gives up a job, found by its name in the queue. A job that was replaced while it ran looks as dead as one that used
/// up its attempts; it is left alone, because its replacement takes care of its subject.
///
/// # Errors
/// The job's own error, and `INTERNAL_ERROR` for a name or a payload of another version of this program.
pub(super) async fn give_up(app: App, job: &Queued) -> Result<()> {
    let name = job.task_identifier();
    let kind = all().into_iter().find(|kind| kind.name == name);
    let kind = kind.ok_or_else(|| Error::internal(anyhow::anyhow!("jobs: {name} is no job of ours")))?;
    (kind.give_up)(app, *job.id(), job.payload().clone()).await
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_name_is_one_kind_s_alone() {
        let names: BTreeSet<_> = all().iter().map(|kind| kind.name).collect();
        assert_eq!(names.len(), all().len());
        for kind in all() {
            assert_eq!((kind.definition)().identifier(), kind.name, "the queue knows it by its name");
        }
    }

    /// No worker takes a job that is not registered, and nothing reports it.
    #[test]
    fn every_job_is_registered() {
        let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/src/jobs");
        let files = std::fs::read_dir(directory).expect("the jobs").filter_map(Result::ok).map(|file| file.path());
        let sources = files.filter_map(|path| std::fs::read_to_string(path).ok());
        let declared: usize = sources.map(|source| source.matches("\nimpl Job for ").count()).sum();
        assert_eq!(declared, all().len());
    }
}
