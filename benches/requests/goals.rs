//! The targets, compared to the measurements over HTTP/1.1 (docs/performance.md lists which are met).

use crate::{calls::Operation, contender::Contender, load::Measurement};

/// The targets of an operation.
struct Goal {
    /// The minimum number of requests per second.
    per_second: Option<f64>,
    /// The maximum of the server's CPU time per request, as a multiple of the peer's.
    of_peer: Option<f64>,
    /// The maximum CPU time of Postgres per request, in milliseconds.
    postgres_ms: Option<f64>,
}

impl Operation {
    fn goal(self) -> Option<Goal> {
        let goal = |per_second, of_peer, postgres_ms| Some(Goal { per_second, of_peer, postgres_ms });
        match self {
            Self::Get => goal(Some(25_000.0), Some(0.12), None),
            Self::List => goal(None, Some(0.12), None),
            Self::FarPage => goal(Some(3_000.0), None, None),
            Self::Create => goal(Some(4_000.0), Some(0.5), Some(0.25)),
            Self::Charge => goal(Some(1_200.0), Some(1.2), Some(1.0)),
            Self::ChargeAgain => goal(Some(12_000.0), Some(0.3), None),
            Self::OwnList | Self::SignIn | Self::Receive | Self::GetPost | Self::ListPosts => None,
        }
    }
}

/// The head of the table.
pub(crate) const HEAD: &str = "| REST, HTTP/1.1 | requests/s | target | CPU, × Express | target | Postgres CPU ms | target |\n\
                               |---|--:|--:|--:|--:|--:|--:|";

/// Returns the row of an operation that has targets; `sum_of` returns the sum of a contender's rounds.
pub(crate) fn row(operation: Operation, sum_of: impl Fn(Contender) -> Option<Measurement>) -> Option<String> {
    let (goal, served) = (operation.goal()?, sum_of(Contender::Rest1)?);
    let peer_ms = sum_of(Contender::Peer).and_then(|peer| peer.cpu_ms());
    let of_peer = served.cpu_ms().zip(peer_ms).map(|(served, peer)| served / peer);
    let postgres_ms = served.postgres_ms().map(|per_thousand| per_thousand / 1000.0);
    let show = |value: Option<f64>, digits: usize| value.map_or("-".to_owned(), |value| format!("{value:.digits$}"));
    Some(format!(
        "| {} | {:.0} | {} | {} | {} | {} | {} |",
        operation.name(),
        served.per_second(),
        show(goal.per_second, 0),
        show(of_peer, 2),
        show(goal.of_peer, 2),
        show(postgres_ms, 3),
        show(goal.postgres_ms, 2),
    ))
}
