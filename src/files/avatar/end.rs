//! Where a picture ends in a file. Decoders stop there; other programs may not.

use image::ImageFormat;

/// Returns the length of the picture that a file begins with; `None` if it is cut off.
pub(super) fn of(format: ImageFormat, bytes: &[u8]) -> Option<usize> {
    match format {
        ImageFormat::Png => png(bytes),
        ImageFormat::WebP => webp(bytes),
        ImageFormat::Jpeg => jpeg(bytes),
        _ => None,
    }
}

fn number(bytes: &[u8], at: usize) -> Option<[u8; 4]> {
    bytes.get(at..at.checked_add(4)?)?.try_into().ok()
}

/// Chunks of a length, a type, data and a checksum; the last one is `IEND`.
fn png(bytes: &[u8]) -> Option<usize> {
    let mut at = 8_usize;
    loop {
        let length = usize::try_from(u32::from_be_bytes(number(bytes, at)?)).ok()?;
        let kind = number(bytes, at + 4)?;
        at = at.checked_add(12)?.checked_add(length)?;
        if at > bytes.len() {
            return None;
        }
        if kind == *b"IEND" {
            return Some(at);
        }
    }
}

/// One chunk of RIFF, padded to an even length.
fn webp(bytes: &[u8]) -> Option<usize> {
    let length = usize::try_from(u32::from_le_bytes(number(bytes, 4)?)).ok()?;
    let end = length.checked_add(8)?.checked_next_multiple_of(2)?;
    Some(end).filter(|end| *end <= bytes.len())
}

/// Segments that begin with a marker; the data of a scan has no markers but those that are part of it.
fn jpeg(bytes: &[u8]) -> Option<usize> {
    const END: u8 = 0xd9;
    const SCAN: u8 = 0xda;
    let mut at = 2_usize;
    loop {
        while *bytes.get(at)? != 0xff {
            at += 1;
        }
        let marker = *bytes.get(at + 1)?;
        match marker {
            END => return Some(at + 2),
            // A fill byte; a stuffed zero, a restart.
            0xff => at += 1,
            0x00 | 0x01 | 0xd0..=0xd8 => at += 2,
            _ => {
                let length = u16::from_be_bytes(bytes.get(at + 2..at + 4)?.try_into().ok()?);
                at = at.checked_add(2)?.checked_add(usize::from(length))?;
                if marker == SCAN {
                    at = scan(bytes, at)?;
                }
            }
        }
    }
}

/// Returns where the data of a scan ends.
fn scan(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        let is_marker = *bytes.get(at)? == 0xff && !matches!(*bytes.get(at + 1)?, 0x00 | 0xd0..=0xd7 | 0xff);
        if is_marker {
            return Some(at);
        }
        at += 1;
    }
}
