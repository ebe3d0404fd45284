//! JPEG (ITU-T T.81, annex B): segments that begin with a marker, and the data of scans.

use std::io::{self, Read, Seek};

use super::{Extent, MAX_EXIF_BYTES, Survey, invalid, scanner::Scanner};

const END: u8 = 0xd9;
const SCAN: u8 = 0xda;
const COMMENT: u8 = 0xfe;
const JFIF: u8 = 0xe0;
const EXIF: u8 = 0xe1;
const PROFILE: u8 = 0xe2;
/// The marker of the Adobe segment, which distinguishes CMYK from YCCK.
const ADOBE: u8 = 0xee;

/// The dimensions, and the sampling of the components.
struct Frame {
    is_progressive: bool,
    /// Horizontal and vertical sampling factors.
    components: Vec<(u64, u64)>,
}

/// Keeps tables, scans, and the application segments that determine how pixels are interpreted.
pub(super) fn survey<R: Read + Seek>(scanner: &mut Scanner<R>, survey: &mut Survey, extent: Extent) -> io::Result<()> {
    let (mut frame, mut has_scan, mut has_exif) = (None::<Frame>, false, false);
    scanner.skip(2)?;
    survey.keep(0..2);
    let mut next = next_marker(scanner)?;
    loop {
        let (begin, marker) = next;
        match marker {
            END => {
                survey.keep(begin..scanner.at());
                // The decoder copies the file once.
                survey.memory += 2 * survey.kept_bytes();
                return Ok(());
            }
            0x00 | 0x01 | 0xd0..=0xd8 => {
                next = next_marker(scanner)?;
                continue;
            }
            _ => {}
        }
        let length = u64::from(u16::from_be_bytes(scanner.bytes()?));
        let end = (scanner.at() + length).checked_sub(2).ok_or_else(invalid)?;
        let is_kept = match marker {
            0xc0..=0xcf if !matches!(marker, 0xc4 | 0xc8 | 0xcc) => {
                // A second frame could differ from the first.
                if frame.is_some() {
                    return Err(invalid());
                }
                frame = Some(read_frame(scanner, survey, marker)?);
                if extent == Extent::Header {
                    return Ok(());
                }
                true
            }
            SCAN => {
                if !std::mem::replace(&mut has_scan, true) {
                    let components = scanner.byte()?;
                    let frame = frame.as_ref().ok_or_else(invalid)?;
                    survey.memory = memory(survey, frame, components.into());
                    survey.has_profile &= frame.components.len() == 3;
                }
                true
            }
            EXIF if !has_exif => {
                has_exif = is_exif(scanner, length)?;
                has_exif
            }
            PROFILE if !survey.has_profile => {
                survey.has_profile = is_profile(scanner, length)?;
                survey.has_profile
            }
            JFIF | ADOBE => true,
            0xe0..=0xef | COMMENT => false,
            _ => true,
        };
        scanner.skip_to(end)?;
        if is_kept {
            survey.keep(begin..end);
        }
        if marker == SCAN {
            next = end_of_scan(scanner)?;
            survey.keep(end..next.0);
        } else {
            next = next_marker(scanner)?;
        }
    }
}

/// Advances past the next marker. Returns its position and code.
fn next_marker<R: Read + Seek>(scanner: &mut Scanner<R>) -> io::Result<(u64, u8)> {
    scanner.skip_to_byte(0xff)?;
    let begin = scanner.at();
    let mut marker = 0xff;
    // Any number of fill bytes may precede the marker.
    while marker == 0xff {
        marker = scanner.byte()?;
    }
    Ok((begin, marker))
}

/// Advances past the marker that ends the data of a scan. Stuffed zeros and restart markers belong to the data.
fn end_of_scan<R: Read + Seek>(scanner: &mut Scanner<R>) -> io::Result<(u64, u8)> {
    loop {
        let next = next_marker(scanner)?;
        if !matches!(next.1, 0x00 | 0xd0..=0xd7) {
            return Ok(next);
        }
    }
}

fn is_exif<R: Read + Seek>(scanner: &mut Scanner<R>, length: u64) -> io::Result<bool> {
    Ok((8..=MAX_EXIF_BYTES).contains(&length) && &scanner.bytes::<6>()? == b"Exif\0\0")
}

/// Returns whether a segment is a whole colour profile (ICC.1:2010, annex B.4). A profile of several segments has more
/// than 64 KB.
fn is_profile<R: Read + Seek>(scanner: &mut Scanner<R>, length: u64) -> io::Result<bool> {
    Ok(length > 16 && &scanner.bytes()? == b"ICC_PROFILE\0\x01\x01")
}

fn read_frame<R: Read + Seek>(scanner: &mut Scanner<R>, survey: &mut Survey, marker: u8) -> io::Result<Frame> {
    let [_precision, h0, h1, w0, w1, count] = scanner.bytes()?;
    survey.width = u16::from_be_bytes([w0, w1]).into();
    survey.height = u16::from_be_bytes([h0, h1]).into();
    let components = (0..count).map(|_| {
        let [_id, sampling, _table] = scanner.bytes()?;
        let (horizontal, vertical) = (u64::from(sampling >> 4), u64::from(sampling & 15));
        let is_valid = (1..=4).contains(&horizontal) && (1..=4).contains(&vertical);
        is_valid.then_some((horizontal, vertical)).ok_or_else(invalid)
    });
    Ok(Frame { is_progressive: marker == 0xc2, components: components.collect::<io::Result<_>>()? })
}

/// Returns the memory of the output, of some rows of samples, and of all coefficients unless a single scan has all
/// components.
fn memory(survey: &Survey, frame: &Frame, components_in_first_scan: usize) -> u64 {
    let (width, height) = (u64::from(survey.width), u64::from(survey.height));
    let max = |side: fn(&(u64, u64)) -> u64| frame.components.iter().map(side).max().unwrap_or(1);
    let units = width.div_ceil(8 * max(|it| it.0)) * height.div_ceil(8 * max(|it| it.1));
    let blocks: u64 = frame.components.iter().map(|(horizontal, vertical)| units * horizontal * vertical).sum();
    let is_buffered = frame.is_progressive || components_in_first_scan < frame.components.len();
    let coefficients = if is_buffered { blocks * 64 * 2 } else { 0 };
    let rows = width * 256 * frame.components.len() as u64;
    let output = survey.pixels() * if frame.components.len() == 1 { 1 } else { 3 };
    output + coefficients + rows
}
