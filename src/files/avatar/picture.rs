//! Pictures: what somebody uploads is decoded within bounds and drawn again, so that nothing of the file itself is kept:
//! neither where a photo was taken, nor what else hides in it.

use std::io::Cursor;

use image::{
    DynamicImage, ImageDecoder as _, ImageFormat, ImageReader, Limits, RgbImage, RgbaImage, codecs::jpeg::JpegEncoder,
    imageops,
};

use super::end;

/// The widths and heights of an avatar, the largest first.
pub(crate) const SIZES: [u32; 4] = [512, 256, 128, 64];
/// The most pixels: a photo of a good camera.
const MAX_PIXELS: u64 = 25_000_000;
const MAX_SIDE: u32 = 10_000;
/// The most memory for the pixels of one picture.
const MAX_BYTES: u64 = 128 << 20;
const JPEG_QUALITY: u8 = 85;

/// Why a picture is refused, as a sentence.
pub(crate) type Fault = &'static str;

/// Draws a picture in all sizes, cut down to a square.
///
/// # Errors
/// Why it is refused. Dimensions are checked before any pixel is decoded.
pub(crate) fn draw(bytes: &[u8]) -> Result<Vec<(u32, Vec<u8>)>, Fault> {
    const UNREADABLE: Fault = "The picture can't be read.";
    let format = image::guess_format(bytes).ok();
    let format = format.filter(|format| [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::WebP].contains(format));
    let format = format.ok_or("The picture must be a JPEG, PNG or WebP.")?;
    if end::of(format, bytes) != Some(bytes.len()) {
        return Err("The picture is cut off, or something else is behind it.");
    }
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut limits = Limits::default();
    (limits.max_image_width, limits.max_image_height) = (Some(MAX_SIDE), Some(MAX_SIDE));
    limits.max_alloc = Some(MAX_BYTES);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(|_| UNREADABLE)?;
    let (width, height) = decoder.dimensions();
    if width == 0 || height == 0 {
        return Err(UNREADABLE);
    }
    if u64::from(width) * u64::from(height) > MAX_PIXELS || decoder.total_bytes() > MAX_BYTES {
        return Err("The picture has too many pixels.");
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

    #[test]
    fn what_hides_behind_a_picture_is_refused() {
        for format in [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::WebP] {
            let picture = sample(format, 16, 16, 255);
            let behind = [picture.as_slice(), b"PK\x03\x04<script>alert(1)</script>"].concat();
            draw(&behind).expect_err("something behind it");
            draw(&picture[..picture.len() - 5]).expect_err("cut off");
            draw(&[b"<html>", picture.as_slice()].concat()).expect_err("something before it");
        }
    }

    #[test]
    fn a_bomb_is_refused_before_it_is_decoded() {
        let mut bomb = sample(ImageFormat::Png, 16, 16, 255);
        // IHDR: width and height, and then the checksum.
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
        for bytes in [&b"GIF89a"[..], b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"BM", b"", b"%PDF-1.7"] {
            draw(bytes).expect_err("not a picture");
        }
    }
}
