//! A team's program without some of Mainstay's modules.

use mainstay::Product;
use mainstay_kernel::module::{About, Module};
use mainstay_test_kit::TestServer;
use serde_json::json;

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

fn faults(product: Product) -> Vec<String> {
    let faults = product.modules().err().unwrap_or_default();
    faults.into_iter().map(|fault| fault.to_string()).collect()
}

#[tokio::test]
async fn identity_and_operations_serve_alone() {
    let server = TestServer::start(mainstay::kernel_only().about(ABOUT)).await;
    let document = server.anonymous().get("/openapi.json").await.body;
    let operations = document["paths"].as_object().expect("paths").values().filter_map(|path| path.as_object());
    let methods = operations.flat_map(|path| path.values()).filter_map(|operation| operation["x-grpc-method"].as_str());
    let methods: Vec<_> = methods.collect();
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
