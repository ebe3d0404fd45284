//! The import of users from another program, with their password hashes.

use std::collections::{BTreeMap, HashSet};

use chrono::{DateTime, Utc};
use serde::Deserialize;
use uuid::Uuid;

use crate::identity::{
    account::{model::Account, store as accounts},
    auth::password,
    member::{
        model::{AccountRole, Member, MemberRole},
        store as members,
    },
    registration::ops::no_password,
    user::{
        model::{self, EmailAddress, ImportedUser, Language, Role, User},
        store,
    },
};
use mainstay_kernel::{
    app::App,
    audit::Record,
    error::{Error, Reason, Result},
    id::AccountId,
    unit_of_work::Work,
};

/// The maximum number of users in one transaction.
pub const BATCH: usize = 200;

/// A user as a line of the import has it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Line {
    email: String,
    name: String,
    language: Option<String>,
    #[serde(default)]
    is_email_confirmed: bool,
    password_hash: Option<String>,
    account_id: Option<Uuid>,
    account_role: Option<String>,
}

/// A customer to be imported.
#[derive(Debug)]
pub struct Import {
    user: ImportedUser,
    /// The account to join, with the role there; without one, the user owns a new account.
    joins: Option<(AccountId, AccountRole)>,
}

/// What became of a user of an import.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Imported {
    Created,
    /// A user has the address, and stays as it is.
    Exists,
    /// No account has the id, or its deletion is scheduled.
    NoAccount,
}

/// Reads a line of an import.
///
/// # Errors
/// `VALIDATION_FAILED` with the field that is wrong; `MALFORMED_REQUEST` for a line that is no JSON of a user.
pub fn read_import(line: &[u8], now: DateTime<Utc>) -> Result<Import> {
    let line: Line = serde_json::from_slice(line)
        .map_err(|error| Error::with_message(Reason::MalformedRequest, error.to_string()))?;
    let convert = |hash: &str| password::convert(hash).map_err(|fault| Error::field("passwordHash", fault));
    let hash = line.password_hash.as_deref().map(convert).transpose()?;
    // Whoever chose the password would keep access to the user of the person who has the address.
    if hash.is_some() && !line.is_email_confirmed {
        return Err(Error::field("passwordHash", "must be absent unless isEmailConfirmed is true"));
    }
    let role = match line.account_role.as_deref() {
        None => AccountRole::Member,
        Some(name) => AccountRole::ALL
            .into_iter()
            .find(|role| role.name() == name)
            .ok_or_else(|| Error::field("accountRole", format!("must be one of {}", AccountRole::NAMES.join(", "))))?,
    };
    if line.account_role.is_some() && line.account_id.is_none() {
        return Err(Error::field("accountRole", "must be absent without accountId"));
    }
    let user = User {
        language: Language::of_field("language", line.language.as_deref())?,
        ..User::new(EmailAddress::parse(&line.email)?, model::name(&line.name)?, Role::Customer, now)
    };
    let (is_confirmed, has_password) = (line.is_email_confirmed, hash.is_some());
    let user = ImportedUser { user, is_confirmed, password_hash: hash.unwrap_or_else(no_password), has_password };
    Ok(Import { user, joins: line.account_id.map(|account| (AccountId(account), role)) })
}

/// Creates users, in one transaction. A user whose address another user has is left out.
///
/// # Errors
/// `UNAVAILABLE` if Postgres is unreachable. Nothing is imported then.
pub async fn import(app: &App, batch: &[Import]) -> Result<Vec<Imported>> {
    app.database.transaction(async move |work: &mut Work| import_batch(work, batch).await).await
}

async fn import_batch(work: &mut Work, batch: &[Import]) -> Result<Vec<Imported>> {
    let now = work.now();
    let connection = work.connection().await?;
    // Accounts are locked before users, in the order of their ids.
    let mut open: BTreeMap<_, _> = batch.iter().filter_map(|import| Some((import.joins?.0, false))).collect();
    for (account, is_open) in &mut open {
        *is_open = match accounts::lock(connection, *account).await {
            Ok(account) => account.deletion_at.is_none(),
            Err(error) if error.reason() == Reason::NotFound => false,
            Err(error) => return Err(error),
        };
    }
    let can_join = |import: &&Import| import.joins.is_none_or(|(account, _)| open.get(&account) == Some(&true));
    let admitted: Vec<_> = batch.iter().filter(can_join).collect();
    // In the order of their addresses, so that concurrent imports can't deadlock. The first line of an address stays the first.
    let mut users: Vec<_> = admitted.iter().map(|import| &import.user).collect();
    users.sort_by(|one, other| one.user.email.cmp(&other.user.email));
    let created: HashSet<_> = store::insert_missing(connection, users.into_iter()).await?.into_iter().collect();
    let mut records = Vec::new();
    for Import { user: ImportedUser { user, .. }, joins } in admitted {
        if !created.contains(&user.id) {
            continue;
        }
        let (account, role) = match joins {
            Some((account, role)) => (*account, MemberRole::BuiltIn(*role)),
            None => {
                let account = Account::new(user.name.clone(), now);
                accounts::insert(connection, &account).await?;
                (account.id, MemberRole::OWNER)
            }
        };
        members::insert(connection, &Member::new(account, user.id, role, now)).await?;
        records.push(Record::created(user).in_account(Some(account)).with("isImported", true));
    }
    records.into_iter().for_each(|record| work.audit(record));
    let outcome = |import: &Import| {
        if created.contains(&import.user.user.id) {
            Imported::Created
        } else if can_join(&import) {
            Imported::Exists
        } else {
            Imported::NoAccount
        }
    };
    Ok(batch.iter().map(outcome).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unconfirmed_address_has_no_imported_password() {
        let hash = "$2b$05$abcdefghijklmnopqrstuuD3mHdCr44zlIZ.VZCaYRpfQhXMYnEo.";
        let read = |rest: &str| {
            let line = format!(r#"{{"email":"ada@example.com","name":"Ada","passwordHash":"{hash}"{rest}}}"#);
            read_import(line.as_bytes(), DateTime::UNIX_EPOCH)
        };
        assert!(read(r#","isEmailConfirmed":true"#).expect("a user").user.has_password);
        for rest in ["", r#","isEmailConfirmed":false"#] {
            assert_eq!(read(rest).expect_err(rest).fields()[0].0, "passwordHash", "{rest}");
        }
    }

    #[test]
    fn a_line_names_what_is_wrong() {
        let base = r#""email":"ada@example.com","name":"Ada""#;
        let read = |rest: &str| read_import(format!("{{{base}{rest}}}").as_bytes(), DateTime::UNIX_EPOCH);
        let import = read("").expect("a user");
        assert!(!import.user.has_password && !import.user.is_confirmed && import.joins.is_none());
        assert!(!password::is_outdated(&import.user.password_hash), "its verification takes as long as any");
        let id = Uuid::from_u128(7);
        let rest = format!(r#","accountId":"{id}","accountRole":"billing","isEmailConfirmed":true,"language":"DE-at""#);
        let import = read(&rest).expect("a member");
        assert_eq!(import.joins, Some((AccountId(id), AccountRole::Billing)));
        assert!(import.user.is_confirmed && import.user.user.language.as_str() == "de-AT");
        for (rest, field) in [
            (r#","passwordHash":"5f4dcc3b5aa765d61d8327deb882cf99""#, "passwordHash"),
            (r#","language":"german language""#, "language"),
            (r#","accountRole":"owner""#, "accountRole"),
            (r#","accountId":"00000000-0000-0000-0000-000000000007","accountRole":"root""#, "accountRole"),
        ] {
            let error = read(rest).expect_err(rest);
            assert_eq!(error.fields().first().map(|(name, _)| name.as_str()), Some(field), "{rest}");
        }
        for rest in [r#","role":"ROLE_ADMIN""#, r#","staffRoleId":"x""#, ",", "}"] {
            assert_eq!(read(rest).expect_err(rest).reason(), Reason::MalformedRequest, "{rest}");
        }
        for line in [r#"{"email":"ada","name":"Ada"}"#, r#"{"email":"ada@example.com","name":" "}"#] {
            assert_eq!(read_import(line.as_bytes(), DateTime::UNIX_EPOCH).expect_err(line).fields().len(), 1, "{line}");
        }
    }
}
