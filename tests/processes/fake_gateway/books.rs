//! The gateway's own books: a file that only grows.

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
    /// Something to be told.
    Event(Event),
    /// A refund came back.
    Returned { refund: String },
    /// An event that was taken.
    Told { event: String },
    /// What an object of Stripe's is from now on.
    Object { object: Value },
    /// An answer that is kept under a key.
    Kept { key: String, fingerprint: String, status: u16, body: Value },
}

/// Money that moved.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Movement {
    /// `charge`, `refund` or `invoice`.
    pub(crate) kind: String,
    pub(crate) id: String,
    pub(crate) amount: i64,
    pub(crate) currency: String,
    /// The charge that a refund is of, or the subscription that an invoice is of.
    pub(crate) of: Option<String>,
    pub(crate) metadata: BTreeMap<String, String>,
    pub(crate) key: String,
}

/// What a webhook tells.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Event {
    pub(crate) id: String,
    pub(crate) kind: String,
    pub(crate) object: Value,
}

/// A kept answer.
#[derive(Debug, Clone)]
pub(crate) struct Kept {
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
    told: HashSet<String>,
    pub(crate) kept: HashMap<String, Kept>,
    /// Objects that have more to them than money, by id.
    pub(crate) objects: BTreeMap<String, Value>,
    /// Refunds that came back.
    pub(crate) returned: HashSet<String>,
    /// What a search knows, while its index stands still.
    pub(crate) indexed: Option<HashSet<String>>,
    /// Keys whose request runs.
    pub(crate) running: HashSet<String>,
}

impl Books {
    /// Opens the file, and reads what is in it.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).read(true).open(path)?;
        let mut books = Self {
            file,
            movements: Vec::new(),
            events: Vec::new(),
            told: HashSet::new(),
            kept: HashMap::new(),
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

    /// Writes lines, all in one write, and takes them in.
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
            Line::Told { event } => drop(self.told.insert(event)),
            Line::Object { object } => {
                let id = object["id"].as_str().unwrap_or_default().to_owned();
                self.objects.insert(id, object);
            }
            Line::Kept { key, fingerprint, status, body } => {
                self.kept.insert(key, Kept { fingerprint, status, body });
            }
        }
    }

    /// Whether a search finds what has this id.
    pub(crate) fn is_indexed(&self, id: &str) -> bool {
        self.indexed.as_ref().is_none_or(|known| known.contains(id))
    }

    /// From now on a search learns of nothing new, or knows all there is.
    pub(crate) fn index(&mut self, stands_still: bool) {
        let ids = self.movements.iter().map(|movement| &movement.id).chain(self.objects.keys()).cloned();
        self.indexed = stands_still.then(|| ids.collect());
    }

    /// What nobody took yet, in the order it happened.
    pub(crate) fn untold(&self) -> impl Iterator<Item = &Event> {
        self.events.iter().filter(|event| !self.told.contains(&event.id))
    }

    /// How many events there were.
    pub(crate) fn happened(&self) -> usize {
        self.events.len()
    }

    pub(crate) fn next_id(&self, prefix: &str) -> String {
        format!("{prefix}_fake{:08}", self.movements.len() + self.kept.len())
    }

    /// What is left of a charge.
    pub(crate) fn left(&self, charge: &str) -> Option<i64> {
        let made = self.movements.iter().find(|movement| movement.kind == "charge" && movement.id == charge)?;
        let back = self.movements.iter().filter(|movement| movement.of.as_deref() == Some(charge));
        let back = back.filter(|movement| !self.returned.contains(&movement.id));
        Some(made.amount - back.map(|movement| movement.amount).sum::<i64>())
    }
}
