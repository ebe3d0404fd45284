use image::codecs::webp::WebPEncoder;

use super::*;
use crate::files::picture::tests::samples;

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
fn data_after_a_picture_is_dropped() {
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

/// Returns the beginning of a matrix profile, which is all that is read of it here.
fn colour_profile(colour_space: &[u8; 4]) -> Vec<u8> {
    let mut profile = vec![0; 560];
    profile[..4].copy_from_slice(&560_u32.to_be_bytes());
    profile[12..16].copy_from_slice(b"mntr");
    profile[16..20].copy_from_slice(colour_space);
    profile[36..40].copy_from_slice(b"acsp");
    profile
}

fn with_profile(picture: &DynamicImage, format: ImageFormat, profile: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let written =
        match format {
            ImageFormat::Jpeg => picture
                .write_with_encoder(super::with_profile(JpegEncoder::new(&mut bytes), Some(profile)).expect("JPEG")),
            ImageFormat::Png => picture
                .write_with_encoder(super::with_profile(PngEncoder::new(&mut bytes), Some(profile)).expect("PNG")),
            _ => picture.write_with_encoder(
                super::with_profile(WebPEncoder::new_lossless(&mut bytes), Some(profile)).expect("WebP"),
            ),
        };
    written.expect("memory");
    bytes
}

/// The pixels of phones and cameras are often in Display P3 or Adobe RGB.
#[test]
fn a_colour_profile_is_kept() {
    let profile_of = |bytes: &[u8]| {
        let mut decoder = ImageReader::new(Cursor::new(bytes))
            .with_guessed_format()
            .expect("memory")
            .into_decoder()
            .expect("a picture");
        decoder.icc_profile().expect("a picture")
    };
    let opaque = DynamicImage::ImageRgb8(RgbImage::from_pixel(64, 64, image::Rgb([200, 10, 10])));
    let clear = DynamicImage::ImageRgba8(RgbaImage::from_pixel(64, 64, Rgba([200, 10, 10, 100])));
    let profile = colour_profile(b"RGB ");
    for (picture, format) in [
        (&opaque, ImageFormat::Jpeg),
        (&opaque, ImageFormat::Png),
        (&clear, ImageFormat::Png),
        (&opaque, ImageFormat::WebP),
    ] {
        for (_, bytes) in draw(&with_profile(picture, format, &profile)).expect("a picture") {
            assert!(profile_of(&bytes).as_ref() == Some(&profile), "{format:?}");
        }
    }
    let gray = DynamicImage::ImageLuma8(opaque.to_luma8());
    let large = [&profile[..], &[0; 70_000]].concat();
    // Incompressible data, which PNG does not shrink.
    let mut state = 1_u32;
    let noise = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    });
    let noise: Vec<_> = noise.take(8000).collect();
    let noise = [&profile[..], &noise].concat();
    for (picture, format, profile) in [
        (&opaque, ImageFormat::Jpeg, &colour_profile(b"CMYK")),
        (&gray, ImageFormat::Jpeg, &profile),
        (&opaque, ImageFormat::Jpeg, &large),
        (&opaque, ImageFormat::Png, &large),
        (&opaque, ImageFormat::Png, &noise),
        (&opaque, ImageFormat::WebP, &large),
    ] {
        for (_, bytes) in draw(&with_profile(picture, format, profile)).expect("a picture") {
            assert_eq!(profile_of(&bytes), None, "{format:?}");
        }
    }
}

#[test]
fn the_edge_of_a_transparent_picture_has_the_colour_of_the_picture() {
    let disc = RgbaImage::from_fn(700, 700, |x, y| {
        let is_inside = x.abs_diff(350).pow(2) + y.abs_diff(350).pow(2) < 300 * 300;
        if is_inside { Rgba([255; 4]) } else { Rgba([0; 4]) }
    });
    let mut bytes = Vec::new();
    disc.write_to(&mut Cursor::new(&mut bytes), ImageFormat::Png).expect("memory");
    for (size, bytes) in draw(&bytes).expect("a picture") {
        let drawn = image::load_from_memory(&bytes).expect("a picture").into_rgba8();
        assert!(drawn.pixels().any(|Rgba([.., alpha])| (17..255).contains(alpha)), "{size}: the edge is smooth");
        for pixel in drawn.pixels().filter(|pixel| pixel.0[3] > 16) {
            assert!(pixel.0[0] >= 240, "{size}: {pixel:?}");
        }
    }
}

/// Programs write the orientation in places that the specifications do not name.
#[test]
fn an_orientation_is_found_behind_pixels_and_prefixes() {
    let exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
    let mut png = sample(ImageFormat::Png, 64, 64, 255);
    let end = png.len() - 12;
    drop(png.splice(end..end, samples::chunk(b"eXIf", &exif[6..])));
    let webp = sample(ImageFormat::WebP, 64, 64, 255);
    // The sample is a header of twelve bytes and one chunk.
    let webp =
        samples::webp(&[(b"VP8X", &samples::webp_canvas(0x08, 64, 64)), (b"VP8L", &webp[20..]), (b"EXIF", exif)]);
    for file in [png, webp] {
        let drawn = image::load_from_memory(&draw(&file).expect("a picture")[3].1).expect("a picture").into_rgb8();
        let [red, _, blue] = drawn.get_pixel(32, 8).0;
        assert!(red > 200 && blue < 60, "the left is the top now");
    }
}

#[test]
fn a_bomb_is_refused_before_it_is_decoded() {
    let mut bomb = sample(ImageFormat::Png, 16, 16, 255);
    // IHDR: width and height, then the checksum.
    bomb[16..20].copy_from_slice(&9_999_u32.to_be_bytes());
    bomb[20..24].copy_from_slice(&9_999_u32.to_be_bytes());
    let crc = crc(&bomb[12..29]);
    bomb[29..33].copy_from_slice(&crc.to_be_bytes());
    assert_eq!(draw(&bomb).expect_err("too large"), "The picture has more than 25 million pixels.");
    bomb[16..20].copy_from_slice(&12_000_u32.to_be_bytes());
    assert_eq!(draw(&bomb).expect_err("too wide"), "The picture is wider or higher than 10,000 pixels.");
}

fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 })
    })
}

#[test]
fn other_formats_are_refused() {
    for bytes in
        [&b"GIF89a\x01\0\x01\0"[..], b"GIF89a", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"BM", b"", b"%PDF-1.7"]
    {
        draw(bytes).expect_err("not a picture");
    }
}
