//! Black-box tests: the JSON against an oracle, the rules, and whole calls.

mod calls;
mod channel;
mod differential;
mod editions;
mod hostile;
mod json_names;
mod mapping;
mod oracle;
mod rules;
mod rulings;
mod streams;
mod support;
