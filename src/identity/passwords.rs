//! Password hashing on blocking threads, with a limit on concurrency that bounds its memory and CPU use.

use std::{sync::Arc, time::Duration};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::identity::{
    auth::password::{self, Match, Password},
    breaches::Breaches,
    user::model::EmailAddress,
};
use mainstay_kernel::{
    context,
    error::{Error, Reason, Result},
    secret,
};

/// The longest wait for a slot. A longer queue would only delay every sign-in.
const MAX_WAIT: Duration = Duration::from_secs(2);

/// The slots for password hashing, and the lists that new passwords are checked against. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Passwords {
    places: Arc<Semaphore>,
    breaches: Breaches,
}

/// The result of a password check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The password is wrong.
    Wrong,
    /// The password is right.
    Right,
    /// The password is right, but its stored hash was made with other parameters or of a text that was not normalized.
    /// The hash is to be replaced with this one.
    RightOnceMore(String),
}

impl Passwords {
    /// Allows at most `places` concurrent hashes, 7 MiB each.
    pub fn new(places: usize) -> Self {
        Self { places: Arc::new(Semaphore::new(places.max(1))), breaches: Breaches::none() }
    }

    /// Checks new passwords against those of breaches, too.
    #[must_use]
    pub fn checked_by(self, breaches: Breaches) -> Self {
        Self { breaches, ..self }
    }

    /// Hashes a new password of a user.
    ///
    /// # Errors
    /// `VALIDATION_FAILED` for a password that is common, known from a breach, or like the user's address or name; `OVERLOADED`
    /// when no slot becomes free in time.
    pub async fn hash(&self, password: Password, email: &EmailAddress, name: &str) -> Result<String> {
        if self.breaches.contains(&password).await {
            return Err(Error::field("password", "is known from a breach of another service; choose another one"));
        }
        let (email, name) = (email.clone(), name.to_owned());
        let hash = move || {
            password.refuse_common(&email, &name)?;
            password.hash(secret::random())
        };
        self.run(hash).await
    }

    /// Verifies a password. `None` means that the user does not exist; the check takes equally long.
    ///
    /// # Errors
    /// `OVERLOADED` when no slot becomes free in time.
    pub async fn verify(&self, password: Password, hash: Option<String>) -> Result<Verdict> {
        self.run(move || {
            let exists = hash.is_some();
            let hash = hash.as_deref().unwrap_or(password::DUMMY);
            // The hash is verified first, so that an unknown user takes as long.
            match password.verify(hash)?.filter(|_| exists) {
                None => Ok(Verdict::Wrong),
                Some(Match::Normalized) if !password::is_outdated(hash) => Ok(Verdict::Right),
                Some(_) => password.hash(secret::random()).map(Verdict::RightOnceMore),
            }
        })
        .await
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
        let place = self.place().await?;
        let task = tokio::task::spawn_blocking(move || {
            // The slot is released when the work ends, not when the caller disconnects: this bounds the memory.
            let _place = place;
            work()
        });
        task.await.map_err(Error::internal)?
    }

    /// Takes a slot, which is released when the permit is dropped.
    ///
    /// # Errors
    /// `OVERLOADED` when no slot becomes free in time.
    pub async fn place(&self) -> Result<OwnedSemaphorePermit> {
        let wait = context::remaining().map_or(MAX_WAIT, |budget| budget.min(MAX_WAIT));
        match tokio::time::timeout(wait, self.places.clone().acquire_owned()).await {
            Ok(Ok(place)) => Ok(place),
            Ok(Err(error)) => Err(Error::internal(error)),
            Err(_) => Err(Error::new(Reason::Overloaded).retry_after(Duration::from_secs(1))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_unknown_user_has_no_right_password() {
        let passwords = Passwords::new(1);
        let verdict = passwords.verify(Password::attempt("whatever it is".into()), None).await;
        assert_eq!(verdict.expect("a verdict"), Verdict::Wrong);
    }

    #[tokio::test]
    async fn a_wait_for_a_place_ends() {
        let passwords = Passwords::new(1);
        let _held = passwords.place().await.expect("the only place");
        let soon = std::time::Instant::now() + Duration::from_millis(5);
        let hurried = context::Context::new("r").with_deadline(soon);
        let error = hurried.scope(passwords.place()).await.expect_err("no place");
        assert_eq!(error.reason(), Reason::Overloaded);
    }

    #[tokio::test]
    async fn a_weak_hash_is_replaced() {
        use argon2::{Argon2, Params, PasswordHasher as _, password_hash::SaltString};
        let params = Params::new(8, 1, 1, None).expect("parameters");
        let weak = Argon2::new(Default::default(), Default::default(), params);
        let salt = SaltString::from_b64("c2FsdHNhbHQ").expect("a salt");
        let weak = weak.hash_password(b"correct horse", &salt).expect("hashes").to_string();
        let verdict = Passwords::new(1).verify(Password::attempt("correct horse".into()), Some(weak)).await;
        let Verdict::RightOnceMore(better) = verdict.expect("a verdict") else { panic!("not replaced") };
        assert!(!password::is_outdated(&better));
    }
}
