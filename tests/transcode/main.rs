//! Tests of the transcoder apart from the app: its JSON against an oracle, its rules, and whole calls.

mod calls;
mod foreign;
mod hostile;
mod oracle;
mod rules;
mod streams;
mod support;
