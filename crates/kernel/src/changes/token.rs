//! Resume tokens: stream positions, authenticated so that only this service can issue them.

use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use prost::encoding::{decode_varint, encode_varint};

use super::{Cursor, RESUME_WINDOW, Snapshot};
use crate::{
    error::{Error, Reason, Result},
    secret::SecretKey,
};

const VERSION: u8 = 1;
const TAG_BYTES: usize = 32;
/// The most transactions in progress in a snapshot; a token with more is rejected.
const MAX_RUNNING: i64 = 10_000;

/// Makes and reads resume tokens. A token carries a MAC over its position and its method.
///
/// The key is derived from the server's secret, which all instances share. A new secret invalidates all earlier tokens.
#[derive(Clone)]
pub struct ResumeTokens(hmac::Key);

debug_fields!(ResumeTokens);

impl ResumeTokens {
    pub(crate) fn new(secret: &SecretKey) -> Self {
        Self(secret.mac("resume tokens v1"))
    }

    /// Returns the token of a position in the stream of a method.
    pub fn seal(&self, cursor: &Cursor, method: &str) -> String {
        let mut bytes = vec![VERSION];
        put_snapshot(&mut bytes, &cursor.from);
        if let Some((until, (writer, number))) = &cursor.part {
            put_snapshot(&mut bytes, until);
            put(&mut bytes, *writer);
            put(&mut bytes, *number);
        }
        let tag = hmac::sign(&self.0, &[method.as_bytes(), &[0], &*bytes].concat());
        bytes.extend(tag.as_ref());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Returns the position of a token.
    ///
    /// # Errors
    /// `VALIDATION_FAILED` if the token was not made for this method under this secret; `RESUME_TOKEN_EXPIRED` if
    /// changes after its position may have been removed.
    pub fn open(&self, token: &str, method: &str, now: DateTime<Utc>) -> Result<Cursor> {
        let cursor = self.read(token, method);
        let cursor = cursor.ok_or_else(|| Error::field("resumeToken", "must be a token of this method's stream"))?;
        if cursor.from.taken_at < now - RESUME_WINDOW {
            return Err(Reason::ResumeTokenExpired.into());
        }
        Ok(cursor)
    }

    fn read(&self, token: &str, method: &str) -> Option<Cursor> {
        let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
        let (position, tag) = bytes.split_at_checked(bytes.len().checked_sub(TAG_BYTES)?)?;
        hmac::verify(&self.0, &[method.as_bytes(), &[0], position].concat(), tag).ok()?;
        let [VERSION, rest @ ..] = position else { return None };
        let mut rest = rest;
        let from = take_snapshot(&mut rest)?;
        let part = match rest {
            [] => None,
            _ => Some((take_snapshot(&mut rest)?, (take(&mut rest)?, take(&mut rest)?))),
        };
        Some(Cursor { from, part })
    }
}

fn put_snapshot(bytes: &mut Vec<u8>, snapshot: &Snapshot) {
    put(bytes, snapshot.taken_at.timestamp());
    put(bytes, snapshot.end);
    put(bytes, i64::try_from(snapshot.running.len()).unwrap_or(i64::MAX));
    // The ids of transactions in progress are close to the end, so that most differences take one or two bytes.
    snapshot.running.iter().for_each(|running| put(bytes, snapshot.end - running));
}

fn take_snapshot(bytes: &mut &[u8]) -> Option<Snapshot> {
    let taken_at = DateTime::from_timestamp(take(bytes)?, 0)?;
    let end = take(bytes)?;
    let count = take(bytes).filter(|&count| count <= MAX_RUNNING)?;
    let running = (0..count).map(|_| Some(end - take(bytes)?)).collect::<Option<_>>()?;
    Some(Snapshot { taken_at, end, running })
}

fn put(bytes: &mut Vec<u8>, number: i64) {
    encode_varint(number.unsigned_abs(), bytes);
}

fn take(bytes: &mut &[u8]) -> Option<i64> {
    i64::try_from(decode_varint(bytes).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(secret: u8) -> ResumeTokens {
        ResumeTokens::new(&SecretKey::new([secret; 32]))
    }

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).expect("a time")
    }

    fn snapshot(text: &str) -> Snapshot {
        Snapshot::parse(text, at(1_790_000_000)).expect("a snapshot")
    }

    #[test]
    fn a_token_leads_back_to_its_position() {
        let whole = Cursor::whole(snapshot("7000000000:7000000900:7000000000,7000000899"));
        let part = whole.at(&snapshot("7000001000:7000001000:"), (7_000_000_950, 123_456));
        for cursor in [whole, part] {
            let token = tokens(1).seal(&cursor, "watch");
            assert!(token.len() < 150, "{token}");
            assert_eq!(tokens(1).open(&token, "watch", at(1_790_003_600)).expect("a position"), cursor);
            let expired = tokens(1).open(&token, "watch", at(1_790_003_601)).expect_err("too old");
            assert_eq!(expired.reason(), Reason::ResumeTokenExpired);
        }
    }

    #[test]
    fn a_token_of_another_method_or_secret_or_with_a_changed_byte_is_refused() {
        let (now, token) = (at(1_790_000_000), tokens(1).seal(&Cursor::whole(snapshot("5:9:5")), "watch"));
        let assert_refusal = |tokens: ResumeTokens, token: &str, method| {
            let error = tokens.open(token, method, now).expect_err("a foreign token");
            assert_eq!(error.reason(), Reason::ValidationFailed, "{token}");
        };
        assert_refusal(tokens(1), &token, "other");
        assert_refusal(tokens(2), &token, "watch");
        assert_refusal(tokens(1), "bm9uc2Vuc2U", "watch");
        assert_refusal(tokens(1), "", "watch");
        let bytes = URL_SAFE_NO_PAD.decode(token).expect("base64");
        for at in 0..bytes.len() {
            let mut forged = bytes.clone();
            forged[at] ^= 1;
            assert_refusal(tokens(1), &URL_SAFE_NO_PAD.encode(forged), "watch");
        }
    }
}
