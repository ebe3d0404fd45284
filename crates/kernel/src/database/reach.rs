//! Row-level security: the rows that the statements of a transaction reach, which Postgres enforces.
//!
//! Statements on behalf of a caller of one account run as the role [`ACCOUNT`]. Its policies admit the rows of the account in
//! the setting `mainstay.account`, and no row without the setting. Both are local to the transaction and travel with its BEGIN, so
//! that the next user of a pooled connection, or of a pooler's session, has neither. All other statements run as the role of the
//! connection; they name the reason by [`Reach::across_accounts`].

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

    /// Returns whether the statements run in a transaction of their own role.
    pub(super) fn is_bound(self) -> bool {
        matches!(self.0, Scope::Account(_))
    }

    /// Adds the settings to the statement that begins a transaction. A UUID needs no quoting.
    pub(super) fn bind(self, begin: &mut String) {
        if let Scope::Account(AccountId(account)) = self.0 {
            write!(begin, "; SET LOCAL ROLE {ACCOUNT}; SET LOCAL mainstay.account TO '{account}'").ok();
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

    #[test]
    fn an_account_is_bound_for_the_transaction_alone() {
        let mut begin = "BEGIN".to_owned();
        Reach::across_accounts("a test").bind(&mut begin);
        assert_eq!(begin, "BEGIN");
        let account = "0199c0de-0000-7000-8000-000000000001";
        Reach::from(Visibility::Account(AccountId(account.parse().expect("a UUID")))).bind(&mut begin);
        let expected = format!("BEGIN; SET LOCAL ROLE mainstay_account; SET LOCAL mainstay.account TO '{account}'");
        assert_eq!(begin, expected);
    }
}
