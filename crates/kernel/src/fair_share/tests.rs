use std::net::IpAddr;

use super::*;

type Networks = FairShare<Network>;

fn network(address: &str) -> Network {
    Network::of(address.parse::<IpAddr>().expect("an address"))
}

fn of_rest(total: usize, divisor: usize) -> Networks {
    FairShare::new(total, Rule::OfRest(divisor))
}

fn assert_empty<K: Keys, H>(shares: &FairShare<K, H>) {
    let ledger = shares.lock();
    assert_eq!((ledger.used, ledger.by_key.len(), ledger.held.len()), (0, 0, 0));
}

#[test]
fn a_network_keeps_only_itself_out_and_gives_back_what_it_had() {
    let shares = of_rest(8, 2);
    let [one, same, other] = ["2001:db8::1", "2001:db8::2", "192.0.2.1"].map(network);
    let first = shares.take(one, 3).expect("a part");
    let second = shares.take(same, 1).expect("half of the total");
    assert_eq!(shares.take(one, 1).map(drop), Err(Full::Key(one)));
    let third = shares.take(other, 0).expect("nothing yet");
    assert_eq!(third.add(5), Err(Full::Total), "four are left");
    third.add(2).expect("half of the rest");
    assert_eq!(third.add(1), Err(Full::Key(other)), "two are left for others");
    drop(second);
    third.add(1).expect("there is more left");
    assert_eq!((first.amount(), third.amount()), (Some(3), Some(3)));
    drop((first, third));
    assert_empty(&shares);
}

/// With a quarter for each, four would have all of it.
#[test]
fn networks_that_take_all_they_can_leave_something_for_newcomers() {
    let shares = of_rest(256, 4);
    let mut all = Vec::new();
    let counts = (0..12).map(|number| {
        let own = network(&format!("192.0.2.{number}"));
        let parts: Vec<_> = std::iter::from_fn(|| shares.take(own, 1).ok()).collect();
        let count = parts.len();
        all.extend(parts);
        count
    });
    let counts: Vec<_> = counts.collect();
    assert_eq!(counts[..4], [64, 48, 36, 27]);
    assert!(counts.is_sorted_by(|more, less| more >= less) && counts[11] >= 2, "{counts:?}");
}

/// A subscriber of IPv6 has as many networks as it likes.
#[test]
fn the_networks_of_a_site_together_get_half() {
    let shares = of_rest(256, 8);
    let take = |number: u16| shares.take(network(&format!("2001:db8:1:{number:x}::1")), 1).ok();
    let of_site: Vec<_> = (0..1000).filter_map(take).collect();
    let others: Vec<_> = std::iter::from_fn(|| shares.take(network("192.0.2.1"), 1).ok()).collect();
    assert_eq!((of_site.len(), others.len()), (128, 16), "an eighth of the other half is left");
    drop((of_site, others));
    assert_empty(&shares);
}

#[test]
fn a_fixed_share_is_exact_and_that_of_a_site_is_twice_as_large() {
    let shares: Networks = FairShare::new(10, Rule::Fixed(3));
    let [one, sibling, third] = ["2001:db8::1", "2001:db8:0:1::1", "2001:db8:0:2::1"].map(network);
    let site = one.site().expect("a site");
    let _first = shares.take(one, 3).expect("the whole share");
    assert_eq!(shares.take(one, 1).map(drop), Err(Full::Key(one)));
    let _second = shares.take(sibling, 3).expect("the whole share");
    assert_eq!(shares.take(third, 1).map(drop), Err(Full::Key(site)));
    let mut other = shares.take(network("192.0.2.1"), 3).expect("the whole share");
    assert_eq!(shares.take(network("192.0.2.2"), 2).map(drop), Err(Full::Total));
    assert_eq!((other.release(), other.amount()), (Some(3), None));
    shares.take(network("192.0.2.2"), 3).expect("the released part");
}

#[test]
fn a_part_takes_the_place_of_the_holders_of_the_highest_rank() {
    let shares: FairShare<Uuid, Option<u32>> = FairShare::new(10, Rule::Fixed(6));
    let [one, other] = [1, 2].map(Uuid::from_u128);
    let take = |principal: Uuid, amount, holder: Option<u32>| {
        let (share, evicted) = shares.take_over(principal, amount, holder, |_, _, (_, held)| held.holder);
        (share, evicted.into_iter().map(|held| held.holder).collect::<Vec<_>>())
    };
    let (kept, _) = take(one, 2, None);
    let (first, _) = take(one, 2, Some(1));
    let (second, _) = take(one, 2, Some(2));
    let (of_other, _) = take(other, 4, Some(9));
    let (third, evicted) = take(one, 2, Some(3));
    assert_eq!(evicted, [Some(2)], "of the principal whose share is exceeded");
    let (fourth, evicted) = take(Uuid::from_u128(3), 1, None);
    assert_eq!((fourth.is_ok(), evicted), (true, vec![Some(9)]), "of all, if the total is exceeded");
    let shares_of = |all: &[&Result<Share<Uuid, Option<u32>>, _>]| {
        all.iter().map(|share| share.as_ref().expect("a part").amount()).collect::<Vec<_>>()
    };
    let amounts = shares_of(&[&kept, &first, &second, &third, &of_other]);
    assert_eq!(amounts, [Some(2), Some(2), None, Some(2), None]);
    let (refused, evicted) = take(one, 5, None);
    assert_eq!((refused.map(drop), evicted), (Err(Full::Key(one)), vec![Some(3), Some(1)]), "one never makes room");
    assert!(!second.expect("a part").update(|holder| *holder = None), "it was evicted");
}
