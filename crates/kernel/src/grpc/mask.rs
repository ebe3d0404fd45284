//! Field masks (AIP-157, AIP-134): read masks of responses, and update masks of patches.
//!
//! Both work on encoded messages and descriptors, so that they apply to every resource.

use mainstay_transcoder::json::FieldSet;
use prost::{
    Message,
    bytes::BufMut as _,
    encoding::{WireType, decode_key, decode_varint, encode_key, encode_varint, skip_field},
};
use prost_reflect::{FieldDescriptor, MessageDescriptor};
use prost_types::FieldMask;

use crate::{
    contract::Method,
    error::{Error, Result},
};

/// The most paths of a mask. Each costs at least a look-up, and no resource has nearly as many fields.
const MAX_PATHS: usize = 500;
/// The most names in a path, because message types may be recursive.
const MAX_DEPTH: usize = 32;

/// The response fields to return: the requested ones of `data`, and all others.
#[derive(Debug, Clone, Default)]
pub struct ReadMask {
    fields: FieldSet,
    data: u32,
    included: Vec<String>,
}

impl ReadMask {
    /// Reads the mask of an encoded request over the `data` of the method's response.
    /// Errors: `VALIDATION_FAILED` for a path that is not a field.
    pub(super) fn read<M: Message>(method: &Method, request: &M) -> Result<Self> {
        if method.read_mask.is_none() && method.include.is_none() {
            return Ok(Self::default());
        }
        let (answer, encoded) = (method.descriptor.output(), request.encode_to_vec());
        let mut mask = Self::parse(&answer, method.read_mask.and_then(|number| find(number, &encoded)))?;
        if let Some(include) = method.include.and_then(|number| find(number, &encoded)) {
            mask.include(&answer, &include)?;
        }
        Ok(mask)
    }

    /// Adds the requested inclusions, which are fields of the message in the resource's field `included`.
    fn include(&mut self, answer: &MessageDescriptor, include: &FieldMask) -> Result<()> {
        let data = answer.get_field_by_name("data");
        let included = data.as_ref().and_then(|data| data.kind().as_message()?.get_field_by_name("included"));
        let (Some(data), Some(included)) = (data, included) else { return Ok(()) };
        check_length("include", include)?;
        let kind = included.kind();
        let names = || kind.as_message().into_iter().flat_map(MessageDescriptor::fields);
        for path in &include.paths {
            if path == "*" {
                self.included.extend(names().map(|field| field.name().to_owned()));
                continue;
            }
            let target = kind.as_message().and_then(|included| field(included, path));
            let target = target.ok_or_else(|| Error::field("include", format!("has no field {path:?}")))?;
            self.included.push(target.name().to_owned());
        }
        // Inclusions are returned even if the read mask does not name them.
        if !self.fields.is_all() && !self.included.is_empty() {
            self.fields.add(&[data.number(), included.number()]);
        }
        Ok(())
    }

    /// Returns whether the request includes any other resources.
    pub fn is_composed(&self) -> bool {
        !self.included.is_empty()
    }

    /// Returns whether the request includes `name`.
    pub fn composes(&self, name: &str) -> bool {
        self.included.iter().any(|included| included == name)
    }

    /// Parses a mask over the `data` of a response.
    ///
    /// # Errors
    /// `VALIDATION_FAILED` for a path that is not a field.
    pub fn parse(answer: &MessageDescriptor, mask: Option<FieldMask>) -> Result<Self> {
        let data = answer.get_field_by_name("data");
        let (Some(data), Some(mask)) = (data, mask) else { return Ok(Self::default()) };
        check_length("readMask", &mask)?;
        let mut resource_fields = FieldSet::default();
        for path in mask.paths.iter().filter(|path| *path != "*") {
            let numbers = data.kind().as_message().and_then(|resource| resolve(resource, path));
            let numbers = numbers.ok_or_else(|| Error::field("readMask", format!("has no field {path:?}")))?;
            resource_fields.add(&numbers);
        }
        if resource_fields.is_all() {
            return Ok(Self::default());
        }
        let mut fields = FieldSet::default();
        for field in answer.fields() {
            fields.insert(field.number(), FieldSet::default());
        }
        fields.insert(data.number(), resource_fields);
        Ok(Self { fields, data: data.number(), included: Vec::new() })
    }

    /// Returns the selected fields of the response.
    pub fn fields(&self) -> &FieldSet {
        &self.fields
    }

    /// Returns whether the mask selects a field of the resource, or a part of it.
    pub fn includes(&self, number: u32) -> bool {
        self.fields.within(self.data).is_some_and(|data| data.within(number).is_some())
    }

    /// Returns a canonical text, which is equal for equal masks and stable across releases: `1,4(2)` selects field 1,
    /// and field 2 of field 4. Returns `None` if the mask selects all fields.
    pub fn canonical(&self) -> Option<String> {
        self.fields.within(self.data).filter(|data| !data.is_all()).map(canonical)
    }

    /// Returns the response reduced to the fields of the mask.
    ///
    /// # Errors
    /// `INTERNAL_ERROR` if the encoded message can't be decoded again.
    pub fn apply<M: Message + Default>(&self, answer: M) -> Result<M> {
        if self.fields.is_all() {
            return Ok(answer);
        }
        let encoded = answer.encode_to_vec();
        let mut selection = Vec::with_capacity(encoded.len());
        rewrite(&encoded, &mut selection, &self.fields)
            .and_then(|()| M::decode(selection.as_slice()).ok())
            .ok_or_else(|| Error::internal(anyhow::anyhow!("an answer did not survive its encoding")))
    }
}

fn canonical(fields: &FieldSet) -> String {
    let branch = |(number, within): (u32, &FieldSet)| match within.is_all() {
        true => number.to_string(),
        false => format!("{number}({})", canonical(within)),
    };
    fields.iter().map(branch).collect::<Vec<_>>().join(",")
}

fn find(number: u32, mut bytes: &[u8]) -> Option<FieldMask> {
    let mut mask = None;
    while !bytes.is_empty() {
        let (current, wire_type) = decode_key(&mut bytes).ok()?;
        if current != number || wire_type != WireType::LengthDelimited {
            skip_field(wire_type, current, &mut bytes, Default::default()).ok()?;
            continue;
        }
        let length = usize::try_from(decode_varint(&mut bytes).ok()?).ok()?;
        let (encoded, rest) = bytes.split_at_checked(length)?;
        bytes = rest;
        mask.get_or_insert_with(FieldMask::default).merge(encoded).ok()?;
    }
    mask
}

fn check_length(name: &'static str, mask: &FieldMask) -> Result<()> {
    if mask.paths.len() <= MAX_PATHS {
        return Ok(());
    }
    Err(Error::field(name, format!("must have at most {MAX_PATHS} paths")))
}

fn resolve(message: &MessageDescriptor, path: &str) -> Option<Vec<u32>> {
    let mut message = Some(message.clone());
    let mut numbers = Vec::new();
    for name in path.split('.') {
        if numbers.len() == MAX_DEPTH {
            return None;
        }
        let field = field(&message?, name)?;
        numbers.push(field.number());
        message = field.kind().as_message().cloned().filter(|_| !field.is_list() && !field.is_map());
    }
    Some(numbers)
}

fn field(message: &MessageDescriptor, name: &str) -> Option<FieldDescriptor> {
    message.get_field_by_name(name).or_else(|| message.get_field_by_json_name(name))
}

fn rewrite(mut bytes: &[u8], out: &mut Vec<u8>, fields: &FieldSet) -> Option<()> {
    while !bytes.is_empty() {
        let before = bytes;
        let (number, wire_type) = decode_key(&mut bytes).ok()?;
        match (wire_type, fields.within(number)) {
            (WireType::LengthDelimited, Some(within)) if !within.is_all() => {
                let length = usize::try_from(decode_varint(&mut bytes).ok()?).ok()?;
                let (inner, rest) = bytes.split_at_checked(length)?;
                bytes = rest;
                let mut message = Vec::with_capacity(length);
                rewrite(inner, &mut message, within)?;
                encode_key(number, WireType::LengthDelimited, out);
                encode_varint(message.len() as u64, out);
                out.put_slice(&message);
            }
            (wire_type, within) => {
                skip_field(wire_type, number, &mut bytes, Default::default()).ok()?;
                if within.is_some() {
                    out.put_slice(&before[..before.len() - bytes.len()]);
                }
            }
        }
    }
    Some(())
}

/// Returns the names of the fields that a patch changes: those of the mask, or all present fields without a mask.
///
/// # Errors
/// `VALIDATION_FAILED` for a path that is not a field of the patch, and for a patch without changes.
pub fn update_paths<P: Message>(
    patch: &P,
    descriptor: &MessageDescriptor,
    mask: Option<FieldMask>,
) -> Result<Vec<String>> {
    let paths = match mask.filter(|mask| !mask.paths.is_empty()) {
        Some(mask) if mask.paths == ["*"] => descriptor.fields().map(|field| field.name().to_owned()).collect(),
        Some(mask) => {
            check_length("updateMask", &mask)?;
            let name_of = |path: &String| {
                let field = field(descriptor, path)
                    .ok_or_else(|| Error::field("updateMask", format!("has no field {path:?}")))?;
                Ok(field.name().to_owned())
            };
            mask.paths.iter().map(name_of).collect::<Result<Vec<_>>>()?
        }
        None => encoded_fields(&patch.encode_to_vec(), descriptor),
    };
    if paths.is_empty() {
        return Err(Error::field("updateMask", "names no field to change"));
    }
    Ok(paths)
}

/// Returns the error for a field of a patch that its service does not handle. This is a defect: a field that is new in
/// the contract must not be ignored silently.
pub fn unhandled(path: &str) -> Error {
    Error::internal(anyhow::anyhow!("the service does not handle the field {path} of the patch"))
}

fn encoded_fields(mut bytes: &[u8], descriptor: &MessageDescriptor) -> Vec<String> {
    let mut names = Vec::new();
    while let Ok((number, wire_type)) = decode_key(&mut bytes) {
        if skip_field(wire_type, number, &mut bytes, Default::default()).is_err() {
            break;
        }
        let name = descriptor.get_field(number).map(|field| field.name().to_owned());
        names.extend(name.filter(|name| !names.contains(name)));
    }
    names
}

#[cfg(test)]
mod tests {
    use prost_reflect::DescriptorPool;

    use super::*;

    /// The type of item rules is recursive.
    #[test]
    fn a_message_within_itself_is_followed_only_so_far() {
        let pool = DescriptorPool::decode(crate::contract::DESCRIPTOR_SET).expect("descriptors");
        let rules = pool.get_message_by_name("buf.validate.FieldRules").expect("an import");
        let path = |names: usize| ["repeated.items"].repeat(names / 2).join(".");
        assert_eq!(resolve(&rules, &path(MAX_DEPTH)).map(|numbers| numbers.len()), Some(MAX_DEPTH));
        assert_eq!(resolve(&rules, &path(MAX_DEPTH + 2)), None);
    }
}
