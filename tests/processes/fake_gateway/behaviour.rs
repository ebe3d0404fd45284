//! How the next requests are treated: those that change something, or those that are named.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use http::Method;
use http_body_util::Full;
use serde::Deserialize;

use crate::Response;

/// How a request is treated.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Behaviour {
    /// As it should be.
    #[default]
    Normal,
    /// Refused with this status before it runs; nothing is kept.
    Refuse(u16),
    /// Runs into an error that moves no money, and is kept under the key.
    Break,
    /// Moves the money, answers 500, and keeps that answer.
    MoveAndBreak,
    /// Makes an intent that moves no money and waits to be confirmed, answers 500, and keeps that answer.
    LeaveOpen,
    /// The connection ends before it runs.
    HangUpBefore,
    /// The connection ends after it ran.
    HangUpAfter,
    /// Runs, and answers so many milliseconds later.
    DelayAfter(u64),
    /// Runs so many milliseconds later.
    DelayBefore(u64),
}

impl Behaviour {
    pub(crate) async fn before(self) {
        if let Self::DelayBefore(ms) = self {
            tokio::time::sleep(Duration::from_millis(ms)).await;
        }
    }

    pub(crate) async fn after(self) {
        if let Self::DelayAfter(ms) = self {
            tokio::time::sleep(Duration::from_millis(ms)).await;
        }
    }
}

#[derive(Debug, Deserialize)]
struct Order {
    behaviour: Behaviour,
    /// For so many requests; 0: until told otherwise.
    times: u32,
    /// What they begin with, such as `GET /v1/subscriptions`; empty: all but GET.
    #[serde(default)]
    of: String,
}

/// What is to come.
#[derive(Debug, Default)]
pub(crate) struct Queue(Mutex<VecDeque<Order>>);

impl Queue {
    /// Reads `{"behaviour": …, "times": …, "of": …}`, which replaces what was told before.
    pub(crate) fn tell(&self, body: &[u8]) -> Response {
        let (status, text) = match serde_json::from_slice::<Order>(body) {
            Ok(order) => {
                *self.0.lock().unwrap_or_else(PoisonError::into_inner) = VecDeque::from([order]);
                (200, String::new())
            }
            Err(error) => (400, error.to_string()),
        };
        let mut response = Response::new(Full::from(text));
        *response.status_mut() = http::StatusCode::from_u16(status).expect("a status");
        response
    }

    /// How much of what it was told is still to come.
    pub(crate) fn left(&self) -> Response {
        let queue = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Response::new(Full::from(queue.len().to_string()))
    }

    /// How the request at hand is treated.
    pub(crate) fn next(&self, method: &Method, path: &str) -> Behaviour {
        let mut queue = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let meant = |order: &Order| match order.of.as_str() {
            "" => method != Method::GET,
            of => format!("{method} {path}").starts_with(of),
        };
        let Some(order) = queue.front_mut().filter(|order| meant(order)) else { return Behaviour::Normal };
        let behaviour = order.behaviour;
        match order.times {
            0 => {}
            1 => drop(queue.pop_front()),
            _ => order.times -= 1,
        }
        behaviour
    }
}
