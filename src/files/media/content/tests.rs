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
const DRAWING: &[u8] = b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>";
const PDF_FILE: &[u8] = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n";
const DOCX: &str = "application/vnd.openxmlformats-officedocument.wordprocessingml.document";
const DOCM: &str = "application/vnd.ms-word.document.macroenabled.12";

fn of_content(declared: &str, head: &[u8]) -> Option<String> {
    super::of_content(declared, head, head.len())
}

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
        ("application/vnd.ms-excel.sheet.macroenabled.12", ZIPPED, "application/vnd.ms-excel.sheet.macroenabled.12"),
        ("application/msword", OLE, "application/msword"),
        ("application/msword", b"{\\rtf1\\ansi", "application/msword"),
        // Windows declares this type for every CSV once Excel is installed.
        ("application/vnd.ms-excel", b"a;b\r\n\xfc;2\r\n", "application/vnd.ms-excel"),
        ("image/svg+xml", DRAWING, "image/svg+xml"),
        ("image/svg", DRAWING, "image/svg+xml"),
        ("image/svg+xml", GZIPPED, GZIP),
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

/// Names by which browsers announce texts, and formats that have a form as text.
#[test]
fn some_pictures_sounds_and_films_are_text() {
    assert_stored(&[
        ("video/mp2t", b"import { x } from './x';\n", "text/plain"),
        ("video/vnd.dlna.mpeg-tts", b"export const y = 1;\n", "text/plain"),
        ("video/mp2t", b"\x47\x40\0\x10\xff", "video/mp2t"),
        ("audio/x-mod", b"module example.com/x\n", "text/plain"),
        ("image/vnd.dxf", b"  0\r\nSECTION\r\n", "image/vnd.dxf"),
        ("image/x-eps", b"%!PS-Adobe-3.0 EPSF-3.0\n", "image/x-eps"),
        ("image/x-portable-pixmap", b"P3\n1 1\n255\n0 0 0\n", "image/x-portable-pixmap"),
        ("image/fits", b"SIMPLE  =                    T", "image/fits"),
        ("image/x-xfig", b"#FIG 3.2\n", "image/x-xfig"),
        ("video/x-ms-asf", b"<ASX version=\"3.0\"></ASX>", "video/x-ms-asf"),
        ("audio/x-pn-realaudio", b"rtsp://x/y.rm\n", "audio/x-pn-realaudio"),
    ]);
    for (declared, head) in [
        ("video/mp2t", PAGE),
        ("video/mp2t", DRAWING),
        ("image/x-eps", b"\xef\xbb\xbf <svg/>"),
        ("image/fits", b"<\0s\0v\0g\0"),
        ("video/x-ms-asf", b"<!doctype x>"),
        ("audio/x-mod", b"#!/bin/sh\n"),
        ("image/x-dxf", ELF),
    ] {
        assert_eq!(of_content(declared, head), None, "{declared}: {head:?}");
    }
}

#[test]
fn a_text_with_zeros_is_stored_as_bytes() {
    let log = [&b"Nov 26 host kernel: ok\n"[..], &[0; 512], b"Nov 26 host kernel: boot\n"].concat();
    assert_stored(&[
        ("text/plain", &log, UNKNOWN),
        ("text/x-log", &log, UNKNOWN),
        ("text/plain", b"ab\x08c\x07 \xfc\n", UNKNOWN),
    ]);
    assert_eq!(of_content("application/json", &log), None);
    assert_eq!(of_content("image/svg+xml", &log), None);
}

#[test]
fn a_program_has_more_than_two_letters() {
    let mut program = [PE, &[0; 248]].concat();
    program[0x3c] = 0x80;
    program[0x80..0x84].copy_from_slice(b"PE\0\0");
    let dos = [PE, &[0; 248]].concat();
    let far = [PE, &[0xff; 248]].concat();
    let portable = "application/vnd.microsoft.portable-executable";
    assert_stored(&[
        ("application/x-own", b"BC\x01\x02\x03\x04", "application/x-own"),
        ("application/x-own", &dos, "application/x-own"),
        ("application/x-own", &far, "application/x-own"),
        ("application/x-bcf", b"BC\xc0\xde\x35\x14\0\0", "application/x-llvm"),
        ("application/x-exe", &program, portable),
        ("application/exe", &program, portable),
        ("application/x-winexe", &program, portable),
    ]);
    for name in ["x-pie-executable", "x-object", "x-core", "x-coredump", "vnd.appimage"] {
        assert_stored(&[(&format!("application/{name}"), ELF, "application/x-executable")]);
    }
    for (declared, head) in [("application/x-own", &program[..]), (PDF, &program), (PDF, &dos), (DOCX, b"BC\xc0\xde\0")]
    {
        assert_eq!(of_content(declared, head), None, "{declared}: {head:?}");
    }
}

#[test]
fn the_signature_of_a_program_may_be_beyond_the_head() {
    let mut head = PE.to_vec();
    head.resize(8192, 0);
    for (offset, size, is_program) in
        [(0x2800, 0x2801, false), (0x2800, 0x2802, true), (0x1fff, 0x2001, true), (0x1000, 0x4000, false)]
    {
        head[0x3c..0x40].copy_from_slice(&u32::to_le_bytes(offset));
        let stored = super::of_content("application/msword", &head, size);
        assert_eq!(stored.is_none(), is_program, "{offset} of {size}");
    }
}

#[test]
fn similar_types_are_distinguished() {
    const MATROSKA: &[u8] = b"\x1a\x45\xdf\xa3\xa3\x42\x86\x81\x01\x42\x82\x88matroska\x42\x87\x81\x04";
    assert_stored(&[
        ("font/woff2", b"wOF2\0\x01\0\0", "font/woff2"),
        ("font/woff", b"wOFF\0\x01\0\0", "font/woff"),
        ("application/font-woff2", b"wOF2\0\x01\0\0", "font/woff2"),
        ("font/otf", b"OTTO\0\x0a\0\x80", "font/otf"),
        (UNKNOWN, b"ttcf\0\x01\0\0", "font/collection"),
        ("text/csv", b"OTTO,name\n", "text/csv"),
        ("video/x-matroska", MATROSKA, "video/x-matroska"),
        ("audio/x-matroska", MATROSKA, "audio/x-matroska"),
        ("video/webm", b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01\x42\x82\x84webm", "video/webm"),
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
        ("image/png", DRAWING),
        ("image/heic", PAGE),
        ("image/x-own", PAGE),
        ("image/x-own", DRAWING),
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
