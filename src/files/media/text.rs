//! Detects text contents. A text may have any charset (RFC 2046, 4.1.2), which senders rarely declare.

/// Returns whether a content that begins like this is text in a common charset: UTF-8, UTF-16, UTF-32, and charsets
/// with ASCII's control characters, such as Windows-1252, Shift_JIS, GB 18030 or ISO-2022-JP.
pub(super) fn is_text(head: &[u8]) -> bool {
    is_utf8(head) || is_without_controls(head) || is_utf16(head) || is_utf32(head)
}

/// Returns whether the beginning of a content is text of single bytes. In such text, binary signatures that consist of
/// letters are meaningless.
pub(super) fn is_of_bytes(head: &[u8]) -> bool {
    is_without_controls(head)
}

/// Returns whether a text begins like XML or HTML, in any of these charsets.
pub(super) fn is_markup(head: &[u8]) -> bool {
    let is_ignored = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, 0 | 0xef | 0xbb | 0xbf | 0xfe | 0xff);
    head.iter().find(|byte| !is_ignored(byte)) == Some(&b'<')
}

fn is_utf8(head: &[u8]) -> bool {
    // The beginning may end within a character.
    let is_valid = std::str::from_utf8(head).map_or_else(|error| error.error_len().is_none(), |_| true);
    is_valid && !head.contains(&0)
}

/// Returns whether no byte is a "binary data byte" (WHATWG MIME Sniffing, 3). Shift-out and shift-in are permitted,
/// because ISO-2022-KR uses them around Korean text.
fn is_without_controls(head: &[u8]) -> bool {
    let is_binary = |byte: &u8| matches!(byte, 0x00..=0x08 | 0x0b | 0x10..=0x1a | 0x1c..=0x1f);
    !head.iter().any(is_binary)
}

fn is_utf16(head: &[u8]) -> bool {
    let units = |from_bytes: fn([u8; 2]) -> u16| head.as_chunks::<2>().0.iter().map(move |unit| from_bytes(*unit));
    match head {
        [0xff, 0xfe, ..] => is_utf16_of(units(u16::from_le_bytes)),
        [0xfe, 0xff, ..] => is_utf16_of(units(u16::from_be_bytes)),
        // Without a byte order mark, the zero bytes of spaces, digits and line ends are all in the same half of their
        // code units.
        _ if head.len().is_multiple_of(2) => {
            let has_zero = |side: usize| head.iter().skip(side).step_by(2).any(|byte| *byte == 0);
            match (has_zero(0), has_zero(1)) {
                (false, true) => is_utf16_of(units(u16::from_le_bytes)),
                (true, false) => is_utf16_of(units(u16::from_be_bytes)),
                _ => false,
            }
        }
        _ => false,
    }
}

fn is_utf16_of(units: impl Iterator<Item = u16>) -> bool {
    let mut decoded = char::decode_utf16(units).peekable();
    while let Some(unit) = decoded.next() {
        // The beginning may end within a surrogate pair.
        if !unit.map_or_else(|_| decoded.peek().is_none(), is_of_text) {
            return false;
        }
    }
    true
}

fn is_utf32(head: &[u8]) -> bool {
    let from_bytes: fn([u8; 4]) -> u32 = match head {
        [0xff, 0xfe, 0, 0, ..] => u32::from_le_bytes,
        [0, 0, 0xfe, 0xff, ..] => u32::from_be_bytes,
        _ => return false,
    };
    head.as_chunks::<4>().0.iter().all(|unit| char::from_u32(from_bytes(*unit)).is_some_and(is_of_text))
}

/// Returns whether a character occurs in texts: any except control characters other than spaces and line ends.
fn is_of_text(character: char) -> bool {
    !character.is_control() || matches!(character, '\t' | '\n' | '\u{c}' | '\r' | '\u{1b}' | '\u{85}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utf16(text: &str, to_bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(to_bytes).collect()
    }

    #[test]
    fn a_text_has_any_charset() {
        let log = "Выход: 1\r\n";
        let texts: [(&str, Vec<u8>); 15] = [
            ("ASCII", b"a,b\r\n1,2\r\n".to_vec()),
            ("UTF-8", "Grüße".into()),
            ("UTF-8, cut off within a letter", b"Gr\xc3".to_vec()),
            ("Windows-1252", b"Gr\xfc\xdfe, 5 \x80\r\n".to_vec()),
            ("Shift_JIS", b"\x93\xfa\x96\x7b\x8c\xea\r\n".to_vec()),
            ("ISO-2022-JP", b"\x1b$BF|K\\8l\x1b(B\n".to_vec()),
            ("ISO-2022-KR", b"\x1b$)C\x0e0!\x0f\n".to_vec()),
            ("GB 18030", b"\xd6\xd0\xce\xc4\x81\x30\x81\x30".to_vec()),
            ("EUC-KR", b"\xc7\xd1\xb1\xb9".to_vec()),
            ("UTF-16LE with a mark", [&[0xff, 0xfe][..], &utf16(log, u16::to_le_bytes)].concat()),
            ("UTF-16BE with a mark", [&[0xfe, 0xff][..], &utf16(log, u16::to_be_bytes)].concat()),
            ("UTF-16LE without one", utf16(log, u16::to_le_bytes)),
            ("UTF-16BE without one", utf16(log, u16::to_be_bytes)),
            ("UTF-16, cut off within a pair", vec![0xff, 0xfe, b'a', 0, 0x3d, 0xd8]),
            ("UTF-32LE", b"\xff\xfe\0\0a\0\0\0\x1f\xf4\x01\0".to_vec()),
        ];
        for (charset, text) in texts {
            assert!(is_text(&text), "{charset}");
        }
    }

    #[test]
    fn a_binary_content_is_no_text() {
        let contents: [&[u8]; 9] = [
            b"a\0b",
            b"\x7fELF\x02\x01\x01\0",
            b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
            b"\x01\x82\x03\x84",
            b"\xff\xfe\x01\0\x02\0",
            b"\xff\xfe\x3d\xd8a\0b\0",
            b"a\0\0b",
            b"\xff\xfe\0\0\0\0\x11\0",
            b"PK\x03\x04\x14\0\0\0\x08\0",
        ];
        for content in contents {
            assert!(!is_text(content), "{content:?}");
        }
    }
}
