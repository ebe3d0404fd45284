//! Sign-ins by mail. One waits for an answer: the token in the link, or the code.

use chrono::{DateTime, TimeDelta, Utc};
use secrecy::ExposeSecret as _;
use subtle::ConstantTimeEq as _;

use crate::identity::{
    credential::model::{self as token, MAIL_CODE_DIGITS},
    mail_login::id::MailLoginId,
    user::model::{EmailAddress, User},
};
use mainstay_kernel::{
    contract::validate::text::normalize_code,
    error::{Error, Result},
    id::UserId,
    secret::SecretKey,
};

/// How long the link and the code work.
pub const LIFE: TimeDelta = TimeDelta::minutes(15);

/// How many wrong codes end a sign-in.
pub const MAX_WRONG_CODES: i16 = 5;

/// A sign-in by mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailLogin {
    pub id: MailLoginId,
    /// The address, whether or not a user has it.
    pub email: EmailAddress,
    /// The user to whom the mail was sent; `None` until then.
    pub sent: Option<Sent>,
    pub expires_at: DateTime<Utc>,
}

/// What a mail was sent for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    pub user: UserId,
    /// The number of the user's epoch at that time.
    pub epoch: i32,
    /// The hash of the token in the link.
    pub token_hash: [u8; 32],
}

impl MailLogin {
    /// Begins the sign-in of an address.
    pub fn begin(email: EmailAddress, now: DateTime<Utc>) -> Self {
        Self { id: MailLoginId::generate(now), email, sent: None, expires_at: now + LIFE }
    }

    /// Returns what the mail was sent for, if the answer is right. Without a user, each answer costs the same, and is wrong.
    pub fn answered(&self, secret: &SecretKey, answer: &Answer) -> Option<Sent> {
        let is_right: bool = match answer {
            Answer::Token(token) => {
                let expected = self.sent.map(|sent| sent.token_hash).unwrap_or_default();
                token::hash(token).as_slice().ct_eq(expected.as_slice()).into()
            }
            Answer::Code(typed) => {
                let code = token::write_mail_code(secret, self.id.0);
                code.expose_secret().as_bytes().ct_eq(typed.as_bytes()).into()
            }
        };
        self.sent.filter(|_| is_right)
    }
}

impl Sent {
    /// Returns whether the user may still sign in with the mail. It ends with the sessions of its time, as with a new password,
    /// and with the address.
    pub fn is_open_to(&self, user: &User, email: &EmailAddress) -> bool {
        self.user == user.id && self.epoch == user.epoch.number && user.email == *email
    }
}

/// What a mail contains.
pub enum Answer {
    /// The token in the link.
    Token(String),
    /// The code.
    Code(String),
}

impl Answer {
    /// Reads a code; spaces, hyphens and the script of digits do not matter.
    ///
    /// # Errors
    /// `VALIDATION_FAILED` for a text that is no code, which the contract refuses for method calls.
    pub fn code(text: &str) -> Result<Self> {
        let mut text = text.to_owned();
        normalize_code(&mut text);
        let is_code = text.len() == MAIL_CODE_DIGITS && text.bytes().all(|byte| byte.is_ascii_digit());
        if is_code { Ok(Self::Code(text)) } else { Err(Error::field("code", "must be 8 digits")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_code_and_the_token_of_a_sent_mail_are_right() {
        let (secret, now) = (SecretKey::new([1; 32]), DateTime::from_timestamp(1_790_000_000, 0).expect("a time"));
        let email = EmailAddress::parse("ada@example.com").expect("an address");
        let waiting = MailLogin::begin(email.clone(), now);
        let token = token::write_mail_login(&secret, waiting.id.0);
        let token_hash = token::hash(token.expose_secret());
        let sent = Sent { user: UserId(waiting.id.0), epoch: 1, token_hash };
        let login = MailLogin { sent: Some(sent), ..waiting.clone() };
        let code = token::write_mail_code(&secret, login.id.0);
        assert_eq!(code.expose_secret().len(), MAIL_CODE_DIGITS);
        let (first, last) = code.expose_secret().split_at(4);
        let typed = Answer::code(&format!(" {first}-{last} ")).expect("a code");
        let link = Answer::Token(token.expose_secret().to_owned());
        for answer in [&typed, &link] {
            assert_eq!(login.answered(&secret, answer), Some(sent));
            assert_eq!(waiting.answered(&secret, answer), None, "no mail was sent");
            let other = MailLogin::begin(email.clone(), now);
            assert_eq!(other.answered(&secret, answer), None);
        }
        let wrong = if code.expose_secret() == "00000000" { "00000001" } else { "00000000" };
        assert_eq!(login.answered(&secret, &Answer::Code(wrong.to_owned())), None);
        assert_eq!(login.answered(&secret, &Answer::Token(String::new())), None);
        for no_code in ["", "1234567", "123456789", "1234567a"] {
            assert!(Answer::code(no_code).is_err(), "{no_code:?}");
        }
    }
}
