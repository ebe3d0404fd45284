//! PNG (W3C, Portable Network Graphics, third edition): chunks of a length, a type, data and a checksum.

use std::io::{self, Read, Seek};

use super::{Extent, MAX_EXIF_BYTES, Survey, invalid, scanner::Scanner};

/// The maximum size of a compressed profile, in bytes: those of displays and cameras have at most 3 KB.
const MAX_COMPRESSED_BYTES: u64 = 4 << 10;
/// The maximum ratio of deflate.
const INFLATION: u64 = 1032;

/// Keeps the chunks that contain pixels and their orientation, and a small color profile. Large profiles, texts, and the
/// frames of an animation after its first are skipped.
pub(super) fn survey<R: Read + Seek>(scanner: &mut Scanner<R>, survey: &mut Survey, extent: Extent) -> io::Result<()> {
    scanner.skip(8)?;
    survey.keep(0..8);
    let (mut header_end, mut has_exif, mut has_pixels) = (0, false, false);
    loop {
        let begin = scanner.at();
        let length = u64::from(u32::from_be_bytes(scanner.bytes()?));
        let kind: [u8; 4] = scanner.bytes()?;
        let end = begin + length + 12;
        if &kind == b"IHDR" {
            header(scanner, survey)?;
            header_end = end;
            if extent == Extent::Header {
                return Ok(());
            }
        }
        scanner.skip_to(end)?;
        match &kind {
            _ if survey.width == 0 => return Err(invalid()),
            b"eXIf" if has_exif || length > MAX_EXIF_BYTES => {}
            b"eXIf" => {
                has_exif = true;
                // The decoder reads it only before the pixels.
                if has_pixels { survey.insert(header_end, begin..end) } else { survey.keep(begin..end) }
            }
            b"iCCP" if !survey.has_profile && !has_pixels && length <= MAX_COMPRESSED_BYTES => {
                survey.has_profile = true;
                survey.memory += length * INFLATION;
                survey.keep(begin..end);
            }
            b"IHDR" | b"PLTE" | b"tRNS" | b"IDAT" => {
                has_pixels |= &kind == b"IDAT";
                survey.keep(begin..end);
            }
            b"IEND" => {
                survey.keep(begin..end);
                survey.memory += survey.kept_bytes();
                return Ok(());
            }
            _ => {}
        }
    }
}

fn header<R: Read + Seek>(scanner: &mut Scanner<R>, survey: &mut Survey) -> io::Result<()> {
    // A second header could differ from the first.
    if survey.width != 0 {
        return Err(invalid());
    }
    survey.width = u32::from_be_bytes(scanner.bytes()?);
    survey.height = u32::from_be_bytes(scanner.bytes()?);
    let [depth, color] = scanner.bytes()?;
    // Palettes are expanded to colors, with transparency; `tRNS` can add transparency to any color type.
    let channels = match color {
        0 | 4 => 2,
        2 | 3 | 6 => 4,
        _ => return Err(invalid()),
    };
    let pixel = channels * if depth == 16 { 2 } else { 1 };
    // The output, a few rows, and the decompression window.
    survey.memory = survey.pixels() * pixel + u64::from(survey.width) * pixel * 4 + (256 << 10);
    Ok(())
}
