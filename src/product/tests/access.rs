//! The access matrix of the product.

use std::{fs, path::Path};

use mainstay_kernel::contract::policy::BuiltInRole;

use super::modules;
use crate::cli::access::AccessMatrix;

const MARK: &str = "<!-- The rest is the output of `mainstay access --markdown`. -->\n\n";

#[test]
fn the_document_has_the_access_matrix() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/access.md");
    let text = fs::read_to_string(path).expect("the document");
    let (_, generated) = text.split_once(MARK).expect("the mark before the generated part");
    let matrix = AccessMatrix::of(&modules().contract.policies).markdown();
    let first = generated.lines().zip(matrix.lines()).find(|(old, new)| old != new);
    assert!(generated == matrix, "replace the part below the mark by `mainstay access --markdown`: {first:?}");
}

#[test]
fn an_owner_reaches_what_every_customer_did_and_an_agent_all_but_refunds() {
    let policies = &modules().contract.policies;
    let (mut of_owners, mut refused) = (0, Vec::new());
    for method in policies.iter() {
        for role in [BuiltInRole::Owner, BuiltInRole::Agent] {
            let Some(grant) = method.grant(role.role()) else { continue };
            of_owners += usize::from(role == BuiltInRole::Owner);
            if grant.reach_with(&policies.scopes_of(role)).is_err() {
                assert_eq!(role, BuiltInRole::Agent, "an owner is refused by {}", method.name);
                refused.push(method.name.as_str());
            }
        }
    }
    assert!(of_owners > 50, "{of_owners}");
    assert!(refused.contains(&"RefundService.CreateRefund"), "{refused:?}");
    assert!(!refused.contains(&"PaymentService.ChargePayment") && !refused.contains(&"TicketService.UpdateTicket"));
}

/// The platform's admin holds every scope, so that a sole admin can always act.
#[test]
fn an_admin_of_the_platform_is_refused_by_no_method_that_grants_staff() {
    let policies = &modules().contract.policies;
    for method in policies.iter() {
        let admin = method.grant(BuiltInRole::Admin.role());
        let is_admitted = admin.is_none_or(|grant| grant.reach_with(&policies.scopes_of(BuiltInRole::Admin)).is_ok());
        assert!(is_admitted, "{}", method.name);
    }
}
