//! The facts in the error catalogue are consistent with each other.

use tonic::Code;

#[test]
fn the_facts_about_a_reason_are_consistent() {
    for reason in crate::support::modules().contract.catalogue.iter() {
        let facts = reason.facts();
        let code = facts.code;
        assert!(facts.summary.ends_with('.') && facts.summary.len() > 10, "{code}: {}", facts.summary);
        assert!(facts.domain == "mainstay" || facts.domain.starts_with("mainstay."), "{code}: {}", facts.domain);
        let http = facts.http.as_u16();
        let allowed: &[u16] = match facts.grpc {
            Code::Cancelled => &[499],
            Code::InvalidArgument => &[400, 406, 415, 422],
            Code::DeadlineExceeded => &[504],
            Code::NotFound => &[404],
            Code::AlreadyExists => &[409],
            Code::PermissionDenied => &[403],
            Code::ResourceExhausted => &[413, 429],
            Code::FailedPrecondition => &[422],
            Code::Aborted => &[409, 412],
            Code::OutOfRange => &[410],
            Code::Unimplemented => &[404, 405],
            Code::Internal => &[500],
            Code::Unavailable => &[502, 503],
            Code::Unauthenticated => &[401],
            other => panic!("{code} has {other:?}"),
        };
        assert!(allowed.contains(&http), "{code}: {http} and {:?}", facts.grpc);
        // Only an error that the operation decided can be stored: never credentials, field rules, limits or failures.
        assert!(!facts.storable || matches!(http, 404 | 409 | 422), "{code} is stored");
        assert!(!(facts.storable && facts.retryable), "{code} is stored, so a retry can't help");
    }
}
