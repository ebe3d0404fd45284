//! Tests of the people and accounts that the identity module offers to other modules.

use mainstay::identity::{
    directory::ops::{self as directory, Person},
    user::model::EmailAddress,
};
use mainstay_kernel::{caller::Visibility, database::Reach, error::Reason};
use mainstay_test_kit::{Client, TestServer};

use crate::start;

const REACH: Reach = Reach::across_accounts("a test");

fn person(client: &Client) -> Person {
    client.user().clone().into()
}

async fn members(
    server: &TestServer,
    visibility: Visibility,
    of: &Client,
) -> mainstay_kernel::error::Result<Vec<Person>> {
    let account = of.account();
    let read = async move |connection: &_| directory::members(connection, visibility, account).await;
    server.app().database.query(REACH, read).await
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

    let find = async |visibility, id| {
        let read = async move |connection: &_| directory::person(connection, visibility, id).await;
        server.app().database.query(REACH, read).await
    };
    assert_eq!(find(own, one.user().id).await.expect("a person"), person(&one));
    assert!(find(own, other.user().id).await.expect_err("not visible").reason() == Reason::NotFound);
    assert_eq!(find(Visibility::All, other.user().id).await.expect("a person").name, other.user().name);

    let with_address = async |visibility, of: &Client| {
        let email: EmailAddress = of.user().email.clone();
        let read = async |connection: &mut _| directory::person_with_address(connection, visibility, &email).await;
        server.app().database.autocommit(read).await.expect("an answer")
    };
    assert_eq!(with_address(own, &one).await, Some(person(&one)));
    assert_eq!(with_address(own, &other).await, None);
    assert_eq!(with_address(Visibility::All, &other).await, Some(person(&other)));
}

#[tokio::test]
async fn a_member_is_active_and_of_the_account() {
    let server = start().await;
    let (one, other, admin) = (server.customer().await, server.customer().await, server.admin().await);
    let is_member = async |of: &Client| {
        let (account, user) = (one.account(), of.user().id);
        let read = async move |connection: &_| directory::is_member(connection, account, user).await;
        server.app().database.query(REACH, read).await.expect("an answer")
    };
    assert!(is_member(&one).await);
    assert!(!is_member(&other).await, "of another account");
    assert!(!is_member(&admin).await, "of the staff");
    let deactivate = "UPDATE users SET deactivated_at = now(), deactivation_reason = 'Left' WHERE email =";
    server.database().sql(&format!("{deactivate} '{}'", one.user().email.as_str())).await;
    assert!(!is_member(&one).await, "deactivated");
    assert_eq!(members(&server, Visibility::All, &one).await.expect("members"), []);
}
