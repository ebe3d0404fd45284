pub(crate) mod samples;

use std::io::Cursor;

use samples::{chunk, png, png_with_bomb, progressive_jpeg, vp8, vp8l, webp, webp_canvas};

use super::*;

fn survey(file: &[u8]) -> Option<Survey> {
    super::survey(&mut Cursor::new(file), Extent::Whole).expect("memory")
}

fn kept(file: &[u8]) -> Vec<u8> {
    survey(file).expect("a picture").read(&mut Cursor::new(file)).expect("memory")
}

const MIB: u64 = 1 << 20;

#[test]
fn the_coefficients_of_a_jpeg_count() {
    for (components, at_least) in [(1, 25 * 3), (3, 25 * 9), (4, 25 * 11)] {
        let jpeg = progressive_jpeg(5000, 5000, components, 0);
        assert!(jpeg.len() < 400_000, "{}", jpeg.len());
        let survey = survey(&jpeg).expect("a picture");
        assert_eq!((survey.width, survey.height, survey.is_complete), (5000, 5000, true));
        assert!(survey.memory >= at_least * 1_000_000, "{components}: {}", survey.memory);
        assert!(survey.memory < at_least * 1_000_000 + 20 * MIB, "{components}: {}", survey.memory);
    }
    // A baseline JPEG is decoded by rows if its first scan has all components, and by planes otherwise.
    let mut sequential = progressive_jpeg(5000, 5000, 3, 0);
    let frame = sequential.windows(2).position(|bytes| bytes == [0xff, 0xc2]).expect("a frame");
    sequential[frame + 1] = 0xc0;
    assert!(survey(&sequential).expect("a picture").memory < 85_000_000);
    let scan = sequential.windows(2).position(|bytes| bytes == [0xff, 0xda]).expect("a scan");
    drop(sequential.splice(scan + 2..scan + 11, [0, 8, 1, 1, 0, 0, 63, 0]));
    assert!(survey(&sequential).expect("a picture").memory > 25 * 9_000_000);
}

#[test]
fn a_second_frame_of_another_size_is_refused() {
    let small = progressive_jpeg(8, 8, 1, 0);
    let large = progressive_jpeg(9000, 9000, 1, 0);
    let both = [&small[..small.len() - 2], &large[2..]].concat();
    assert!(survey(&both).is_none());
    let header = chunk(b"IHDR", &[0, 0, 0x20, 0, 0, 0, 0x20, 0, 16, 6, 0, 0, 0]);
    let mut png = png();
    drop(png.splice(33..33, header));
    assert!(survey(&png).is_none());
}

/// Profiles, texts, other frames and trailing data are not passed to the decoder.
#[test]
fn the_decoder_gets_nothing_but_pixels() {
    let plain = png();
    let exif = chunk(b"eXIf", b"MM\0*");
    for (kind, prefix) in [
        (b"iCCP", &b"profile\0\0"[..]),
        (b"zTXt", b"Comment\0\0"),
        (b"iTXt", b"Comment\0\x01\0\0\0"),
        (b"fdAT", b"\0\0\0\x01"),
        (b"eXIf", b""),
    ] {
        assert_eq!(kept(&png_with_bomb(kind, prefix, 100)), plain, "{kind:?}");
    }
    let mut rotated = plain.clone();
    drop(rotated.splice(33..33, exif));
    assert_eq!(kept(&[&rotated[..], b"behind the end"].concat()), rotated);

    let frame = [&[0; 16][..], b"VP8 \x0c\0\0\0", &vp8(16, 16, 2)].concat();
    let canvas = webp_canvas(0x02, 16, 16);
    let once = [(b"VP8X", &canvas[..]), (b"ANIM", &[0; 6]), (b"ANMF", &frame)];
    let noise = vec![1; 100_000];
    let much: Vec<(&[u8; 4], &[u8])> =
        [&once[..], &[(b"ANMF", &frame), (b"ICCP", &noise), (b"XMP ", &noise), (b"EXIF", &noise), (b"VP8 ", &frame)]]
            .concat();
    assert_eq!(kept(&[webp(&much), noise.clone()].concat()), webp(&once));
}

/// A frame may be larger than its canvas, and a few bytes may describe a large table.
#[test]
fn the_frames_and_tables_of_a_webp_count() {
    let memory = |file: &[u8]| survey(file).expect("a picture").memory;
    let canvas = webp_canvas(0, 16, 16);
    assert!(memory(&webp(&[(b"VP8X", &canvas), (b"VP8 ", &vp8(16_000, 16_000, 0))])) > 256 * 9 * MIB / 2);
    let frame = [&[0; 16][..], b"VP8 \x0a\0\0\0", &vp8(16_000, 16_000, 0)].concat();
    assert!(memory(&webp(&[(b"VP8X", &canvas), (b"ANMF", &frame)])) > 256 * 9 * MIB / 2);
    assert!(memory(&webp(&[(b"VP8L", &vp8l(64, 64, 1 << 20))])) > 270 * MIB);
    let alpha = [(b"VP8X", &canvas[..]), (b"ALPH", &vec![1; 1 << 20]), (b"VP8 ", &vp8(16, 16, 0))];
    assert!(memory(&webp(&alpha)) > 270 * MIB);
    assert!(memory(&webp(&[(b"VP8 ", &vp8(64, 64, 1 << 20))])) < 2 * MIB);
    assert!(survey(&webp(&[(b"VP8X", &canvas)])).is_none(), "no frame");
}

#[test]
fn a_file_that_ends_too_early_is_not_complete() {
    let samples = [progressive_jpeg(64, 64, 3, 1), png(), webp(&[(b"VP8 ", &vp8(64, 64, 100))])];
    for picture in samples {
        assert!(survey(&picture).is_some_and(|survey| survey.is_complete));
        for length in 0..picture.len() {
            assert!(survey(&picture[..length]).is_none_or(|survey| !survey.is_complete), "{length}");
        }
    }
}

/// Each part takes sixteen bytes here, and five in the file.
#[test]
fn a_file_of_many_parts_is_refused() {
    let mut jpeg = progressive_jpeg(64, 64, 3, 1);
    assert!(survey(&jpeg).is_some());
    drop(jpeg.splice(2..2, [0xff, 0xdb, 0, 2, 0].repeat(2 * MAX_PARTS)));
    assert!(survey(&jpeg).is_none());
    let header = super::survey(&mut Cursor::new(&jpeg[..]), Extent::Header).expect("memory").expect("a size");
    assert!(header.parts.is_empty() && header.width == 64);
}

/// The header of a picture is found behind any number of other segments; for a GIF, only the header is read.
#[test]
fn the_size_is_in_the_header() {
    let size = |file: &[u8]| {
        let survey = super::survey(&mut Cursor::new(file), Extent::Header).expect("memory")?;
        Some((survey.width, survey.height))
    };
    let mut jpeg = progressive_jpeg(300, 200, 3, 0);
    let segment = [&[0xff, 0xe1, 0xff, 0xff][..], &[0; 65_533]].concat();
    drop(jpeg.splice(2..2, segment.repeat(20)));
    assert_eq!(size(&jpeg[..jpeg.len() - 100]), Some((300, 200)));
    assert_eq!(size(&png()[..30]), Some((16, 16)));
    assert_eq!(size(&png()[..20]), None);
    assert_eq!(size(b"GIF89a\x2c\x01\xc8\0"), Some((300, 200)));
    assert_eq!(size(b"GIF89a\0\0\xc8\0"), None);
    let image = b",\x01\0\0\0\x30\x75\x30\x75\0";
    let gif = |flags: u8, rest: &[u8]| [&b"GIF89a\x01\0\x01\0"[..], &[flags, 0, 0], rest].concat();
    assert_eq!(size(&gif(0, image)), Some((30_001, 30_000)), "the image is larger than the screen");
    let blocks = b"!\xf9\x04\0\0\0\0\0!\xfe\x02,,\x01x\0";
    assert_eq!(size(&gif(0x81, &[&[0; 12][..], blocks, image].concat())), Some((30_001, 30_000)));
    assert_eq!(size(&gif(0, b";")), Some((1, 1)));
    assert_eq!(size(&webp(&[(b"VP8L", &vp8l(300, 200, 0))])), Some((300, 200)));
    for other in [&b""[..], b"RIFF\0\0\0\0WAVE", b"BM", b"<svg/>", b"\xff\xd8\xff"] {
        assert_eq!(size(other), None, "{other:?}");
    }
}
