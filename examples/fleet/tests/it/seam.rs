//! Faults of a module: each prevents the start, with a message that names the remedy. Also tests the background tasks
//! that a module starts.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{Arc, Mutex},
};

use axum::routing::get;
use clap::Parser;
use fleet::{
    fuel_card::FuelCards,
    lease::{command::LeasesCommand, mail::LeaseEnding, service::Leases},
    proto::fleet::{v1::lease_service_server::LeaseServiceServer, v2::vehicle_service_server::VehicleServiceServer},
    vehicle::{charger::Chargers, recharge::Recharge, service::Vehicles},
};
use futures_util::future::{BoxFuture, ready};
use mainstay::{
    mail::{
        ops::SendsMail as _,
        transport::{Failure, OutgoingMail, Transport},
    },
    operations::ops::{CarriesOut as _, End, OperationKind, Run},
    payments::gateway::TakesPayments as _,
    webhooks::ReceivesEvents as _,
};
use mainstay_kernel::{
    app::App,
    command::{Command, Program},
    config::Retention,
    module::{Module, Modules, Process, Purpose},
    partitions::PartitionedTable,
    schedule::MINUTE,
};
use mainstay_test_kit::TestServer;
use protox::{
    Compiler, Error,
    file::{ChainFileResolver, File, FileResolver, GoogleFileResolver, IncludeFileResolver},
};
use serde::{Deserialize, Serialize};

use crate::{lease, product, run, start, vehicle};

/// A changed file of the module.
struct Changed {
    name: &'static str,
    text: String,
}

impl FileResolver for Changed {
    fn open_file(&self, name: &str) -> Result<File, Error> {
        if name == self.name { File::from_source(name, &self.text) } else { Err(Error::file_not_found(name)) }
    }
}

/// Returns the faults reported at startup if a text in one of the module's files is replaced.
fn faults(name: &'static str, from: &str, to: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(root.join("proto").join(name)).expect("the file");
    assert!(text.contains(from), "{name} lacks {from}");
    let mut files = ChainFileResolver::new();
    files.add(Changed { name, text: text.replacen(from, to, 1) });
    for includes in ["proto", "../../proto", "../../crates/kernel/proto", "../../crates/kernel/third_party"] {
        files.add(IncludeFileResolver::new(root.join(includes)));
    }
    files.add(GoogleFileResolver::new());
    let mut compiler = Compiler::with_file_resolver(files);
    let names = ["module", "reason", "vehicle_service", "lease_service"];
    let names = names.map(|name| PathBuf::from(format!("fleet/v1/{name}.proto")));
    compiler.include_imports(true).open_files(names).expect("the files compile");
    report(Module::new("fleet", compiler.encode_file_descriptor_set().leak()))
}

/// Returns the report of a start of the product with one more module.
fn report(module: Module) -> String {
    let faults = mainstay::product().with(module).modules().expect_err("a fault");
    faults.iter().map(|fault| format!("{fault}\n")).collect()
}

#[track_caller]
fn assert_names(reported: &str, parts: &[&str]) {
    for part in parts {
        assert!(reported.contains(part), "{part:?} is missing:\n{reported}");
    }
}

#[test]
fn a_method_without_policy() {
    let policy = r#"    option (mainstay.policy.v1.method) = {
      access: "staff"
      scope: "fleet.vehicles.write"
      location: "/api/v1/vehicles/{data.id}"
    };
"#;
    let faults = faults("fleet/v1/vehicle_service.proto", policy, "");
    let cure = "no policy: give the method the option mainstay.policy.v1.method";
    assert_names(&faults, &["fleet.v1.VehicleService.CreateVehicle", cure]);
}

#[test]
fn a_scope_that_no_module_declares() {
    let faults = faults("fleet/v1/vehicle_service.proto", "fleet.vehicles.read", "fleet.vehicles.reed");
    assert_names(&faults, &["there is no scope \"fleet.vehicles.reed\"", "or declare it in its module.proto"]);
}

#[test]
fn a_scope_of_another_module() {
    let faults = faults("fleet/v1/module.proto", "\"fleet.vehicles.read\"", "\"support.vehicles.read\"");
    assert_names(&faults, &["scope \"support.vehicles.read\" must begin with \"fleet.\""]);
}

#[test]
fn a_route_of_another_module() {
    let faults = faults("fleet/v1/vehicle_service.proto", "get: \"/api/v1/vehicles\"", "get: \"/api/v1/tickets\"");
    let both = ["fleet.v1.VehicleService.ListVehicles", "mainstay.support.v1.TicketService.ListTickets"];
    assert_names(&faults, &[both[0], both[1], "give one of them another path"]);
}

#[test]
fn a_reason_of_another_module() {
    let faults = faults("fleet/v1/reason.proto", "REASON_VEHICLE_LEASED =", "REASON_NOT_FOUND =");
    assert_names(&faults, &["NOT_FOUND", "fleet.v1.Reason"]);
}

#[test]
fn a_contract_that_says_another_name() {
    let faults = faults("fleet/v1/module.proto", "name: \"fleet\"", "name: \"support\"");
    assert_names(&faults, &["there is already a module \"support\"", "rename one of them"]);
}

#[test]
fn a_module_that_its_contract_names_otherwise() {
    let vehicles = |app: &App| VehicleServiceServer::new(Vehicles::new(app));
    let leases = |app: &App| LeaseServiceServer::new(Leases::new(app));
    let module = Module::new("fleets", fleet::proto::DESCRIPTORS).service(vehicles).service(leases);
    let cure = "no module.proto declares the module fleets";
    assert_names(&report(module), &[cure, "give it the same name there and in `Module::new`"]);
}

#[test]
fn faults_of_policies_and_routes_are_reported_together() {
    let (route, policy) = ("get: \"/api/v1/vehicles\"", "scope: \"fleet.vehicles.read\"");
    let both = format!(
        "{{{route}}};\n    option (mainstay.policy.v1.method) = {{\n      access: \"authenticated\"\n      {policy}"
    );
    let wrong = both.replace("/api/v1/vehicles", "/api/v1/tickets").replace("vehicles.read", "vehicles.reed");
    let faults = faults("fleet/v1/vehicle_service.proto", &both, &wrong);
    assert_names(&faults, &["there is no scope \"fleet.vehicles.reed\"", "give one of them another path"]);
}

/// A kind of operation whose name has a fault.
#[derive(Debug, Serialize, Deserialize)]
struct Misnamed<const IS_LONG: bool> {}

impl<const IS_LONG: bool> OperationKind for Misnamed<IS_LONG> {
    const NAME: &'static str = if IS_LONG { TOO_LONG } else { "trips.end_all" };
    const SCOPE: &'static str = "fleet.leases.write";

    async fn run(&self, _: &mut Run<'_>) -> mainstay_kernel::error::Result<End> {
        Ok(End::Succeeded)
    }
}

/// A name of more than 100 characters.
const TOO_LONG: &str =
    "fleet.end_the_leases_of_every_account_that_has_not_paid_its_orders_within_the_time_that_its_contract_allows";

/// The names go into tables and into the API for good.
#[test]
fn kinds_with_a_name_that_is_not_theirs() {
    let faults = report(fleet::module().operation::<Misnamed<true>>().operation::<Misnamed<false>>());
    let of_fleet =
        |name| format!("the module fleet declares the kind of operation {name:?}: begin its name with fleet and");
    assert_names(&faults, &[&of_fleet(TOO_LONG), &of_fleet("trips.end_all"), "use at most 100 characters"]);
    let faults = report(Module::new("depots", b"").without_migrations().mail::<LeaseEnding>());
    assert_names(
        &faults,
        &["the module depots declares the kind of mail \"fleet.lease_ending\": begin its name with depots"],
    );
    let module = Module::new("depots", b"").without_migrations();
    let faults = report(module.inbound::<Chargers>().gateway::<FuelCards>().effect::<Recharge>());
    for (what, name) in
        [("inbound provider", "fleet.chargers"), ("payment gateway", "fleet.fuel_card"), ("effect", "fleet.recharge")]
    {
        let fault =
            format!("the module depots declares the kind of {what} {name:?}: begin its name with depots and a dot");
        assert_names(&faults, &[&fault]);
    }
}

/// Two declarations could disagree about the bounds.
#[test]
fn a_retention_with_the_name_of_another_variable() {
    for (name, owner) in
        [("MAILS_KEPT", "the module mail"), ("MAIL_FROM", "the module mail"), ("DEAD_JOBS_KEPT", "the kernel")]
    {
        let again = Retention::of(&[], name, "1d", ["1d", "400d"], "How long trips are kept");
        let fault = format!("the module fleet declares the retention {name}, which {owner} declares already");
        assert_names(&report(fleet::module().retention([again])), &[&fault]);
    }
}

/// The route would shadow the page, and the other pages below it.
#[test]
fn a_route_where_pages_are() {
    for (path, page) in [
        ("/docs", "the page /docs of every server"),
        ("/openapi.json", "the page /openapi.json of every server"),
        ("/livez", "the page /livez of every server"),
        ("/console", "the page /console of the module console"),
        ("/console/vehicles", "the page /console of the module console"),
        ("/", "the page / of every server"),
    ] {
        let route = format!("get: \"{path}\"");
        let faults = faults("fleet/v1/vehicle_service.proto", "get: \"/api/v1/vehicles\"", &route);
        let collides = format!("fleet.v1.VehicleService.ListVehicles: GET {path} collides with {page}");
        assert_names(&faults, &[&collides, &format!("such as /api/v1{path}")]);
    }
}

#[test]
fn a_page_of_another_module() {
    let faults = report(fleet::module().pages([("/feed.atom", get(async || "Vehicles"))]));
    let both = "the module fleet registers the page /feed.atom, which is one of the module content";
    assert_names(&faults, &[both, "give it another path"]);
    // The router can't distinguish routes by the names of their variables.
    let faults = report(fleet::module().pages([("/files/{name}", get(async || "Vehicles"))]));
    assert_names(&faults, &["the module fleet registers the page /files/{name}, which is one of the module files"]);
}

#[test]
fn a_page_for_all_other_paths_is_no_fault() {
    // The other fault is the only one.
    let faults = report(fleet::module().pages([("/{*path}", get(async || "Vehicles"))]).command::<Serve>());
    assert!(faults.contains("the command serve") && !faults.contains("page"), "{faults}");
}

#[test]
fn a_module_that_says_nothing_of_its_tables() {
    let vehicles = |app: &App| VehicleServiceServer::new(Vehicles::new(app));
    let leases = |app: &App| LeaseServiceServer::new(Leases::new(app));
    let module = Module::new("fleet", fleet::proto::DESCRIPTORS).service(vehicles).service(leases);
    let cure = "add its folder with `Module::migrations`, or call `Module::without_migrations`";
    assert_names(&report(module), &["module fleet registers no migrations", cure]);
    // The report has another fault, and no longer this one.
    let faults = report(Module::new("fleet", fleet::proto::DESCRIPTORS).without_migrations());
    assert!(!faults.contains("migrations"), "{faults}");
}

/// A command with a name that is taken.
#[derive(Debug, Parser)]
struct Serve {}

impl Command for Serve {
    const NAME: &'static str = "serve";

    async fn run(self, _: &mut dyn Program) -> anyhow::Result<ExitCode> {
        Ok(ExitCode::SUCCESS)
    }
}

#[test]
fn commands_of_one_name() {
    let faults = report(fleet::module().command::<Serve>().command::<LeasesCommand>());
    let cure = "give it another `Command::NAME`";
    let of_program = "the module fleet registers the command serve, which the program has already";
    let of_module = "the module fleet registers the command leases, which the module fleet has already";
    assert_names(&faults, &[of_program, of_module, cure]);
}

#[test]
fn a_service_without_implementation() {
    let module = Module::new("fleet", fleet::proto::DESCRIPTORS);
    let cure = "no module serves fleet.v1.LeaseService: add it with `Module::service`";
    assert_names(&report(module), &[cure]);
}

/// A test runner may run all tests in one process.
#[test]
fn a_module_with_the_name_of_one_that_runs_is_checked_too() {
    product().modules().expect("good modules");
    product().modules().expect("the same once more");
    let module = Module::new("fleet", fleet::proto::DESCRIPTORS);
    assert_names(&report(module), &["no module serves fleet.v1.LeaseService"]);
}

#[test]
fn a_second_authenticator() {
    let module = fleet::module().authenticator(|_| unreachable!("the program does not start"));
    let cure = "register exactly one with `Module::authenticator`";
    assert_names(&report(module), &["2 modules register an authenticator", cure]);
}

#[test]
fn two_modules_of_one_name() {
    let faults = mainstay::product().with(fleet::module()).with(fleet::module()).modules().expect_err("a fault");
    let faults = format!("{faults:?}");
    assert_names(
        &faults,
        &["two modules are named fleet: add it once, or rename one", "the job fleet.recharge is registered twice"],
    );
}

/// All partitioned tables are reported at once, with the faults of other kinds.
#[test]
fn tables_that_another_module_has_partitioned() {
    let twice = ["activities", "public.webhook_deliveries"].map(PartitionedTable::by_month);
    let module = twice.into_iter().fold(fleet::module(), Module::partitioned);
    let faults = report(module.every(MINUTE, "forget_uploads", "A name of the product", |_| async { Ok(0) }));
    assert_names(
        &faults,
        &[
            "the table activities is partitioned twice, by the modules support and fleet: register it once",
            "the table webhook_deliveries is partitioned twice, by the modules webhooks and fleet: register it once",
            "the scheduled task forget_uploads is registered twice",
        ],
    );
}

#[tokio::test]
async fn a_migration_that_did_not_run() {
    let server = start().await;
    server.database().sql("DROP SCHEMA fleet CASCADE").await;
    let served = run(&["serve"], server.database()).await;
    let error = String::from_utf8_lossy(&served.stderr);
    assert!(!served.status.success(), "{error}");
    assert_names(
        &error,
        &["the schema fleet is empty", "it lacks 2026-11-22-000001_create_fleet", "run this program's `migrate`"],
    );

    server.admin().await.get("/api/v1/vehicles").await.failure(500, "INTERNAL_ERROR");
    let migrated = run(&["migrate"], server.database()).await;
    assert_names(&String::from_utf8_lossy(&migrated.stdout), &["Applied 2026-11-22-000001_create_fleet"]);
    assert_eq!(server.admin().await.get("/api/v1/vehicles").await.status, 200);
}

/// The actions of modules, each with the process that performed it.
static NOTES: Mutex<Vec<(String, String)>> = Mutex::new(Vec::new());

/// Returns the notes of a process: a server, identified by its URL, or a worker.
fn notes(process: &str) -> Vec<String> {
    let notes = NOTES.lock().expect("no panic");
    notes.iter().filter(|(of, _)| of == process).map(|(_, note)| note.clone()).collect()
}

/// Records that a component starts, and that it closes.
fn take_notes(process: &mut Process, name: &'static str) {
    let of = match &process.purpose {
        Purpose::Server { url, .. } => url.clone(),
        Purpose::Worker => "worker".to_owned(),
    };
    let note = move |what: &str| NOTES.lock().expect("no panic").push((of.clone(), format!("{name} {what}")));
    note("starts");
    process.on_close(async move { note("closes") });
}

fn start_recorded(process: &mut Process, name: &'static str) -> BoxFuture<'static, anyhow::Result<()>> {
    take_notes(process, name);
    Box::pin(async { Ok(()) })
}

/// Adds the components that every test's server starts; a worker stops earlier.
pub(crate) fn with_starts(module: Module) -> Module {
    module
        .start(|process| start_recorded(process, "pool"))
        .start(|process| {
            take_notes(process, "consumer");
            let is_worker = process.purpose == Purpose::Worker;
            Box::pin(async move {
                anyhow::ensure!(!is_worker, "the broker does not answer");
                Ok(())
            })
        })
        .start_first(|process| start_recorded(process, "recorder"))
        .start(|process| start_recorded(process, "listener"))
}

#[tokio::test]
async fn the_components_of_a_module_are_closed_in_the_reverse_order() {
    let server = start().await;
    let url = server.url().to_owned();
    let starts = ["recorder starts", "pool starts", "consumer starts", "listener starts"];
    assert_eq!(notes(&url), starts);
    assert_eq!(server.admin().await.get("/api/v1/vehicles").await.status, 200);
    assert_eq!(notes(&url), starts);
    server.stop().await;
    assert_eq!(notes(&url)[starts.len()..], ["listener closes", "consumer closes", "pool closes", "recorder closes"]);
}

#[tokio::test]
async fn a_start_that_fails_closes_what_was_started_before() {
    let server = start().await;
    let fault = Modules::of(server.app()).start(server.app(), Purpose::Worker).await.expect_err("a fault");
    assert_eq!(fault.to_string(), "the broker does not answer");
    let starts = ["recorder starts", "pool starts", "consumer starts"];
    let closes = ["consumer closes", "pool closes", "recorder closes"];
    assert_eq!(notes("worker"), [starts, closes].concat());
}

/// A transport of mail that keeps the kind and the recipient of each mail.
#[derive(Debug, Default)]
struct Desk(Mutex<Vec<(&'static str, String)>>);

impl Transport for Desk {
    fn send<'a>(&'a self, mail: &'a OutgoingMail) -> BoxFuture<'a, Result<(), Failure>> {
        self.0.lock().expect("no panic").push((mail.kind.name, mail.to.clone()));
        Box::pin(ready(Ok(())))
    }
}

/// A part of a team's module takes the place of the product's part of the same type.
#[tokio::test]
async fn a_part_of_the_product_is_replaced_by_one_of_its_type() {
    let desk = Arc::new(Desk::default());
    let part = desk.clone();
    let module = fleet::module().part(move |_| Ok(part.clone() as Arc<dyn Transport>));
    let server = TestServer::builder(mainstay::product().with(module)).set("LEASE_DAYS", "2").start().await;
    let customer = server.customer().await;
    lease(&customer, &vehicle(&server.admin().await, "M-AI 1").await).await;
    server.run_task("fleet.announce_ends").await;
    server.run_jobs().await;
    let sent = desk.0.lock().expect("no panic").clone();
    assert_eq!(sent, [("fleet.lease_ending", customer.user().email.as_str().to_owned())]);
    assert_eq!(server.mails(), Vec::<String>::new(), "the transport of the product got none");
}
