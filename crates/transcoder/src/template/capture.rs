//! The variables of a path.

use std::borrow::Cow;
use std::ops::Range;

use percent_encoding::percent_decode_str;

use super::{Segment, Template, Variable, split_path};

impl Template {
    /// Returns the variables' values in a path that matches this template, in the order of [`Self::variables`].
    ///
    /// The value of a single segment is percent-decoded completely; the value of several segments keeps the reserved
    /// characters of RFC 6570 encoded, so that `%2F` and `/` stay distinct. `+` is literal. Returns `None` if a value
    /// is not valid UTF-8.
    pub fn capture<'t, 'p>(&'t self, path: &'p str) -> impl Iterator<Item = (&'t Variable, Option<Cow<'p, str>>)> {
        let (path, _) = split_path(path, |verb| self.verb() == Some(verb));
        self.variables.iter().map(move |variable| {
            let raw = span(path, &variable.segments, self.segments[variable.segments.end - 1] == Segment::Rest);
            let multi = variable.segments.len() > 1 || self.segments[variable.segments.start] == Segment::Rest;
            (variable, if multi { decode_unreserved(raw) } else { percent_decode_str(raw).decode_utf8().ok() })
        })
    }
}

/// Returns the text that the segments in `range` cover.
fn span<'p>(path: &'p str, range: &Range<usize>, to_the_end: bool) -> &'p str {
    let offset = |segments: usize| {
        let mut offset = 0;
        for _ in 0..segments {
            match path[offset..].find('/') {
                Some(slash) => offset += slash + 1,
                None => return path.len() + 1,
            }
        }
        offset
    };
    let start = offset(range.start).min(path.len());
    let end = if to_the_end { path.len() } else { (offset(range.end) - 1).min(path.len()) };
    &path[start..end.max(start)]
}

/// Decodes all except the reserved characters of RFC 6570, section 1.5.
fn decode_unreserved(raw: &str) -> Option<Cow<'_, str>> {
    if !raw.contains('%') {
        return Some(raw.into());
    }
    let mut out = Vec::with_capacity(raw.len());
    let mut rest = raw.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        let decoded = match rest {
            [b'%', high, low, ..] => hex(*high).zip(hex(*low)).map(|(high, low)| high << 4 | low),
            _ => None,
        };
        match decoded.filter(|byte| !b"!#$&'()*+,/:;=?@[]".contains(byte)) {
            Some(byte) => {
                out.push(byte);
                rest = &rest[3..];
            }
            None => {
                out.push(byte);
                rest = tail;
            }
        }
    }
    String::from_utf8(out).ok().map(Into::into)
}

fn hex(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|digit| digit as u8)
}
