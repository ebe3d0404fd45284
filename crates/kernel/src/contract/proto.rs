//! The generated messages of the kernel, nested like their packages.

include!(concat!(env!("OUT_DIR"), "/contract.rs"));
pub use self::mainstay::*;
