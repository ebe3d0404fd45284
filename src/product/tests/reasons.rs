//! The error catalogue.

use std::collections::HashMap;

use prost_reflect::DescriptorPool;
use protox::file::{ChainFileResolver, File, FileResolver, GoogleFileResolver, IncludeFileResolver};
use tonic::Status;
use tonic_types::{ErrorDetails, StatusExt as _};

use mainstay_kernel::{
    contract::{
        proto,
        reason::{Catalogue, Catalogued, Facts, Reason, domain},
        status,
    },
    error::Error,
};
use tonic::Code;

use super::modules;
use crate::proto::{
    content::v1::Reason as ContentReason, files::v1::Reason as FilesReason, identity::v1::Reason as IdentityReason,
    operations::v1::Reason as OperationsReason, orders::v1::Reason as OrdersReason,
    payments::v1::Reason as PaymentsReason, subscriptions::v1::Reason as SubscriptionsReason,
    support::v1::Reason as SupportReason, webhooks::v1::Reason as WebhooksReason,
};

/// A contract file of a foreign module with this text.
struct Foreign(String);

impl FileResolver for Foreign {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        if name == "fleet/v1/reason.proto" {
            File::from_source(name, &self.0)
        } else {
            Err(protox::Error::file_not_found(name))
        }
    }
}

/// Returns the descriptor set of a process with the module `fleet.v1`, which has these reasons.
fn fleet(names: &[&str]) -> DescriptorPool {
    let mut values = String::new();
    for (name, number) in names.iter().zip(1..) {
        values += &format!(
            "{name} = {number} [(mainstay.error.v1.facts) = {{ grpc_code: GRPC_CODE_ABORTED http_status: 409 \
             retryable: true summary: \"The vehicle is leased.\" }}];\n"
        );
    }
    let mut files = ChainFileResolver::new();
    files.add(Foreign(format!(
        "syntax = \"proto3\";\npackage fleet.v1;\nimport \"mainstay/error/v1/reason.proto\";\n\
         import \"mainstay/support/v1/reason.proto\";\n\
         enum Reason {{\nREASON_UNSPECIFIED = 0;\n{values}}}\n"
    )));
    files.add(IncludeFileResolver::new(concat!(env!("CARGO_MANIFEST_DIR"), "/proto").into()));
    files.add(IncludeFileResolver::new(concat!(env!("CARGO_MANIFEST_DIR"), "/crates/kernel/proto").into()));
    files.add(GoogleFileResolver::new());
    let mut compiler = protox::Compiler::with_file_resolver(files);
    compiler.include_imports(true).open_file("fleet/v1/reason.proto").expect("a valid file");
    DescriptorPool::decode(compiler.encode_file_descriptor_set().as_slice()).expect("a valid descriptor set")
}

#[test]
fn the_generated_facts_are_those_of_the_contract() {
    let read: HashMap<_, _> =
        modules().contract.catalogue.iter().map(|reason| (reason.facts().code, reason.facts())).collect();
    let mut generated = 0;
    let mut check = |facts: &'static Facts| {
        assert_eq!(read.get(facts.code).copied(), Some(facts));
        generated += 1;
    };
    for number in 1..1000 {
        let facts = [
            Reason::try_from(number).map(Catalogued::facts),
            ContentReason::try_from(number).map(Catalogued::facts),
            FilesReason::try_from(number).map(Catalogued::facts),
            IdentityReason::try_from(number).map(Catalogued::facts),
            OperationsReason::try_from(number).map(Catalogued::facts),
            OrdersReason::try_from(number).map(Catalogued::facts),
            PaymentsReason::try_from(number).map(Catalogued::facts),
            SubscriptionsReason::try_from(number).map(Catalogued::facts),
            SupportReason::try_from(number).map(Catalogued::facts),
            WebhooksReason::try_from(number).map(Catalogued::facts),
        ];
        facts.into_iter().flatten().for_each(&mut check);
    }
    assert_eq!(generated, read.len());
}

#[test]
fn a_reason_of_a_module_reads_like_one_of_the_machinery() {
    let error = Error::new(SupportReason::OpenTicketLimitReached);
    assert!(error.reason() == SupportReason::OpenTicketLimitReached && error.reason() != Reason::NotFound);
    assert_eq!(error.message(), "The customer has reached the limit of open tickets.");
    let facts = error.reason().facts();
    assert_eq!((facts.code, facts.domain), ("OPEN_TICKET_LIMIT_REACHED", "mainstay.support"));
    assert_eq!((facts.grpc, facts.http.as_u16()), (Code::FailedPrecondition, 422));
    assert!(facts.storable && !facts.retryable);
    let forged = WebhooksReason::InvalidSignature.facts();
    assert_eq!((forged.grpc, forged.http.as_u16()), (Code::Unauthenticated, 401));
}

#[test]
fn an_error_without_a_reason_is_internal() {
    modules();
    let error = Error::new(PaymentsReason::Unspecified);
    assert_eq!((error.reason().facts().grpc, error.reason().facts().http.as_u16()), (Code::Internal, 500));
    assert!(error.reason() != Reason::Unspecified, "each is of its own domain");
    assert_eq!(Reason::from_code("UNSPECIFIED"), None);
}

#[test]
fn domains_name_modules() {
    for (package, expected) in [
        ("mainstay.error.v1", "mainstay"),
        ("mainstay.support.v1", "mainstay.support"),
        ("fleet.v1", "fleet"),
        ("acme.fleet.v2beta1", "acme.fleet"),
        ("acme.fleet.error.v1", "acme.fleet"),
        ("acme.vehicles", "acme.vehicles"),
        ("error.v1", "error"),
        ("fleet", "fleet"),
    ] {
        assert_eq!(domain(package), expected, "{package}");
    }
}

#[test]
fn a_foreign_module_brings_its_own_reasons() {
    let catalogue = Catalogue::read(&fleet(&["REASON_VEHICLE_LEASED"])).expect("nothing collides");
    let facts = catalogue.find_in("fleet", "VEHICLE_LEASED").expect("it is in the catalogue").facts();
    assert_eq!((facts.domain, facts.http.as_u16(), facts.retryable), ("fleet", 409, true));
    assert_eq!(facts.summary, "The vehicle is leased.");
    assert!(catalogue.find("NOT_FOUND").is_some_and(|reason| reason == Reason::NotFound));
    assert_eq!(catalogue.find_in("mainstay", "VEHICLE_LEASED"), None);
}

#[test]
fn a_code_that_two_reasons_have_is_refused() {
    let names = ["REASON_NOT_FOUND", "REASON_VEHICLE_LEASED", "REASON_OPEN_TICKET_LIMIT_REACHED"];
    let faults = Catalogue::read(&fleet(&names)).expect_err("two codes collide");
    let both = |code: &str, other: &str| {
        format!(
            "fleet.v1.Reason.REASON_{code} and {other}.Reason.REASON_{code} have the same code, {code}; \
             a code must be unique, so rename one of them"
        )
    };
    let expected = [both("NOT_FOUND", "mainstay.error.v1"), both("OPEN_TICKET_LIMIT_REACHED", "mainstay.support.v1")];
    assert_eq!(faults, expected);
}

#[test]
fn a_descriptor_set_without_the_option_is_refused() {
    let faults = Catalogue::read(&DescriptorPool::global()).expect_err("only Google's own files");
    assert!(faults[0].contains("include mainstay/error/v1/reason.proto"), "{faults:?}");
}

fn status_of(domain: &str, code: &str) -> Status {
    let mut details = ErrorDetails::new();
    details.set_error_info(code, domain, HashMap::new());
    Status::with_error_details(Code::Aborted, "refused", details)
}

#[test]
fn a_status_is_read_back_by_domain_and_code() {
    let catalogue = &modules().contract.catalogue;
    let read = |status: Status| status::reason(catalogue, &status);
    for reason in catalogue.iter() {
        assert_eq!(read(Error::new(reason).into()), reason);
    }
    assert_eq!(read(status_of("mainstay.payments", "CARD_DECLINED")), PaymentsReason::CardDeclined);
    // An unknown reason maps to the closest reason for its gRPC code.
    for unknown in [status_of("mainstay.payments", "CARD_EATEN"), status_of("stripe.com", "CARD_DECLINED")] {
        assert_eq!(read(unknown), Reason::Conflict);
    }
    assert_eq!(read(Status::unavailable("away")), Reason::Unavailable);
}

#[test]
fn a_stored_error_is_read_back_by_its_code() {
    let catalogue = &modules().contract.catalogue;
    let message = proto::error::v1::Error::from(&Error::new(PaymentsReason::PaymentFailed));
    assert_eq!(Error::stored(catalogue, message.clone()).reason(), PaymentsReason::PaymentFailed);
    let other = proto::error::v1::Error { code: "VEHICLE_LEASED".to_owned(), ..message };
    assert_eq!(Error::stored(catalogue, other).reason(), Reason::InternalError);
}
