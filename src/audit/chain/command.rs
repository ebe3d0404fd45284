//! `mainstay audit`.

use std::{fs, path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use clap::Parser;
use mainstay_kernel::{
    command::{Command, Program, for_operator, print},
    id::UserId,
    secret::SecretKey,
};
use uuid::Uuid;

use crate::audit::{
    chain::ops::{self, Report},
    entry::ops as entries,
};

/// Verify the audit log, and erase personal values in it.
#[derive(Debug, Parser)]
pub(crate) enum Audit {
    /// Verify the chain of the audit log, and name the first entry that was changed, removed or inserted.
    ///
    /// The exit status is 0 if the log is genuine, 3 if it is not, and 1 if it could not be verified; 2 is that of a wrong
    /// command line.
    Verify {
        /// The number and the hash of a link that an earlier verification has printed. Keep them outside the database:
        /// they reveal that the end of the chain was removed.
        #[arg(long, value_name = "NUMBER:HASH", value_parser = parse_link)]
        expect: Option<(i64, Digits)>,
        /// A file with an earlier SECRET_KEY, with which checkpoints were made before it was changed.
        #[arg(long, value_name = "FILE")]
        earlier_secret: Vec<PathBuf>,
        /// Print the report as JSON: `first`, `last`, `hash`, `removed`, and `fault`.
        #[arg(long)]
        json: bool,
    },
    /// Erase the personal values of the acts of a user, of those on the user, and of refused sign-ins with the user's address:
    /// addresses, texts, names. The entries remain, and the chain remains valid.
    Erase {
        /// The id of the user.
        user: Uuid,
    },
}

/// The exit status of a log that is not genuine.
const NOT_GENUINE: u8 = 3;

/// Bytes in hexadecimal digits.
#[derive(Debug, Clone)]
pub(crate) struct Digits(Vec<u8>);

fn parse_link(text: &str) -> Result<(i64, Digits), String> {
    let wrong = || "must be NUMBER:HASH, as `mainstay audit verify` prints it".to_owned();
    let (number, digits) = text.split_once(':').ok_or_else(wrong)?;
    let byte = |at: usize| digits.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok());
    let bytes: Option<Vec<_>> = (0..digits.len()).step_by(2).map(byte).collect();
    let bytes = bytes.filter(|bytes| bytes.len() == 32).ok_or_else(wrong)?;
    Ok((number.parse().map_err(|_| wrong())?, Digits(bytes)))
}

impl Command for Audit {
    const NAME: &'static str = "audit";

    async fn run(self, program: &mut dyn Program) -> anyhow::Result<ExitCode> {
        let app = program.open().await?;
        match self {
            Self::Verify { expect, earlier_secret, json } => {
                let read = |path: &PathBuf| {
                    let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
                    SecretKey::parse(&text).with_context(|| path.display().to_string())
                };
                let earlier = earlier_secret.iter().map(read).collect::<anyhow::Result<Vec<_>>>()?;
                let expect = expect.map(|(number, Digits(hash))| (number, hash));
                let report = for_operator(ops::verify(&app, &earlier, expect).await)?;
                print(&if json { format!("{}\n", serde_json::to_string(&report)?) } else { sentences(&report) })?;
                Ok(if report.fault.is_none() { ExitCode::SUCCESS } else { ExitCode::from(NOT_GENUINE) })
            }
            Self::Erase { user } => {
                let count = for_operator(entries::erase(&app, UserId(user)).await)?;
                let entries = if count == 1 { "entry" } else { "entries" };
                print(&format!("Erased the personal values of {count} {entries}.\n"))?;
                Ok(ExitCode::SUCCESS)
            }
        }
    }
}

fn sentences(report: &Report) -> String {
    let Report { first, last, hash, removed, fault } = report;
    let mut text = String::new();
    if let (Some(first), Some(last)) = (first, last) {
        text += &format!("Links {first} to {last} were verified.\n");
    }
    if *removed > 0 {
        text += &format!("Retention has removed the entries of {removed} of them.\n");
    }
    match (fault, last, hash) {
        (Some(fault), ..) => text += &format!("The audit log is not genuine: {fault}\n"),
        (None, Some(last), Some(hash)) => text += &format!("The audit log is genuine. The last link: {last}:{hash}\n"),
        (None, ..) => text += "The audit log has no links yet.\n",
    }
    text
}
