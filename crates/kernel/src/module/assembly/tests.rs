use futures_util::{FutureExt as _, future::BoxFuture};

use super::{
    check::{check_handlers, check_needs, check_partitioned, check_titles},
    *,
};
use crate::{
    contract::{Policies, policy::tests},
    error::Result,
    events::{Event, EventKind},
};

struct VehicleSold;

impl EventKind for VehicleSold {
    const NAME: &'static str = "fleet.vehicle.sold";
}

fn ignore<'a>(_: &'a App, _: &'a Event) -> BoxFuture<'a, Result<()>> {
    async { Ok(()) }.boxed()
}

fn garage() -> Module {
    Module::new("garage", b"")
}

/// The policies of a contract whose module `fleet` has these events.
fn fleet(events: &str) -> Policies {
    let scopes = "scopes: [{name: \"fleet.vehicles.read\" summary: \"Read vehicles.\"}]";
    let option = format!("name: \"fleet\" {scopes} events: [{events}]");
    tests::read(vec![("fleet/v1/module.proto", tests::module_file("fleet.v1", &option))]).expect("a good contract")
}

#[test]
fn a_module_needs_others() {
    assert_eq!(check_needs(&[garage(), Module::new("fleet", b"").needs(&["garage"])]), []);
    let faults = check_needs(&[Module::new("fleet", b"").needs(&["garage"])]);
    let fault = "the module fleet needs the module garage: keep garage, or remove fleet, too";
    assert_eq!(faults, [Fault(fault.to_owned())]);
}

#[test]
fn a_module_handles_events_that_some_module_declares() {
    let declared =
        fleet("{name: \"fleet.vehicle.sold\" summary: \"A vehicle was sold.\" scope: \"fleet.vehicles.read\"}");
    assert_eq!(check_handlers(&[garage().on::<VehicleSold>(ignore)], &declared), []);
    let other =
        fleet("{name: \"fleet.vehicle.bought\" summary: \"A vehicle was bought.\" scope: \"fleet.vehicles.read\"}");
    let faults = check_handlers(&[garage().on::<VehicleSold>(ignore)], &other);
    let [Fault(fault)] = faults.as_slice() else { panic!("one fault: {faults:?}") };
    for part in ["module garage", "fleet.vehicle.sold", "only fleet.vehicle.bought:", "declare it in the module.proto"]
    {
        assert!(fault.contains(part), "{fault}: {part}");
    }
}

#[test]
fn a_scope_has_a_title_in_each_language() {
    let titled = |title: &str| {
        let scope = format!("{{name: \"fleet.vehicles.read\" summary: \"Read vehicles.\" {title}}}");
        let option = format!("name: \"fleet\" scopes: [{scope}]");
        let file = tests::module_file("fleet.v1", &option);
        check_titles(&tests::read(vec![("fleet/v1/module.proto", file)]).expect("a good contract"))
    };
    assert_eq!(titled("title: {en: \"Read vehicles\" de: \"Fahrzeuge lesen\"}"), []);
    for title in ["", "title: {en: \"Read vehicles\"}", "title: {de: \"Fahrzeuge lesen\"}"] {
        let faults = titled(title);
        let [Fault(fault)] = faults.as_slice() else { panic!("one fault: {faults:?}") };
        assert!(fault.contains("the scope fleet.vehicles.read has no title in English and German"), "{fault}");
    }
}

#[test]
fn a_module_has_one_handler_of_an_event() {
    let declared =
        fleet("{name: \"fleet.vehicle.sold\" summary: \"A vehicle was sold.\" scope: \"fleet.vehicles.read\"}");
    let other = Module::new("support", b"").on::<VehicleSold>(ignore);
    let modules = [garage().on::<VehicleSold>(ignore).on::<VehicleSold>(ignore), other];
    let fault = "module garage handles the event fleet.vehicle.sold twice: do both in one handler";
    assert_eq!(check_handlers(&modules, &declared), [Fault(fault.to_owned())]);
}

#[test]
fn a_table_is_partitioned_by_one_module() {
    let by = |name, table| Module::new(name, b"").partitioned(PartitionedTable::by_month(table));
    let modules =
        [by("garage", "garage.trips"), by("fleet", "trips"), by("depot", "public.trips"), by("yard", "trips")];
    let cure = "register it once, in the module whose migration creates it";
    let expected = ["fleet and depot", "depot and yard"]
        .map(|pair| Fault(format!("the table trips is partitioned twice, by the modules {pair}: {cure}")));
    assert_eq!(check_partitioned(&modules), expected);
}
