//! Detects the type of a content by its first bytes, and checks it against the declared type.
//!
//! A content is stored under its detected type. A wrong name within a family is harmless: a PNG that is declared as a
//! JPEG is stored as a PNG. A contradiction between families is rejected: a page, a program or a text declared as an
//! image, sound or font; a program or a picture declared as a document; a binary content declared as text.

use infer::MatcherType;

use super::{
    UNKNOWN,
    names::{self, Family, GZIP, PDF, ZIP, canonical, family, is_office, is_recognized, is_zip},
    text,
};

/// A detected type.
type Detected = (&'static str, Family);

/// Returns the media type of a file that begins with `head` and is declared as `declared`; `None` if the two contradict
/// each other.
pub(crate) fn of_content(declared: &str, head: &[u8]) -> Option<String> {
    let declared = canonical(declared);
    let detected = detect(head);
    let name = match family(declared) {
        Family::Unknown => Some(detected.map_or(UNKNOWN, |(name, _)| name)),
        Family::Text => (text::is_text(head) && detected.is_none_or(|(name, _)| may_be_text(name))).then_some(declared),
        family @ (Family::Image | Family::Media | Family::Font) => of_media(declared, family, detected, head),
        Family::Program | Family::Other => of_other(declared, detected),
    };
    name.map(str::to_owned)
}

fn of_media<'a>(declared: &'a str, family: Family, detected: Option<Detected>, head: &[u8]) -> Option<&'a str> {
    match detected {
        None => (!is_recognized(declared) && !text::is_text(head)).then_some(declared),
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
    family(name) == Family::Text
        || matches!(name, PDF | "application/rtf" | "application/postscript" | "application/x-x509-ca-cert")
}

fn detect(head: &[u8]) -> Option<Detected> {
    if let Some(detected) = iso_media(head) {
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
    // Two bytes mark an object file, and two letters a bitmap or a program. No file of these types consists of text
    // only.
    let is_weak = signature.extension() == "obj" || text::is_of_bytes(head) && !may_be_text(name);
    (!is_weak).then_some((name, family))
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
mod tests {
    use super::*;

    const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";
    const JPEG: &[u8] = b"\xff\xd8\xff\xe0\0\x10JFIF\0";
    const HEIC: &[u8] = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic";
    const MP4: &[u8] = b"\0\0\0\x14ftypisom\0\0\0\0iso8";
    const WEBM: &[u8] = b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01";
    const WAV: &[u8] = b"RIFF\x24\0\0\0WAVEfmt ";
    const ZIPPED: &[u8] = b"PK\x03\x04\x14\0\0\0\x08\0rest";
    const GZIPPED: &[u8] = b"\x1f\x8b\x08\0\0\0\0\0";
    const OLE: &[u8] = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\0\0";
    const PE: &[u8] = b"MZ\x90\0\x03\0\0\0";
    const ELF: &[u8] = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0\x3e\0\x01\0\0\0\0\0\0\0\0\0\0\0\
                         \x40\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x40\0\x38\0\x0d\0\x40\0\x1f\0\x1e\0";
    const PAGE: &[u8] = b"<html><script>alert(1)</script>";
    const SVG: &[u8] = b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>";
    const PDF_FILE: &[u8] = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n";
    const DOCX: &str = "application/vnd.openxmlformats-officedocument.wordprocessingml.document";
    const DOCM: &str = "application/vnd.ms-word.document.macroenabled.12";

    /// Returns a ZIP that begins as Word writes it.
    fn word() -> Vec<u8> {
        [&b"PK\x03\x04\x14\0\0\0\x08\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x05\0\0\0"[..], b"word/document.xml"].concat()
    }

    #[track_caller]
    fn assert_stored(cases: &[(&str, &[u8], &str)]) {
        for (declared, head, expected) in cases {
            assert_eq!(of_content(declared, head).as_deref(), Some(*expected), "{declared}: {head:?}");
        }
    }

    #[test]
    fn the_content_decides_the_type() {
        assert_stored(&[
            ("image/png", PNG, "image/png"),
            (UNKNOWN, PNG, "image/png"),
            (UNKNOWN, b"\x01\x02", UNKNOWN),
            (UNKNOWN, PE, "application/vnd.microsoft.portable-executable"),
            ("text/csv", b"a,b\n1,2\n", "text/csv"),
            ("application/x-own", b"\x01\x02\x03\x04", "application/x-own"),
            ("application/x-own", PNG, "image/png"),
            ("application/x-photoshop", b"8BPS\0\x01\0\0", "image/vnd.adobe.photoshop"),
            // A wrong file extension, from which browsers derive the type.
            ("image/jpeg", PNG, "image/png"),
            ("image/png", JPEG, "image/jpeg"),
            ("video/mp4", WEBM, "video/webm"),
        ]);
    }

    #[test]
    fn a_type_has_several_names() {
        assert_stored(&[
            ("image/jpg", JPEG, "image/jpeg"),
            ("image/pjpeg", JPEG, "image/jpeg"),
            ("image/x-png", PNG, "image/png"),
            ("image/heic", HEIC, "image/heic"),
            ("image/heif", HEIC, "image/heic"),
            ("image/heif", b"\0\0\0\x18ftypmif1\0\0\0\0mif1miaf", "image/heif"),
            ("image/x-ms-bmp", b"BM\x36\0\0\0\0\0", "image/bmp"),
            ("image/x-icon", b"\0\0\x01\0\x01\0", "image/vnd.microsoft.icon"),
            ("audio/wav", WAV, "audio/wav"),
            ("audio/x-wav", WAV, "audio/wav"),
            ("audio/vnd.wave", WAV, "audio/wav"),
            ("audio/mp3", b"ID3\x03\0\0\0\0", "audio/mpeg"),
            ("audio/mpeg", b"\xff\xf3\x84\xc4\0\0", "audio/mpeg"),
            ("audio/x-m4a", b"\0\0\0\x14ftypM4A \0\0\0\0M4A ", "audio/mp4"),
            ("audio/webm", WEBM, "audio/webm"),
            ("video/x-m4v", MP4, "video/mp4"),
            ("audio/mp4", MP4, "audio/mp4"),
            ("application/ogg", b"OggS\0\x02\0\0", "application/ogg"),
            ("video/3gpp", b"\0\0\0\x14ftyp3gp5\0\0\0\0", "video/3gpp"),
            ("application/x-pdf", PDF_FILE, PDF),
            (PDF, b"\r\n\x1b%-12345X@PJL\r\n%PDF-1.4\n\x01\xe2", PDF),
            ("application/x-zip-compressed", ZIPPED, ZIP),
            ("application/x-gzip", GZIPPED, GZIP),
            ("text/rtf", b"{\\rtf1\\ansi", "application/rtf"),
            ("application/x-msdownload", PE, "application/vnd.microsoft.portable-executable"),
            ("binary/octet-stream", JPEG, "image/jpeg"),
            ("application/x-www-form-urlencoded", JPEG, "image/jpeg"),
        ]);
    }

    #[test]
    fn a_container_is_what_its_sender_says() {
        let word = word();
        assert_stored(&[
            (DOCX, ZIPPED, DOCX),
            (DOCX, &word, DOCX),
            (DOCM, &word, DOCM),
            (ZIP, &word, DOCX),
            (
                "application/vnd.ms-excel.sheet.macroenabled.12",
                ZIPPED,
                "application/vnd.ms-excel.sheet.macroenabled.12",
            ),
            ("application/msword", OLE, "application/msword"),
            ("application/msword", b"{\\rtf1\\ansi", "application/msword"),
            // Windows declares this type for every CSV once Excel is installed.
            ("application/vnd.ms-excel", b"a;b\r\n\xfc;2\r\n", "application/vnd.ms-excel"),
            ("image/svg+xml", SVG, "image/svg+xml"),
            ("image/x-nikon-nef", b"MM\0*\0\0\0\x08\0\x1b", "image/x-nikon-nef"),
            ("application/pkcs7-signature", b"0\x82\x0a\x10\x06\x09", "application/pkcs7-signature"),
        ]);
    }

    #[test]
    fn a_text_may_begin_with_the_letters_of_a_signature() {
        assert_stored(&[
            ("text/plain", b"BMW, Audi\r\n", "text/plain"),
            ("text/plain", b"MZ-17 is out of paper.", "text/plain"),
            ("text/csv", b"ID3,name\n1,M\xfcller\n", "text/csv"),
            ("text/plain", b"\xff\xfeM\0Z\0\r\0\n\0", "text/plain"),
            ("text/plain", b"#!/bin/sh\necho\n", "text/plain"),
            ("application/json", b"{}", "application/json"),
            ("application/problem+json", b"{}", "application/problem+json"),
            ("audio/x-mpegurl", b"#EXTM3U\n", "audio/x-mpegurl"),
        ]);
    }

    #[test]
    fn a_content_that_contradicts_its_name_is_refused() {
        let lies: [(&str, &[u8]); 27] = [
            ("text/plain", PNG),
            ("text/plain", ELF),
            ("text/csv", ZIPPED),
            ("application/json", b"{\0\x01\0}"),
            ("image/svg+xml", PNG),
            ("image/png", PAGE),
            ("image/png", SVG),
            ("image/heic", PAGE),
            ("image/x-own", PAGE),
            ("image/x-own", SVG),
            ("image/jpg", PE),
            ("image/x-own", ELF),
            ("image/png", b"nothing"),
            ("image/bmp", b"BMW, Audi"),
            ("image/gif", ZIPPED),
            ("image/jpeg", MP4),
            ("audio/mpeg", PAGE),
            ("audio/wav", PE),
            ("video/mp4", b"#!/bin/sh\necho\n"),
            ("font/woff2", PAGE),
            (PDF, PE),
            (PDF, PAGE),
            ("application/x-zip-compressed", PAGE),
            (ZIP, GZIPPED),
            (DOCX, PE),
            (DOCM, PNG),
            ("application/x-own", ELF),
        ];
        for (declared, head) in lies {
            assert_eq!(of_content(declared, head), None, "{declared}: {head:?}");
        }
    }
}
