//! The generated checks of field rules.

use mainstay_kernel::contract::validate::*;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, Value};

use crate::proto::{
    identity::v1::{
        ConfirmRegistrationRequest, ConfirmTotpRequest, CreateServiceKeyRequest, RegisterRequest, SetUserRoleRequest,
        VerifySecondFactorRequest,
    },
    support::v1::{
        BatchCreateTicketsRequest, CreateTicketRequest, ListTicketsRequest, Ticket, TicketDraft, TicketPatch,
        TicketStatus, UpdateTicketRequest,
    },
};

const ID: &str = "0197b5f2-0c8e-7d3a-9f41-6f2f6b1d2c3e";

fn ticket() -> CreateTicketRequest {
    CreateTicketRequest { subject: "Printer".into(), body: "It is on fire.".into(), ..Default::default() }
}

fn draft() -> TicketDraft {
    TicketDraft { subject: "Printer".into(), body: "It is on fire.".into(), ..Default::default() }
}

fn faults(message: &impl Validate) -> Vec<(String, String)> {
    message.check().err().map(Violations::into_inner).unwrap_or_default()
}

fn fault(message: &impl Validate) -> (String, String) {
    let mut faults = faults(message);
    assert_eq!(faults.len(), 1, "{faults:?}");
    faults.remove(0)
}

fn says(field: &str, message: &str) -> (String, String) {
    (field.to_owned(), message.to_owned())
}

#[test]
fn a_valid_request_has_no_faults() {
    assert_eq!(faults(&ticket()), []);
    assert_eq!(ticket().check(), Ok(()));
}

#[test]
fn every_fault_is_named_at_once_in_the_order_of_the_fields() {
    let request = CreateTicketRequest {
        kind: Some(0),
        priority: Some(99),
        tags: vec!["a".into(), String::new(), "a".into()],
        account_id: Some("not an id".into()),
        ..Default::default()
    };
    let kinds = "must be one of TICKET_KIND_INCIDENT, TICKET_KIND_REQUEST, TICKET_KIND_PROBLEM, TICKET_KIND_CHANGE";
    let priorities = "must be one of TICKET_PRIORITY_LOW, TICKET_PRIORITY_MEDIUM, TICKET_PRIORITY_HIGH, \
                      TICKET_PRIORITY_URGENT";
    assert_eq!(
        faults(&request),
        [
            says("subject", "must be 1 to 200 characters"),
            says("body", "must be 1 to 20000 characters"),
            says("kind", kinds),
            says("priority", priorities),
            says("tags", "must not have the same item twice"),
            says("tags[1]", "must be 1 to 100 characters"),
            says("accountId", "must be a UUID"),
        ]
    );
}

#[test]
fn lengths_are_counted_in_characters() {
    let mut request = ticket();
    request.subject = "ü".repeat(200);
    assert_eq!(faults(&request), []);
    request.subject.push('ü');
    assert_eq!(fault(&request), says("subject", "must be 1 to 200 characters"));
}

#[test]
fn no_string_may_hold_nul() {
    let mut request = ticket();
    request.body.push('\0');
    assert_eq!(fault(&request), says("body", "must not contain NUL characters"));
    let request = CreateTicketRequest { tags: vec!["a\0".into()], ..ticket() };
    assert_eq!(fault(&request), says("tags[0]", "must not have control characters"));
}

#[test]
fn a_field_with_presence_is_checked_only_when_it_is_set() {
    let patch = |ticket| UpdateTicketRequest { ticket_id: ID.into(), ticket, update_mask: None };
    assert_eq!(faults(&patch(Some(TicketPatch::default()))), []);
    assert_eq!(fault(&patch(None)), says("ticket", "is required"));
    let empty = TicketPatch { subject: Some(String::new()), ..Default::default() };
    assert_eq!(fault(&patch(Some(empty))), says("ticket.subject", "must be 1 to 200 characters"));
}

#[test]
fn a_field_without_presence_is_always_checked() {
    let request = UpdateTicketRequest { ticket: Some(TicketPatch::default()), ..Default::default() };
    assert_eq!(fault(&request), says("ticketId", "must be a UUID"));
    assert_eq!(fault(&SetUserRoleRequest { user_id: ID.into(), role: 4, staff_role_id: None }).0, "role");
    assert_eq!(
        fault(&SetUserRoleRequest { user_id: ID.into(), role: 0, staff_role_id: None }).1,
        "must be one of ROLE_CUSTOMER, ROLE_AGENT, ROLE_ADMIN"
    );
}

#[test]
fn lists_are_bounded() {
    let none = BatchCreateTicketsRequest::default();
    assert_eq!(fault(&none), says("tickets", "must have 1 to 500 items"));
    let many = CreateTicketRequest { tags: (0..21).map(|n| n.to_string()).collect(), ..ticket() };
    assert_eq!(fault(&many), says("tags", "must have at most 20 items"));
}

#[test]
fn a_path_leads_through_lists() {
    let mut tickets = vec![draft(), draft(), draft(), draft()];
    tickets[3].subject.clear();
    tickets[1].tags = vec!["fine".into(), "x".repeat(101)];
    assert_eq!(
        faults(&BatchCreateTicketsRequest { tickets }),
        [
            says("tickets[1].tags[1]", "must be 1 to 100 characters"),
            says("tickets[3].subject", "must be 1 to 200 characters")
        ]
    );
}

#[test]
fn at_most_fifty_are_named_and_the_rest_is_counted() {
    let tickets = vec![TicketDraft::default(); 100];
    let violations = BatchCreateTicketsRequest { tickets }.check().unwrap_err();
    assert_eq!(violations.total(), 200);
    assert_eq!(violations.iter().count(), Violations::NAMED);
    assert_eq!(violations.iter().last(), Some(("tickets[24].body", "must be 1 to 20000 characters")));
}

#[test]
fn a_field_keeps_its_first_message() {
    let mut violations = Violations::default();
    violations.push("pageToken", "must be one this list gave out");
    violations.push("pageToken", "must be at most 1024 characters");
    assert_eq!(violations.total(), 1);
    assert_eq!(violations.into_inner(), [says("pageToken", "must be one this list gave out")]);
}

#[test]
fn enums_of_filters_are_checked_item_by_item() {
    let request = ListTicketsRequest { statuses: vec![TicketStatus::Open.into(), 0, 42], ..Default::default() };
    let fields: Vec<_> = faults(&request).into_iter().map(|(field, _)| field).collect();
    assert_eq!(fields, ["statuses[1]", "statuses[2]"]);
}

#[test]
fn an_enum_without_rules_must_have_a_declared_value() {
    let ticket = |status| Ticket { status: Some(status), ..Default::default() };
    assert_eq!(faults(&ticket(0)), []);
    assert_eq!(faults(&ticket(TicketStatus::Resolved.into())), []);
    let statuses = "must be one of TICKET_STATUS_OPEN, TICKET_STATUS_IN_PROGRESS, TICKET_STATUS_RESOLVED";
    for undeclared in [4, -1, i32::MIN] {
        assert_eq!(fault(&ticket(undeclared)), says("status", statuses));
    }
}

#[test]
fn a_time_must_be_one_that_json_can_write() {
    let expire_time = Some(prost_types::Timestamp { seconds: i64::MAX, nanos: 0 });
    let (name, scopes) = ("ci".to_owned(), vec!["support.tickets.read".to_owned()]);
    let request = CreateServiceKeyRequest { name, scopes, expire_time, ..CreateServiceKeyRequest::default() };
    assert_eq!(fault(&request), says("expireTime", "must be a time of the years 1 to 9999"));
}

#[test]
fn passwords_and_addresses() {
    let request = ConfirmRegistrationRequest {
        token: "mrg_".into(),
        password: "short".into(),
        name: "Ada".into(),
        account_name: String::new(),
        language: None,
    };
    assert_eq!(faults(&request), [says("password", "must be 12 to 512 characters")]);
    let request = RegisterRequest { email: "somebody".into(), language: None };
    assert_eq!(faults(&request), [says("email", "must be an e-mail address")]);
}

#[test]
fn addresses_are_what_mail_can_be_sent_to() {
    for good in
        ["a@b.example", "root@localhost", "ada.lovelace+x@mail.example.com", "o'neil@example.co", "x_y@a-b.example"]
    {
        assert!(check::is_email(good), "{good}");
    }
    for bad in ["", "@", "a@", "@b", "a b@c", "a@-b", "a@b-.c", "a@b..c", "a@b@c", "ä@b.c", "a@b.c\n", "a@b.c\0"] {
        assert!(!check::is_email(bad), "{bad:?}");
    }
    // Browsers accept these addresses.
    let long = format!("{}@example.com", "a".repeat(65));
    let domains = ["a@b", "ada@192.0.2.1", "ada@example.123", "ada@gmail", "ada@xn--a", "ada@xn--a.example"];
    let locals = ["a..b@example.com", "a.@example.com", ".a@example.com", "..@example.com", &long];
    for bad in locals.into_iter().chain(domains) {
        assert!(check::is_form_email(bad) && !check::is_email(bad), "{bad}");
    }
}

#[test]
fn a_pattern_is_matched() {
    for good in ["de", "zh-Hant-TW", "de-1996"] {
        assert_eq!(faults(&CreateTicketRequest { language: Some(good.into()), ..ticket() }), [], "{good}");
    }
    let message = "must match ^[A-Za-z]{1,8}(-[A-Za-z0-9]{1,8})*$";
    for bad in ["!!", "--", "de-", "de_DE", "de\n", "de\0"] {
        let request = CreateTicketRequest { language: Some(bad.into()), ..ticket() };
        assert_eq!(fault(&request), says("language", message), "{bad:?}");
    }
}

#[test]
fn uuids_are_canonical() {
    assert!(check::is_uuid(ID) && check::is_uuid(&ID.to_uppercase()));
    for bad in ["", "0197b5f20c8e7d3a9f416f2f6b1d2c3e", "{0197b5f2-0c8e-7d3a-9f41-6f2f6b1d2c3}", &format!("{ID} ")] {
        assert!(!check::is_uuid(bad), "{bad:?}");
    }
}

#[test]
fn duplicates_are_found_in_long_lists_too() {
    let mut numbers: Vec<i32> = (0..1000).collect();
    assert!(check::unique(&numbers));
    numbers.push(7);
    assert!(!check::unique(&numbers));
}

fn extension(field: &FieldDescriptor, name: &str) -> Value {
    let extension = field.parent_pool().get_extension_by_name(name).expect("an option of the contract");
    field.options().get_extension(&extension).into_owned()
}

/// Returns the rules of a string, or of the strings in a list.
fn string_rules(rules: &DynamicMessage) -> Option<DynamicMessage> {
    let inner = rules.fields().find_map(|(rule, value)| match (rule.name(), value) {
        ("string", Value::Message(string)) => Some((true, string.clone())),
        ("repeated" | "items", Value::Message(inner)) => Some((false, inner.clone())),
        _ => None,
    });
    let (is_string, inner) = inner?;
    if is_string { Some(inner) } else { string_rules(&inner) }
}

/// Returns whether a text must not be empty, and has neither a format nor a secret mark nor the mark of a line or
/// verbatim text.
fn is_any_text(field: &FieldDescriptor) -> bool {
    let Value::Message(rules) = extension(field, "buf.validate.field") else { return false };
    let Some(rules) = string_rules(&rules) else { return false };
    let has = |name: &str| rules.fields().any(|(rule, _)| rule.name() == name);
    let is_secret = field.options().get_field_by_name("debug_redact").is_some_and(|mark| *mark == Value::Bool(true));
    let marks = ["mainstay.policy.v1.is_line", "mainstay.policy.v1.is_verbatim"];
    let is_marked = marks.iter().any(|mark| extension(field, mark) == Value::Bool(true));
    has("min_len") && !["pattern", "uuid", "email"].into_iter().any(has) && !is_secret && !is_marked
}

/// Every new text in a request must be a line, unless this list contains it.
#[test]
fn a_text_that_must_not_be_empty_is_a_line_a_format_or_a_secret() {
    const MAY_HAVE_LINES: [&str; 9] = [
        "mainstay.content.v1.CreatePostRequest.body",
        "mainstay.content.v1.PostPatch.body",
        "mainstay.support.v1.CannedAnswerPatch.body",
        "mainstay.support.v1.CommentPatch.body",
        "mainstay.support.v1.CreateCannedAnswerRequest.body",
        "mainstay.support.v1.CreateCommentRequest.body",
        "mainstay.support.v1.CreateTicketRequest.body",
        "mainstay.support.v1.TicketDraft.body",
        "mainstay.support.v1.TicketPatch.body",
    ];
    const SELECTS: [&str; 6] = [".queues", ".tags", ".slug", ".provider", ".number", ".content_type"];
    let messages = super::modules().contract.descriptors.all_messages();
    let fields = messages.filter(|message| message.package_name().starts_with("mainstay.")).flat_map(|message| {
        let texts = message.fields().filter(|field| field.kind() == Kind::String);
        texts.collect::<Vec<_>>()
    });
    let mut texts: Vec<_> = fields.filter(is_any_text).map(|field| field.full_name().to_owned()).collect();
    texts.retain(|name| !SELECTS.iter().any(|end| name.ends_with(end)));
    texts.sort_unstable();
    assert_eq!(texts, MAY_HAVE_LINES);
}

#[test]
fn texts_are_normalized_but_for_those_whose_bytes_matter() {
    let decomposed = "u\u{308}".to_owned();
    let mut ticket = CreateTicketRequest {
        subject: decomposed.clone(),
        body: decomposed.clone(),
        tags: vec![decomposed.clone()],
        ..Default::default()
    };
    ticket.admit().expect("good");
    assert_eq!((&*ticket.subject, &*ticket.body, &*ticket.tags), ("\u{fc}", "\u{fc}", &["\u{fc}".to_owned()][..]));
    let mut batch = BatchCreateTicketsRequest { tickets: vec![TicketDraft { subject: decomposed.clone(), ..draft() }] };
    batch.admit().expect("good");
    assert_eq!(batch.tickets[0].subject, "\u{fc}");
    let patch = TicketPatch { subject: Some(decomposed.clone()), ..Default::default() };
    let mut update = UpdateTicketRequest { ticket_id: ID.into(), ticket: Some(patch), ..Default::default() };
    update.admit().expect("good");
    assert_eq!(update.ticket.and_then(|ticket| ticket.subject).as_deref(), Some("\u{fc}"));
    let password = decomposed.repeat(20);
    let mut new = ConfirmRegistrationRequest {
        token: "mrg_".into(),
        password: password.clone(),
        name: decomposed,
        account_name: String::new(),
        language: None,
    };
    new.admit().expect("good");
    assert_eq!((&*new.name, new.password), ("\u{fc}", password), "secrets stay as they were sent");
    let proof_by = |code: &str| VerifySecondFactorRequest {
        challenge_token: "mch_".into(),
        code: Some(code.into()),
        passkey: None,
        remember_device: false,
    };
    for typed in ["123 456", "123\u{a0}456", "１２３-４５６", "١٢٣٤٥٦"] {
        let mut proof = proof_by(typed);
        proof.admit().expect("a code");
        assert_eq!(proof.code(), "123456", "{typed}");
        ConfirmTotpRequest { code: typed.into() }.admit().expect("a code");
    }
    proof_by("12345六").admit().expect_err("no code");
    // Normalization could turn other text into the format.
    let mut address = RegisterRequest { email: "\u{212a}ate@example.com".into(), language: None };
    address.admit().expect_err("not ASCII");
}
