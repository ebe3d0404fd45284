//! Texts with placeholders, such as `Dear {{customer.name}}`. Two opening braces always begin a placeholder, and nothing
//! else has a meaning. Values are inserted once, as they are: a customer's name that looks like a placeholder stays a name.

use mainstay_kernel::error::{Error, Result};

/// The most faults that one message lists.
const MAX_FAULTS: usize = 5;
/// The most characters of an unknown name that a message repeats.
const MAX_SHOWN: usize = 60;

/// What a placeholder stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Placeholder {
    CustomerName,
    TicketId,
    TicketSubject,
    AgentName,
}

/// The placeholders by their names. A subject is a title in other help desks.
const NAMES: [(&str, Placeholder); 5] = [
    ("customer.name", Placeholder::CustomerName),
    ("ticket.id", Placeholder::TicketId),
    ("ticket.subject", Placeholder::TicketSubject),
    ("ticket.title", Placeholder::TicketSubject),
    ("agent.name", Placeholder::AgentName),
];

/// A part of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part<'t> {
    Text(&'t str),
    Placeholder(Placeholder),
    /// A placeholder with an unknown name.
    Unknown {
        name: &'t str,
        /// The bytes before it.
        at: usize,
    },
    /// A placeholder that does not end in its line, or has a brace in its name.
    Unclosed {
        at: usize,
    },
}

/// Splits a text at its placeholders.
fn parse(text: &str) -> Vec<Part<'_>> {
    let (mut parts, mut rest) = (Vec::new(), text);
    while let Some((before, inside)) = rest.split_once("{{") {
        let at = text.len() - inside.len() - 2;
        parts.push(Part::Text(before));
        // No name has one of these, so that each character is looked at once, however many braces a text has.
        let end = inside.find(['\n', '{', '}']).filter(|end| inside[*end..].starts_with("}}"));
        let Some(end) = end else {
            parts.push(Part::Unclosed { at });
            rest = inside;
            continue;
        };
        let name = inside[..end].trim();
        let known = NAMES.into_iter().find(|(known, _)| *known == name);
        parts.push(known.map_or(Part::Unknown { name, at }, |(_, placeholder)| Part::Placeholder(placeholder)));
        rest = &inside[end + 2..];
    }
    parts.push(Part::Text(rest));
    parts
}

/// Checks the placeholders of a text, which stands in a field.
///
/// # Errors
/// `VALIDATION_FAILED`, with the positions of the faults and the placeholders that there are.
pub fn check(text: &str, field: &str) -> Result<()> {
    let faults: Vec<_> = parse(text).into_iter().filter_map(|part| fault(text, part)).take(MAX_FAULTS).collect();
    if faults.is_empty() {
        return Ok(());
    }
    let known: Vec<_> = NAMES.iter().map(|(name, _)| format!("{{{{{name}}}}}")).collect();
    Err(Error::field(field, format!("has {}; known are {}", faults.join(", "), known.join(", "))))
}

/// Describes a faulty part.
fn fault(text: &str, part: Part<'_>) -> Option<String> {
    match part {
        Part::Text(_) | Part::Placeholder(_) => None,
        Part::Unknown { name, at } => {
            let name: String = name.chars().take(MAX_SHOWN).collect();
            Some(format!("the unknown placeholder {{{{{name}}}}} {}", position(text, at)))
        }
        Part::Unclosed { at } => Some(format!("a placeholder without an end {}", position(text, at))),
    }
}

/// Describes a position, in lines and characters from 1.
fn position(text: &str, at: usize) -> String {
    let before = &text[..at];
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    format!("at line {line}, column {column}")
}

/// The values of the placeholders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Values {
    pub customer_name: String,
    pub ticket_id: String,
    pub ticket_subject: String,
    pub agent_name: String,
}

/// Returns a text with values in place of its placeholders.
pub fn render(text: &str, values: &Values) -> String {
    let value = |part: Part<'_>| match part {
        Part::Text(text) => text.to_owned(),
        Part::Placeholder(Placeholder::CustomerName) => values.customer_name.clone(),
        Part::Placeholder(Placeholder::TicketId) => values.ticket_id.clone(),
        Part::Placeholder(Placeholder::TicketSubject) => values.ticket_subject.clone(),
        Part::Placeholder(Placeholder::AgentName) => values.agent_name.clone(),
        // A text with one is never stored.
        Part::Unknown { .. } | Part::Unclosed { .. } => String::new(),
    };
    parse(text).into_iter().map(value).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values() -> Values {
        Values {
            customer_name: "{{agent.name}}".to_owned(),
            ticket_id: "7".to_owned(),
            ticket_subject: "It's <b>\"hot\"</b> }} {{".to_owned(),
            agent_name: "Zoë".to_owned(),
        }
    }

    #[test]
    fn values_are_inserted_once_and_as_they_are() {
        for (text, expected) in [
            ("", ""),
            ("No braces, { one } or }}.", "No braces, { one } or }}."),
            ("Dear {{customer.name}},\n\n{{ agent.name }}", "Dear {{agent.name}},\n\nZoë"),
            ("{{ticket.subject}}{{ticket.title}}", "It's <b>\"hot\"</b> }} {{It's <b>\"hot\"</b> }} {{"),
            ("[{{ticket.id}}]{{\tagent.name\t}}", "[7]Zoë"),
            ("{{agent.name}}}}", "Zoë}}"),
        ] {
            check(text, "body").expect(text);
            assert_eq!(render(text, &values()), expected, "{text}");
        }
    }

    #[test]
    fn a_faulty_placeholder_is_reported_with_its_position() {
        for (text, expected) in [
            ("Dear {{customer.nam}}", "the unknown placeholder {{customer.nam}} at line 1, column 6"),
            ("Ü\nÄÖ {{}}", "the unknown placeholder {{}} at line 2, column 4"),
            ("{{Customer.Name}}", "the unknown placeholder {{Customer.Name}} at line 1, column 1"),
            ("{{{agent.name}}}", "a placeholder without an end at line 1, column 1"),
            ("{{agent.name", "a placeholder without an end at line 1, column 1"),
            ("a\n {{agent.name\n}}", "a placeholder without an end at line 2, column 2"),
            ("{{x}} {{", "{{x}} at line 1, column 1, a placeholder without an end at line 1, column 7"),
        ] {
            let error = check(text, "body").expect_err(text);
            let (field, message) = &error.fields()[0];
            assert!(field == "body" && message.contains(expected), "{text}: {message}");
            assert!(message.contains("known are {{customer.name}}, {{ticket.id}}"), "{message}");
        }
        let many = check(&"{{x}}".repeat(4_000), "body").expect_err("faults");
        assert_eq!(many.fields()[0].1.matches("{{x}}").count(), MAX_FAULTS);
    }

    /// The parts of a text are the text, in order.
    #[test]
    fn no_text_of_braces_is_lost() {
        for piece in ["{", "{{", "{{x", "{{x}}", "}}", "{{\n", "{{agent.name}}", "ä{{ ä"] {
            let text = piece.repeat(1_000);
            let kept: usize = parse(&text)
                .into_iter()
                .map(|part| match part {
                    Part::Text(text) => text.len(),
                    Part::Placeholder(_) => "{{agent.name}}".len(),
                    Part::Unknown { name, .. } => name.len() + 4,
                    Part::Unclosed { .. } => 2,
                })
                .sum();
            assert_eq!(kept, text.len(), "{piece}");
        }
    }
}
