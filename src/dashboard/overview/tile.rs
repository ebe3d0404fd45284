//! The tile of dead jobs.

use mainstay_kernel::{
    app::App,
    error::Result,
    queue::depth::{self, LIMIT},
};

use crate::dashboard::tile::ops::{Tile, Value};

/// The dead jobs, which wait for an operator.
pub struct DeadJobs;

impl Tile for DeadJobs {
    const NAME: &'static str = "dashboard.dead_jobs";
    const TITLE: &'static str = "Dead jobs";
    const SCOPE: &'static str = "dashboard.system.read";
    const LINK: Option<&'static str> = Some("/queue");
    const IS_ALARMING: bool = true;

    async fn read(app: App) -> Result<Value> {
        let count = app.database.read(async |connection| depth::count_dead(connection).await).await?;
        Ok(if count < LIMIT.into() { Value::Number(count) } else { Value::AtLeast(count) })
    }
}
