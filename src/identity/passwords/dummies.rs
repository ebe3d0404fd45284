//! The hashes that are verified for addresses without a user. After an import, users have hashes of several kinds, and each kind
//! takes another time. If all other addresses took the same time, any other time would reveal a user. So each address has a
//! kind, as if it had a user: a MAC of the address chooses it, with the proportions in which the users have the kinds.

use std::sync::{Arc, PoisonError, RwLock};

use aws_lc_rs::hmac;

use crate::identity::{
    auth::password::{DUMMY, Hash},
    user::model::{EmailAddress, HashKinds},
};
use mainstay_kernel::secret::SecretKey;

/// The dummies by their kinds. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Dummies {
    key: hmac::Key,
    kinds: Arc<RwLock<Vec<Dummy>>>,
}

#[derive(Debug)]
struct Dummy {
    hash: String,
    users: f64,
}

impl Dummies {
    pub(super) fn new(secret: &SecretKey) -> Self {
        Self { key: secret.mac("dummy passwords v1"), kinds: Arc::default() }
    }

    /// Takes new proportions. A kind that is no stored form is left out.
    pub(super) fn count(&self, counts: HashKinds) {
        let others = counts.others.into_iter().filter_map(|(kind, users)| Some((Hash::dummy(&kind)?, users)));
        let all = std::iter::once((DUMMY.to_owned(), counts.current)).chain(others);
        let kinds = all.filter(|(_, users)| *users > 0).map(|(hash, users)| Dummy { hash, users: users as f64 });
        *self.kinds.write().unwrap_or_else(PoisonError::into_inner) = kinds.collect();
    }

    /// Returns the dummy of an address, by weighted rendezvous hashing: when the proportions change, the fewest addresses get
    /// another kind. After sign-ins, which only replace other kinds by the current one, the same happens to other addresses.
    pub(super) fn of(&self, email: &EmailAddress) -> String {
        let kinds = self.kinds.read().unwrap_or_else(PoisonError::into_inner);
        let first = kinds.iter().map(|dummy| (self.rank(dummy, email), dummy));
        let first = first.min_by(|(one, _), (other, _)| one.total_cmp(other));
        first.map_or_else(|| DUMMY.to_owned(), |(_, dummy)| dummy.hash.clone())
    }

    /// Returns an exponentially distributed number, whose rate is the number of users with the kind.
    fn rank(&self, dummy: &Dummy, email: &EmailAddress) -> f64 {
        let tag = hmac::sign(&self.key, &[dummy.hash.as_bytes(), &[0], email.as_str().as_bytes()].concat());
        let bits = tag.as_ref().first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes) >> 11);
        let uniform = (bits as f64 + 0.5) / (1_u64 << 53) as f64;
        -uniform.ln() / dummy.users
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    const BCRYPT: &str = "$2b$04";
    const SCRYPT: &str = "$scrypt$ln=4,r=8,p=1";

    fn counts(current: i64, others: &[(&str, i64)]) -> HashKinds {
        HashKinds { current, others: others.iter().map(|(kind, users)| ((*kind).to_owned(), *users)).collect() }
    }

    fn addresses() -> impl Iterator<Item = EmailAddress> {
        (0..10_000).map(|number| EmailAddress::parse(&format!("nobody{number}@example.com")).expect("an address"))
    }

    #[test]
    fn unknown_addresses_have_the_kinds_of_the_users_in_their_proportions() {
        let dummies = Dummies::new(&SecretKey::new([1; 32]));
        dummies.count(counts(500, &[(BCRYPT, 300), (SCRYPT, 200), ("$md5", 4000)]));
        let mut found = HashMap::<_, i32>::new();
        for email in addresses() {
            let dummy = dummies.of(&email);
            assert_eq!(dummies.of(&email), dummy, "an address has one dummy");
            *found.entry(dummy).or_default() += 1;
        }
        // Four standard deviations of 10,000 draws are at most 200.
        for (kind, expected) in [("$argon2id$", 5000), (BCRYPT, 3000), (SCRYPT, 2000)] {
            let count: i32 = found.iter().filter(|(hash, _)| hash.starts_with(kind)).map(|(_, count)| count).sum();
            assert!((count - expected).abs() < 200, "{kind}: {count}");
        }
        let others = Dummies::new(&SecretKey::new([2; 32]));
        others.count(counts(500, &[(BCRYPT, 300), (SCRYPT, 200)]));
        let same = addresses().filter(|email| dummies.of(email) == others.of(email)).count();
        assert!(same < 5000, "without the secret, the kind of an address can't be predicted: {same}");
    }

    /// Users who sign in get the current kind. Other addresses must not change otherwise.
    #[test]
    fn an_address_changes_to_the_current_kind_only_while_users_sign_in() {
        let (before, after) = (Dummies::new(&SecretKey::new([1; 32])), Dummies::new(&SecretKey::new([1; 32])));
        before.count(counts(0, &[(BCRYPT, 600), (SCRYPT, 400)]));
        after.count(counts(500, &[(BCRYPT, 300), (SCRYPT, 200)]));
        let mut changed = 0;
        for email in addresses() {
            let (old, new) = (before.of(&email), after.of(&email));
            assert!(new == old || new == DUMMY, "{old} became {new}");
            changed += usize::from(new != old);
        }
        assert!((4800..5200).contains(&changed), "{changed}");
    }

    #[test]
    fn without_counts_every_address_has_the_current_kind() {
        let dummies = Dummies::new(&SecretKey::new([1; 32]));
        assert!(addresses().take(100).all(|email| dummies.of(&email) == DUMMY));
        dummies.count(counts(0, &[]));
        assert!(addresses().take(100).all(|email| dummies.of(&email) == DUMMY));
    }
}
