//! Pagination: numbers and sizes are clamped, tokens are opaque and bound to their list (AIP-158).

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::DateTime;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::{
    contract::proto::common::v1::PageMeta,
    error::{Error, Result},
    page::{Key, Start, Total},
};

const DEFAULT_SIZE: i64 = 20;
const MAX_SIZE: i64 = 100;
/// Skipping rows costs as much as reading them, so deeper pages are available by token only.
const MAX_OFFSET: i64 = 10_000;

/// The requested page.
#[derive(Debug, Clone, Copy)]
pub struct Pager {
    /// Where the page starts.
    pub start: Start,
    /// The maximum number of rows.
    pub size: i64,
    list: [u8; 8],
}

impl Pager {
    /// Reads a request's page fields. `list` identifies the list, including its filters and order: a token of another
    /// list is rejected.
    ///
    /// # Errors
    /// `VALIDATION_FAILED` for a page number together with a token, a token of another list, or a page number that is
    /// too high.
    pub fn read(page: i32, page_size: i32, page_token: &str, list: &impl std::fmt::Debug) -> Result<Self> {
        let hash = Sha256::digest(format!("{list:?}"));
        let list: [u8; 8] = hash[..8].try_into().expect("8 of 32 bytes");
        let size = if page_size == 0 { DEFAULT_SIZE } else { i64::from(page_size).clamp(1, MAX_SIZE) };
        if !page_token.is_empty() {
            if page != 0 {
                return Err(Error::field("page", "can't be combined with pageToken"));
            }
            let key =
                decode(page_token, list).ok_or_else(|| Error::field("pageToken", "is not a token of this list"))?;
            return Ok(Self { start: Start::After(key), size, list });
        }
        let offset = (i64::from(page).max(1) - 1) * size;
        if offset > MAX_OFFSET {
            return Err(Error::field("page", "is too deep; use pageToken instead"));
        }
        Ok(Self { start: Start::Offset(offset), size, list })
    }

    /// Drops the extra row, which was read to see whether there are more, and describes the page.
    pub fn meta<T>(&self, rows: &mut Vec<T>, total: Option<Total>, key: impl Fn(&T) -> Key) -> PageMeta {
        let size = usize::try_from(self.size).unwrap_or(usize::MAX);
        let more = rows.len() > size;
        rows.truncate(size);
        let page = match self.start {
            Start::Offset(offset) => i32::try_from(offset / self.size + 1).ok(),
            Start::After(_) => None,
        };
        let total_pages =
            total.map(|total| i32::try_from((total.rows + self.size - 1) / self.size).unwrap_or(i32::MAX));
        PageMeta {
            page,
            page_size: i32::try_from(self.size).unwrap_or(i32::MAX),
            total: total.map(|total| total.rows),
            total_pages,
            next_page_token: rows.last().filter(|_| more).map(|row| encode(key(row), self.list)),
            total_is_lower_bound: total.map(|total| total.lower_bound).filter(|&bound| bound),
        }
    }
}

const VERSION: u8 = 1;
const LENGTH: usize = 1 + 8 + 2 + 8 + 16;
/// Smaller than any rank.
const NO_RANK: i16 = i16::MIN;

fn encode(key: Key, list: [u8; 8]) -> String {
    let mut bytes = Vec::with_capacity(LENGTH);
    bytes.push(VERSION);
    bytes.extend(list);
    bytes.extend(key.rank.unwrap_or(NO_RANK).to_be_bytes());
    bytes.extend(key.time.timestamp_micros().to_be_bytes());
    bytes.extend(key.id.as_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

fn decode(token: &str, list: [u8; 8]) -> Option<Key> {
    let bytes: [u8; LENGTH] = URL_SAFE_NO_PAD.decode(token).ok()?.try_into().ok()?;
    if bytes[0] != VERSION || bytes[1..9] != list {
        return None;
    }
    let rank = i16::from_be_bytes(bytes[9..11].try_into().ok()?);
    let time = DateTime::from_timestamp_micros(i64::from_be_bytes(bytes[11..19].try_into().ok()?))?;
    Some(Key { rank: Some(rank).filter(|&rank| rank != NO_RANK), time, id: Uuid::from_slice(&bytes[19..]).ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(rank: Option<i16>) -> Key {
        Key {
            rank,
            time: DateTime::from_timestamp_micros(1_790_000_000_123_456).expect("a time"),
            id: Uuid::from_u128(7),
        }
    }

    #[test]
    fn a_token_leads_back_to_its_row() {
        for rank in [None, Some(3)] {
            assert_eq!(decode(&encode(key(rank), [1; 8]), [1; 8]), Some(key(rank)));
        }
    }

    #[test]
    fn a_token_of_another_list_is_refused() {
        assert_eq!(decode(&encode(key(None), [1; 8]), [2; 8]), None);
        assert!(Pager::read(0, 0, "bm9uc2Vuc2U", &"list").is_err());
    }

    #[test]
    fn sizes_and_pages_are_clamped() {
        assert_eq!(Pager::read(-4, 0, "", &"list").expect("a page").start, Start::Offset(0));
        assert_eq!(Pager::read(2, 5000, "", &"list").expect("a page").start, Start::Offset(100));
        assert!(Pager::read(102, 100, "", &"list").is_err());
        assert!(Pager::read(101, 100, "", &"list").is_ok());
    }
}
