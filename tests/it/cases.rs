//! The table of cases: for every method, its successful outcomes and its typical failures. Each case runs over every
//! protocol, and the access tests take their valid requests from it.

pub(crate) mod account;
pub(crate) mod account_domain;
pub(crate) mod account_provider;
pub(crate) mod audit;
pub(crate) mod auth;
pub(crate) mod canned_answer;
pub(crate) mod comment;
pub(crate) mod dashboard;
pub(crate) mod data_export;
pub(crate) mod deletion;
pub(crate) mod file;
pub(crate) mod impersonation;
pub(crate) mod invitation;
pub(crate) mod linked_identity;
pub(crate) mod member;
mod membership;
pub(crate) mod oauth;
pub(crate) mod operation;
pub(crate) mod order;
pub(crate) mod passkey;
pub(crate) mod payment;
pub(crate) mod post;
pub(crate) mod role;
mod scene;
pub(crate) mod scim;
pub(crate) mod second_factor;
pub(crate) mod service_key;
pub(crate) mod session;
pub(crate) mod subscription;
pub(crate) mod ticket;
pub(crate) mod ticket_link;
pub(crate) mod ticket_list;
pub(crate) mod user;
pub(crate) mod webhook;
pub(crate) mod webhook_endpoint;

pub(crate) use membership::{create_invitation, create_token, grant, join, member_of, new_address};
pub(crate) use scene::{Call, Case, Expected, Scene, add_tickets, call, cases, draft, file, ticket, unknown_id};

/// Every case.
pub(crate) fn all() -> Vec<Case> {
    let mut cases = ticket::cases();
    cases.extend(ticket_list::cases());
    cases.extend(comment::cases());
    cases.extend(ticket_link::cases());
    cases.extend(canned_answer::cases());
    cases.extend(file::cases());
    cases.extend(operation::cases());
    cases.extend(post::cases());
    cases.extend(order::cases());
    cases.extend(payment::cases());
    cases.extend(subscription::cases());
    cases.extend(user::cases());
    cases.extend(account::cases());
    cases.extend(account_domain::cases());
    cases.extend(account_provider::cases());
    cases.extend(member::cases());
    cases.extend(invitation::cases());
    cases.extend(impersonation::cases());
    cases.extend(deletion::cases());
    cases.extend(data_export::cases());
    cases.extend(role::cases());
    cases.extend(scim::cases());
    cases.extend(service_key::cases());
    cases.extend(session::cases());
    cases.extend(oauth::cases());
    cases.extend(linked_identity::cases());
    cases.extend(auth::cases());
    cases.extend(second_factor::cases());
    cases.extend(passkey::cases());
    cases.extend(webhook::cases());
    cases.extend(webhook_endpoint::cases());
    cases.extend(dashboard::cases());
    cases.extend(audit::cases());
    cases
}

/// The first case in which a method succeeds.
pub(crate) fn good_case(method: &str) -> Case {
    let case = all().into_iter().find(|case| case.method == method && matches!(case.expected, Expected::Status(_)));
    case.unwrap_or_else(|| panic!("{method} has no case that succeeds"))
}
