//! The texts of a row, and the ticket they become.

use std::borrow::Cow;

use sha2::{Digest as _, Sha256};

use crate::identity::user::model::Language;
use crate::support::ticket::model::{Content, DEFAULT_QUEUE, Kind, Priority};
use mainstay_kernel::contract::validate::{
    check,
    text::{normalize, normalize_line},
};

const MAX_SUBJECT: usize = 200;
const MAX_BODY: usize = 20_000;
const MAX_QUEUE: usize = 60;
const MAX_TAGS: usize = 20;
const MAX_TAG: usize = 100;
/// The name of each tag in messages.
const TAG: &str = "a tag";

/// A valid row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The content of the ticket.
    pub content: Content,
    /// The ticket's first comment.
    pub answer: Option<String>,
    /// SHA-256 of the row's texts, the same in every format unless a text has a carriage return. Together with the account and the occurrence, it
    /// identifies the row.
    pub hash: [u8; 32],
}

/// The texts of a row; empty if absent.
#[derive(Debug, Default)]
pub(crate) struct Raw {
    pub(crate) subject: String,
    pub(crate) body: String,
    pub(crate) answer: String,
    pub(crate) kind: String,
    pub(crate) queue: String,
    pub(crate) priority: String,
    pub(crate) language: String,
    /// Distinct tags, at most one more than a ticket may have.
    pub(super) tags: Vec<String>,
    /// Whether the format writes line breaks as escapes, as JSON does, so that no program that copies the file changes them.
    pub(crate) has_exact_breaks: bool,
}

impl Raw {
    /// Adds a tag, unless it is blank or there already. The number of tags that are compared is bounded, because a row of
    /// some megabytes may have a million.
    pub(crate) fn push_tag(&mut self, tag: &str) {
        let tag = tag.trim();
        let tag = if check::has_line_break(tag) { one_line(tag) } else { tag.to_owned() };
        if self.tags.len() <= MAX_TAGS && !check::is_blank(&tag) && !self.tags.contains(&tag) {
            self.tags.push(tag);
        }
    }

    /// Converts the texts to a ticket, or returns everything that is wrong with them.
    pub(crate) fn row(mut self, unescapes: bool) -> Result<Row, String> {
        if unescapes {
            for text in [&mut self.subject, &mut self.body, &mut self.answer] {
                *text = unescape(text);
            }
        }
        for text in [&mut self.kind, &mut self.queue, &mut self.priority, &mut self.language] {
            *text = text.trim().to_owned();
        }
        let hash = self.hash();
        self.normalize();
        let wrong = self.wrong();
        if !wrong.is_empty() {
            return Err(wrong.join("; "));
        }
        let subject = if self.subject.is_empty() { beginning(&self.body) } else { self.subject };
        let content = Content {
            subject,
            kind: kind(&self.kind).unwrap_or(Kind::Request),
            priority: priority(&self.priority).unwrap_or(Priority::Medium),
            queue: if self.queue.is_empty() { DEFAULT_QUEUE.to_owned() } else { self.queue },
            language: Language::parse(&self.language).unwrap_or_default(),
            tags: self.tags,
            body: self.body,
            attachments: Vec::new(),
        };
        Ok(Row { content, answer: Some(self.answer).filter(|answer| !answer.is_empty()), hash })
    }

    fn texts(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let tags = self.tags.iter().map(|tag| (TAG, tag.as_str()));
        [
            ("subject", self.subject.as_str()),
            ("body", &self.body),
            ("answer", &self.answer),
            ("type", &self.kind),
            ("queue", &self.queue),
            ("priority", &self.priority),
            ("language", &self.language),
        ]
        .into_iter()
        .chain(tags)
    }

    /// Hashes the texts as they are in the file, but for white space around them, all white space in tags and, unless the
    /// format has exact ones, the kind of their line breaks: the programs that copy a file change these.
    fn hash(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        for (name, text) in self.texts() {
            let mut text = if name == TAG { Cow::Owned(one_line(text)) } else { Cow::Borrowed(text.trim()) };
            if !self.has_exact_breaks && text.contains('\r') {
                text = text.replace("\r\n", "\n").replace('\r', "\n").into();
            }
            // The length distinguishes "ab", "c" from "a", "bc".
            hash.update((text.len() as u64).to_be_bytes());
            hash.update(text.as_bytes());
        }
        hash.finalize().into()
    }

    /// Makes the texts those of a ticket: normalized, without lines where it has one, and empty if they are blank.
    fn normalize(&mut self) {
        if check::has_line_break(&self.subject) {
            self.subject = one_line(&self.subject);
        }
        [&mut self.body, &mut self.answer].into_iter().for_each(normalize);
        [&mut self.subject, &mut self.queue].into_iter().chain(&mut self.tags).for_each(normalize_line);
        // A row with more tags did not keep all of them: it is refused, whichever of them are equal.
        if self.tags.len() <= MAX_TAGS {
            for tag in std::mem::take(&mut self.tags) {
                if !self.tags.contains(&tag) {
                    self.tags.push(tag);
                }
            }
        }
        for text in [&mut self.subject, &mut self.body, &mut self.answer, &mut self.queue] {
            // A NUL is refused by name.
            if check::is_blank(text) && !text.contains('\0') {
                text.clear();
            }
        }
    }

    fn wrong(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        if self.body.is_empty() {
            wrong.push("body is empty".to_owned());
        }
        for (name, text) in self.texts() {
            if text.contains('\0') {
                wrong.push(format!("{name} contains a NUL character"));
            }
        }
        let mut long = |name: &str, text: &str, most: usize| {
            if text.chars().count() > most {
                wrong.push(format!("{name} is longer than {most} characters"));
            }
        };
        long("subject", &self.subject, MAX_SUBJECT);
        long("body", &self.body, MAX_BODY);
        long("answer", &self.answer, MAX_BODY);
        long("queue", &self.queue, MAX_QUEUE);
        self.tags.iter().for_each(|tag| long(TAG, tag, MAX_TAG));
        if check::has_line_break(&self.queue) {
            wrong.push("queue must be one line".to_owned());
        }
        let tags = self.tags.iter().map(|tag| (TAG, tag));
        for (name, text) in [("subject", &self.subject), ("queue", &self.queue)].into_iter().chain(tags) {
            let is_named = text.contains('\0') || check::has_line_break(text);
            if check::has_control(text) && !is_named {
                wrong.push(format!("{name} has a control character"));
            }
        }
        if self.tags.len() > MAX_TAGS {
            wrong.push(format!("there are more than {MAX_TAGS} tags"));
        }
        if !self.kind.is_empty() && kind(&self.kind).is_none() {
            wrong.push("type is none of Incident, Request, Problem, Change".to_owned());
        }
        if !self.priority.is_empty() && priority(&self.priority).is_none() {
            wrong.push("priority is none of low, medium, high, urgent".to_owned());
        }
        if !self.language.is_empty() && Language::parse(&self.language).is_err() {
            wrong.push("language is not a BCP 47 tag".to_owned());
        }
        wrong
    }
}

/// Makes `\n` of every line break, one written as the two characters `\n` too.
fn unescape(text: &str) -> String {
    ["\\r\\n", "\\n", "\r\n", "\r"].iter().fold(text.to_owned(), |text, form| text.replace(form, "\n"))
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Returns the beginning of a text as a line without control characters, from its first visible character on, and cut
/// between words if possible.
fn beginning(body: &str) -> String {
    let mut line: String = body.chars().filter(|&c| c.is_whitespace() || !check::is_control(c)).collect();
    normalize_line(&mut line);
    let line = one_line(&line);
    let visible = line.find(|c: char| !check::is_blank(c.encode_utf8(&mut [0; 4]))).unwrap_or(0);
    let line = &line[visible..];
    let Some((most, _)) = line.char_indices().nth(MAX_SUBJECT) else { return line.to_owned() };
    let between_words = line[most..].starts_with(' ');
    let cut = if between_words { Some(most) } else { line[..most].rfind(' ') };
    line[..cut.unwrap_or(most)].to_owned()
}

/// Reads a name that people write, or the one in the contract, which the export as JSON lines has.
fn kind(text: &str) -> Option<Kind> {
    Kind::from_name(text.to_ascii_lowercase().trim_start_matches("ticket_kind_"))
}

fn priority(text: &str) -> Option<Priority> {
    Priority::from_name(text.to_ascii_lowercase().trim_start_matches("ticket_priority_"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(edit: impl FnOnce(&mut Raw)) -> Result<Row, String> {
        let mut raw = Raw { subject: "s".to_owned(), body: "b".to_owned(), ..Raw::default() };
        edit(&mut raw);
        raw.row(false)
    }

    #[test]
    fn a_row_with_a_million_tags_is_refused_at_once() {
        let error = row(|raw| {
            (0..1_000_000).for_each(|number| raw.push_tag(&number.to_string()));
            assert_eq!(raw.tags.len(), MAX_TAGS + 1);
        });
        let error = error.expect_err("too many");
        assert_eq!(error, format!("there are more than {MAX_TAGS} tags"));
        // The same if normalization makes two of the kept tags equal.
        let error = row(|raw| {
            ["\u{fc}", "u\u{308}"].into_iter().for_each(|tag| raw.push_tag(tag));
            (0..MAX_TAGS).for_each(|number| raw.push_tag(&number.to_string()));
        });
        assert_eq!(error.expect_err("too many"), format!("there are more than {MAX_TAGS} tags"));
    }

    #[test]
    fn missing_fields_have_defaults() {
        let row = row(|_| {}).expect("good");
        assert_eq!((row.content.kind, row.content.priority), (Kind::Request, Priority::Medium));
        assert_eq!((row.content.queue.as_str(), row.content.language.as_str()), (DEFAULT_QUEUE, "en"));
        assert_eq!(row.answer, None);
    }

    #[test]
    fn names_of_the_contract_are_read() {
        let row = row(|raw| {
            (raw.kind, raw.priority) = ("TICKET_KIND_PROBLEM".to_owned(), "TICKET_PRIORITY_URGENT".to_owned());
        });
        let content = row.expect("good").content;
        assert_eq!((content.kind, content.priority), (Kind::Problem, Priority::Urgent));
    }

    #[test]
    fn a_missing_subject_is_the_start_of_the_body() {
        let words = "Wörter ".repeat(40);
        let row = row(|raw| (raw.subject, raw.body) = (" ".to_owned(), words.clone())).expect("good");
        assert!(words.starts_with(&row.content.subject));
        assert!(row.content.subject.ends_with("Wörter"));
        assert_eq!(row.content.subject.chars().count(), 195);
        assert_eq!(beginning(&"x".repeat(300)).len(), 200);
        assert_eq!(beginning(&format!("{} y", "x".repeat(200))).len(), 200);
    }

    #[test]
    fn a_derived_subject_is_a_line_of_the_contract() {
        let long = format!("{}{}", "\u{202e}\u{200b}".repeat(300), "x".repeat(300));
        let cut = "x".repeat(200);
        for (body, subject) in [
            ("\u{1b}[31mred\u{202e}\tand\u{85} blue", "[31mred and blue"),
            ("\u{200b}\u{feff} a\u{ffff}b", "ab"),
            ("u\u{1b}\u{308}", "\u{fc}"),
            (long.as_str(), cut.as_str()),
        ] {
            let derived = row(|raw| (raw.subject, raw.body) = (String::new(), body.to_owned())).expect("good");
            assert_eq!(derived.content.subject, subject);
            let again = row(|raw| raw.subject = subject.to_owned()).expect("good");
            assert_eq!(again.content.subject, subject);
        }
        assert_eq!(row(|raw| raw.body = "\u{ffff}".to_owned()).expect_err("blank"), "body is empty");
    }

    #[test]
    fn escaped_line_breaks_are_decoded_on_demand() {
        let raw = || Raw { subject: "a\\nb".to_owned(), body: "Dear,\\n\\r\\nhelp".to_owned(), ..Raw::default() };
        let content = raw().row(false).expect("good").content;
        assert_eq!((&*content.subject, &*content.body), ("a\\nb", "Dear,\\n\\r\\nhelp"));
        let content = raw().row(true).expect("good").content;
        assert_eq!((&*content.subject, &*content.body), ("a b", "Dear,\n\nhelp"));
    }

    #[test]
    fn texts_are_normalized_and_those_without_a_character_are_absent() {
        let content = row(|raw| {
            (raw.subject, raw.body) = ("\u{200b} ".to_owned(), "Gru\u{308}\u{df}e\u{2028}x".to_owned());
            raw.queue = "\u{a0}".to_owned();
            ["u\u{308}", "\u{2060}"].iter().for_each(|tag| raw.push_tag(tag));
        });
        let content = content.expect("good").content;
        assert_eq!((&*content.subject, &*content.body), ("Gr\u{fc}\u{df}e x", "Gr\u{fc}\u{df}e\u{2028}x"));
        assert_eq!((&*content.queue, &*content.tags), (DEFAULT_QUEUE, &["\u{fc}".to_owned()][..]));
        assert_eq!(row(|raw| raw.body = "\u{200b}".to_owned()).expect_err("blank"), "body is empty");
        assert_eq!(row(|raw| raw.queue = "a\u{2028}b".to_owned()).expect_err("lines"), "queue must be one line");
        let content = row(|raw| (raw.subject, raw.queue) = ("a\u{202e}b\tc".to_owned(), " q ".to_owned()));
        let content = content.expect("good").content;
        assert_eq!((&*content.subject, &*content.queue), ("ab c", "q"));
        let tags = |raw: &mut Raw| raw.tags = vec!["a\u{2066}".to_owned(), "a".to_owned(), "b".to_owned()];
        assert_eq!(row(tags).expect("good").content.tags, ["a", "b"]);
        let wrong = row(|raw| (raw.subject, raw.tags) = ("a\u{8}".to_owned(), vec!["b\u{9b}".to_owned()]));
        assert_eq!(wrong.expect_err("controls"), "subject has a control character; a tag has a control character");
    }

    /// An earlier version stored the hashes of its rows.
    #[test]
    fn a_row_is_known_by_what_stands_in_the_file() {
        let hash = |subject: &str, body: &str| {
            let raw = Raw { subject: subject.to_owned(), body: body.to_owned(), ..Raw::default() };
            raw.row(false).expect("good").hash
        };
        assert_eq!(hash(" a", "b\r\nc\n"), hash("a ", "b\nc"));
        assert_ne!(hash("u\u{308}", "b"), hash("\u{fc}", "b"));
        assert_ne!(hash("a", "\\n"), hash("a", "x"));
        let exact = |body: &str| {
            let raw = Raw { body: body.to_owned(), has_exact_breaks: true, ..Raw::default() };
            raw.row(false).expect("good").hash
        };
        assert_ne!(exact("b\r\nc"), exact("b\nc"), "JSON says which line break it is");
        assert_eq!(exact("b\nc"), hash("", "b\nc"), "a row without a carriage return is the same in every format");
    }

    #[test]
    fn every_fault_of_a_row_is_reported() {
        let wrong = row(|raw| {
            raw.subject = "ä".repeat(201);
            raw.body = "  ".to_owned();
            raw.answer = "a\0b".to_owned();
            raw.kind = "Wish".to_owned();
            raw.priority = "asap".to_owned();
            raw.language = "--".to_owned();
            (0..21).for_each(|number| raw.push_tag(&number.to_string()));
        });
        let expected = "body is empty; answer contains a NUL character; subject is longer than 200 characters; \
                        there are more than 20 tags; type is none of Incident, Request, Problem, Change; \
                        priority is none of low, medium, high, urgent; language is not a BCP 47 tag";
        assert_eq!(wrong.expect_err("wrong"), expected);
    }

    #[test]
    fn tags_are_deduplicated_and_rows_hashed_by_their_texts() {
        let tagged = |tags: &[&str]| row(|raw| tags.iter().for_each(|tag| raw.push_tag(tag)));
        let row_a = tagged(&["a", " a", "", "b"]).expect("good");
        assert_eq!(row_a.content.tags, ["a", "b"]);
        assert_eq!(row_a.hash, tagged(&["a", "b"]).expect("good").hash);
        assert_ne!(row_a.hash, tagged(&["a, b"]).expect("good").hash);
        assert_ne!(row_a.hash, tagged(&["ab"]).expect("good").hash);
        let spaced = tagged(&["a  b", " c\u{a0}d ", "e \nf"]).expect("good");
        assert_eq!(spaced.content.tags, ["a  b", "c\u{a0}d", "e f"]);
        assert_eq!(spaced.hash, tagged(&["a b", "c d", "e f"]).expect("good").hash, "as in earlier versions");
    }
}
