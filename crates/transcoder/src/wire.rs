//! The part of the protobuf wire format that a transcoder needs: read one field, write one field.
//!
//! Source: <https://protobuf.dev/programming-guides/encoding/>.

/// The value of one field on the wire, borrowed from the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    Varint(u64),
    Fixed64(u64),
    Fixed32(u32),
    Bytes(&'a [u8]),
    Group(&'a [u8]),
}

/// The bytes are not a protobuf message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct WireError(&'static str);

/// The maximum nesting depth of groups in a skipped field.
const MAX_GROUPS: u32 = 64;

/// Reads a message field by field.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Returns the next field, or `None` at the end of the message.
    #[inline]
    pub(crate) fn field(&mut self) -> Result<Option<(u32, Value<'a>)>, WireError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let (number, wire_type) = self.tag()?;
        if wire_type == 4 {
            return Err(WireError("a group ends that did not begin"));
        }
        Ok(Some((number, self.value(number, wire_type, 0)?)))
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    #[inline]
    fn tag(&mut self) -> Result<(u32, u8), WireError> {
        let tag = self.varint()?;
        let number = u32::try_from(tag >> 3).map_err(|_| WireError("a field number is out of range"))?;
        if number == 0 || number > 0x1fff_ffff {
            return Err(WireError("a field number is out of range"));
        }
        Ok((number, (tag & 7) as u8))
    }

    #[inline]
    fn value(&mut self, number: u32, wire_type: u8, groups: u32) -> Result<Value<'a>, WireError> {
        match wire_type {
            0 => self.varint().map(Value::Varint),
            1 => self.fixed64().map(Value::Fixed64),
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| WireError("a length is out of range"))?;
                self.take(length).map(Value::Bytes)
            }
            3 => self.group(number, groups).map(Value::Group),
            5 => self.fixed32().map(Value::Fixed32),
            _ => Err(WireError("an unknown wire type")),
        }
    }

    fn group(&mut self, number: u32, groups: u32) -> Result<&'a [u8], WireError> {
        if groups == MAX_GROUPS {
            return Err(WireError("groups nest too deeply"));
        }
        let whole = self.rest;
        loop {
            let length = whole.len() - self.rest.len();
            let (inner, wire_type) = self.tag()?;
            if wire_type != 4 {
                self.value(inner, wire_type, groups + 1)?;
            } else if inner == number {
                return Ok(&whole[..length]);
            } else {
                return Err(WireError("a group ends that did not begin"));
            }
        }
    }

    #[inline]
    pub(crate) fn varint(&mut self) -> Result<u64, WireError> {
        if let [byte @ 0..=0x7f, rest @ ..] = self.rest {
            self.rest = rest;
            return Ok(u64::from(*byte));
        }
        self.long_varint()
    }

    fn long_varint(&mut self) -> Result<u64, WireError> {
        let mut value = 0u64;
        for (index, &byte) in self.rest.iter().enumerate().take(10) {
            if index == 9 && byte > 1 {
                return Err(WireError("a varint is longer than 64 bits"));
            }
            value |= u64::from(byte & 0x7f) << (7 * index);
            if byte < 0x80 {
                self.rest = &self.rest[index + 1..];
                return Ok(value);
            }
        }
        Err(WireError("a varint does not end"))
    }

    pub(crate) fn fixed64(&mut self) -> Result<u64, WireError> {
        let (head, rest) = self.rest.split_first_chunk().ok_or(WireError("the message ends inside a field"))?;
        self.rest = rest;
        Ok(u64::from_le_bytes(*head))
    }

    pub(crate) fn fixed32(&mut self) -> Result<u32, WireError> {
        let (head, rest) = self.rest.split_first_chunk().ok_or(WireError("the message ends inside a field"))?;
        self.rest = rest;
        Ok(u32::from_le_bytes(*head))
    }

    #[inline]
    fn take(&mut self, length: usize) -> Result<&'a [u8], WireError> {
        let (head, rest) = self.rest.split_at_checked(length).ok_or(WireError("the message ends inside a field"))?;
        self.rest = rest;
        Ok(head)
    }
}

#[inline]
pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value > 0x7f {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[inline]
pub(crate) fn put_tag(out: &mut Vec<u8>, number: u32, wire_type: u8) {
    put_varint(out, u64::from(number) << 3 | u64::from(wire_type));
}

pub(crate) fn put_bytes(out: &mut Vec<u8>, number: u32, bytes: &[u8]) {
    put_tag(out, number, 2);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Writes the output of `write` prefixed with its length.
///
/// One byte is reserved for the length, since most messages are shorter than 128 bytes; a longer one is moved once.
pub(crate) fn put_delimited<E>(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>) -> Result<(), E> {
    let at = out.len();
    out.push(0);
    write(out)?;
    let length = out.len() - at - 1;
    if length < 0x80 {
        out[at] = length as u8;
    } else {
        let mut prefix = Vec::with_capacity(10);
        put_varint(&mut prefix, length as u64);
        out.splice(at..=at, prefix);
    }
    Ok(())
}

pub(crate) fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

pub(crate) fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_read_back_what_was_written() {
        for value in [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX] {
            let mut out = Vec::new();
            put_varint(&mut out, value);
            assert_eq!(Reader::new(&out).varint(), Ok(value));
            assert_eq!(zigzag(unzigzag(value)), value);
        }
    }

    #[test]
    fn broken_messages_are_refused() {
        let cases: [&[u8]; 8] =
            [b"\x80", b"\x0a\x05abc", b"\x09abc", b"\x0d\x00", b"\x0c", b"\x0b\x14", b"\x00\x00", b"\x0f"];
        for bytes in cases {
            assert!(Reader::new(bytes).field().is_err(), "{bytes:?}");
        }
        assert!(Reader::new(&[0xff; 11]).varint().is_err());
        assert!(Reader::new(&[0x0b; 500]).field().is_err(), "nested groups end somewhere");
    }

    #[test]
    fn a_long_message_gets_a_long_prefix() {
        let mut out = Vec::new();
        put_delimited::<()>(&mut out, |out| {
            out.resize(out.len() + 300, 7);
            Ok(())
        })
        .unwrap();
        assert_eq!(&out[..3], [0xac, 0x02, 7]);
        assert_eq!(out.len(), 302);
    }
}
