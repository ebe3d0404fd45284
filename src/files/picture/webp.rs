//! WebP (RFC 9649): chunks of RIFF.

use std::io::{self, Read, Seek};

use super::{Extent, MAX_EXIF_BYTES, MAX_PROFILE_BYTES, Survey, invalid, scanner::Scanner};

/// The maximum decoder memory per byte of a lossless bitstream: ten bytes describe a prefix code, which takes a table
/// of 4 KiB plus its own state.
const LOSSLESS_FACTOR: u64 = 450;

/// The contents of a picture's frame.
#[derive(Default)]
struct Frame {
    /// The maximum number of pixels that any header declares.
    pixels: u64,
    /// The number of bytes in lossless bitstreams: a lossless frame, or the transparency of a lossy frame.
    lossless_bytes: u64,
    is_lossless: bool,
    is_animated: bool,
    has_pixels: bool,
    has_alpha: bool,
}

/// Keeps the first frame, the orientation and the profile. Texts and further frames are skipped.
pub(super) fn survey<R: Read + Seek>(scanner: &mut Scanner<R>, survey: &mut Survey, extent: Extent) -> io::Result<()> {
    scanner.skip(4)?;
    let end_of_file = u64::from(u32::from_le_bytes(scanner.bytes()?)) + 8;
    scanner.skip(4)?;
    survey.keep(0..12);
    let mut frame = Frame::default();
    let mut has_exif = false;
    while scanner.at() < end_of_file {
        let begin = scanner.at();
        let (kind, length) = chunk(scanner)?;
        let end = scanner.at() + length.next_multiple_of(2);
        let is_kept = match &kind {
            b"VP8X" if survey.width == 0 => {
                scanner.skip(4)?;
                let [w0, w1, w2, h0, h1, h2] = scanner.bytes()?;
                let size = |bytes: [u8; 3]| u32::from_le_bytes([bytes[0], bytes[1], bytes[2], 0]) + 1;
                (survey.width, survey.height) = (size([w0, w1, w2]), size([h0, h1, h2]));
                true
            }
            b"ANIM" => true,
            b"ICCP" if !survey.has_profile => {
                survey.has_profile = length <= MAX_PROFILE_BYTES;
                survey.has_profile
            }
            b"ANMF" if !frame.has_pixels => {
                frame.is_animated = true;
                animation_frame(scanner, survey, &mut frame, end)?;
                true
            }
            b"VP8 " | b"VP8L" | b"ALPH" => bitstream(scanner, survey, &mut frame, kind, length)?,
            b"EXIF" => !std::mem::replace(&mut has_exif, true) && length <= MAX_EXIF_BYTES,
            _ => false,
        };
        if extent == Extent::Header && survey.width > 0 {
            return Ok(());
        }
        scanner.skip_to(end)?;
        if is_kept {
            survey.keep(begin..end);
        }
    }
    survey.memory = memory(survey, &frame) + survey.kept_bytes();
    if frame.has_pixels { Ok(()) } else { Err(invalid()) }
}

fn chunk<R: Read + Seek>(scanner: &mut Scanner<R>) -> io::Result<([u8; 4], u64)> {
    Ok((scanner.bytes()?, u32::from_le_bytes(scanner.bytes()?).into()))
}

/// Reads the chunks of the first frame of an animation.
fn animation_frame<R: Read + Seek>(
    scanner: &mut Scanner<R>,
    survey: &mut Survey,
    frame: &mut Frame,
    end: u64,
) -> io::Result<()> {
    scanner.skip(16)?;
    while scanner.at() < end && !frame.has_pixels {
        let (kind, length) = chunk(scanner)?;
        let next = scanner.at() + length.next_multiple_of(2);
        bitstream(scanner, survey, frame, kind, length)?;
        scanner.skip_to(next)?;
    }
    Ok(())
}

/// Reads the header of a bitstream. Returns whether it is the first of its kind, which the decoder uses.
fn bitstream<R: Read + Seek>(
    scanner: &mut Scanner<R>,
    survey: &mut Survey,
    frame: &mut Frame,
    kind: [u8; 4],
    length: u64,
) -> io::Result<bool> {
    let (width, height) = match &kind {
        b"ALPH" if !frame.has_alpha && !frame.has_pixels => {
            frame.has_alpha = true;
            frame.lossless_bytes += length;
            return Ok(true);
        }
        b"VP8 " if !frame.has_pixels => {
            let [_, _, _, 0x9d, 0x01, 0x2a, w0, w1, h0, h1] = scanner.bytes()? else { return Err(invalid()) };
            let size = |bytes| u32::from(u16::from_le_bytes(bytes) & 0x3fff);
            (size([w0, w1]), size([h0, h1]))
        }
        b"VP8L" if !frame.has_pixels => {
            let [0x2f, rest @ ..]: [u8; 5] = scanner.bytes()? else { return Err(invalid()) };
            let bits = u32::from_le_bytes(rest);
            frame.lossless_bytes += length;
            frame.is_lossless = true;
            ((bits & 0x3fff) + 1, ((bits >> 14) & 0x3fff) + 1)
        }
        _ => return Ok(false),
    };
    frame.has_pixels = true;
    frame.pixels = u64::from(width) * u64::from(height);
    if survey.width == 0 {
        (survey.width, survey.height) = (width, height);
    }
    Ok(true)
}

/// Per pixel: 4 bytes of output; 5 of a lossless frame and its transforms, or 1.5 of a lossy one; 6 of its transparency; in an
/// animation, 4 each of the canvas and the frame.
fn memory(survey: &Survey, frame: &Frame) -> u64 {
    let pixels = frame.pixels.max(survey.pixels());
    let bitstream = if frame.is_lossless { 5 } else { 2 };
    let per_pixel = 4 + bitstream + if frame.has_alpha { 6 } else { 0 } + if frame.is_animated { 8 } else { 0 };
    pixels * per_pixel + frame.lossless_bytes * LOSSLESS_FACTOR
}

/// Writes the length of a file into its header.
pub(super) fn set_length(file: &mut [u8]) {
    let length = u32::try_from(file.len().saturating_sub(8)).unwrap_or(u32::MAX);
    if let Some(field) = file.get_mut(4..8) {
        field.copy_from_slice(&length.to_le_bytes());
    }
}
