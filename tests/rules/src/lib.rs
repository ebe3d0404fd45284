//! The generated messages of a contract with every validation rule, and their checks.

#![expect(missing_docs, reason = "prost copies the comments of the .proto files, and writes none for modules")]

include!(concat!(env!("OUT_DIR"), "/contract.rs"));
include!(concat!(env!("OUT_DIR"), "/validation.rs"));
