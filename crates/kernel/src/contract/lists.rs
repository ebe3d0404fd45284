//! Bounds on the items of repeated fields, enforced before a request is decoded.
//!
//! An empty item takes two bytes in an encoded message and about a hundred times as much in memory. A limit on the
//! bytes of a request therefore does not limit memory, and validation rejects a long list only after it is decoded.
//! This check counts the items in the encoded message first, in all lists and in the lists inside of their items.
//! Strings and numbers take less memory than messages, but still ten times their encoded size.

use std::collections::{BTreeMap, HashMap};

use prost::{
    DecodeError,
    encoding::{WireType, decode_key, decode_varint, skip_field},
};
use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor, ServiceDescriptor};

use super::{
    policy::option,
    proto::buf::validate::{FieldRules, field_rules::Type},
};

/// The most items of one message beyond its rules, in all its lists together: items of lists without `max_items`, and
/// items beyond `max_items`. A list that is slightly too long is still decoded, so that validation reports it together
/// with all other faults of the request.
pub(crate) const MAX_OTHER_ITEMS: usize = 1000;

/// The maximum nesting depth of messages, as in prost.
const MAX_DEPTH: u32 = 100;

#[derive(Debug, Default)]
pub(crate) struct Lists {
    by_name: HashMap<String, usize>,
    /// The fields of each message that are lists or can contain lists.
    messages: Vec<Vec<Field>>,
}

#[derive(Debug)]
struct Field {
    number: u32,
    /// The JSON name, as violations report it.
    name: String,
    /// `None` for a singular field.
    list: Option<List>,
    /// The index of the message type of its values.
    message: Option<usize>,
}

#[derive(Debug)]
struct List {
    max_items: usize,
    /// The violation of a list that is too long, with the text of validation.
    fault: String,
    /// `None`: each item has a separate tag.
    packing: Option<Packing>,
}

#[derive(Debug, Clone, Copy)]
enum Packing {
    Varint,
    Fixed(usize),
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    Malformed(String),
    TooMany { field: String, fault: String },
}

impl Lists {
    /// Reads the rules of all input messages of the methods of services.
    pub(super) fn read(services: impl Iterator<Item = ServiceDescriptor>) -> Self {
        let (mut lists, mut messages) = (Self::default(), Vec::new());
        for method in services.flat_map(|service| service.methods().collect::<Vec<_>>()) {
            lists.index(&method.input(), &mut messages);
        }
        // Each message may add further ones.
        while let Some(message) = messages.get(lists.messages.len()).cloned() {
            let fields: Vec<_> = message.fields().filter_map(|field| lists.field(&field, &mut messages)).collect();
            lists.messages.push(fields);
        }
        lists
    }

    fn index(&mut self, message: &MessageDescriptor, messages: &mut Vec<MessageDescriptor>) -> usize {
        *self.by_name.entry(message.full_name().to_owned()).or_insert_with(|| {
            messages.push(message.clone());
            messages.len() - 1
        })
    }

    fn field(&mut self, field: &FieldDescriptor, messages: &mut Vec<MessageDescriptor>) -> Option<Field> {
        // A map is a list of its entries.
        let list = (field.is_list() || field.is_map()).then(|| List::read(field));
        let message = field.kind().as_message().map(|message| self.index(message, messages));
        let has_lists = list.is_some() || message.is_some();
        has_lists.then(|| Field { number: field.number(), name: field.json_name().to_owned(), list, message })
    }

    /// Counts the items of an encoded message, by the full name of its type. A message that is no method's input is not
    /// bounded.
    /// Errors: the first list with too many items.
    pub(crate) fn check(&self, name: impl FnOnce() -> String, message: &[u8]) -> Result<(), Refusal> {
        // Each item takes at least one byte, and most messages are shorter than this.
        if message.len() <= MAX_OTHER_ITEMS {
            return Ok(());
        }
        let Some(&index) = self.by_name.get(&name()) else { return Ok(()) };
        let (mut counter, mut rest) = (Counter { lists: self, other_items_left: MAX_OTHER_ITEMS }, message);
        counter.message(index, &mut rest, &mut Seen::default(), 0)
    }
}

impl List {
    fn read(field: &FieldDescriptor) -> Self {
        let rules: FieldRules = option(&field.options(), "buf.validate.field").unwrap_or_default();
        let (least, most) = match rules.r#type {
            Some(Type::Repeated(rules)) => (rules.min_items, rules.max_items),
            Some(Type::Map(rules)) => (rules.min_pairs, rules.max_pairs),
            _ => (None, None),
        };
        let max_items = most.map_or(0, |most| usize::try_from(most).unwrap_or(usize::MAX));
        let unit = if field.is_map() { "pair" } else { "item" };
        Self { max_items, fault: fault(least, most, unit), packing: Packing::of(&field.kind()) }
    }
}

/// Returns the message of the rule, with the text that `mainstay-build` generates.
fn fault(least: Option<u64>, most: Option<u64>, unit: &str) -> String {
    let most = most.unwrap_or(MAX_OTHER_ITEMS as u64);
    let items = if most == 1 { unit.to_owned() } else { format!("{unit}s") };
    match least {
        Some(least) if least == most => format!("must have exactly {most} {items}"),
        Some(least) => format!("must have {least} to {most} {items}"),
        None => format!("must have at most {most} {items}"),
    }
}

impl Packing {
    fn of(kind: &Kind) -> Option<Self> {
        match kind {
            Kind::String | Kind::Bytes | Kind::Message(_) => None,
            Kind::Double | Kind::Fixed64 | Kind::Sfixed64 => Some(Self::Fixed(8)),
            Kind::Float | Kind::Fixed32 | Kind::Sfixed32 => Some(Self::Fixed(4)),
            _ => Some(Self::Varint),
        }
    }

    fn count(self, packed: &[u8]) -> usize {
        match self {
            // Only the last byte of each number lacks the continuation bit.
            Self::Varint => packed.iter().filter(|byte| **byte < 0x80).count(),
            Self::Fixed(width) => packed.len() / width,
        }
    }
}

/// The counts of a message so far, by field number. A singular message field may be sent several times. Decoding then
/// merges the occurrences and joins their lists, so that they are counted together.
#[derive(Debug, Default)]
struct Seen {
    items: BTreeMap<u32, usize>,
    messages: BTreeMap<u32, Seen>,
}

struct Counter<'a> {
    lists: &'a Lists,
    other_items_left: usize,
}

impl Counter<'_> {
    /// Counts the items of a message, up to the end of `bytes` or of the enclosing group.
    ///
    /// Malformed input is rejected here. prost would first read beyond the end of a nested message.
    fn message(&mut self, index: usize, bytes: &mut &[u8], tally: &mut Seen, depth: u32) -> Result<(), Refusal> {
        if depth > MAX_DEPTH {
            return Err(Refusal::Malformed("messages nest too deeply".to_owned()));
        }
        let lists = self.lists;
        while !bytes.is_empty() {
            let (number, wire_type) = decode_key(bytes)?;
            // prost validates whether an end of a group is expected here.
            if wire_type == WireType::EndGroup {
                return Ok(());
            }
            let Some(field) = lists.messages[index].iter().find(|field| field.number == number) else {
                skip_field(wire_type, number, bytes, Default::default())?;
                continue;
            };
            let value = if wire_type == WireType::LengthDelimited { Some(take(bytes)?) } else { None };
            let item = match &field.list {
                Some(list) => Some(self.list(field, list, value, tally)?),
                None => None,
            };
            let mut of_item = Seen::default();
            let inside = if item.is_some() { &mut of_item } else { tally.messages.entry(number).or_default() };
            let outcome = match (field.message, value) {
                (Some(message), Some(mut value)) => self.message(message, &mut value, inside, depth + 1),
                (Some(message), None) if wire_type == WireType::StartGroup => {
                    self.message(message, bytes, inside, depth + 1)
                }
                (_, None) => skip_field(wire_type, number, bytes, Default::default()).map_err(Refusal::from),
                (None, Some(_)) => Ok(()),
            };
            outcome.map_err(|refusal| refusal.within(&field.name, item))?;
        }
        Ok(())
    }

    /// Counts the items of one tag, and returns the number of items before it.
    fn list(&mut self, field: &Field, list: &List, value: Option<&[u8]>, tally: &mut Seen) -> Result<usize, Refusal> {
        let more = value.zip(list.packing).map_or(1, |(value, packing)| packing.count(value));
        let count = tally.items.entry(field.number).or_default();
        let before = *count;
        *count += more;
        let others = count.saturating_sub(list.max_items) - before.saturating_sub(list.max_items);
        let rest = self.other_items_left.checked_sub(others);
        self.other_items_left =
            rest.ok_or_else(|| Refusal::TooMany { field: field.name.clone(), fault: list.fault.clone() })?;
        Ok(before)
    }
}

fn take<'a>(bytes: &mut &'a [u8]) -> Result<&'a [u8], Refusal> {
    let length = decode_varint(bytes)?;
    let whole = *bytes;
    let parts = usize::try_from(length).ok().and_then(|length| whole.split_at_checked(length));
    let (value, rest) = parts.ok_or_else(|| Refusal::Malformed("the message ends inside a field".to_owned()))?;
    *bytes = rest;
    Ok(value)
}

impl From<DecodeError> for Refusal {
    fn from(error: DecodeError) -> Self {
        Self::Malformed(error.to_string())
    }
}

impl Refusal {
    /// Prepends the enclosing field, and the index of the item in a list.
    fn within(self, name: &str, item: Option<usize>) -> Self {
        match (self, item) {
            (Self::TooMany { field, fault }, Some(index)) => {
                Self::TooMany { field: format!("{name}[{index}].{field}"), fault }
            }
            (Self::TooMany { field, fault }, None) => Self::TooMany { field: format!("{name}.{field}"), fault },
            (malformed, _) => malformed,
        }
    }
}

#[cfg(test)]
mod tests {
    use prost::encoding::{encode_key, encode_varint};

    use super::*;
    use crate::contract::policy;

    fn lists() -> Lists {
        let source = "syntax = \"proto3\"; package fleet.v1;
             import \"buf/validate/validate.proto\"; import \"google/api/httpbody.proto\";
             import \"google/protobuf/struct.proto\";
             service Vehicles { rpc Do(Request) returns (Response); }
             message Request {
               repeated Item items = 1 [(buf.validate.field).repeated = {min_items: 1 max_items: 20}];
               repeated int64 numbers = 2 [(buf.validate.field).repeated.max_items = 5];
               repeated fixed32 codes = 3;
               Item item = 4;
               google.api.HttpBody body = 5;
               google.protobuf.Struct anything = 6;
               string text = 7;
               map<string, Item> named = 8 [(buf.validate.field).map.max_pairs = 3];
             }
             message Item {
               repeated string tags = 1 [(buf.validate.field).repeated.max_items = 10];
               Item inner = 2;
             }
             message Response { repeated Item items = 1; }";
        let sources = vec![("fleet/v1/vehicles.proto", source.to_owned())];
        Lists::read(policy::services(&policy::tests::compile(sources)))
    }

    /// Returns a length-delimited field.
    fn field(number: u32, value: &[u8]) -> Vec<u8> {
        let mut encoded = Vec::new();
        encode_key(number, WireType::LengthDelimited, &mut encoded);
        encode_varint(value.len() as u64, &mut encoded);
        [encoded, value.to_vec()].concat()
    }

    fn empty(number: u32, count: usize) -> Vec<u8> {
        field(number, b"").repeat(count)
    }

    /// Checks a request, padded beyond the length of messages that are not counted.
    fn check(request: &[u8]) -> Result<(), Refusal> {
        lists().check(|| "fleet.v1.Request".to_owned(), &[&field(7, &[b'a'; MAX_OTHER_ITEMS])[..], request].concat())
    }

    fn too_many(field: &str, fault: &str) -> Result<(), Refusal> {
        Err(Refusal::TooMany { field: field.to_owned(), fault: fault.to_owned() })
    }

    #[test]
    fn a_list_has_as_many_items_as_its_rule_allows_and_few_others() {
        assert_eq!(check(&empty(1, 20 + MAX_OTHER_ITEMS)), Ok(()), "validation refuses it, with all other faults");
        assert_eq!(check(&empty(1, 21 + MAX_OTHER_ITEMS)), too_many("items", "must have 1 to 20 items"));
        assert_eq!(check(&field(2, &[1; 6 + MAX_OTHER_ITEMS])), too_many("numbers", "must have at most 5 items"));
        assert_eq!(check(&field(2, &[0x80_u8, 1].repeat(5 + MAX_OTHER_ITEMS))), Ok(()), "two bytes each");
        let unpacked = [2_u8 << 3, 1].repeat(6 + MAX_OTHER_ITEMS);
        assert_eq!(check(&unpacked), too_many("numbers", "must have at most 5 items"));
    }

    #[test]
    fn lists_without_a_rule_share_what_no_rule_allows() {
        assert_eq!(check(&field(3, &[0; 4 * MAX_OTHER_ITEMS])), Ok(()));
        let both = [field(3, &[0; 4 * 400]), empty(1, 20), field(5, &empty(3, 600))].concat();
        assert_eq!(check(&both), Ok(()));
        let more = [both.clone(), field(3, &[0; 4])].concat();
        assert_eq!(check(&more), too_many("codes", "must have at most 1000 items"));
        let more = [both, field(5, &empty(3, 1))].concat();
        assert_eq!(check(&more), too_many("body.extensions", "must have at most 1000 items"), "one body, in two parts");
        assert_eq!(check(&field(6, &empty(1, 1001))), too_many("anything.fields", "must have at most 1000 pairs"));
    }

    #[test]
    fn a_map_has_as_many_pairs_as_its_rule_allows() {
        assert_eq!(check(&empty(8, 3 + MAX_OTHER_ITEMS)), Ok(()));
        assert_eq!(check(&empty(8, 4 + MAX_OTHER_ITEMS)), too_many("named", "must have at most 3 pairs"));
    }

    #[test]
    fn lists_inside_of_items_count_each_for_itself() {
        let full = |item: &[u8]| field(1, item).repeat(20);
        assert_eq!(check(&full(&empty(1, 10))), Ok(()));
        assert_eq!(check(&full(&empty(1, 60))), Ok(()), "a thousand others");
        let more = [full(&empty(1, 60)), field(4, &empty(1, 11))].concat();
        assert_eq!(check(&more), too_many("item.tags", "must have at most 10 items"));
        let last = [field(1, b""), field(1, &empty(1, 1011))].concat();
        assert_eq!(check(&last), too_many("items[1].tags", "must have at most 10 items"));
        let deep = field(4, &field(2, &field(2, &empty(1, 1011))));
        assert_eq!(check(&deep), too_many("item.inner.inner.tags", "must have at most 10 items"));
    }

    #[test]
    fn malformed_messages_are_refused_where_they_end() {
        // The item has a length of two bytes, and the tag inside of it a length of a thousand, which prost would read.
        let overrun = [vec![1 << 3 | 2, 3, 1 << 3 | 2, 0xe8, 7], empty(1, 500)].concat();
        let nested = (0..=MAX_DEPTH).fold(Vec::new(), |inner, _| field(2, &inner));
        let requests = [overrun, field(4, &nested), vec![0], vec![7 << 3 | 2, 0xff], vec![1 << 3 | 7]];
        for request in &requests {
            let checked = check(request);
            assert!(matches!(checked, Err(Refusal::Malformed(_))), "{checked:?}");
        }
        let nested = (1..MAX_DEPTH).fold(Vec::new(), |inner, _| field(2, &inner));
        assert_eq!(check(&field(4, &nested)), Ok(()));
    }

    #[test]
    fn short_messages_and_responses_are_not_counted() {
        let lists = lists();
        let check = |name: &str, message: &[u8]| lists.check(|| name.to_owned(), message);
        assert_eq!(check("fleet.v1.Response", &empty(1, 5000)), Ok(()));
        assert!(check("fleet.v1.Request", &empty(1, 5000)).is_err());
        lists.check(|| panic!("not even their names"), &empty(1, 500)).expect("few bytes");
    }
}
