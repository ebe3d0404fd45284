//! Password hashing on blocking threads, with a limit on concurrency that bounds its memory and CPU use.

mod dummies;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::identity::{
    auth::password::{self, Match, Password},
    breaches::Breaches,
    tokens::Tokens,
    user::{
        model::{EmailAddress, HashKinds},
        store,
    },
};
use mainstay_kernel::{
    app::App,
    context,
    database::{Connection, Database},
    error::{Error, Reason, Result},
    secret::{self, SecretKey},
};

use dummies::Dummies;

/// The longest wait for a slot. A longer queue would only delay every sign-in.
const MAX_WAIT: Duration = Duration::from_secs(2);
/// The shortest interval between two counts of the kinds of hashes, and its multiple of the duration of the last count, whose
/// cost grows with the number of users.
const MIN_COUNT_INTERVAL: Duration = Duration::from_secs(60);
const COUNT_INTERVAL_FACTOR: u32 = 100;

/// The slots for password hashing, and the lists that new passwords are checked against. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Passwords {
    places: Arc<Semaphore>,
    /// Half of the slots, for hashes of other kinds, which may take a second: they leave the others to the current kind.
    costly: Arc<Semaphore>,
    breaches: Breaches,
    dummies: Dummies,
}

/// The result of a password check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The password is wrong.
    Wrong,
    /// The password is right.
    Right,
    /// The password is right, but its stored hash was made by another scheme, with other parameters, or of a text that was not normalized.
    /// The hash is to be replaced with this one.
    RightOnceMore(String),
}

impl Passwords {
    /// Allows at most `places` concurrent hashes, 7 MiB each; the hash of an import may need 128 MiB. The secret chooses the
    /// dummies of unknown addresses.
    pub fn new(places: usize, secret: &SecretKey) -> Self {
        let slots = |count: usize| Arc::new(Semaphore::new(count.max(1)));
        Self {
            places: slots(places),
            costly: slots(places / 2),
            breaches: Breaches::none(),
            dummies: Dummies::new(secret),
        }
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

    /// Takes new proportions of the kinds of hashes.
    pub fn count(&self, counts: HashKinds) {
        self.dummies.count(counts);
    }

    /// Returns the hash that is verified for an address without a user.
    pub fn dummy(&self, email: &EmailAddress) -> String {
        self.dummies.of(email)
    }

    /// Verifies the password of an address. `None` means that no user has the address; the check takes as long as it could
    /// for a user.
    ///
    /// # Errors
    /// `OVERLOADED` when no slot becomes free in time.
    pub async fn verify(&self, password: Password, email: &EmailAddress, hash: Option<String>) -> Result<Verdict> {
        let exists = hash.is_some();
        let hash = hash.unwrap_or_else(|| self.dummy(email));
        let costly = if password::is_outdated(&hash) { Some(take(&self.costly).await?) } else { None };
        self.run(move || {
            let _costly = costly;
            // The hash is verified first, so that an unknown user takes as long.
            match password.verify(&hash)?.filter(|_| exists) {
                None => Ok(Verdict::Wrong),
                Some(Match::Normalized) if !password::is_outdated(&hash) => Ok(Verdict::Right),
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
        take(&self.places).await
    }
}

async fn take(slots: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit> {
    let wait = context::remaining().map_or(MAX_WAIT, |budget| budget.min(MAX_WAIT));
    match tokio::time::timeout(wait, slots.clone().acquire_owned()).await {
        Ok(Ok(slot)) => Ok(slot),
        Ok(Err(error)) => Err(Error::internal(error)),
        Err(_) => Err(Error::new(Reason::Overloaded).retry_after(Duration::from_secs(1))),
    }
}

/// Counts the kinds of the users' hashes now and periodically until the app is dropped, so that the dummies of unknown
/// addresses have the same kinds.
pub async fn watch_kinds(app: &App) {
    let (passwords, database) = (app.part::<Passwords>().clone(), app.database.clone());
    let dropped = app.part::<Tokens>().dropped();
    let mut delay = passwords.watch_once(&database).await;
    tokio::spawn(async move {
        loop {
            tokio::select! {
                () = dropped.cancelled() => return,
                () = tokio::time::sleep(delay) => {}
            }
            delay = passwords.watch_once(&database).await;
        }
    });
}

impl Passwords {
    /// Counts the kinds once, and returns the delay until the next time.
    async fn watch_once(&self, database: &Database) -> Duration {
        let began = Instant::now();
        if let Err(error) = self.count_kinds(database).await {
            tracing::warn!(
                error = error.detail(),
                "the kinds of password hashes could not be counted; the last count stays in use"
            );
            return MIN_COUNT_INTERVAL;
        }
        MIN_COUNT_INTERVAL.max(began.elapsed() * COUNT_INTERVAL_FACTOR)
    }

    /// Counts the kinds of the users' hashes.
    pub async fn count_kinds(&self, database: &Database) -> Result<()> {
        let count = async |connection: &mut Connection| store::hash_kinds(connection).await;
        self.count(database.autocommit(count).await?);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passwords() -> Passwords {
        Passwords::new(1, &SecretKey::new([1; 32]))
    }

    fn email() -> EmailAddress {
        EmailAddress::parse("ada@example.com").expect("an address")
    }

    #[tokio::test]
    async fn an_unknown_user_has_no_right_password() {
        let verdict = passwords().verify(Password::attempt("whatever it is".into()), &email(), None).await;
        assert_eq!(verdict.expect("a verdict"), Verdict::Wrong);
    }

    #[tokio::test]
    async fn a_wait_for_a_place_ends() {
        let passwords = passwords();
        let _held = passwords.place().await.expect("the only place");
        let soon = std::time::Instant::now() + Duration::from_millis(5);
        let hurried = context::Context::new("r").with_deadline(soon);
        let error = hurried.scope(passwords.place()).await.expect_err("no place");
        assert_eq!(error.reason(), Reason::Overloaded);
    }

    /// Hashes of other programs, and the dummies of their kinds, take half of the slots.
    #[tokio::test]
    async fn costly_hashes_leave_slots_to_the_others() {
        const COSTLY: &str = "$2b$04$abcdefghijklmnopqrstuuD3mHdCr44zlIZ.VZCaYRpfQhXMYnEo.";
        let passwords = Passwords::new(4, &SecretKey::new([1; 32]));
        let _held = [take(&passwords.costly).await, take(&passwords.costly).await].map(|slot| slot.expect("a slot"));
        let verify = async |hash: Option<String>| {
            let soon = Instant::now() + Duration::from_millis(200);
            let email = email();
            let attempt = passwords.verify(Password::attempt("whatever it is".into()), &email, hash);
            context::Context::new("r").with_deadline(soon).scope(attempt).await.map_err(|error| error.reason())
        };
        assert!(verify(Some(COSTLY.to_owned())).await.is_err_and(|reason| reason == Reason::Overloaded));
        assert_eq!(verify(None).await, Ok(Verdict::Wrong), "the dummy has the current kind");
    }

    #[tokio::test]
    async fn a_weak_hash_is_replaced() {
        use argon2::{Argon2, Params, PasswordHasher as _, password_hash::SaltString};
        let params = Params::new(8, 1, 1, None).expect("parameters");
        let weak = Argon2::new(Default::default(), Default::default(), params);
        let salt = SaltString::from_b64("c2FsdHNhbHQ").expect("a salt");
        let weak = weak.hash_password(b"correct horse", &salt).expect("hashes").to_string();
        let verdict = passwords().verify(Password::attempt("correct horse".into()), &email(), Some(weak)).await;
        let Verdict::RightOnceMore(better) = verdict.expect("a verdict") else { panic!("not replaced") };
        assert!(!password::is_outdated(&better));
    }
}
