//! `google.protobuf.Value` and `Any`, whose JSON determines their content's type.

use super::ReadError;
use crate::json::scanner::Scanner;
use crate::json::schema::{Message, Shape};
use crate::json::{Codec, text};
use crate::wire::{put_delimited, put_tag, put_varint};

type Result<T> = std::result::Result<T, ReadError>;

/// Reads a `google.protobuf.Value`: any JSON, distinguished by its first byte. Field numbers: struct.proto.
pub(super) fn value(codec: &Codec, scanner: &mut Scanner<'_>, message: &Message, out: &mut Vec<u8>) -> Result<()> {
    let number = match scanner.peek()? {
        b'n' => {
            scanner.literal("null")?;
            out.extend_from_slice(&[0x08, 0]);
            return Ok(());
        }
        b'"' => 3,
        b't' | b'f' => 4,
        b'{' => 5,
        b'[' => 6,
        _ => {
            let number = text::double(scanner.number()?)?;
            put_tag(out, 2, 1);
            out.extend_from_slice(&number.to_le_bytes());
            return Ok(());
        }
    };
    let id = message.by_number(number).ok_or_else(|| ReadError::new("google.protobuf.Value is incomplete"))?;
    super::element(codec, scanner, &message.fields[usize::from(id)], out)
}

/// Reads an `Any`. `@type` may be at any position, so a copy of the scanner finds it before the members are read.
pub(super) fn any(codec: &Codec, scanner: &mut Scanner<'_>, message: &Message, out: &mut Vec<u8>) -> Result<()> {
    let (mut type_url, mut empty) = (None, true);
    Scanner::clone(scanner).object(|scanner, name| {
        empty = false;
        if name != "@type" {
            return scanner.skip();
        }
        let url = scanner.string("a type URL").map_err(|error| error.within("@type"))?;
        match type_url.replace(url) {
            None => Ok(()),
            Some(_) => Err(ReadError::new("given twice").within("@type")),
        }
    })?;
    if empty {
        return scanner.skip();
    }
    let type_url = type_url.ok_or_else(|| ReadError::new("required here").within("@type"))?;
    let name = type_url.rsplit_once('/').map(|(_, name)| name);
    let id = name.and_then(|name| codec.id(name));
    let id = id.ok_or_else(|| ReadError::new("an unknown type").within("@type"))?;
    put_tag(out, message.fields[0].number, 2);
    put_varint(out, type_url.len() as u64);
    out.extend_from_slice(type_url.as_bytes());
    put_tag(out, message.fields[1].number, 2);
    let inner = codec.message(id);
    put_delimited(out, |out| {
        // Protobuf's implementations disagree on the form of an Empty: with or without a "value".
        if inner.shape == Shape::Object && name != Some("google.protobuf.Empty") {
            return super::object(codec, scanner, inner, true, out);
        }
        let mut has_value = false;
        scanner.object(|scanner, name| match &*name {
            "@type" => scanner.skip(),
            "value" if std::mem::replace(&mut has_value, true) => Err(ReadError::new("given twice").within("value")),
            "value" => super::message(codec, scanner, id, out).map_err(|error| error.within("value")),
            _ => Err(ReadError::new("unknown field").within(&name)),
        })
    })
}
