//! A team's program without some of Mainstay's modules.

use mainstay::Product;
use mainstay_kernel::{
    config::Verdict,
    module::{About, Module, Modules},
};
use mainstay_test_kit::TestServer;
use serde_json::{Value, json};

use crate::run;

const ABOUT: About = About {
    program: "book_shop",
    title: "Book Shop",
    version: "7.8.9",
    summary: "Books, and the people who read them.",
    description: "The API of the shop.",
    license: "",
    logo_url: "https://shop.example/logo.svg",
};

/// The modules of the product, except `sample`, which needs all others.
const MODULES: [&str; 13] = [
    "identity",
    "operations",
    "files",
    "support",
    "content",
    "orders",
    "payments",
    "subscriptions",
    "webhooks",
    "mail",
    "dashboard",
    "audit",
    "console",
];

fn faults(product: Product) -> Vec<String> {
    let faults = product.modules().err().unwrap_or_default();
    faults.into_iter().map(|fault| fault.to_string()).collect()
}

fn without(modules: &[&'static str]) -> Product {
    modules.iter().copied().fold(mainstay::product(), Product::without)
}

/// Returns a module with the modules that need it, directly or through others.
fn with_dependents(module: &'static str) -> Vec<&'static str> {
    let mut removed = vec![module];
    loop {
        let faults = faults(without(&removed));
        let needs_removed = |other: &&str| {
            let fault = format!("the module {other} needs the module ");
            faults.iter().any(|other| other.starts_with(&fault))
        };
        let dependents: Vec<_> = MODULES.into_iter().filter(needs_removed).collect();
        if dependents.is_empty() {
            return removed;
        }
        removed.extend(dependents);
    }
}

/// Returns the gRPC methods of an OpenAPI document.
fn methods(document: &Value) -> Vec<&str> {
    let operations = document["paths"].as_object().expect("paths").values().filter_map(|path| path.as_object());
    operations.flat_map(|path| path.values()).filter_map(|operation| operation["x-grpc-method"].as_str()).collect()
}

/// Runs the background work of a server once, and evaluates its configuration. A module that uses a section or a part of a
/// removed one panics.
async fn check_background(server: &TestServer) {
    let (app, modules) = (server.app(), Modules::of(server.app()));
    let work = modules.work();
    for task in work.tasks {
        server.run_task(task.name).await;
    }
    for measure in work.measures {
        measure(app.clone()).await.expect("a measurement");
    }
    for dependency in modules.dependencies() {
        assert!((dependency.is_available)(app.clone()).await, "{}", dependency.name);
    }
    let errors = modules.config_errors(&app.config);
    assert!(errors.is_empty(), "{errors:?}");
    assert!(modules.warnings(&app.config).count() > 0, "mail is written to an outbox");
    let verdicts: Vec<_> = modules.requirements().iter().map(|requirement| (requirement.check)(&app.config)).collect();
    assert!(verdicts.contains(&Verdict::Met), "{verdicts:?}");
    server.run_jobs().await;
    let left =
        "SELECT kind || coalesce(': ' || last_error, '') FROM jobs WHERE due_at <= now() OR last_error IS NOT NULL";
    assert_eq!(server.database().sql(left).await, [""; 0], "no module runs these jobs, or they failed");
}

/// Registers, confirms the address with the link of the mail, and signs in with the password.
async fn check_sign_in(server: &TestServer) {
    const PASSWORD: &str = "a shelf of seven green books";
    let anonymous = server.anonymous();
    anonymous.post("/api/v1/auth/register", json!({ "email": "reader@shop.example" })).await.success();
    server.run_jobs().await;
    let mails = server.mails();
    assert_eq!(mails.len(), 1, "{mails:#?}");
    // Quoted-printable (RFC 2045, section 6.7).
    let mail = mails[0].replace("=\r\n", "").replace("=3D", "=");
    let (_, link) = mail.split_once("?token=").expect("a link");
    let token = link.split(|c: char| !c.is_ascii_alphanumeric() && !"-_".contains(c)).next();
    let confirmation = json!({ "token": token, "password": PASSWORD, "name": "Zoë" });
    anonymous.post("/api/v1/auth/register/confirm", confirmation).await.success();
    let credentials = json!({ "email": "reader@shop.example", "password": PASSWORD });
    let session = anonymous.post("/api/v1/auth/login", credentials).await.data();
    let bearer = format!("Bearer {}", session["accessToken"].as_str().expect("a token"));
    let user = anonymous.with("authorization", &bearer).get("/api/v1/me").await.data();
    assert_eq!(user["email"], "reader@shop.example");
}

#[tokio::test]
async fn identity_and_operations_serve_alone() {
    let server = TestServer::start(mainstay::kernel_only().about(ABOUT)).await;
    let document = server.anonymous().get("/openapi.json").await.body;
    let methods = methods(&document);
    for module in ["mainstay.identity.v1.", "mainstay.operations.v1."] {
        assert!(methods.iter().any(|method| method.starts_with(module)), "{methods:#?} lacks {module}");
    }
    let is_kept =
        |method: &&str| method.starts_with("mainstay.identity.") || method.starts_with("mainstay.operations.");
    assert!(methods.iter().all(is_kept), "{methods:#?}");
    for word in ["OrderService", "TicketService", "TICKET_RESOLVED", "FileService", "content.posts"] {
        assert!(!document.to_string().contains(word), "the document has {word}");
    }
    assert_eq!(document["info"]["title"], "Book Shop");
    assert_eq!(document["info"]["version"], "7.8.9");
    assert_eq!(document["info"]["x-logo"]["url"], "https://shop.example/logo.svg");
    assert!(document["info"].get("license").is_none());
    let description = document["info"]["description"].as_str().expect("a text");
    assert!(description.starts_with("The API of the shop.\n\nOne contract"), "{description}");

    let customer = server.customer().await;
    assert_eq!(customer.get("/api/v1/me").await.status, 200);
    for path in ["/api/v1/orders", "/api/v1/products", "/api/v1/posts", "/api/v1/tickets", "/api/v1/files"] {
        customer.get(path).await.failure(404, "ROUTE_NOT_FOUND");
    }
    customer.get("/console").await.failure(404, "ROUTE_NOT_FOUND");

    check_sign_in(&server).await;
    check_background(&server).await;
}

/// Each module that the product can do without is removed, together with the modules that need it.
#[tokio::test]
async fn a_server_starts_without_each_module() {
    let of_sample = faults(mainstay::product().without("of_no_module"));
    assert_eq!(
        of_sample,
        [format!("the program has no module of_no_module to remove, only {}, sample", MODULES.join(", "))]
    );
    let mut base = Vec::new();
    for module in MODULES {
        let removed = with_dependents(module);
        if removed.len() == MODULES.len() {
            base.push(module);
            continue;
        }
        let server = TestServer::start(without(&removed)).await;
        let document = server.anonymous().get("/openapi.json").await.body;
        let methods = methods(&document);
        for removed in &removed {
            let package = format!("mainstay.{removed}.");
            assert!(!methods.iter().any(|method| method.starts_with(&package)), "{removed} is still served");
        }
        assert_eq!(server.customer().await.get("/api/v1/me").await.status, 200, "without {removed:?}");
        check_background(&server).await;
    }
    assert_eq!(base, ["identity", "files", "mail"], "every other module needs these");
}

/// The ledger has an invoice from when the program had subscriptions. No module runs their jobs any longer.
#[tokio::test]
async fn a_refunded_invoice_queues_no_job_without_subscriptions() {
    let server = TestServer::start(without(&with_dependents("subscriptions"))).await;
    let invoice = "SET session_replication_role = replica; \
        INSERT INTO ledger_transactions \
            (id, kind, subscription_id, gateway_id, debit_account, credit_account, currency, amount_minor, created_at) \
        VALUES (gen_random_uuid(), 3, gen_random_uuid(), 'in_1', 1, 2, 'EUR', 100, now())";
    server.database().sql(invoice).await;
    let job = "INSERT INTO jobs (kind, key, payload, max_attempts) \
        SELECT 'find_refunded', 'find_refunded:' || gen_random_uuid(), '{\"charge\":\"ch_1\",\"invoice\":\"in_1\"}'::json, 10";
    server.database().sql(job).await;
    server.run_jobs().await;
    assert_eq!(server.database().sql("SELECT kind FROM jobs").await, [""; 0]);
}

#[test]
fn a_removed_module_is_missing_to_those_that_need_it() {
    let needs = |module: &str, needed: &str| {
        format!("the module {module} needs the module {needed}: keep {needed}, or remove {module}, too")
    };
    let missing = faults(mainstay::product().without("orders"));
    let expected = ["payments", "subscriptions", "dashboard"].map(|module| needs(module, "orders"));
    assert_eq!(missing, expected);
    let shop = ["orders", "payments", "subscriptions", "dashboard"];
    let without_shop = || shop.into_iter().fold(mainstay::product(), Product::without);
    assert_eq!(faults(without_shop()), [""; 0]);
    assert_eq!(faults(mainstay::product().without("content")), [""; 0]);
    let unknown = faults(mainstay::product().without("oders"));
    assert!(
        unknown[0].starts_with("the program has no module oders to remove, only identity, operations,"),
        "{unknown:?}"
    );
    // A team's module may need others, too.
    let books = Module::new("books", fleet::proto::DESCRIPTORS).without_migrations().needs(&["orders"]);
    assert!(faults(without_shop().with(books)).contains(&needs("books", "orders")));
    // The event of an order, which the fleet handles, has gone with its module.
    let handled = faults(without_shop().with(fleet::module()));
    let fault = "module fleet handles the event orders.order.paid, which no module declares";
    assert!(
        handled.iter().any(|handled| handled.contains(fault)) && handled.contains(&needs("fleet", "payments")),
        "{handled:?}"
    );
}

#[tokio::test]
async fn routes_of_a_removed_module_are_free() {
    let server = TestServer::start(mainstay::product().without("content").with(fleet::module())).await;
    let admin = server.admin().await;
    admin.get("/api/v1/posts").await.failure(404, "ROUTE_NOT_FOUND");
    assert_eq!(admin.get("/api/v1/vehicles").await.status, 200);
    let scopes = json!({ "name": "reader", "scopes": ["content.posts.read"] });
    admin.post("/api/v1/service-keys", scopes).await.failure(422, "VALIDATION_FAILED");
}

#[tokio::test]
async fn the_program_says_its_own_name_and_version() {
    let server = TestServer::start(mainstay::product().with(fleet::module())).await;
    let version = run(&["--version"], server.database()).await;
    let expected = format!("fleet {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(String::from_utf8_lossy(&version.stdout), expected);
    let help = run(&["--help"], server.database()).await;
    assert!(String::from_utf8_lossy(&help.stdout).contains("Usage: fleet"), "{help:?}");
}
