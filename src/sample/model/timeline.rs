//! The times of all events: the same for each new database, counted back from its first start.

use chrono::{DateTime, TimeDelta, Utc};

use super::{CUSTOMERS, DAYS};

/// The number of tickets that are spread over all days.
const TICKETS: i64 = 110;
/// The ages of the latest tickets, in minutes.
const LATEST: [i64; 10] = [4, 11, 26, 48, 83, 137, 205, 318, 466, 655];
/// The number of orders.
const ORDERS: i64 = 90;
/// The days in which the customers with webhook endpoints are involved in every second story. Earlier, they are treated
/// like other customers.
const BUSY_DAYS: i64 = 8;
/// The indices of the customers with webhook endpoints: the first has a receiver that accepts all deliveries, the
/// second has one that fails.
pub const BUSY: [usize; 2] = [0, 2];

/// The subject of a story.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    Ticket,
    Order,
}

/// A ticket or an order with all its consequences.
#[derive(Debug, Clone, Copy)]
pub struct Story {
    pub subject: Subject,
    /// The number among the stories of its subject.
    pub number: u64,
    /// When it begins.
    pub at: DateTime<Utc>,
    /// The index of the customer.
    pub customer: usize,
}

/// Returns a pseudorandom number below `bound`, the same for the same seed (SplitMix64).
pub fn pick(seed: u64, bound: u64) -> u64 {
    let mut mixed = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (mixed ^ (mixed >> 31)) % bound
}

/// Returns a number of minutes, at least `low` and below `high`.
pub fn minutes(seed: u64, low: i64, high: i64) -> TimeDelta {
    let spread = pick(seed, high.abs_diff(low).max(1));
    TimeDelta::minutes(low.saturating_add_unsigned(spread))
}

/// Returns an index below `length`.
pub fn index(seed: u64, length: usize) -> usize {
    usize::try_from(pick(seed, length.max(1) as u64)).unwrap_or(0)
}

/// Returns all stories up to now, earliest first.
pub fn stories(now: DateTime<Utc>) -> Vec<Story> {
    let span = DAYS * 24 * 60;
    let evenly = (0..TICKETS).map(|number| span - span * number / TICKETS);
    let tickets = evenly.chain(LATEST).map(|age| (Subject::Ticket, age));
    // The density increases with time: the age falls with the square root.
    let age = |number: i64| (span as f64 * (1.0 - ((number as f64 + 0.5) / ORDERS as f64).sqrt())) as i64 + 20;
    let orders = (0..ORDERS).map(|number| (Subject::Order, age(number)));
    let story = |(number, (subject, age)): (usize, (Subject, i64))| {
        let number = number as u64;
        let at = now - TimeDelta::minutes(age) - minutes(number + 7, 0, 3);
        let is_busy = age < BUSY_DAYS * 24 * 60 && number.is_multiple_of(2);
        let customer = if is_busy { BUSY[index(number, 2)] } else { index(number * 3 + 1, CUSTOMERS.len()) };
        Story { subject, number, at, customer }
    };
    let mut stories: Vec<_> = tickets.enumerate().map(story).chain(orders.enumerate().map(story)).collect();
    stories.sort_by_key(|story| story.at);
    stories
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stories_are_of_the_last_days_and_the_same_each_time() {
        let now = DateTime::from_timestamp(1_790_000_000, 0).expect("a time");
        let stories = stories(now);
        let of = |subject| stories.iter().filter(|story| story.subject == subject).count();
        assert_eq!((of(Subject::Ticket), of(Subject::Order)), (120, 90));
        assert!(stories.iter().all(|story| story.at < now && now - story.at < TimeDelta::days(DAYS + 1)));
        let later = super::stories(now + TimeDelta::days(3));
        assert!(stories.iter().zip(&later).all(|(one, other)| one.customer == other.customer));
        let late = stories.iter().filter(|story| now - story.at < TimeDelta::days(2));
        let late: Vec<_> = late.map(|story| story.customer).collect();
        let of = |customer: usize| late.iter().filter(|other| **other == customer).count();
        assert!(BUSY.into_iter().all(|customer| of(customer) > 1), "deliveries need something to tell");
    }
}
