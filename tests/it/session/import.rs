//! Users of other programs: imported with their hashes, which the first sign-in replaces.

use std::io::Write as _;

use mainstay::identity::{
    auth::password::{PREFIX, Password},
    passwords::{Passwords, Verdict},
    user::model::EmailAddress,
};
use serde_json::{Value, json};

use crate::support::{
    Actor, PROTOCOLS, Protocol, TestApp, TestDatabase, app::environment, database::connect, people::fresh_id, unique,
};

const PASSWORD: &str = "correct horse battery";
const BCRYPT: &str = "$2y$05$abcdefghijklmnopqrstuuD3mHdCr44zlIZ.VZCaYRpfQhXMYnEo.";
const HASHES: [&str; 4] = [
    BCRYPT,
    "$scrypt$ln=10,r=8,p=1$c2FsdHNhbHRzYWx0c2FsdA$fXnS5Awj6eMC+z1SbPBpyxEKbW7GHGyuCeVjw7IJSMI",
    "pbkdf2_sha256$1000$saltsaltsalt$GacV8oEzUl3KM0Mwey9yrMcTPKpkL4jXrFpbKB8oOnI=",
    "$pbkdf2-sha256$i=1000,l=32$c2FsdHNhbHRzYWx0c2FsdA$Cf9xjlisAEzRbMZsosxST/5+wkpfUV6uoqiZkYtP6iQ",
];

/// Runs the import of these lines. Returns whether it succeeded, and what it printed.
async fn import(database: &TestDatabase, lines: &[String]) -> (bool, String) {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(lines.join("\n").as_bytes()).expect("written");
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_mainstay"));
    command.args(["users", "import"]).arg(file.path()).env_clear().envs(environment(database, &[]).await);
    let output = command.output().await.expect("the binary runs");
    (output.status.success(), String::from_utf8(output.stdout).expect("text"))
}

fn line(email: &str, more: Value) -> String {
    let mut line = json!({ "email": email, "name": "Ada", "isEmailConfirmed": more.get("passwordHash").is_some() });
    line.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    line.to_string()
}

fn address() -> String {
    format!("{}@example.com", unique())
}

async fn login(anonymous: &Actor, protocol: Protocol, email: &str, password: &str) -> String {
    let request = json!({ "email": email, "password": password });
    anonymous.call(protocol, "AuthService.Login", request).await.reason
}

async fn stored(database: &TestDatabase, email: &str) -> String {
    let rows = database.sql(&format!("SELECT password_hash FROM users WHERE email = '{email}'")).await;
    rows[0][0].clone().expect("a hash")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_imported_user_signs_in_with_the_old_password() {
    let app = TestApp::start().await;
    let cast = app.cast().await;
    let emails = HASHES.map(|_| address());
    let lines: Vec<_> =
        emails.iter().zip(HASHES).map(|(email, hash)| line(email, json!({ "passwordHash": hash }))).collect();
    assert_eq!(
        import(&app.database, &lines).await,
        (true, "Imported: 4. Addresses that have a user: 0. Refused lines: 0.\n".to_owned())
    );
    for (email, protocol) in emails.iter().zip(PROTOCOLS.into_iter().cycle()) {
        let before = stored(&app.database, email).await;
        assert!(!before.starts_with(PREFIX), "{before}");
        assert_eq!(login(&cast.anonymous, protocol, email, "correct horse batterY").await, "INVALID_CREDENTIALS");
        assert_eq!(stored(&app.database, email).await, before, "a wrong password replaces nothing");
        assert_eq!(login(&cast.anonymous, protocol, email, PASSWORD).await, "");
        let after = stored(&app.database, email).await;
        assert!(after.starts_with(PREFIX), "{after}");
        assert_eq!(login(&cast.anonymous, protocol, email, PASSWORD).await, "");
        assert_eq!(stored(&app.database, email).await, after, "the second sign-in replaces nothing");
    }
}

/// A password that another request has set meanwhile stays.
#[tokio::test(flavor = "multi_thread")]
async fn a_changed_password_is_not_replaced_by_the_imported_one() {
    let app = TestApp::start().await;
    let cast = app.cast().await;
    let email = address();
    import(&app.database, &[line(&email, json!({ "passwordHash": BCRYPT }))]).await;
    // The sign-in reads the row before the lock, and waits to replace the hash.
    let other = connect(&app.database.url).await;
    let change = format!("BEGIN; UPDATE users SET password_hash = '{PREFIX}changed' WHERE email = '{email}'");
    other.batch_execute(&change).await.expect("updated");
    let sign_in = login(&cast.anonymous, Protocol::Rest, &email, PASSWORD);
    let commit = async {
        app.database.locks_waited_for(1).await;
        other.batch_execute("COMMIT").await.expect("committed");
    };
    tokio::join!(sign_in, commit);
    assert_eq!(stored(&app.database, &email).await, format!("{PREFIX}changed"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_changes_no_user_and_can_be_repeated() {
    let app = TestApp::start().await;
    let cast = app.cast().await;
    let existing = cast.customer.as_user().email.clone();
    let before = stored(&app.database, &existing).await;
    let (new, without) = (address(), address());
    let account = cast.customer.as_user().account;
    let lines = [
        line(&existing.to_uppercase(), json!({ "passwordHash": BCRYPT, "language": "de" })),
        line(
            &new,
            json!({ "passwordHash": BCRYPT, "accountId": account, "accountRole": "viewer", "isEmailConfirmed": true }),
        ),
        line(&without, json!({ "language": "de" })),
        line(&new, json!({})),
    ];
    let summary = |created: usize, existing: usize| {
        (true, format!("Imported: {created}. Addresses that have a user: {existing}. Refused lines: 0.\n"))
    };
    assert_eq!(import(&app.database, &lines).await, summary(2, 2));
    assert_eq!(import(&app.database, &lines).await, summary(0, 4));
    assert_eq!(stored(&app.database, &existing).await, before);
    let count = async |condition: &str| {
        let from = "FROM users JOIN members ON user_id = users.id";
        app.database.number(&format!("SELECT count(*) {from} WHERE {condition}")).await
    };
    let member = format!("email = '{new}' AND account_id = '{account}' AND members.role = 5");
    // A confirmation of long ago admits no user to an account by the mail domain.
    assert_eq!(count(&format!("{member} AND email_confirmed_at < '2000-01-01' AND has_password")).await, 1);
    let owner = format!("email = '{without}' AND members.role = 1 AND language = 'de'");
    assert_eq!(count(&format!("{owner} AND email_confirmed_at IS NULL AND NOT has_password")).await, 1);
    let entries = "SELECT count(*) FROM audit_entries WHERE method = 'command' AND changes::text LIKE '%isImported%'";
    assert_eq!(app.database.number(entries).await, 2);
    assert_eq!(login(&cast.anonymous, Protocol::Rest, &without, PASSWORD).await, "INVALID_CREDENTIALS");
}

/// The import takes addresses in their order, as every other import does.
#[tokio::test(flavor = "multi_thread")]
async fn concurrent_imports_do_not_deadlock() {
    let app = TestApp::start().await;
    let [low, high] = ["a", "z"].map(|first| format!("{first}{}", address()));
    let insert = |email: &str| {
        format!(
            "INSERT INTO users (id, email, name, role, password_hash, created_at, updated_at)
             VALUES (gen_random_uuid(), '{email}', 'Ada', 1, 'none', now(), now())"
        )
    };
    let other = connect(&app.database.url).await;
    other.batch_execute(&format!("BEGIN; {}", insert(&low))).await.expect("inserted");
    let lines = [line(&high, json!({})), line(&low, json!({}))];
    let rest = async {
        app.database.locks_waited_for(1).await;
        // The import waits for the lower address, and must not have the higher one.
        other.batch_execute(&format!("{}; COMMIT", insert(&high))).await.expect("no deadlock");
    };
    let ((succeeded, printed), ()) = tokio::join!(import(&app.database, &lines), rest);
    assert!(succeeded && printed.contains("Addresses that have a user: 2."), "{printed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_line_is_reported_by_its_number() {
    let app = TestApp::start().await;
    let good = [address(), address()];
    let costly = "$2b$31$abcdefghijklmnopqrstuuD3mHdCr44zlIZ.VZCaYRpfQhXMYnEo.";
    let large = "$argon2id$v=19$m=4194304,t=1,p=1$c29tZXNhbHQ$RdescudvJCsgt3ub";
    let lines = [
        line(&good[0], json!({ "passwordHash": BCRYPT })),
        "not JSON".to_owned(),
        String::new(),
        line(&address(), json!({ "passwordHash": costly })),
        line(&address(), json!({ "passwordHash": large })),
        line("nobody", json!({})),
        line(&address(), json!({ "accountId": fresh_id() })),
        line(&good[1], json!({})),
    ];
    let (is_good, printed) = import(&app.database, &lines).await;
    assert!(!is_good, "{printed}");
    for part in [
        "Line 2: ",
        "Line 4: ",
        "the cost 31 of bcrypt; at most 14 is accepted\n",
        "Line 5: ",
        "4194304 KiB of memory; at most 131072 are accepted\n",
        "Line 6: ",
        "Line 7: accountId ",
        "Imported: 2. Addresses that have a user: 0. Refused lines: 5.\n",
    ] {
        assert!(printed.contains(part), "{part:?} is not in {printed}");
    }
    assert!(!printed.contains("Line 1:") && !printed.contains("Line 3:") && !printed.contains("Line 8:"), "{printed}");
}

/// The time of a response must not tell the addresses of imported users from others: as many unknown addresses take as long.
#[tokio::test(flavor = "multi_thread")]
async fn unknown_addresses_take_as_long_as_imported_users() {
    let app = TestApp::start().await;
    let lines: Vec<_> = (0..300).map(|_| line(&address(), json!({ "passwordHash": BCRYPT }))).collect();
    assert!(import(&app.database, &lines).await.0);
    let email = |number: usize| EmailAddress::parse(&format!("nobody{number}@example.com")).expect("an address");
    let passwords = app.app.part::<Passwords>();
    passwords.count_kinds(&app.app.database).await.expect("counted");
    let share = |kind: &str| {
        let dummies = (0..2000).map(|number| passwords.dummy(&email(number)));
        dummies.filter(|dummy| dummy.starts_with(kind)).count()
    };
    assert_eq!(share("$2b$05$"), 2000, "every user of this database is imported");
    app.database
        .sql(&format!("UPDATE users SET password_hash = '{PREFIX}x' WHERE id IN (SELECT id FROM users LIMIT 150)"))
        .await;
    passwords.count_kinds(&app.app.database).await.expect("counted");
    let bcrypt = share("$2b$05$");
    // Four standard deviations of 2,000 draws are 90.
    assert!((910..=1090).contains(&bcrypt), "half of the users have signed in: {bcrypt}");
    let verdict = passwords.verify(Password::attempt(PASSWORD.into()), &email(1), None).await;
    assert_eq!(verdict.expect("a verdict"), Verdict::Wrong);
}
