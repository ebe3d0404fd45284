//! Pagination (AIP-158): clamped page numbers and sizes, and opaque tokens that are bound to their list.

use prost_reflect::{DynamicMessage, MessageDescriptor, MethodDescriptor, ReflectMessage as _};
use sha2::{Digest as _, Sha256};

use crate::{
    contract::proto::common::v1::PageMeta,
    error::{Error, Result},
    page::{Key, List, Page, PageTokens, Start, Total},
};

const DEFAULT_SIZE: i64 = 20;
/// The deepest offset. Skipping rows costs as much as reading them, so that deeper pages require a token.
const MAX_OFFSET: i64 = 10_000;
/// The request fields that do not affect the selection of the list.
const PAGE_FIELDS: [&str; 5] = ["page", "page_size", "page_token", "read_mask", "include"];

/// The requested page.
#[derive(Debug, Clone, Copy)]
pub struct Pager {
    /// The page.
    pub page: Page,
    list: List,
}

impl Pager {
    /// The most rows of a page. A larger `page_size` is reduced to it.
    pub const MAX_SIZE: i64 = 100;

    /// Reads the page fields of an encoded request. A token is bound to the method and to the other fields of the
    /// request, by their numbers and values, which are stable across releases.
    /// Errors: `VALIDATION_FAILED` for a page number together with a token, a token of another list, or too high a page
    /// number.
    pub(super) fn read(
        tokens: &PageTokens,
        method: &str,
        descriptor: &MessageDescriptor,
        request: &[u8],
        max_size: i64,
    ) -> Result<Self> {
        let mut request = DynamicMessage::decode(descriptor.clone(), request).map_err(Error::internal)?;
        let number = |name| i64::from(request.get_field_by_name(name).and_then(|value| value.as_i32()).unwrap_or(0));
        let (page, size) = (number("page"), number("page_size"));
        let token = request.get_field_by_name("page_token");
        let token = token.and_then(|token| token.as_str().map(ToOwned::to_owned)).unwrap_or_default();
        for name in PAGE_FIELDS {
            request.clear_field_by_name(name);
        }
        let list = list(method, &encode(&request));
        let size = if size == 0 { DEFAULT_SIZE } else { size.clamp(1, max_size) };
        let start = match (&*token, (page.max(1) - 1) * size) {
            ("", offset) if offset > MAX_OFFSET => {
                return Err(Error::field("page", "is too deep; use pageToken instead"));
            }
            ("", offset) => Start::Offset(offset),
            (_, _) if page != 0 => return Err(Error::field("page", "can't be combined with pageToken")),
            (token, _) => Start::After(
                tokens.open(token, &list).ok_or_else(|| Error::field("pageToken", "is not a token of this list"))?,
            ),
        };
        Ok(Self { page: Page { start, size }, list })
    }

    /// Returns whether this is the page of a request without page fields: the first one, of the default size.
    pub fn is_default(&self) -> bool {
        self.page == Page::first(DEFAULT_SIZE)
    }

    /// Returns the first page of another list, whose first rows a response includes.
    pub fn first<M: prost::Message>(method: &MethodDescriptor, request: &M, size: i64) -> Self {
        let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
        Self { page: Page::first(size), list: list(&path, &request.encode_to_vec()) }
    }

    /// Describes the page. It drops the extra row, whose presence means that there is a next page.
    pub fn meta<T>(
        &self,
        tokens: &PageTokens,
        rows: &mut Vec<T>,
        total: Option<Total>,
        key: impl Fn(&T) -> Key,
    ) -> PageMeta {
        let Page { start, size: max_rows } = self.page;
        let size = usize::try_from(max_rows).unwrap_or(usize::MAX);
        let more = rows.len() > size;
        rows.truncate(size);
        let page = match start {
            Start::Offset(offset) => i32::try_from(offset / max_rows + 1).ok(),
            Start::After(_) => None,
        };
        let total_pages = total.map(|total| i32::try_from((total.rows + max_rows - 1) / max_rows).unwrap_or(i32::MAX));
        PageMeta {
            page,
            page_size: i32::try_from(max_rows).unwrap_or(i32::MAX),
            total: total.map(|total| total.rows),
            total_pages,
            next_page_token: rows.last().filter(|_| more).map(|row| tokens.seal(key(row), &self.list)),
            total_is_lower_bound: total.map(|total| total.lower_bound).filter(|&bound| bound),
        }
    }
}

/// Identifies a list by its method and by the request fields that select it.
fn list(method: &str, request: &[u8]) -> List {
    Sha256::new().chain_update(method).chain_update([0]).chain_update(request).finalize().into()
}

fn encode(request: &DynamicMessage) -> Vec<u8> {
    debug_assert!(request.descriptor().fields().all(|field| !field.is_map()), "a map has no order");
    prost::Message::encode_to_vec(request)
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;
    use crate::secret::SecretKey;

    /// The request of a list: it has `page` and `page_size`, and other fields.
    fn pager(page: i32, size: i32) -> Result<Pager> {
        let descriptors = prost_reflect::DescriptorPool::decode(crate::contract::DESCRIPTOR_SET).expect("descriptors");
        let descriptor = descriptors.get_message_by_name("mainstay.common.v1.PageMeta").expect("a message");
        let request = PageMeta { page: Some(page), page_size: size, ..PageMeta::default() }.encode_to_vec();
        Pager::read(&PageTokens::new(&SecretKey::new([1; 32])), "list", &descriptor, &request, Pager::MAX_SIZE)
    }

    #[test]
    fn sizes_and_pages_are_clamped_and_deep_pages_need_a_token() {
        assert_eq!(pager(-4, 0).expect("a page").page.start, Start::Offset(0));
        assert_eq!(pager(2, 5000).expect("a page").page.start, Start::Offset(100));
        assert!(pager(102, 100).is_err());
        assert!(pager(101, 100).is_ok());
    }
}
