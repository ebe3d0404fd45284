//! Field masks.

use mainstay_kernel::grpc::mask::{ReadMask, update_paths};
use prost_types::FieldMask;

use super::modules;
use crate::proto::support::v1::{GetTicketResponse, Ticket, TicketPatch};

fn mask(paths: &[&str]) -> Option<FieldMask> {
    Some(FieldMask { paths: paths.iter().map(|&path| path.to_owned()).collect() })
}

fn answer() -> GetTicketResponse {
    let ticket =
        Ticket { id: Some("1".into()), subject: Some("s".into()), tags: vec!["a".into()], ..Ticket::default() };
    GetTicketResponse { data: Some(ticket) }
}

#[test]
fn only_named_fields_are_answered() {
    let descriptor = modules()
        .contract
        .descriptors
        .get_message_by_name("mainstay.support.v1.GetTicketResponse")
        .expect("compiled in");
    let data = |paths| ReadMask::parse(&descriptor, paths).expect("fields").apply(answer()).expect("encodes").data;
    let expected = Ticket { subject: Some("s".into()), tags: vec!["a".into()], ..Ticket::default() };
    assert_eq!(data(mask(&["subject", "tags"])), Some(expected));
    assert_eq!(data(None), answer().data);
    assert!(ReadMask::parse(&descriptor, mask(&["nope"])).is_err());
    assert!(ReadMask::parse(&descriptor, mask(&["subject.x"])).is_err());
    assert!(ReadMask::parse(&descriptor, mask(&["subject"; 500])).is_ok());
    assert!(ReadMask::parse(&descriptor, mask(&["subject"; 501])).is_err(), "more than there are fields");
}

#[test]
fn a_patch_changes_what_is_named_or_else_present() {
    let descriptor =
        modules().contract.descriptors.get_message_by_name("mainstay.support.v1.TicketPatch").expect("compiled in");
    let patch = TicketPatch { subject: Some("s".into()), ..TicketPatch::default() };
    assert_eq!(update_paths(&patch, &descriptor, None).expect("a field"), ["subject"]);
    assert_eq!(update_paths(&patch, &descriptor, mask(&["tags"])).expect("a field"), ["tags"]);
    assert!(update_paths(&TicketPatch::default(), &descriptor, None).is_err());
    assert!(update_paths(&patch, &descriptor, mask(&["nope"])).is_err());
    assert!(update_paths(&patch, &descriptor, mask(&["subject"; 500])).is_ok());
    assert!(update_paths(&patch, &descriptor, mask(&["subject"; 501])).is_err(), "more than there are fields");
}
