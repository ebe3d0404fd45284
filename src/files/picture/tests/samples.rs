//! Attack samples: small pictures whose decoding needs disproportionate memory or time.

use flate2::{Compress, Compression, FlushCompress};
use image::{ImageFormat, RgbaImage};

/// Returns a progressive JPEG without an image: one bit for each block, then `scans` scans that skip all blocks.
pub(crate) fn progressive_jpeg(width: u16, height: u16, components: u8, scans: usize) -> Vec<u8> {
    let blocks = usize::from(width.div_ceil(8)) * usize::from(height.div_ceil(8));
    let mut jpeg = vec![0xff, 0xd8];
    segment(&mut jpeg, 0xdb, &[&[0][..], &[1; 64]].concat());
    let mut frame = [&[8][..], &height.to_be_bytes(), &width.to_be_bytes(), &[components]].concat();
    frame.extend((1..=components).flat_map(|id| [id, 0x11, 0]));
    segment(&mut jpeg, 0xc2, &frame);
    // Each table has one code of one bit: zero difference, or a run of 2^14 ended blocks with 14 additional bits.
    for (table, symbol) in [(0x00, 0x00), (0x10, 0xe0)] {
        segment(&mut jpeg, 0xc4, &[&[table, 1][..], &[0; 15], &[symbol]].concat());
    }
    let mut first = vec![components];
    first.extend((1..=components).flat_map(|id| [id, 0]));
    first.extend([0, 0, 0]);
    segment(&mut jpeg, 0xda, &first);
    jpeg.extend(vec![0; (blocks * usize::from(components)).div_ceil(8)]);
    for _ in 0..scans {
        segment(&mut jpeg, 0xda, &[1, 1, 0, 1, 63, 0]);
        jpeg.extend(vec![0; (blocks.div_ceil(1 << 14) * 15).div_ceil(8)]);
    }
    jpeg.extend([0xff, 0xd9]);
    jpeg
}

fn segment(jpeg: &mut Vec<u8>, marker: u8, data: &[u8]) {
    let length = u16::try_from(data.len() + 2).expect("short").to_be_bytes();
    jpeg.extend([&[0xff, marker], &length[..], data].concat());
}

/// Returns a small PNG with a chunk of a kind: `prefix`, followed by so many MiB of zeros, compressed.
pub(crate) fn png_with_bomb(kind: &[u8; 4], prefix: &[u8], mebibytes: usize) -> Vec<u8> {
    let mut block = Vec::with_capacity(1 << 20);
    let mut compress = Compress::new(Compression::best(), false);
    compress.compress_vec(&vec![0; 1 << 20], &mut block, FlushCompress::Full).expect("memory");
    // A full flush ends at a byte boundary and refers to no earlier data, so the block can be repeated.
    let data = [prefix, &[0x78, 0xda], &block.repeat(mebibytes), &[1, 0, 0, 0xff, 0xff, 0, 0, 0, 1]].concat();
    let mut png = png();
    drop(png.splice(33..33, chunk(kind, &data)));
    png
}

pub(crate) fn png() -> Vec<u8> {
    let mut png = Vec::new();
    let picture = RgbaImage::from_pixel(16, 16, image::Rgba([1, 2, 3, 255]));
    picture.write_to(&mut std::io::Cursor::new(&mut png), ImageFormat::Png).expect("memory");
    png
}

/// Returns a chunk of a PNG.
pub(crate) fn chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let mut crc = flate2::Crc::new();
    crc.update(kind);
    crc.update(data);
    let length = u32::try_from(data.len()).expect("short").to_be_bytes();
    [&length, &kind[..], data, &crc.sum().to_be_bytes()].concat()
}

/// Returns a WebP with these chunks.
pub(crate) fn webp(chunks: &[(&[u8; 4], &[u8])]) -> Vec<u8> {
    let mut webp = b"RIFF\0\0\0\0WEBP".to_vec();
    for (kind, data) in chunks {
        let length = u32::try_from(data.len()).expect("short").to_le_bytes();
        webp.extend([&kind[..], &length, data].concat());
        webp.extend(vec![0; data.len() % 2]);
    }
    super::webp::set_length(&mut webp);
    webp
}

/// Returns the header of an extended WebP.
pub(crate) fn webp_canvas(flags: u8, width: u32, height: u32) -> Vec<u8> {
    [&[flags, 0, 0, 0][..], &(width - 1).to_le_bytes()[..3], &(height - 1).to_le_bytes()[..3]].concat()
}

/// Returns the header of a lossy bitstream, followed by `more` bytes.
pub(crate) fn vp8(width: u16, height: u16, more: usize) -> Vec<u8> {
    [&[0, 0, 0, 0x9d, 0x01, 0x2a][..], &width.to_le_bytes(), &height.to_le_bytes(), &vec![0; more]].concat()
}

/// Returns the header of a lossless bitstream, followed by `more` bytes.
pub(crate) fn vp8l(width: u32, height: u32, more: usize) -> Vec<u8> {
    [&[0x2f][..], &((width - 1) | ((height - 1) << 14)).to_le_bytes(), &vec![0; more]].concat()
}
