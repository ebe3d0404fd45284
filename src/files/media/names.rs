//! The names of media types. Many types have several names, and a caller may send any of them.

use super::UNKNOWN;

pub(super) const PDF: &str = "application/pdf";
pub(super) const ZIP: &str = "application/zip";
pub(super) const GZIP: &str = "application/gzip";
pub(super) const POSTSCRIPT: &str = "application/postscript";
pub(super) const SVG: &str = "image/svg+xml";

/// The stored name of each type, and its aliases. Sources: the aliases of freedesktop.org's shared-mime-info 2.2;
/// Microsoft, "MIME Type Detection in Windows Internet Explorer" (`image/pjpeg`, `image/x-png`, `text/richtext`,
/// `application/x-gzip-compressed`); the names that curl, the AWS CLI and browsers use for unknown content; jsonlines.org
/// and the specification of NDJSON, whose format IANA has no name for.
const ALIASES: &[(&str, &[&str])] = &[
    (
        UNKNOWN,
        &[
            "application/binary",
            "application/download",
            "application/force-download",
            "application/unknown",
            "application/x-binary",
            "application/x-download",
            "application/x-www-form-urlencoded",
            "binary/octet-stream",
        ],
    ),
    (PDF, &["application/acrobat", "application/nappdf", "application/x-pdf", "image/pdf", "text/pdf"]),
    (ZIP, &["application/x-zip", "application/x-zip-compressed", "application/zip-compressed", "multipart/x-zip"]),
    (GZIP, &["application/x-gzip", "application/x-gzip-compressed", "application/x-gunzip"]),
    ("application/rtf", &["application/x-rtf", "text/richtext", "text/rtf"]),
    ("application/vnd.rar", &["application/x-rar", "application/x-rar-compressed"]),
    ("application/x-tar", &["application/x-gtar"]),
    ("application/x-bzip2", &["application/bzip2", "application/x-bzip"]),
    ("application/msword", &["application/vnd.ms-word", "application/x-msword"]),
    ("application/vnd.ms-excel", &["application/msexcel", "application/x-msexcel"]),
    (
        "application/vnd.ms-powerpoint",
        &["application/mspowerpoint", "application/powerpoint", "application/x-mspowerpoint"],
    ),
    ("application/ogg", &["application/x-ogg"]),
    ("image/jpeg", &["image/jpg", "image/pjpeg", "image/x-jpeg"]),
    ("image/png", &["image/x-png"]),
    ("image/webp", &["image/x-webp"]),
    ("image/bmp", &["image/x-bmp", "image/x-ms-bmp"]),
    ("image/tiff", &["image/tif", "image/x-tiff"]),
    ("image/vnd.microsoft.icon", &["application/ico", "image/ico", "image/icon", "image/x-ico", "image/x-icon"]),
    (
        "image/vnd.adobe.photoshop",
        &[
            "application/photoshop",
            "application/x-photoshop",
            "image/photoshop",
            "image/psd",
            "image/x-photoshop",
            "image/x-psd",
        ],
    ),
    ("audio/mpeg", &["audio/mp3", "audio/x-mp3", "audio/x-mpeg", "audio/x-mpg"]),
    ("audio/mp4", &["audio/m4a", "audio/x-m4a"]),
    ("audio/aac", &["audio/x-aac"]),
    ("audio/aiff", &["audio/x-aiff"]),
    ("audio/flac", &["audio/x-flac"]),
    ("audio/midi", &["audio/x-midi"]),
    ("audio/ogg", &["audio/x-ogg"]),
    ("audio/wav", &["audio/vnd.wave", "audio/wave", "audio/x-wav"]),
    ("video/mp4", &["application/mp4", "video/mp4v-es", "video/x-m4v"]),
    ("video/ogg", &["video/x-ogg"]),
    ("video/3gpp", &["video/3gp"]),
    ("video/mpeg", &["video/x-mpeg", "video/x-mpeg2"]),
    ("video/x-msvideo", &["video/avi", "video/msvideo", "video/vnd.divx", "video/x-avi"]),
    (SVG, &["image/svg"]),
    ("font/woff2", &["application/font-woff2"]),
    ("font/woff", &["application/font-woff", "application/x-font-woff"]),
    ("font/ttf", &["application/font-sfnt", "application/x-font-ttf"]),
    ("font/otf", &["application/x-font-opentype", "application/x-font-otf"]),
    (
        "text/csv",
        &[
            "application/csv",
            "application/x-csv",
            "text/comma-separated-values",
            "text/x-comma-separated-values",
            "text/x-csv",
        ],
    ),
    ("text/tab-separated-values", &["application/tsv", "text/tsv", "text/x-tab-separated-values", "text/x-tsv"]),
    (
        "application/x-ndjson",
        &[
            "application/jsonl",
            "application/jsonlines",
            "application/ndjson",
            "application/x-jsonl",
            "application/x-jsonlines",
            "text/x-ndjson",
        ],
    ),
    ("text/vcard", &["text/x-vcard"]),
    ("text/calendar", &["application/ics", "text/x-vcalendar"]),
];

/// Returns the stored name of a type.
pub(super) fn canonical(name: &str) -> &str {
    ALIASES.iter().find(|(_, others)| others.contains(&name)).map_or(name, |(stored, _)| *stored)
}

/// A family of types. Within a family, a wrong name is harmless.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    Unknown,
    Image,
    /// Sound and video, which share containers.
    Media,
    Font,
    /// Any text, in any charset, including SVG.
    Text,
    /// Machine code and byte code.
    Program,
    /// Documents, archives and all unknown formats.
    Other,
}

/// Returns the family of a type by its stored name.
pub(super) fn family(name: &str) -> Family {
    let (kind, subtype) = name.split_once('/').unwrap_or_default();
    match kind {
        _ if name == UNKNOWN => Family::Unknown,
        _ if is_text(kind, subtype) => Family::Text,
        "image" => Family::Image,
        "audio" | "video" => Family::Media,
        "font" => Family::Font,
        "application" if subtype == "ogg" => Family::Media,
        "application" if PROGRAMS.contains(&subtype) => Family::Program,
        _ => Family::Other,
    }
}

/// The subtypes of `application` for programs. Browsers on Windows send `x-msdownload` for `.exe`; others are names of
/// libmagic.
const PROGRAMS: [&str; 25] = [
    "exe",
    "java",
    "java-vm",
    "vnd.android.dex",
    "vnd.android.dey",
    "vnd.appimage",
    "vnd.microsoft.portable-executable",
    "wasm",
    "x-bcf",
    "x-core",
    "x-coredump",
    "x-dosexec",
    "x-elf",
    "x-exe",
    "x-executable",
    "x-java-class",
    "x-llvm",
    "x-mach-binary",
    "x-ms-dos-executable",
    "x-msdos-program",
    "x-msdownload",
    "x-object",
    "x-pie-executable",
    "x-sharedlib",
    "x-winexe",
];

fn is_text(kind: &str, subtype: &str) -> bool {
    const APPLICATION: [&str; 16] = [
        "ecmascript",
        "graphql",
        "javascript",
        "json",
        "ld+json",
        "sql",
        "toml",
        "x-javascript",
        "x-mpegurl",
        "x-ndjson",
        "x-sh",
        "x-sql",
        "x-yaml",
        "xml",
        "xml-dtd",
        "yaml",
    ];
    match kind {
        "text" => true,
        "application" if APPLICATION.contains(&subtype) => true,
        // Playlists are text, and so are XBM and XPM, pixel formats in C syntax.
        "audio" | "video" => subtype.ends_with("mpegurl") || subtype == "x-scpls",
        "image" if matches!(subtype, "x-xbitmap" | "x-xpixmap") => true,
        _ => subtype.ends_with("+json") || subtype.ends_with("+xml") || subtype.ends_with("+yaml"),
    }
}

/// Returns the stored type of a text that is announced as a picture, a sound or a video, if the announced name fits a
/// text: because systems give it to files of another format with the same extension, or because the format has a form as
/// text.
pub(super) fn as_text(declared: &str) -> Option<&str> {
    match declared {
        // `.ts` is TypeScript, too, and `go.mod` no tracker module.
        "video/mp2t" | "video/vnd.dlna.mpeg-tts" | "audio/x-mod" => Some("text/plain"),
        "image/vnd.dxf" | "image/x-dxf" | "image/eps" | "image/x-eps" | "image/fits" | "image/x-xfig" => Some(declared),
        // The playlists of Windows Media and of RealAudio.
        "video/x-ms-asf" | "video/x-ms-asx" | "audio/x-pn-realaudio" => Some(declared),
        _ => Some(declared).filter(|name| name.starts_with("image/x-portable-")),
    }
}

/// Returns whether every file of a type is recognized by its first bytes, so that unrecognized content is not of this
/// type.
pub(super) fn is_recognized(name: &str) -> bool {
    matches!(name, PDF | ZIP | GZIP) || super::IMAGES.contains(&name)
}

/// Returns whether a type belongs to an office suite, whose files are ZIP, OLE or, under the old names, also text.
pub(super) fn is_office(name: &str) -> bool {
    const PREFIXES: [&str; 5] = [
        "application/msword",
        "application/vnd.ms-",
        "application/vnd.oasis.opendocument.",
        "application/vnd.openxmlformats-",
        "application/vnd.sun.xml.",
    ];
    PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// Returns whether a type is based on ZIP.
pub(super) fn is_zip(name: &str) -> bool {
    const PREFIXES: [&str; 2] = ["application/vnd.oasis.opendocument.", "application/vnd.openxmlformats-"];
    matches!(name, ZIP | "application/epub+zip" | "image/openraster")
        || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}
