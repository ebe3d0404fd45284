//! Path templates of `google.api.http`.
//!
//! ```text
//! Template = "/" Segments [ Verb ] ;      Variable  = "{" FieldPath [ "=" Segments ] "}" ;
//! Segments = Segment { "/" Segment } ;    FieldPath = IDENT { "." IDENT } ;
//! Segment  = "*" | "**" | LITERAL | Variable ;
//! Verb     = ":" LITERAL ;
//! ```
//! Source: the grammar in google/api/http.proto. One extension: `/` alone is a template too.

use std::fmt;
use std::ops::Range;

use percent_encoding::percent_decode_str;

/// A parsed template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    segments: Vec<Segment>,
    variables: Vec<Variable>,
    verb: Option<String>,
}

/// What a path segment must match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Segment {
    /// Exactly this text.
    Literal(String),
    /// Exactly one segment, which may be empty.
    Single,
    /// All remaining segments, possibly none.
    Rest,
}

/// A part of the path that sets a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    /// The field, as proto names joined by dots.
    pub field_path: String,
    /// The template segments it spans.
    pub segments: Range<usize>,
}

/// A template that violates the grammar.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TemplateError(String);

impl Template {
    /// Parses a template.
    ///
    /// # Errors
    /// The text violates the grammar, `**` is not last, variables are nested, or a variable occurs twice.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let rest = text.strip_prefix('/').ok_or_else(|| TemplateError("a path begins with '/'".into()))?;
        let (path, verb) = split_verb(rest);
        let mut template = Self { segments: Vec::new(), variables: Vec::new(), verb: None };
        if let Some(verb) = verb {
            literal(verb)?;
            template.verb = Some(verb.to_owned());
        }
        if !path.is_empty() {
            for piece in split_segments(path)? {
                template.piece(piece)?;
            }
        }
        let last = template.segments.len().saturating_sub(1);
        if template.segments.iter().take(last).any(|segment| *segment == Segment::Rest) {
            return Err(TemplateError("'**' stands before the end of the path".into()));
        }
        Ok(template)
    }

    fn piece(&mut self, piece: &str) -> Result<(), TemplateError> {
        let Some(variable) = piece.strip_prefix('{') else { return self.segment(piece) };
        let inner = variable.strip_suffix('}').ok_or_else(|| TemplateError(format!("'{piece}' lacks its '}}'")))?;
        let (field_path, pattern) = inner.split_once('=').unwrap_or((inner, "*"));
        if !field_path.split('.').all(is_identifier) {
            return Err(TemplateError(format!("'{field_path}' is not a field path")));
        }
        if self.variables.iter().any(|variable| variable.field_path == field_path) {
            return Err(TemplateError(format!("'{field_path}' stands twice in the path")));
        }
        let start = self.segments.len();
        for segment in pattern.split('/') {
            self.segment(segment)?;
        }
        self.variables.push(Variable { field_path: field_path.to_owned(), segments: start..self.segments.len() });
        Ok(())
    }

    fn segment(&mut self, text: &str) -> Result<(), TemplateError> {
        self.segments.push(match text {
            "*" => Segment::Single,
            "**" => Segment::Rest,
            text => {
                literal(text)?;
                Segment::Literal(text.to_owned())
            }
        });
        Ok(())
    }

    /// Returns the segments, from the left.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Returns the variables, from the left.
    pub fn variables(&self) -> &[Variable] {
        &self.variables
    }

    /// Returns the custom verb behind the colon, if there is one (AIP-136).
    pub fn verb(&self) -> Option<&str> {
        self.verb.as_deref()
    }

    /// Returns the variables' values in a path that matches this template, in the order of [`Self::variables`].
    ///
    /// The value of a single segment is percent-decoded completely; the value of several segments keeps the reserved
    /// characters of RFC 6570 encoded, so that `%2F` and `/` stay distinct. `+` is literal. Returns `None` if a value
    /// is not valid UTF-8.
    pub fn capture<'t, 'p>(
        &'t self,
        path: &'p str,
    ) -> impl Iterator<Item = (&'t Variable, Option<std::borrow::Cow<'p, str>>)> {
        let path = normal(path);
        let path = match &self.verb {
            Some(verb) => path.strip_suffix(verb.as_str()).and_then(|path| path.strip_suffix(':')).unwrap_or(path),
            None => path,
        };
        self.variables.iter().map(move |variable| {
            let raw = span(path, &variable.segments, self.segments[variable.segments.end - 1] == Segment::Rest);
            let multi = variable.segments.len() > 1 || self.segments[variable.segments.start] == Segment::Rest;
            (variable, if multi { decode_unreserved(raw) } else { percent_decode_str(raw).decode_utf8().ok() })
        })
    }
}

/// Strips the leading slash and, as Envoy does, trailing slashes.
pub(super) fn normal(path: &str) -> &str {
    path.strip_prefix('/').unwrap_or(path).trim_end_matches('/')
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
fn decode_unreserved(raw: &str) -> Option<std::borrow::Cow<'_, str>> {
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

/// Splits off the verb, which follows the last ':' after the last '/' and the last '}'.
fn split_verb(text: &str) -> (&str, Option<&str>) {
    let tail = text.rfind(['/', '}']).map_or(0, |at| at + 1);
    match text[tail..].rfind(':') {
        Some(colon) => (&text[..tail + colon], Some(&text[tail + colon + 1..])),
        None => (text, None),
    }
}

/// Splits at the slashes outside braces.
fn split_segments(path: &str) -> Result<Vec<&str>, TemplateError> {
    let (mut pieces, mut start, mut inside) = (Vec::new(), 0, false);
    for (at, byte) in path.bytes().enumerate() {
        match byte {
            b'{' if inside => return Err(TemplateError("variables can't nest".into())),
            b'{' => inside = true,
            b'}' => inside = false,
            b'/' if !inside => {
                pieces.push(&path[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    pieces.push(&path[start..]);
    Ok(pieces)
}

fn literal(text: &str) -> Result<(), TemplateError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()+,;=:@%".contains(&byte);
    if !text.is_empty() && text.bytes().all(plain) {
        return Ok(());
    }
    Err(TemplateError(format!("'{text}' is not a literal path segment")))
}

fn is_identifier(text: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    text.bytes().all(word) && text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
}

impl fmt::Display for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Literal(text) => text,
            Self::Single => "*",
            Self::Rest => "**",
        })
    }
}

/// Prints the template so that [`Template::parse`] reads it back unchanged.
impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut at = 0;
        let mut variables = self.variables.iter();
        while at < self.segments.len() || at == 0 {
            f.write_str("/")?;
            let Some(first) = self.segments.get(at) else { break };
            let variable = variables.as_slice().first().filter(|variable| variable.segments.start == at);
            let Some(variable) = variable else {
                write!(f, "{first}")?;
                at += 1;
                continue;
            };
            variables.next();
            write!(f, "{{{}", variable.field_path)?;
            if self.segments[variable.segments.clone()] != [Segment::Single] {
                for (index, segment) in self.segments[variable.segments.clone()].iter().enumerate() {
                    write!(f, "{}{segment}", if index == 0 { "=" } else { "/" })?;
                }
            }
            f.write_str("}")?;
            at = variable.segments.end;
        }
        self.verb.as_ref().map_or(Ok(()), |verb| write!(f, ":{verb}"))
    }
}
