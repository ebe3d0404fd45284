//! Pictures: an upload is decoded within bounds and drawn again. The file itself is discarded, including the location
//! of a photo and any hidden content. Only a colour profile is copied: without it, browsers show other colours.

use std::io::{Cursor, Read, Seek};

use image::{
    DynamicImage, ExtendedColorType, GenericImageView, ImageDecoder, ImageEncoder, ImageFormat, ImageReader, Limits,
    RgbImage, Rgba, RgbaImage,
    codecs::{jpeg::JpegEncoder, png::PngEncoder},
    imageops,
    metadata::Orientation,
};

use crate::files::picture::{self, Extent, MAX_PROFILE_BYTES, Survey};

/// The widths and heights of an avatar in pixels, the largest first.
pub(crate) const SIZES: [u32; 4] = [512, 256, 128, 64];
/// The maximum number of pixels: that of a photo from a good camera.
const MAX_PIXELS: u64 = 25_000_000;
const MAX_SIDE: u32 = 10_000;
/// The total memory of concurrent decoding, in bytes. One picture may use all of it: 25 million pixels as a progressive
/// JPEG with the usual sampling take 150 MB.
pub(super) const MEMORY: u64 = 192 << 20;
/// The memory of drawing in addition to decoding, in bytes: the smaller pictures, and their files.
const DRAWING_BYTES: u64 = 4 << 20;
const JPEG_QUALITY: u8 = 85;

const UNREADABLE: Fault = "The picture can't be read.";

/// The reason for rejecting a picture, as a sentence.
pub(crate) type Fault = &'static str;

/// A picture in a file, not decoded yet.
pub(super) struct Original(Survey);

impl Original {
    /// The memory that drawing needs, in bytes; at most [`MEMORY`].
    pub(super) fn memory(&self) -> u64 {
        self.0.memory + DRAWING_BYTES
    }
}

/// Surveys the picture in a file, and checks the resources that decoding needs.
///
/// # Errors
/// The reason for rejecting the picture.
pub(super) fn find(file: &mut (impl Read + Seek)) -> Result<Original, Fault> {
    const FORMATS: [ImageFormat; 3] = [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::WebP];
    let survey = picture::survey(file, Extent::Whole).map_err(|_| UNREADABLE)?;
    let survey = survey.filter(|survey| FORMATS.contains(&survey.format));
    let survey = survey.ok_or("The picture must be a JPEG, PNG or WebP.")?;
    let (width, height) = (survey.width, survey.height);
    if width > MAX_SIDE || height > MAX_SIDE {
        return Err("The picture is wider or higher than 10,000 pixels.");
    }
    if u64::from(width) * u64::from(height) > MAX_PIXELS {
        return Err("The picture has more than 25 million pixels.");
    }
    if !survey.is_complete {
        return Err("The picture is cut off.");
    }
    let original = Original(survey);
    if original.memory() > MEMORY {
        return Err("The picture takes too much memory to decode. Make it smaller, or a JPEG that is not progressive.");
    }
    Ok(original)
}

/// Draws a picture in all sizes, cropped to a square.
///
/// # Errors
/// The reason for rejecting the picture.
pub(super) fn draw(file: &mut (impl Read + Seek), Original(survey): &Original) -> Result<Vec<(u32, Vec<u8>)>, Fault> {
    let bytes = survey.read(file).map_err(|_| UNREADABLE)?;
    let mut reader = ImageReader::with_format(Cursor::new(bytes), survey.format);
    let mut limits = Limits::default();
    limits.max_alloc = Some(survey.memory);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(|_| UNREADABLE)?;
    let (width, height) = decoder.dimensions();
    if (width, height) != (survey.width, survey.height) || decoder.total_bytes() > survey.memory {
        return Err(UNREADABLE);
    }
    let orientation = orientation(&mut decoder);
    let profile = if survey.has_profile { profile(&mut decoder) } else { None };
    let decoded = DynamicImage::from_decoder(decoder).map_err(|_| UNREADABLE)?;
    let side = width.min(height);
    let square = imageops::crop_imm(&decoded, (width - side) / 2, (height - side) / 2, side, side);
    let largest = imageops::thumbnail(&Premultiplied(&*square), SIZES[0], SIZES[0]);
    drop(decoded);
    let mut largest = DynamicImage::ImageRgba8(largest);
    largest.apply_orientation(orientation);
    let largest = largest.into_rgba8();
    let drawn = |size| {
        let mut picture = imageops::thumbnail(&largest, size, size);
        picture.pixels_mut().for_each(divide);
        Some((size, encode(picture, profile.as_deref())?))
    };
    SIZES.into_iter().map(|size| drawn(size).ok_or(UNREADABLE)).collect()
}

/// Reads the orientation. The specification of WebP wants Exif without the prefix that it has in JPEG; some programs write
/// it anyway.
fn orientation(decoder: &mut impl ImageDecoder) -> Orientation {
    let exif = decoder.exif_metadata().ok().flatten();
    let exif = exif.as_deref().map(|exif| exif.strip_prefix(b"Exif\0\0").unwrap_or(exif));
    exif.and_then(Orientation::from_exif_chunk).unwrap_or(Orientation::NoTransforms)
}

/// Reads the colour profile (ICC.1:2010, 7.2), unless it is for other colours than RGB.
fn profile(decoder: &mut impl ImageDecoder) -> Option<Vec<u8>> {
    let profile = decoder.icc_profile().ok().flatten()?;
    let is_usable = profile.len() as u64 <= MAX_PROFILE_BYTES && profile.get(16..20)? == b"RGB ";
    is_usable.then_some(profile)
}

/// A picture whose colours are multiplied by their opacity. In the mean of such pixels, the colour of a transparent pixel,
/// which is often black, does not count.
struct Premultiplied<T>(T);

impl<T: std::ops::Deref<Target: GenericImageView<Pixel = Rgba<u8>>>> GenericImageView for Premultiplied<T> {
    type Pixel = Rgba<u8>;

    fn dimensions(&self) -> (u32, u32) {
        self.0.dimensions()
    }

    fn get_pixel(&self, x: u32, y: u32) -> Rgba<u8> {
        let Rgba([red, green, blue, alpha]) = self.0.get_pixel(x, y);
        if alpha == u8::MAX {
            return Rgba([red, green, blue, alpha]);
        }
        let multiplied = |color| ((u16::from(color) * u16::from(alpha) + 127) / 255) as u8;
        Rgba([multiplied(red), multiplied(green), multiplied(blue), alpha])
    }
}

/// Divides the colours of a pixel by its opacity.
fn divide(Rgba([colors @ .., alpha]): &mut Rgba<u8>) {
    if (1..u8::MAX).contains(alpha) {
        let alpha = u16::from(*alpha);
        for color in colors {
            *color = u8::try_from((u16::from(*color) * 255 + alpha / 2) / alpha).unwrap_or(u8::MAX);
        }
    }
}

/// Encodes a picture: with transparency as PNG, else as JPEG.
fn encode(picture: RgbaImage, profile: Option<&[u8]>) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    if picture.pixels().any(|pixel| pixel.0[3] != u8::MAX) {
        let (width, height) = picture.dimensions();
        let encoder = with_profile(PngEncoder::new(&mut bytes), profile)?;
        encoder.write_image(&picture, width, height, ExtendedColorType::Rgba8).ok()?;
    } else {
        let opaque: RgbImage = DynamicImage::ImageRgba8(picture).into_rgb8();
        let encoder = JpegEncoder::new_with_quality(&mut bytes, JPEG_QUALITY);
        with_profile(encoder, profile)?.encode_image(&opaque).ok()?;
    }
    Some(bytes)
}

fn with_profile<E: ImageEncoder>(mut encoder: E, profile: Option<&[u8]>) -> Option<E> {
    if let Some(profile) = profile {
        encoder.set_icc_profile(profile.to_vec()).ok()?;
    }
    Some(encoder)
}

#[cfg(test)]
mod tests;
