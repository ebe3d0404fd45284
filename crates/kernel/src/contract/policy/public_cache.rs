//! What caches between the server and its callers may keep.

use prost_reflect::MessageDescriptor;

use super::{Cache, FieldPath, pb};

const PUBLIC: &str = "mainstay.policy.v1.is_public";

/// How long shared caches may keep a response, and which one.
#[derive(Debug)]
pub struct PublicCache {
    header: String,
    /// The field, and the values of it with which a response is public; `None` means always.
    when: Option<(FieldPath, Vec<i32>)>,
}

impl PublicCache {
    /// Reads the policy of a method whose `cache` is this.
    ///
    /// # Errors
    /// A fault of the policy.
    pub(super) fn read(
        raw: &pb::MethodPolicy,
        cache: Cache,
        output: &MessageDescriptor,
    ) -> Result<Option<Self>, String> {
        let age = match (raw.public_max_age_seconds, cache) {
            (Some(age), Cache::Public) if age > 0 => age,
            (Some(age), Cache::Public) => {
                return Err(format!("public_max_age_seconds: {age} s are no time to cache a response for"));
            }
            (None, Cache::Public) => {
                return Err("CACHE_PUBLIC needs public_max_age_seconds: say for how long".to_owned());
            }
            (None, _) if raw.public_field.is_empty() => return Ok(None),
            _ => {
                let fault =
                    "public_max_age_seconds and public_field go with CACHE_PUBLIC: remove them, or what else is said";
                return Err(fault.to_owned());
            }
        };
        let header = format!("public, max-age={age}, stale-while-revalidate={age}");
        let when = match raw.public_field.as_str() {
            "" => None,
            field => {
                let path = FieldPath::resolve(output, field)?;
                let values = path.marked_values(PUBLIC).map_err(|fault| format!("public_field: {fault}"))?;
                Some((path, values))
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
