//! Text → template.

use super::{Segment, Template, TemplateError, Variable};

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
        if path.is_empty() && verb.is_some() {
            return Err(TemplateError("a verb follows a path".into()));
        }
        if !path.is_empty() {
            for piece in split_segments(path)? {
                template.piece(piece)?;
            }
        }
        let last = template.segments.len().saturating_sub(1);
        if template.segments.iter().take(last).any(|segment| *segment == Segment::Rest) {
            return Err(TemplateError("'**' is not the end of the path".into()));
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
            return Err(TemplateError(format!("'{field_path}' is in the path twice")));
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
