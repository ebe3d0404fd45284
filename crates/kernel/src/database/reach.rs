//! Row-level security: the rows that statements reach, which Postgres enforces.
//!
//! Statements on behalf of a caller of one account run as the role [`ACCOUNT`]. Its policies admit the rows of the account in
//! the setting `mainstay.account`, and no row without the setting. All other statements run as the role of the connection; they
//! name the reason by [`Reach::across_accounts`].
//!
//! In a transaction, both settings are local to it and travel with its BEGIN, so that the next user of a pooler's session has
//! neither. Lists without a transaction bind their session ([`Reach::bind`]): the settings travel with the first statements, and
//! remain for the next list of the account.

use std::fmt::Write as _;

use crate::{
    caller::{Permit, Visibility},
    id::AccountId,
};

/// The role that reaches the rows of one account.
const ACCOUNT: &str = "mainstay_account";
/// The role of the connections that reads share: it reads the rows of all accounts, and writes none.
pub(super) const READER: &str = "mainstay_reader";

/// The rows that the statements of a transaction reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reach(Scope);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    Account(AccountId),
    /// The reason is for the reader of the code, and of a debugger.
    Everything(&'static str),
}

impl Reach {
    /// The rows of all accounts, for a reason: staff, a person with several accounts, a job, a command.
    pub const fn across_accounts(reason: &'static str) -> Self {
        Self(Scope::Everything(reason))
    }

    /// The rows of a caller: those of the account by which the policy grants access, or of all accounts.
    pub fn of(permit: &Permit) -> Self {
        Self::from(permit.visibility())
    }

    /// Returns the account whose rows the statements reach; `None` for the rows of all accounts.
    pub(super) fn account(self) -> Option<AccountId> {
        match self.0 {
            Scope::Account(account) => Some(account),
            Scope::Everything(_) => None,
        }
    }

    /// Returns the settings of a session that is bound to an account, or to none; `None` if it has them already.
    pub(super) fn bind(self, bound: Option<AccountId>) -> Option<String> {
        self.settings(bound, "SET")
    }

    /// Adds the settings of a transaction to the statement that begins it, in a session that is bound to an account, or to none.
    pub(super) fn bind_locally(self, bound: Option<AccountId>, begin: &mut String) {
        if let Some(settings) = self.settings(bound, "SET LOCAL") {
            write!(begin, "; {settings}").ok();
        }
    }

    /// A UUID needs no quoting.
    fn settings(self, bound: Option<AccountId>, set: &str) -> Option<String> {
        match (self.account(), bound) {
            (new, bound) if new == bound => None,
            (Some(AccountId(new)), Some(_)) => Some(format!("{set} mainstay.account TO '{new}'")),
            (Some(AccountId(new)), None) => Some(format!("{set} ROLE {ACCOUNT}; {set} mainstay.account TO '{new}'")),
            (None, _) => Some(format!("{set} role TO DEFAULT")),
        }
    }
}

impl From<Visibility> for Reach {
    fn from(visibility: Visibility) -> Self {
        match visibility {
            Visibility::Account(account) => Self(Scope::Account(account)),
            Visibility::All => Self::across_accounts("the policy grants it"),
            Visibility::Principal(_) => Self::across_accounts("a person may belong to several accounts"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACCOUNTS: [&str; 2] = ["0199c0de-0000-7000-8000-000000000001", "0199c0de-0000-7000-8000-000000000002"];

    fn account(id: &str) -> AccountId {
        AccountId(id.parse().expect("a UUID"))
    }

    #[test]
    fn a_transaction_has_its_own_account_in_any_session() {
        let [one, two] = ACCOUNTS.map(account);
        let all = Reach::across_accounts("a test");
        let begin = |reach: Reach, bound| {
            let mut begin = "BEGIN".to_owned();
            reach.bind_locally(bound, &mut begin);
            begin
        };
        let of_one = Reach::from(Visibility::Account(one));
        assert_eq!(begin(all, None), "BEGIN");
        assert_eq!(begin(all, Some(one)), "BEGIN; SET LOCAL role TO DEFAULT");
        let setting = format!("SET LOCAL mainstay.account TO '{}'", ACCOUNTS[0]);
        assert_eq!(begin(of_one, None), format!("BEGIN; SET LOCAL ROLE mainstay_account; {setting}"));
        assert_eq!(begin(of_one, Some(two)), format!("BEGIN; {setting}"));
        assert_eq!(begin(of_one, Some(one)), "BEGIN");
    }

    #[test]
    fn a_session_is_bound_when_its_account_changes() {
        let [one, two] = ACCOUNTS.map(account);
        let (all, of_one) = (Reach::across_accounts("a test"), Reach::from(Visibility::Account(one)));
        let setting = format!("SET mainstay.account TO '{}'", ACCOUNTS[0]);
        assert_eq!(of_one.bind(None), Some(format!("SET ROLE mainstay_account; {setting}")));
        assert_eq!(of_one.bind(Some(two)), Some(setting));
        assert_eq!((of_one.bind(Some(one)), all.bind(None)), (None, None));
        assert_eq!(all.bind(Some(one)).as_deref(), Some("SET role TO DEFAULT"));
    }
}
