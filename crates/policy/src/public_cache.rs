//! What caches between the server and its callers may keep.

use std::time::Duration;

use prost_reflect::MessageDescriptor;

use super::{Cache, FieldPath, LocationPart, pb, success::location};

/// How long shared caches, and the cache of the server itself, may serve a response past its age while the server fails.
pub const STALE_IF_ERROR: Duration = Duration::from_secs(600);
const PUBLIC: &str = "mainstay.policy.v1.is_public";

/// How long shared caches may keep a response, and which one.
#[derive(Debug)]
pub struct PublicCache {
    header: String,
    tags: Vec<Vec<LocationPart>>,
    /// The field, and the values of it with which a response is public; `None` means always.
    when: Option<(FieldPath, Vec<i32>)>,
}

impl PublicCache {
    /// Reads the policy of a method whose `cache` is this.
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
                return Err("CACHE_PUBLIC needs a lifetime: set `public_max_age_seconds`".to_owned());
            }
            (None, _) if raw.public_field.is_empty() && raw.cache_tags.is_empty() => return Ok(None),
            _ => {
                let fault = "public_max_age_seconds, public_field and cache_tags go with CACHE_PUBLIC: remove them, or what \
                             else is said";
                return Err(fault.to_owned());
            }
        };
        let grace = STALE_IF_ERROR.as_secs();
        let header = format!("public, max-age={age}, stale-while-revalidate={age}, stale-if-error={grace}");
        let mut tags = Vec::new();
        for tag in &raw.cache_tags {
            let is_word = !tag.is_empty() && tag.bytes().all(|byte| byte.is_ascii_graphic() && byte != b',');
            if !is_word {
                return Err(format!("cache_tags: {tag:?} must be one word without a comma"));
            }
            tags.push(location(tag, output)?);
        }
        let when = match raw.public_field.as_str() {
            "" => None,
            field => {
                let path = FieldPath::resolve(output, field)?;
                let values = path.marked_values(PUBLIC).map_err(|fault| format!("public_field: {fault}"))?;
                Some((path, values))
            }
        };
        Ok(Some(Self { header, tags, when }))
    }

    /// Returns the value of `Cache-Control` for the responses that are public.
    pub fn header(&self) -> &str {
        &self.header
    }

    /// Returns the tags of an encoded response.
    pub fn tags(&self, response: &[u8]) -> Vec<String> {
        self.tags.iter().map(|parts| LocationPart::fill(parts, response)).collect()
    }

    /// Returns whether the fields of a response decide whether it is public, or are part of its tags.
    pub fn reads_response(&self) -> bool {
        let has_field = |parts: &Vec<LocationPart>| parts.iter().any(|part| matches!(part, LocationPart::Field(_)));
        self.when.is_some() || self.tags.iter().any(has_field)
    }

    /// Returns whether an encoded response is public.
    pub fn applies(&self, response: &[u8]) -> bool {
        self.when.as_ref().is_none_or(|(path, values)| path.is_one_of(values, response))
    }
}
