//! The generated messages of the kernel, in modules that mirror their packages.

include!(concat!(env!("OUT_DIR"), "/contract.rs"));
pub use self::mainstay::*;
