//! The structure of a picture (its size, its end, and the memory that decoding needs), determined without a decoder.
//!
//! A decoder allocates memory before it reports how much: for the coefficients of a progressive JPEG, for a compressed
//! color profile, for a frame that is larger than its canvas. So a file is surveyed in place, in constant memory, and
//! the decoder gets only the parts that contain pixels, their orientation, and a small color profile.

mod jpeg;
mod png;
mod scanner;
mod webp;

use std::{
    io::{self, Read, Seek, SeekFrom},
    ops::Range,
};

use image::ImageFormat;

use scanner::Scanner;

/// The maximum size of an Exif block that is read for the orientation, in bytes.
const MAX_EXIF_BYTES: u64 = 64 << 10;
/// The maximum size of a colour profile, in bytes.
pub(crate) const MAX_PROFILE_BYTES: u64 = 64 << 10;
/// The maximum number of parts of a file, where adjacent parts are merged; real pictures have some dozens.
const MAX_PARTS: usize = 4096;

/// The extent of a survey.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// Up to the size of the picture.
    Header,
    /// Up to the end of the picture. Trailing data is ignored: the trailer of a phone, a second picture, a video.
    Whole,
}

/// The result of a survey.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Survey {
    pub(crate) format: ImageFormat,
    pub(crate) width: u32,
    pub(crate) height: u32,
    /// An upper bound of the decoder's memory in bytes, including its output and the parts of the file.
    pub(crate) memory: u64,
    /// The parts of the file that the decoder needs, in order.
    parts: Vec<Range<u64>>,
    /// Whether the file has more parts than any real picture. Each part takes memory here, but only a few bytes in the
    /// file.
    is_scattered: bool,
    /// Whether the parts include a colour profile (ICC) for pixels in RGB.
    pub(crate) has_profile: bool,
    extent: Extent,
    /// Whether the end of the picture was found.
    pub(crate) is_complete: bool,
}

impl Survey {
    fn new(format: ImageFormat, extent: Extent) -> Self {
        let parts = Vec::new();
        let (is_scattered, has_profile, is_complete) = (false, false, false);
        Self { format, width: 0, height: 0, memory: 0, parts, is_scattered, has_profile, extent, is_complete }
    }

    fn keep(&mut self, part: Range<u64>) {
        if self.extent == Extent::Header {
            return;
        }
        let count = self.parts.len();
        match self.parts.last_mut() {
            Some(last) if last.end == part.start => last.end = part.end,
            _ if count >= MAX_PARTS => self.is_scattered = true,
            _ => self.parts.push(part),
        }
    }

    /// Keeps a part within the first one, at a position of the file.
    fn insert(&mut self, at: u64, part: Range<u64>) {
        if let Some(first) = self.parts.first_mut() {
            let rest = at..std::mem::replace(&mut first.end, at);
            drop(self.parts.splice(1..1, [part, rest]));
        }
    }

    fn pixels(&self) -> u64 {
        u64::from(self.width) * u64::from(self.height)
    }

    fn kept_bytes(&self) -> u64 {
        self.parts.iter().map(|part| part.end - part.start).sum()
    }

    /// Reads the parts of the file that the decoder needs, as a file of the same format.
    ///
    /// # Errors
    /// Any error of the file.
    pub(crate) fn read(&self, file: &mut (impl Read + Seek)) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(usize::try_from(self.kept_bytes()).map_err(io::Error::other)?);
        for part in &self.parts {
            file.seek(SeekFrom::Start(part.start))?;
            file.by_ref().take(part.end - part.start).read_to_end(&mut bytes)?;
        }
        if self.format == ImageFormat::WebP {
            webp::set_length(&mut bytes);
        }
        Ok(bytes)
    }
}

/// Surveys a picture; `None` for any other file, and for a file that violates its format before its size is known.
///
/// # Errors
/// Any I/O error of the file.
pub(crate) fn survey(file: &mut (impl Read + Seek), extent: Extent) -> io::Result<Option<Survey>> {
    let mut scanner = Scanner::begin(file)?;
    let mut head = [0; 12];
    let length = scanner.peek(&mut head)?;
    let format = match &head[..length] {
        [0xff, 0xd8, 0xff, ..] => ImageFormat::Jpeg,
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => ImageFormat::Png,
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P'] => ImageFormat::WebP,
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => ImageFormat::Gif,
        _ => return Ok(None),
    };
    let mut survey = Survey::new(format, extent);
    let outcome = match format {
        ImageFormat::Jpeg => jpeg::survey(&mut scanner, &mut survey, extent),
        ImageFormat::Png => png::survey(&mut scanner, &mut survey, extent),
        ImageFormat::WebP => webp::survey(&mut scanner, &mut survey, extent),
        _ => gif(&mut scanner, &mut survey),
    };
    match outcome {
        Ok(()) => survey.is_complete = extent == Extent::Whole,
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {}
        Err(error) if error.kind() == io::ErrorKind::InvalidData => return Ok(None),
        Err(error) => return Err(error),
    }
    Ok(Some(survey).filter(|survey| survey.pixels() > 0 && !survey.is_scattered))
}

fn invalid() -> io::Error {
    io::ErrorKind::InvalidData.into()
}

/// Reads the logical screen descriptor, and the first image, which may be larger. GIFs are not decoded.
fn gif<R: Read + Seek>(scanner: &mut Scanner<R>, survey: &mut Survey) -> io::Result<()> {
    let side = |low, high| u32::from(u16::from_le_bytes([low, high]));
    scanner.skip(6)?;
    let [w0, w1, h0, h1] = scanner.bytes()?;
    (survey.width, survey.height) = (side(w0, w1), side(h0, h1));
    let [flags, _background, _aspect] = scanner.bytes()?;
    if flags & 0x80 != 0 {
        scanner.skip(6 << (flags & 7))?;
    }
    // Extensions precede the image: a label and blocks, the last of which is empty.
    loop {
        match scanner.byte()? {
            b'!' => scanner.skip(1)?,
            b',' => break,
            _ => return Ok(()),
        }
        while let length @ 1.. = scanner.byte()? {
            scanner.skip(length.into())?;
        }
    }
    let [x0, x1, y0, y1, w0, w1, h0, h1] = scanner.bytes()?;
    survey.width = survey.width.max(side(x0, x1) + side(w0, w1));
    survey.height = survey.height.max(side(y0, y1) + side(h0, h1));
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests;
