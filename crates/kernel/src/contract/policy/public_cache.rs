//! What caches between the server and its callers may keep.

use std::fmt::Write as _;

use prost_reflect::MessageDescriptor;

use super::{Cache, FieldPath, pb};

/// How long shared caches may keep a response, and which one.
#[derive(Debug)]
pub struct PublicCache {
    header: String,
    /// The field, and the values of it with which a response is public; `None` means always.
    when: Option<(FieldPath, Vec<i32>)>,
}

impl PublicCache {
    /// Reads the option of a method whose `cache` is this.
    ///
    /// # Errors
    /// A fault of the policy.
    pub(super) fn read(
        raw: &pb::MethodPolicy,
        cache: Cache,
        output: &MessageDescriptor,
    ) -> Result<Option<Self>, String> {
        let raw = match (&raw.public_cache, cache) {
            (None, Cache::Public) => return Err("CACHE_PUBLIC needs public_cache: say for how long".to_owned()),
            (Some(raw), Cache::Public) => raw,
            (None, _) => return Ok(None),
            (Some(_), _) => return Err("public_cache goes with CACHE_PUBLIC: remove one of the two".to_owned()),
        };
        let (age, stale) = (raw.max_age_seconds, raw.stale_while_revalidate_seconds);
        if age <= 0 || stale < 0 {
            return Err(format!("public_cache: {age} s and {stale} s are no times to cache a response for"));
        }
        let mut header = format!("public, max-age={age}");
        if stale > 0 {
            write!(header, ", stale-while-revalidate={stale}").expect("a string takes it");
        }
        let when = match raw.field.as_str() {
            "" => None,
            field => {
                let path = FieldPath::resolve(output, field)?;
                let values = path.enum_numbers(&raw.values).filter(|values| !values.is_empty());
                let fault = || format!("public_cache: {field} must be an enum with all of its values");
                Some((path, values.ok_or_else(fault)?))
            }
        };
        Ok(Some(Self { header, when }))
    }

    /// Returns the value of `Cache-Control` for the responses that are public.
    pub fn header(&self) -> &str {
        &self.header
    }

    /// Returns whether only some responses are public.
    pub fn is_conditional(&self) -> bool {
        self.when.is_some()
    }

    /// Returns whether an encoded response is public.
    pub fn applies(&self, response: &[u8]) -> bool {
        self.when.as_ref().is_none_or(|(path, values)| path.is_one_of(values, response))
    }
}
