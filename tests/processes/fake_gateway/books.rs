//! The gateway's own books: an append-only file.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fs::{File, OpenOptions},
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
};

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A line of the ledger.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "line", rename_all = "snake_case")]
pub(crate) enum Line {
    /// Money moved.
    Moved(Movement),
    /// An event for the webhook.
    Event(Event),
    /// The bank returned a refund.
    Returned { refund: String },
    /// An event was acknowledged.
    Delivered { event: String },
    /// The new state of a Stripe object.
    Object { object: Value },
    /// A response stored under a key.
    StoredResponse { key: String, fingerprint: String, status: u16, body: Value },
}

/// A movement of money.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Movement {
    /// `charge`, `refund` or `invoice`.
    pub(crate) kind: String,
    pub(crate) id: String,
    pub(crate) amount: i64,
    pub(crate) currency: String,
    /// The charge or invoice that a refund belongs to, or the subscription that an invoice belongs to.
    pub(crate) of: Option<String>,
    pub(crate) metadata: BTreeMap<String, String>,
    pub(crate) key: String,
    /// When it moved, in Unix seconds; `None` for a line that a test has added.
    #[serde(default)]
    pub(crate) created: Option<i64>,
}

/// A webhook event.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Event {
    pub(crate) id: String,
    pub(crate) kind: String,
    pub(crate) object: Value,
}

/// A stored response.
#[derive(Debug, Clone)]
pub(crate) struct StoredResponse {
    pub(crate) fingerprint: String,
    pub(crate) status: u16,
    pub(crate) body: Value,
}

/// The books.
#[derive(Debug)]
pub(crate) struct Books {
    file: File,
    pub(crate) movements: Vec<Movement>,
    events: Vec<Event>,
    delivered: HashSet<String>,
    pub(crate) responses: HashMap<String, StoredResponse>,
    /// Objects with more state than money, by id.
    pub(crate) objects: BTreeMap<String, Value>,
    /// Refunds that the bank returned.
    pub(crate) returned: HashSet<String>,
    /// The ids that a search finds while its index is frozen.
    pub(crate) indexed: Option<HashSet<String>>,
    /// Keys whose request is being executed.
    pub(crate) running: HashSet<String>,
}

impl Books {
    /// Opens the file and reads its lines.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).read(true).open(path)?;
        let mut books = Self {
            file,
            movements: Vec::new(),
            events: Vec::new(),
            delivered: HashSet::new(),
            responses: HashMap::new(),
            objects: BTreeMap::new(),
            returned: HashSet::new(),
            indexed: None,
            running: HashSet::new(),
        };
        for line in BufReader::new(File::open(path)?).lines() {
            books.take(serde_json::from_str(&line?)?);
        }
        Ok(books)
    }

    /// Appends lines in a single write and applies them.
    pub(crate) fn write(&mut self, lines: Vec<Line>) -> anyhow::Result<()> {
        let mut text = String::new();
        for line in &lines {
            text.push_str(&serde_json::to_string(line)?);
            text.push('\n');
        }
        self.file.write_all(text.as_bytes())?;
        self.file.flush()?;
        lines.into_iter().for_each(|line| self.take(line));
        Ok(())
    }

    fn take(&mut self, line: Line) {
        match line {
            Line::Moved(movement) => self.movements.push(movement),
            Line::Event(event) => self.events.push(event),
            Line::Returned { refund } => drop(self.returned.insert(refund)),
            Line::Delivered { event } => drop(self.delivered.insert(event)),
            Line::Object { object } => {
                let id = object["id"].as_str().unwrap_or_default().to_owned();
                self.objects.insert(id, object);
            }
            Line::StoredResponse { key, fingerprint, status, body } => {
                self.responses.insert(key, StoredResponse { fingerprint, status, body });
            }
        }
    }

    /// Whether a search finds the object with this id.
    pub(crate) fn is_indexed(&self, id: &str) -> bool {
        self.indexed.as_ref().is_none_or(|ids| ids.contains(id))
    }

    /// Freezes the search index, or brings it up to date.
    pub(crate) fn index(&mut self, stands_still: bool) {
        let ids = self.movements.iter().map(|movement| &movement.id).chain(self.objects.keys()).cloned();
        self.indexed = stands_still.then(|| ids.collect());
    }

    /// The events that no server has acknowledged yet, in the order they happened.
    pub(crate) fn undelivered_events(&self) -> impl Iterator<Item = &Event> {
        self.events.iter().filter(|event| !self.delivered.contains(&event.id))
    }

    /// The number of events so far.
    pub(crate) fn event_count(&self) -> usize {
        self.events.len()
    }

    pub(crate) fn next_id(&self, prefix: &str) -> String {
        format!("{prefix}_fake{:08}", self.movements.len() + self.responses.len())
    }

    /// The refunds of a charge or an invoice.
    pub(crate) fn refunds<'b>(&'b self, of: &'b str) -> impl Iterator<Item = &'b Movement> {
        self.movements.iter().filter(move |movement| movement.kind == "refund" && movement.of.as_deref() == Some(of))
    }

    /// The unrefunded rest of a charge or an invoice.
    pub(crate) fn refundable(&self, charge: &str) -> Option<i64> {
        let original = self.movements.iter().find(|movement| movement.kind != "refund" && movement.id == charge)?;
        let back = self.refunds(charge);
        let back = back.filter(|movement| !self.returned.contains(&movement.id));
        Some(original.amount - back.map(|movement| movement.amount).sum::<i64>())
    }
}
