//! Field masks (AIP-157, AIP-134): which fields to return, and which to change.
//!
//! Both work on encoded messages and descriptors, so they apply to every resource.

use std::collections::BTreeMap;

use prost::{
    Message,
    bytes::BufMut as _,
    encoding::{WireType, decode_key, decode_varint, encode_key, encode_varint, skip_field},
};
use prost_reflect::{FieldDescriptor, MessageDescriptor};
use prost_types::FieldMask;

use crate::error::{Error, Result};

/// The fields of a resource to keep; an empty tree keeps all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree(BTreeMap<u32, Tree>);

/// The fields of a response's `data` to return.
#[derive(Debug, Clone, Default)]
pub struct ReadMask {
    tree: Tree,
    data: u32,
}

impl ReadMask {
    /// Parses a mask over the `data` field of a response.
    ///
    /// # Errors
    /// `VALIDATION_FAILED` for a path that is not a field.
    pub fn parse(answer: &MessageDescriptor, mask: Option<FieldMask>) -> Result<Self> {
        let data = answer.get_field_by_name("data");
        let (Some(data), Some(mask)) = (data, mask.filter(|mask| !mask.paths.is_empty())) else {
            return Ok(Self::default());
        };
        let mut tree = Tree::default();
        for path in mask.paths.iter().filter(|path| *path != "*") {
            let numbers = data.kind().as_message().and_then(|resource| resolve(resource, path));
            let numbers = numbers.ok_or_else(|| Error::field("readMask", format!("has no field {path:?}")))?;
            tree.add(&numbers);
        }
        Ok(Self { tree, data: data.number() })
    }

    /// Returns text that is equal for equal masks, in any release: `1,4(2)` keeps field 1, and field 2 of field 4. `None`
    /// if the mask keeps all fields.
    pub fn canonical(&self) -> Option<String> {
        (!self.tree.0.is_empty()).then(|| self.tree.canonical())
    }

    /// Returns the response with only the fields of the mask.
    ///
    /// # Errors
    /// `INTERNAL_ERROR` if the encoded message can't be decoded again.
    pub fn apply<M: Message + Default>(&self, answer: M) -> Result<M> {
        if self.tree.0.is_empty() {
            return Ok(answer);
        }
        let encoded = answer.encode_to_vec();
        let mut kept = Vec::with_capacity(encoded.len());
        rewrite(&encoded, &mut kept, &|number| if number == self.data { Some(&self.tree) } else { Some(Tree::ALL) })
            .and_then(|()| M::decode(kept.as_slice()).ok())
            .ok_or_else(|| Error::internal(anyhow::anyhow!("an answer did not survive its encoding")))
    }
}

impl Tree {
    const ALL: &Self = &Self(BTreeMap::new());

    fn canonical(&self) -> String {
        let branch = |(number, below): (&u32, &Self)| match below.0.is_empty() {
            true => number.to_string(),
            false => format!("{number}({})", below.canonical()),
        };
        self.0.iter().map(branch).collect::<Vec<_>>().join(",")
    }

    /// Adds a field. A whole field overrides parts of it.
    fn add(&mut self, numbers: &[u32]) {
        let Some((first, rest)) = numbers.split_first() else {
            self.0.clear();
            return;
        };
        let fresh = !self.0.contains_key(first);
        let below = self.0.entry(*first).or_default();
        if fresh || !below.0.is_empty() {
            below.add(rest);
        }
    }
}

fn resolve(message: &MessageDescriptor, path: &str) -> Option<Vec<u32>> {
    let mut message = Some(message.clone());
    let mut numbers = Vec::new();
    for name in path.split('.') {
        let field = field(&message?, name)?;
        numbers.push(field.number());
        message = field.kind().as_message().cloned().filter(|_| !field.is_list());
    }
    Some(numbers)
}

fn field(message: &MessageDescriptor, name: &str) -> Option<FieldDescriptor> {
    message.get_field_by_name(name).or_else(|| message.get_field_by_json_name(name))
}

/// Copies the fields that `keep` returns; a tree with branches applies to the message inside.
fn rewrite<'t>(mut bytes: &[u8], out: &mut Vec<u8>, keep: &dyn Fn(u32) -> Option<&'t Tree>) -> Option<()> {
    while !bytes.is_empty() {
        let before = bytes;
        let (number, wire_type) = decode_key(&mut bytes).ok()?;
        let kept = keep(number);
        match (wire_type, kept) {
            (WireType::LengthDelimited, Some(tree)) if !tree.0.is_empty() => {
                let length = usize::try_from(decode_varint(&mut bytes).ok()?).ok()?;
                let (inner, rest) = bytes.split_at_checked(length)?;
                bytes = rest;
                let mut message = Vec::with_capacity(length);
                rewrite(inner, &mut message, &|number| tree.0.get(&number))?;
                encode_key(number, WireType::LengthDelimited, out);
                encode_varint(message.len() as u64, out);
                out.put_slice(&message);
            }
            (wire_type, kept) => {
                skip_field(wire_type, number, &mut bytes, Default::default()).ok()?;
                if kept.is_some() {
                    out.put_slice(&before[..before.len() - bytes.len()]);
                }
            }
        }
    }
    Some(())
}

/// Returns the names of the fields a patch changes: those of the mask, or else those that are present.
///
/// # Errors
/// `VALIDATION_FAILED` for a path that is not a field of the patch, or if there is nothing to change.
pub fn update_paths<P: Message>(
    patch: &P,
    descriptor: &MessageDescriptor,
    mask: Option<FieldMask>,
) -> Result<Vec<String>> {
    let paths = match mask.filter(|mask| !mask.paths.is_empty()) {
        Some(mask) if mask.paths == ["*"] => descriptor.fields().map(|field| field.name().to_owned()).collect(),
        Some(mask) => {
            let known = |path: &String| {
                let field = field(descriptor, path)
                    .ok_or_else(|| Error::field("updateMask", format!("has no field {path:?}")))?;
                Ok(field.name().to_owned())
            };
            mask.paths.iter().map(known).collect::<Result<Vec<_>>>()?
        }
        None => present(&patch.encode_to_vec(), descriptor),
    };
    if paths.is_empty() {
        return Err(Error::field("updateMask", "names no field to change"));
    }
    Ok(paths)
}

/// Returns the error for a field of a patch that its service does not handle, which is a bug: a field that was added to
/// the contract must not change anything by accident.
pub fn unhandled(path: &str) -> Error {
    Error::internal(anyhow::anyhow!("the service does not handle the field {path} of the patch"))
}

fn present(mut bytes: &[u8], descriptor: &MessageDescriptor) -> Vec<String> {
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
