//! Tests of the people and accounts that the identity module offers to other modules.

use mainstay::identity::{
    directory::ops::{self as directory, Person},
    user::model::EmailAddress,
};
use mainstay_kernel::{
    caller::Visibility,
    database::{Connection, Reach},
    error::{Reason, Result},
    id::UserId,
};
use mainstay_test_kit::{Client, TestServer};

use crate::start;

const REACH: Reach = Reach::across_accounts("a test");

fn person(client: &Client) -> Person {
    client.user().clone().into()
}

async fn members(server: &TestServer, visibility: Visibility, of: &Client) -> Result<Vec<Person>> {
    let account = of.account();
    let database = &server.app().database;
    database.query(REACH, async move |read: &Connection| directory::members(read, visibility, account).await).await
}

async fn find(server: &TestServer, visibility: Visibility, id: UserId) -> Result<Person> {
    let database = &server.app().database;
    database.query(REACH, async move |read: &Connection| directory::person(read, visibility, id).await).await
}

async fn with_address(server: &TestServer, visibility: Visibility, email: &EmailAddress) -> Option<Person> {
    let read = server.app().database.autocommit(async |connection: &mut Connection| {
        directory::person_with_address(connection, visibility, email).await
    });
    read.await.expect("an answer")
}

async fn is_member(server: &TestServer, account: &Client, of: &Client) -> bool {
    let (account, user) = (account.account(), of.user().id);
    let database = &server.app().database;
    let read = database.query(REACH, async move |read: &Connection| directory::is_member(read, account, user).await);
    read.await.expect("an answer")
}

#[tokio::test]
async fn a_customer_finds_the_members_of_the_own_account() {
    let server = start().await;
    let (one, other) = (server.customer().await, server.customer().await);
    let own = Visibility::Account(one.account());
    assert_eq!(members(&server, own, &one).await.expect("members"), [person(&one)]);
    let failure = members(&server, own, &other).await.expect_err("another account");
    assert!(failure.reason() == Reason::NotFound, "{failure:?}");
    assert_eq!(members(&server, Visibility::All, &other).await.expect("members"), [person(&other)]);

    assert_eq!(find(&server, own, one.user().id).await.expect("a person"), person(&one));
    let failure = find(&server, own, other.user().id).await.expect_err("not visible");
    assert!(failure.reason() == Reason::NotFound, "{failure:?}");
    assert_eq!(find(&server, Visibility::All, other.user().id).await.expect("a person"), person(&other));

    let (own_email, other_email) = (&one.user().email, &other.user().email);
    assert_eq!(with_address(&server, own, own_email).await, Some(person(&one)));
    assert_eq!(with_address(&server, own, other_email).await, None);
    assert_eq!(with_address(&server, Visibility::All, other_email).await, Some(person(&other)));
}

#[tokio::test]
async fn a_member_is_active_and_of_the_account() {
    let server = start().await;
    let (one, other, admin) = (server.customer().await, server.customer().await, server.admin().await);
    assert!(is_member(&server, &one, &one).await);
    assert!(!is_member(&server, &one, &other).await, "of another account");
    assert!(!is_member(&server, &one, &admin).await, "of the staff");
    let deactivate = "UPDATE users SET deactivated_at = now(), deactivation_reason = 'Left' WHERE email =";
    server.database().sql(&format!("{deactivate} '{}'", one.user().email.as_str())).await;
    assert!(!is_member(&server, &one, &one).await, "deactivated");
    assert!(members(&server, Visibility::All, &one).await.expect("members").is_empty());
}
