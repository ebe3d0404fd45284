//! The verification of the chain, link by link.

use std::fmt;

use chrono::{DateTime, Datelike as _, NaiveDate, TimeDelta, Utc};
use uuid::Uuid;

use super::{Link, Seals, StoredEntry};
use crate::audit::entry::model::time_of;

/// The most by which entries may be out of the order of their times: the longest transaction, and the difference of clocks.
const DISORDER: TimeDelta = TimeDelta::hours(1);

/// The first link or entry that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The number of the link, if the entry has one.
    pub number: Option<i64>,
    /// The entry.
    pub entry: Option<Uuid>,
    pub what: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(number) = self.number {
            write!(f, "link {number}: ")?;
        }
        if let Some(entry) = self.entry {
            write!(f, "entry {entry}: ")?;
        }
        f.write_str(&self.what)
    }
}

/// What may be missing, and what was printed before.
#[derive(Debug, Clone)]
pub struct Rules {
    /// Entries older than this may have been removed; `None` if none may.
    pub removed_before: Option<DateTime<Utc>>,
    /// The number and the hash of a link that an earlier verification printed.
    pub expected: Option<(i64, Vec<u8>)>,
}

/// The state of a verification.
#[derive(Debug)]
pub struct Verifier {
    seals: Seals,
    rules: Rules,
    /// The number and the hash of the last link.
    last: Option<(i64, Vec<u8>)>,
    /// Whether the last link is a checkpoint.
    is_sealed: bool,
    /// The latest time of an entry so far.
    latest: DateTime<Utc>,
    has_met_expected: bool,
    /// The number of the first link.
    pub first: Option<i64>,
    /// The links whose entries were removed by retention.
    pub removed: usize,
}

impl Verifier {
    /// Begins a verification.
    pub fn new(seals: Seals, rules: Rules) -> Self {
        let (latest, has_met_expected) = (DateTime::<Utc>::UNIX_EPOCH, rules.expected.is_none());
        Self { seals, rules, last: None, is_sealed: false, latest, has_met_expected, first: None, removed: 0 }
    }

    /// Returns the number and the hash of the last link.
    pub fn last(&self) -> Option<(i64, &[u8])> {
        self.last.as_ref().map(|(number, hash)| (*number, hash.as_slice()))
    }

    /// Checks the next link and its entry, if that exists.
    ///
    /// # Errors
    /// The fault.
    pub fn check(&mut self, link: &Link, entry: Option<&StoredEntry>) -> Result<(), Fault> {
        let fault = |what: &str| Fault { number: Some(link.number), entry: Some(link.entry), what: what.to_owned() };
        let seal = match &link.seal {
            None => None,
            Some(seal) => Some(self.seals.verify(link, seal).ok_or_else(|| {
                fault("the checkpoint was made with another secret: name that with --earlier-secret")
            })?),
        };
        if seal == Some(false) {
            return Err(fault("the checkpoint is not genuine"));
        }
        let before: Option<&[u8]> = match &self.last {
            Some((number, _)) if link.number != number + 1 => {
                let next = number + 1;
                return Err(fault(&format!("it follows link {number}: from link {next} on, links are missing")));
            }
            Some((_, hash)) => Some(hash),
            None if link.number == 1 => Some(&[0; 32]),
            // Retention removes links by the month.
            None if seal.is_none() => return Err(fault("the first link is no checkpoint")),
            None if !self.may_be_removed(month_of(time_of(link.id))) => {
                return Err(fault("the links before it are missing"));
            }
            None => None,
        };
        let is_hash = |before: &[u8]| Link::hash(before, link.number, link.entry, &link.digest).as_slice() == link.hash;
        if !before.is_none_or(is_hash) {
            return Err(fault("the hash does not match the link before it"));
        }
        self.first = self.first.or(Some(link.number));
        self.last = Some((link.number, link.hash.clone()));
        self.is_sealed = seal.is_some();
        if let Some((number, hash)) = &self.rules.expected
            && *number == link.number
        {
            if *hash != link.hash {
                return Err(fault("the hash is not the expected one"));
            }
            self.has_met_expected = true;
        }
        self.check_entry(link, entry).map_err(|what| fault(&what))
    }

    fn check_entry(&mut self, link: &Link, entry: Option<&StoredEntry>) -> Result<(), String> {
        let time = time_of(link.entry);
        let Some(entry) = entry else {
            if !self.may_be_removed(time) {
                return Err("the entry is missing".to_owned());
            }
            self.removed += 1;
            return Ok(());
        };
        if entry.digest().as_slice() != link.digest {
            return Err("the entry was changed".to_owned());
        }
        if !entry.has_its_personal_values() {
            return Err("the personal values of the entry were changed".to_owned());
        }
        if time + DISORDER < self.latest {
            return Err(format!("the entry says {time}, but was added after one of {}", self.latest));
        }
        self.latest = self.latest.max(time);
        Ok(())
    }

    fn may_be_removed(&self, time: DateTime<Utc>) -> bool {
        self.rules.removed_before.is_some_and(|before| time <= before)
    }

    /// Checks an entry without a link. The chain lacks the latest entries only, of which it has none yet when they are read.
    ///
    /// # Errors
    /// The fault.
    pub fn check_unchained(&self, entry: Uuid, is_passed: bool) -> Result<(), Fault> {
        if is_passed || time_of(entry) + DISORDER < self.latest {
            let what = "the entry was inserted: the chain does not have it".to_owned();
            return Err(Fault { number: None, entry: Some(entry), what });
        }
        Ok(())
    }

    /// Checks what remains at the end. Each run ends with a checkpoint: without it, anyone could compute the links again.
    ///
    /// # Errors
    /// The fault.
    pub fn finish(&self) -> Result<(), Fault> {
        if let Some((number, _)) = &self.last
            && !self.is_sealed
        {
            let what = "the last link is no checkpoint: the end of the chain was removed, or computed again".to_owned();
            return Err(Fault { number: Some(*number), entry: None, what });
        }
        match &self.rules.expected {
            Some((number, _)) if !self.has_met_expected && self.first.is_none_or(|first| first <= *number) => {
                let what = "the link is missing: the end of the chain was removed".to_owned();
                Err(Fault { number: Some(*number), entry: None, what })
            }
            _ => Ok(()),
        }
    }
}

/// Returns the beginning of a time's month.
fn month_of(time: DateTime<Utc>) -> DateTime<Utc> {
    let first = NaiveDate::from_ymd_opt(time.year(), time.month(), 1).unwrap_or_default();
    first.and_time(chrono::NaiveTime::MIN).and_utc()
}

#[cfg(test)]
mod tests {
    use mainstay_kernel::{id, secret::SecretKey};

    use super::*;
    use crate::audit::chain::model::Head;

    fn entry(time: DateTime<Utc>) -> StoredEntry {
        StoredEntry {
            id: id::new(time),
            writer: 1,
            method: "TicketService.CreateTicket".to_owned(),
            outcome: 1,
            actor_kind: 2,
            actor_id: None,
            account_id: None,
            resource_kind: "support.ticket".to_owned(),
            resource_id: None,
            request_id: None,
            changes: "{}".to_owned(),
            salt: None,
            personal: None,
            personal_digest: Some(vec![1; 32]),
        }
    }

    fn at(days: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000, 0).expect("a time") + TimeDelta::days(days)
    }

    fn seals() -> Seals {
        Seals::new([&SecretKey::new([1; 32])])
    }

    /// A chain of two runs, of three entries each, 40 days apart.
    fn chain() -> Vec<(Link, StoredEntry)> {
        let nil = Uuid::nil();
        let mut head = Head { number: 0, hash: vec![0; 32], link: nil, writer: 0, entry: nil };
        let runs = [0, 40].map(|day| [(); 3].map(|()| entry(at(day))));
        let mut all = Vec::new();
        for (entries, day) in runs.into_iter().zip([0, 40]) {
            all.extend(head.lengthen(&entries, &seals(), at(day)).into_iter().zip(entries));
        }
        all
    }

    fn verify(chain: &[(Link, StoredEntry)], rules: Rules) -> Result<i64, Fault> {
        let mut verifier = Verifier::new(seals(), rules);
        for (link, entry) in chain {
            verifier.check(link, Some(entry))?;
        }
        verifier.finish()?;
        Ok(verifier.last().expect("a link").0)
    }

    const ALL: Rules = Rules { removed_before: None, expected: None };

    #[test]
    fn an_untouched_chain_is_valid_and_each_change_is_found() {
        let genuine = chain();
        assert_eq!(verify(&genuine, ALL), Ok(6));
        let number = |chain: &[_]| verify(chain, ALL).expect_err("a fault").number;

        let mut changed = genuine.clone();
        changed[3].1.changes = "[]".to_owned();
        assert_eq!(number(&changed), Some(4));
        // With a link that fits, the next one does not; with all links after it, the checkpoint does not.
        changed[3].0.digest = changed[3].1.digest().to_vec();
        assert_eq!(number(&changed), Some(4), "a checkpoint");
        let mut changed = genuine.clone();
        changed[4].1.method.clear();
        for index in 4..6 {
            let digest = changed[index].1.digest().to_vec();
            let (before, link) = (changed[index - 1].0.hash.clone(), &mut changed[index].0);
            link.hash = Link::hash(&before, link.number, link.entry, &digest).to_vec();
            link.digest = digest;
        }
        assert_eq!(number(&changed), Some(6));
        changed[5].0.seal = None;
        assert_eq!(number(&changed), Some(6), "the end is a checkpoint");
        for (link, _) in &mut changed[3..] {
            link.seal = None;
        }
        assert_eq!(number(&changed), Some(6), "the end is a checkpoint");
        assert_eq!(number(&genuine[..5]), Some(5), "a run is whole");

        let mut removed = genuine.clone();
        removed.remove(1);
        assert_eq!(number(&removed), Some(3));
        let mut swapped = genuine;
        swapped.swap(1, 2);
        assert_eq!(number(&swapped), Some(3));
    }

    #[test]
    fn retention_begins_at_a_checkpoint() {
        let rest = chain().split_off(3);
        assert_eq!(verify(&rest, ALL).expect_err("nothing may be removed").number, Some(4));
        let rules = Rules { removed_before: Some(at(40)), expected: None };
        assert_eq!(verify(&rest, rules.clone()), Ok(6));
        assert_eq!(verify(&rest[1..], rules).expect_err("no checkpoint").number, Some(5));
    }

    #[test]
    fn a_removed_end_is_missed_by_what_was_printed_before() {
        let whole = chain();
        let rules = |hash: &[u8]| Rules { removed_before: None, expected: Some((6, hash.to_vec())) };
        let hash = whole[5].0.hash.clone();
        assert_eq!(verify(&whole, rules(&hash)), Ok(6));
        assert_eq!(verify(&whole[..3], rules(&hash)).expect_err("removed").number, Some(6));
        assert_eq!(verify(&whole, rules(&[0; 32])).expect_err("another hash").number, Some(6));
    }

    #[test]
    fn a_backdated_entry_is_found_and_erased_values_are_not_missed() {
        let nil = Uuid::nil();
        let mut head = Head { number: 0, hash: vec![0; 32], link: nil, writer: 0, entry: nil };
        let entries = [entry(at(1)), entry(at(0))];
        let links = head.lengthen(&entries, &seals(), at(1));
        let chain: Vec<_> = links.into_iter().zip(entries).collect();
        assert_eq!(verify(&chain, ALL).expect_err("backdated").number, Some(2));

        let mut full = entry(at(0));
        (full.salt, full.personal) = (Some(vec![2; 16]), Some("{}".to_owned()));
        assert!(!full.has_its_personal_values());
        (full.salt, full.personal) = (None, None);
        assert!(full.has_its_personal_values());
    }
}
