//! The cost of reading and writing texts.

use std::hint::black_box;

use super::{
    answer::model::template::{self, Values},
    formula,
    import::model::{Format, ReadOptions, read},
};
use crate::product::tests::cost::assert_proportional;

/// What the readers look for: quotes, delimiters, line breaks, signs of formulas, braces, escapes, marks.
const UNITS: [&str; 30] = [
    "a",
    " ",
    "\"",
    "\"\"",
    "a\"",
    "\",",
    "\"\n",
    ", \"",
    ",",
    ";",
    "\t",
    "|",
    "\n",
    "\r",
    "\r\n",
    "'",
    "'=",
    ";'=",
    "\t'+",
    "＝",
    "{",
    "}",
    "{{",
    "}}",
    "{{a}}",
    "{{ticket.id}}",
    "[",
    "\\",
    "\u{feff}",
    "e\u{301}",
];

fn rows(format: Format, file: &str) {
    let mut rows = 0;
    let each = |_| {
        rows += 1;
        true
    };
    // A file that is refused has cost its reading.
    let _ = black_box(read(format, ReadOptions::default(), file.as_bytes(), each));
}

fn render(text: &str) {
    let word = || "{{customer.name}}".to_owned();
    let values = Values { customer_name: word(), ticket_id: word(), ticket_subject: word(), agent_name: word() };
    black_box(template::render(text, &values));
}

/// Work on a text, and its name.
type Work = (&'static str, fn(&str));

const WORK: [Work; 9] = [
    ("the escape of formulas", |text| drop(black_box(formula::escape(text).into_owned()))),
    ("its reversal", |text| drop(black_box(formula::unescape(text, true).into_owned()))),
    ("the header of a CSV file", |text| rows(Format::Csv, text)),
    ("the rows of a CSV file", |text| rows(Format::Csv, &format!("subject,body\na,b\n{text}"))),
    ("a quoted cell", |text| rows(Format::Csv, &format!("body,tags\n\"{0}\",\"{0}\"", text.replace('"', "\"\"")))),
    ("the lines of an NDJSON file", |text| rows(Format::Ndjson, text)),
    ("a text in a line", |text| {
        rows(Format::Ndjson, &serde_json::json!({ "subject": text, "body": text, "tags": [text] }).to_string());
    }),
    ("a template", render),
    ("the check of a template", |text| drop(black_box(template::check(text, "body")))),
];

#[test]
fn a_longer_text_costs_in_proportion() {
    for (name, work) in WORK {
        for unit in UNITS {
            assert_proportional(&format!("{name}, of {unit:?}"), |bytes| work(&unit.repeat(bytes / unit.len())));
        }
    }
}
