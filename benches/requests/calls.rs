//! The requests, the same for every contender.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use aws_lc_rs::hmac;
use mainstay::proto::support::v1 as pb;
use uuid::Uuid;

use crate::{
    contender::Contender::{self, Bare, Careful, Grpc, Peer, Rest1, Rest2},
    copies::copy,
};

/// An operation that is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    /// Gets a ticket by its id.
    Get,
    /// Lists the first page of 20, with its total.
    List,
    /// Lists the same page as a member, whose transaction is under row-level security.
    OwnList,
    /// Lists page [`FAR_PAGE`] of 20 by its number, with the total: the deepest page with a number.
    FarPage,
    /// Creates a ticket, without an idempotency key.
    Create,
    /// Charges a new order under a new key, at a sandbox gateway, whose records are in the same Postgres.
    Charge,
    /// Repeats an earlier charge under its key.
    ChargeAgain,
    /// Signs in with a password.
    SignIn,
    /// Receives a Stripe event, which is verified, stored and queued.
    Receive,
    /// Gets a published post by its id, without signing in. It is in the cache of the server.
    GetPost,
    /// Lists the first page of 20 published posts, without signing in. It is in the cache too.
    ListPosts,
}

/// The operations that all their contenders run.
pub(crate) const OPERATIONS: [Operation; 10] = [
    Operation::Get,
    Operation::List,
    Operation::OwnList,
    Operation::FarPage,
    Operation::Create,
    Operation::Charge,
    Operation::ChargeAgain,
    Operation::Receive,
    Operation::GetPost,
    Operation::ListPosts,
];

impl Operation {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::List => "list of 20",
            Self::OwnList => "list of 20, own account",
            Self::FarPage => "page 500",
            Self::Create => "create",
            Self::Charge => "charge",
            Self::ChargeAgain => "charge, replayed",
            Self::SignIn => "sign-in",
            Self::Receive => "webhook taken in",
            Self::GetPost => "post, cached",
            Self::ListPosts => "list of 20 posts, cached",
        }
    }

    /// The contenders. The bare and the careful server implement only tickets, the peer no webhooks, and webhook senders do not use gRPC.
    pub(crate) fn contenders(self) -> &'static [Contender] {
        match self {
            Self::Get | Self::List | Self::Create => &[Peer, Bare, Careful, Grpc, Rest2, Rest1],
            Self::FarPage | Self::Charge | Self::ChargeAgain | Self::GetPost | Self::ListPosts => {
                &[Peer, Grpc, Rest2, Rest1]
            }
            Self::SignIn | Self::OwnList => &[Rest1],
            Self::Receive => &[Rest2, Rest1],
        }
    }

    /// Returns whether pgbench does not repeat the statements: the server answers from memory, or sends them with BEGIN in one
    /// message.
    pub(crate) fn is_without_script(self) -> bool {
        matches!(self, Self::GetPost | Self::ListPosts | Self::OwnList)
    }
}

/// The subject of created tickets.
pub(crate) const SUBJECT: &str = "Trouble with the benchmark";
/// The body of created tickets.
pub(crate) const BODY: &str = "Dear support team, since the last update our account can no longer be used as it should be. \
     Please look into it and tell us what to do next. Kind regards from all of us.";
/// The payment method of charges.
pub(crate) const CARD: &str = "pm_card_visa";
/// The password of the admin, and of the users that sign in.
pub(crate) const PASSWORD: &str = "measure twice, cut once";
/// The signing secret of webhooks.
pub(crate) const WEBHOOK_SECRET: &str = "whsec_of_the_benchmark";
/// The order that all other orders are copies of.
pub(crate) const ORDER: Uuid = Uuid::from_u128(0x0190_0000_0000_7abc_8000_0bec_0bec_0bec);
/// The client number of the orders that the servers charge; pgbench's clients count from 0.
pub(crate) const SERVED: u16 = 0xfff;

/// The number of a page far down.
pub(crate) const FAR_PAGE: i32 = 500;

/// The number of the first seeded user that is not an agent.
const FIRST_CUSTOMER: usize = 40;
/// The range of request numbers of each worker.
pub(crate) const STRIDE: usize = 1_000_000;

/// A charge.
#[derive(Debug, Clone)]
pub(crate) struct Charge {
    pub(crate) order: Uuid,
    pub(crate) key: String,
}

/// A webhook.
#[derive(Debug, Clone)]
pub(crate) struct Webhook {
    pub(crate) body: String,
    pub(crate) signature: String,
}

/// The objects of the requests.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// Tickets to get, spread over the table.
    pub(crate) tickets: Vec<Uuid>,
    /// Published posts.
    pub(crate) posts: Vec<String>,
    /// The account of created tickets.
    pub(crate) account: Uuid,
    /// The header with the access token of a member.
    pub(crate) member: String,
    /// Orders that have been charged.
    pub(crate) charged: Arc<AtomicU64>,
}

impl Target {
    /// The ticket for the request of a number.
    pub(crate) fn ticket(&self, number: usize) -> Uuid {
        self.tickets[number % self.tickets.len()]
    }

    /// The post for the request of a number.
    pub(crate) fn post(&self, number: usize) -> &str {
        &self.posts[number % self.posts.len()]
    }

    /// The customer as whom a worker signs in. Each worker has its own.
    pub(crate) fn email(number: usize) -> String {
        format!("user{}@example.com", FIRST_CUSTOMER + number / STRIDE)
    }

    /// The next order, under an unused key.
    pub(crate) fn charge(&self) -> Charge {
        let order = copy(ORDER, SERVED, self.charged.fetch_add(1, Ordering::Relaxed));
        Charge { order, key: format!("bench-{order}") }
    }

    /// Returns the charge that a worker repeats: one of the first that [`Self::charge`] returned. Each worker has its
    /// own, because concurrent requests under one key are rejected.
    pub(crate) fn charge_again(&self, number: usize) -> Charge {
        let order = copy(ORDER, SERVED, (number / STRIDE) as u64);
        Charge { order, key: format!("bench-{order}") }
    }

    /// A new event, of the size of a typical Stripe event.
    pub(crate) fn webhook(&self) -> Webhook {
        let now = mainstay_kernel::clock::Clock::default().now();
        let (id, at) = (mainstay_kernel::id::new(now), now.timestamp());
        let body = serde_json::json!({
            "id": format!("evt_{id}"), "object": "event", "api_version": "2024-06-20", "created": at, "type": "customer.created",
            "data": { "object": { "id": "cus_bench", "object": "customer", "description": BODY.repeat(4) } },
        });
        let body = body.to_string();
        let key = hmac::Key::new(hmac::HMAC_SHA256, WEBHOOK_SECRET.as_bytes());
        let tag = hmac::sign(&key, format!("{at}.{body}").as_bytes());
        let hex: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        Webhook { body, signature: format!("t={at},v1={hex}") }
    }

    pub(crate) fn create(&self) -> pb::CreateTicketRequest {
        pb::CreateTicketRequest {
            subject: SUBJECT.to_owned(),
            body: BODY.to_owned(),
            kind: None,
            priority: None,
            queue: String::new(),
            language: None,
            tags: vec!["Bug".to_owned(), "Outage".to_owned()],
            account_id: Some(self.account.to_string()),
            attachment_ids: Vec::new(),
        }
    }
}
