//! Detects the type of a content by its first bytes, and checks it against the declared type.
//!
//! A content is stored under its detected type. A wrong name within a family is harmless: a PNG that is declared as a
//! JPEG is stored as a PNG. A contradiction between families is rejected: a page, a program or a text declared as an
//! image, sound or font; a program or a picture declared as a document; a recognized binary content declared as text.

use infer::MatcherType;

use super::{
    UNKNOWN,
    names::{self, Family, GZIP, PDF, POSTSCRIPT, SVG, ZIP, canonical, family, is_office, is_recognized, is_zip},
    text,
};

/// A detected type.
type Detected = (&'static str, Family);

/// Returns the media type of a file of `size` bytes that begins with `head` and is declared as `declared`; `None` if the
/// two contradict each other.
pub(crate) fn of_content(declared: &str, head: &[u8], size: usize) -> Option<String> {
    let declared = canonical(declared);
    let detected = detect(head, size);
    let name = match family(declared) {
        Family::Unknown => Some(detected.map_or(UNKNOWN, |(name, _)| name)),
        Family::Text => of_text(declared, detected, head),
        family @ (Family::Image | Family::Media | Family::Font) => of_media(declared, family, detected, head),
        Family::Program | Family::Other => of_other(declared, detected),
    };
    name.map(str::to_owned)
}

fn of_text<'a>(declared: &'a str, detected: Option<Detected>, head: &[u8]) -> Option<&'a str> {
    match detected {
        Some((GZIP, _)) if declared == SVG => Some(GZIP),
        Some((name, _)) if !may_be_text(name) => None,
        _ if text::is_text(head) => Some(declared),
        // After a crash, a log has blocks of zeros. Other names promise a format.
        None if declared.starts_with("text/") => Some(UNKNOWN),
        _ => None,
    }
}

fn of_media<'a>(declared: &'a str, family: Family, detected: Option<Detected>, head: &[u8]) -> Option<&'a str> {
    match detected {
        None | Some((POSTSCRIPT, _)) if text::is_text(head) => {
            names::as_text(declared).filter(|_| !text::is_markup(head) || is_playlist(head))
        }
        None => (!is_recognized(declared)).then_some(declared),
        Some((name, _)) if is_container(name) && !is_recognized(declared) => Some(declared),
        Some((name, other)) => (other == family).then(|| more_specific(declared, name)),
    }
}

fn of_other(declared: &str, detected: Option<Detected>) -> Option<&str> {
    let Some((name, family)) = detected else { return (!is_recognized(declared)).then_some(declared) };
    let is_media = matches!(family, Family::Image | Family::Media);
    match declared {
        PDF | GZIP => (name == declared).then_some(name),
        ZIP => is_zip(name).then_some(name),
        _ if family == Family::Program => (names::family(declared) == Family::Program).then_some(name),
        _ if is_office(declared) && (is_media || name == PDF) => None,
        // Many other types are containers that begin like an archive or a document.
        _ => Some(if is_media { more_specific(declared, name) } else { declared }),
    }
}

/// Returns the declared type where the detected container does not distinguish sound from video in its first bytes.
fn more_specific<'a>(declared: &'a str, detected: &'static str) -> &'a str {
    let subtype = |name: &str| name.split_once('/').map(|(_, subtype)| subtype.to_owned());
    if subtype(declared) == subtype(detected) { declared } else { detected }
}

/// Returns whether a type is a container for other types: compressed XML for vector graphics, and TIFF for raw photos.
fn is_container(name: &str) -> bool {
    is_zip(name) || matches!(name, GZIP | "application/x-ole-storage" | "application/x-tar" | "image/tiff")
}

/// Returns whether files of a type can be text.
fn may_be_text(name: &str) -> bool {
    family(name) == Family::Text || matches!(name, PDF | "application/rtf" | POSTSCRIPT | "application/x-x509-ca-cert")
}

fn detect(head: &[u8], size: usize) -> Option<Detected> {
    if let Some(detected) = iso_media(head).or_else(|| font_or_matroska(head)) {
        return Some(detected);
    }
    let Some(signature) = infer::get(head) else { return is_late_pdf(head).then_some((PDF, Family::Other)) };
    let name = canonical(signature.mime_type());
    let family = match signature.matcher_type() {
        MatcherType::Image => Family::Image,
        MatcherType::Audio | MatcherType::Video => Family::Media,
        MatcherType::Font => Family::Font,
        MatcherType::Text => Family::Text,
        MatcherType::App if name != "application/x-x509-ca-cert" => Family::Program,
        _ => Family::Other,
    };
    // Two bytes mark an object file, and two letters a bitmap or a program. One of 32,768 encrypted files begins like a
    // program by chance. No file of these types consists of text only.
    let is_weak = match signature.extension() {
        "obj" => true,
        "bc" => !head.starts_with(b"BC\xc0\xde"),
        "exe" | "dll" => !is_executable(head, size),
        _ => false,
    };
    (!is_weak && (may_be_text(name) || !text::is_of_bytes(head))).then_some((name, family))
}

/// Returns whether a content that begins with `MZ` is a program: a header of 64 bytes points to the signature of the
/// system. The programs of DOS lack that signature. A signature in the file beyond `head` counts without being read.
fn is_executable(head: &[u8], size: usize) -> bool {
    let Some(offset) = head.get(0x3c..0x40).and_then(|bytes| bytes.try_into().ok()) else { return true };
    let offset = usize::try_from(u32::from_le_bytes(offset)).unwrap_or(usize::MAX);
    match head.get(offset..).and_then(|rest| rest.get(..2)) {
        Some(signature) => matches!(signature, b"PE" | b"NE" | b"LE" | b"LX"),
        None => offset.saturating_add(2) <= size,
    }
}

/// Recognizes types that the library confuses: fonts by their signatures (OpenType 1.9; WOFF2, W3C), Matroska and WebM by
/// the type of the document in their header (RFC 8794, section 11.2.6).
fn font_or_matroska(head: &[u8]) -> Option<Detected> {
    let header = &head[..head.len().min(64)];
    let has = |bytes: &[u8]| header.windows(bytes.len()).any(|window| window == bytes);
    match head.get(..4)? {
        _ if text::is_of_bytes(head) => None,
        b"wOF2" => Some(("font/woff2", Family::Font)),
        b"OTTO" => Some(("font/otf", Family::Font)),
        b"ttcf" => Some(("font/collection", Family::Font)),
        b"\x1a\x45\xdf\xa3" if has(b"\x42\x82\x84webm") => Some(("video/webm", Family::Media)),
        b"\x1a\x45\xdf\xa3" if has(b"\x42\x82\x88matroska") => Some(("video/x-matroska", Family::Media)),
        _ => None,
    }
}

/// Returns whether a text is a playlist of Windows Media, the only markup that is announced as a video.
fn is_playlist(head: &[u8]) -> bool {
    head.trim_ascii_start().get(..4).is_some_and(|tag| tag.eq_ignore_ascii_case(b"<asx"))
}

/// Reads the brand of an ISO base media file (ISO/IEC 14496-12, 4.3; the brands are those of the MP4 Registration
/// Authority). Phones write many brands; unlisted brands are video.
fn iso_media(head: &[u8]) -> Option<Detected> {
    if head.get(4..8)? != b"ftyp" {
        return None;
    }
    let length = usize::try_from(u32::from_be_bytes(head.get(..4)?.try_into().ok()?)).ok()?;
    let brands = head.get(8..length.min(head.len()))?.as_chunks::<4>().0;
    let has = |brand: &[u8; 4]| brands.contains(brand);
    Some(match brands.first()? {
        b"heic" | b"heix" | b"heim" | b"heis" => ("image/heic", Family::Image),
        b"hevc" | b"hevx" | b"hevm" | b"hevs" => ("image/heic-sequence", Family::Image),
        b"avif" | b"avis" => ("image/avif", Family::Image),
        b"mif1" | b"msf1" if has(b"heic") || has(b"heix") => ("image/heic", Family::Image),
        b"mif1" | b"msf1" if has(b"avif") => ("image/avif", Family::Image),
        b"mif1" | b"msf1" => ("image/heif", Family::Image),
        b"crx " => ("image/x-canon-cr3", Family::Image),
        b"M4A " | b"M4B " | b"M4P " => ("audio/mp4", Family::Media),
        b"qt  " => ("video/quicktime", Family::Media),
        [b'3', b'g', b'2', _] => ("video/3gpp2", Family::Media),
        [b'3', b'g', _, _] => ("video/3gpp", Family::Media),
        _ => ("video/mp4", Family::Media),
    })
}

/// Returns whether a PDF header occurs within the first 1,024 bytes, as readers accept (PDF 1.7 by Adobe,
/// implementation note 13). Print systems and mail gateways put lines before the header.
fn is_late_pdf(head: &[u8]) -> bool {
    head[..head.len().min(1024)].windows(5).any(|window| window == b"%PDF-")
}

#[cfg(test)]
mod tests;
