//! Pictures: an upload is decoded within bounds and drawn again. The file itself is discarded, including the location
//! of a photo and any hidden content.

use std::io::{Cursor, Read, Seek};

use image::{
    DynamicImage, ImageDecoder as _, ImageFormat, ImageReader, Limits, RgbImage, RgbaImage, codecs::jpeg::JpegEncoder,
    imageops,
};

use crate::files::picture::{self, Extent, Survey};

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
    if width > MAX_SIDE || height > MAX_SIDE || u64::from(width) * u64::from(height) > MAX_PIXELS {
        return Err("The picture has too many pixels.");
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
    let orientation = decoder.orientation().map_err(|_| UNREADABLE)?;
    let decoded = DynamicImage::from_decoder(decoder).map_err(|_| UNREADABLE)?;
    let side = width.min(height);
    let square = imageops::crop_imm(&decoded, (width - side) / 2, (height - side) / 2, side, side);
    let largest = imageops::thumbnail(&*square, SIZES[0], SIZES[0]);
    drop(decoded);
    let mut largest = DynamicImage::ImageRgba8(largest);
    largest.apply_orientation(orientation);
    let largest = largest.into_rgba8();
    let drawn = |size| encode(&imageops::thumbnail(&largest, size, size)).map(|bytes| (size, bytes)).ok_or(UNREADABLE);
    SIZES.into_iter().map(drawn).collect()
}

/// Encodes a picture: with transparency as PNG, else as JPEG.
fn encode(picture: &RgbaImage) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    if picture.pixels().any(|pixel| pixel.0[3] != u8::MAX) {
        picture.write_to(&mut Cursor::new(&mut bytes), ImageFormat::Png).ok()?;
    } else {
        let opaque: RgbImage = DynamicImage::ImageRgba8(picture.clone()).into_rgb8();
        JpegEncoder::new_with_quality(&mut bytes, JPEG_QUALITY).encode_image(&opaque).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use image::Rgba;

    use super::*;

    fn draw(bytes: &[u8]) -> Result<Vec<(u32, Vec<u8>)>, Fault> {
        let mut file = Cursor::new(bytes);
        let original = find(&mut file)?;
        super::draw(&mut file, &original)
    }

    fn sample(format: ImageFormat, width: u32, height: u32, alpha: u8) -> Vec<u8> {
        let image = RgbaImage::from_fn(width, height, |x, _| {
            if x < width / 2 { Rgba([255, 0, 0, alpha]) } else { Rgba([0, 0, 255, alpha]) }
        });
        let image = DynamicImage::ImageRgba8(image);
        let image = if format == ImageFormat::Jpeg { DynamicImage::ImageRgb8(image.into_rgb8()) } else { image };
        let mut bytes = Vec::new();
        image.write_to(&mut Cursor::new(&mut bytes), format).expect("memory");
        bytes
    }

    #[test]
    fn every_format_is_drawn_in_every_size() {
        for format in [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::WebP] {
            let drawn = draw(&sample(format, 700, 300, 255)).expect("a picture");
            assert_eq!(drawn.iter().map(|(size, _)| *size).collect::<Vec<_>>(), SIZES);
            for (size, bytes) in drawn {
                assert_eq!(image::guess_format(&bytes).ok(), Some(ImageFormat::Jpeg));
                let image = image::load_from_memory(&bytes).expect("a picture").into_rgb8();
                assert_eq!(image.dimensions(), (size, size));
                let [red, _, blue] = image.get_pixel(size / 8, size / 2).0;
                assert!(red > 200 && blue < 60, "{format:?} {size}: the left is red");
            }
        }
        let transparent = draw(&sample(ImageFormat::Png, 10, 10, 100)).expect("a picture");
        assert_eq!(image::guess_format(&transparent[0].1).ok(), Some(ImageFormat::Png));
    }

    #[test]
    fn nothing_but_pixels_is_kept() {
        let mut photo = sample(ImageFormat::Jpeg, 64, 64, 255);
        let place = b"Exif\0\0 GPS 48.2082 N 16.3738 E";
        let length = u16::try_from(place.len() + 2).expect("short").to_be_bytes();
        let segment: Vec<u8> = [&[0xff, 0xe1], &length[..], place].concat();
        drop(photo.splice(2..2, segment));
        for (_, bytes) in draw(&photo).expect("a picture") {
            assert!(!bytes.windows(3).any(|window| window == b"GPS"));
        }
    }

    /// Phones append data to a photo: Samsung a proprietary trailer, others a second picture (CIPA DC-007) or a video.
    #[test]
    fn what_follows_a_picture_is_dropped() {
        let (second, film) = (sample(ImageFormat::Jpeg, 8, 8, 255), b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom");
        let trailers: [&[u8]; 4] =
            [b"\0\0\x01\nImage_UTC_Data1700000000000SEFHk\0\0\0SEFT", &second, film, b"PK\x03\x04<script>"];
        for format in [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::WebP] {
            let picture = sample(format, 64, 48, 255);
            for trailer in trailers {
                let file = [&picture, trailer].concat();
                let mut file = Cursor::new(&file);
                let essence = find(&mut file).expect("a picture").0.read(&mut file);
                assert!(essence.expect("memory") == picture, "{format:?}: {trailer:?}");
            }
            draw(&[&picture, trailers[0]].concat()).expect("a picture");
            draw(&picture[..picture.len() - 5]).expect_err("cut off");
            draw(&[b"<html>", picture.as_slice()].concat()).expect_err("something before it");
        }
    }

    /// The orientation is kept until the picture is drawn; profiles and comments are not read.
    #[test]
    fn a_photo_is_turned_by_its_orientation() {
        let segment = |marker: u8, data: &[u8]| {
            let length = u16::try_from(data.len() + 2).expect("short").to_be_bytes();
            [&[0xff, marker], &length[..], data].concat()
        };
        let exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
        let segments = [segment(0xe2, &[b'p'; 60_000]), segment(0xfe, b"hello"), segment(0xe1, exif)].concat();
        let mut photo = sample(ImageFormat::Jpeg, 64, 64, 255);
        drop(photo.splice(2..2, segments));
        let survey = picture::survey(&mut Cursor::new(&photo), Extent::Whole).expect("memory").expect("a picture");
        let essence = survey.read(&mut Cursor::new(&photo)).expect("memory");
        assert!(essence.len() + 60_000 < photo.len(), "the profile is left out");
        let drawn = image::load_from_memory(&draw(&photo).expect("a picture")[3].1).expect("a picture").into_rgb8();
        let [red, _, blue] = drawn.get_pixel(32, 8).0;
        assert!(red > 200 && blue < 60, "the left is the top now");
    }

    #[test]
    fn a_bomb_is_refused_before_it_is_decoded() {
        let mut bomb = sample(ImageFormat::Png, 16, 16, 255);
        // IHDR: width and height, then the checksum.
        bomb[16..20].copy_from_slice(&9_999_u32.to_be_bytes());
        bomb[20..24].copy_from_slice(&9_999_u32.to_be_bytes());
        let crc = crc(&bomb[12..29]);
        bomb[29..33].copy_from_slice(&crc.to_be_bytes());
        assert_eq!(draw(&bomb).expect_err("too large"), "The picture has too many pixels.");
    }

    fn crc(bytes: &[u8]) -> u32 {
        !bytes.iter().fold(u32::MAX, |crc, byte| {
            (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 })
        })
    }

    #[test]
    fn other_formats_are_refused() {
        for bytes in [
            &b"GIF89a\x01\0\x01\0"[..],
            b"GIF89a",
            b"<svg xmlns='http://www.w3.org/2000/svg'/>",
            b"BM",
            b"",
            b"%PDF-1.7",
        ] {
            draw(bytes).expect_err("not a picture");
        }
    }
}
