//! Turns `buf.validate` rules into checks on the generated types.

use std::error::Error;

use prost_reflect::DescriptorPool;

/// The Rust source of one `Validate` implementation per message.
pub(crate) fn generate(_pool: &DescriptorPool) -> Result<String, Box<dyn Error>> {
    Ok(String::new())
}
