//! The state that all calls of a transcoder share.

use std::sync::Arc;

use crate::Limits;
use crate::json::Codec;
use crate::plan::Plan;
use crate::rule::RuleTable;

#[derive(Debug)]
pub(crate) struct Shared<D> {
    pub(crate) rules: RuleTable,
    /// One per route, at the same index.
    pub(crate) plans: Vec<Plan>,
    pub(crate) codec: Arc<Codec>,
    pub(crate) dialect: D,
    pub(crate) limits: Limits,
}
