//! Tests from outside: the JSON against an oracle, the rules, and whole calls.

mod calls;
mod channel;
mod hostile;
mod oracle;
mod rules;
mod streams;
mod support;
