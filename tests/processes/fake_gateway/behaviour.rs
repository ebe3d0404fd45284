//! The treatment of the next requests: requests that change something, or explicitly named ones.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use http::Method;
use http_body_util::Full;
use serde::Deserialize;

use crate::Response;

/// The treatment of a request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Behaviour {
    /// Answers normally.
    #[default]
    Normal,
    /// Rejects with this status before execution; stores nothing.
    Refuse(u16),
    /// Fails without moving money, and stores the failure under the key.
    Break,
    /// Moves the money, answers 500, and stores that response.
    MoveAndBreak,
    /// Creates an intent that moves no money and awaits confirmation, answers 500, and stores that response.
    LeaveOpen,
    /// Closes the connection before execution.
    HangUpBefore,
    /// Closes the connection after execution.
    HangUpAfter,
    /// Executes, and answers this many milliseconds later.
    DelayAfter(u64),
    /// Executes this many milliseconds later.
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
    /// The number of requests; 0: until the next call.
    times: u32,
    /// The prefix of the requests, such as `GET /v1/subscriptions`; empty for all except GET.
    #[serde(default)]
    of: String,
}

/// The pending behaviors.
#[derive(Debug, Default)]
pub(crate) struct Queue(Mutex<VecDeque<Order>>);

impl Queue {
    /// Reads `{"behaviour": …, "times": …, "of": …}`, which replaces the previous setting.
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

    /// Returns the number of pending behaviors.
    pub(crate) fn remaining(&self) -> Response {
        let queue = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Response::new(Full::from(queue.len().to_string()))
    }

    /// The behavior for the current request.
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
