//! Type-erased kinds of jobs.

use futures_util::{FutureExt as _, future::BoxFuture};
use tokio_util::sync::CancellationToken;

use crate::{
    app::App,
    error::{Error, Result},
    queue::{Handler, Lane, ignore_not_found},
};

/// A type-erased [`Handler`].
#[derive(Debug, Clone, Copy)]
pub struct Kind {
    pub(crate) name: &'static str,
    pub(crate) lane: Lane,
    pub(super) run: fn(App, String, CancellationToken) -> BoxFuture<'static, Result<()>>,
    pub(super) give_up: fn(App, String) -> BoxFuture<'static, Result<()>>,
}

impl Kind {
    /// Returns the kind of a job.
    pub fn of<J: Handler>() -> Self {
        Self {
            name: J::NAME,
            lane: J::LANE,
            run: |app, payload, stop| {
                async move { ignore_not_found(read::<J>(&payload)?.run(&app, &stop).await) }.boxed()
            },
            // A job that this version can't decode becomes a dead job unchanged, so that an operator can redrive it
            // with a version that can.
            give_up: |app, payload| {
                async move {
                    let Ok(job) = read::<J>(&payload) else { return Ok(()) };
                    ignore_not_found(job.give_up(&app).await)
                }
                .boxed()
            },
        }
    }
}

fn read<J: Handler>(payload: &str) -> Result<J> {
    serde_json::from_str(payload).map_err(Error::internal)
}
