//! The program as its users see it.

/// Names and describes a program, in its help, its `--version`, its start, its OpenAPI document and its health report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct About {
    /// The name of the program file and of the command: `book_shop`.
    pub program: &'static str,
    /// The title: `Book Shop`.
    pub title: &'static str,
    /// The version of the program; usually `env!("CARGO_PKG_VERSION")`.
    pub version: &'static str,
    /// One sentence for the OpenAPI document.
    pub summary: &'static str,
    /// The description in the OpenAPI document, in Markdown; the kernel's description of the API follows it.
    pub description: &'static str,
    /// The license of the API, an expression of SPDX; empty for none.
    pub license: &'static str,
    /// The URL of the logo in the OpenAPI document (`x-logo`); empty for none.
    pub logo_url: &'static str,
}

impl About {
    /// The product itself.
    pub const MAINSTAY: Self = Self {
        program: "mainstay",
        title: "Mainstay",
        version: env!("CARGO_PKG_VERSION"),
        summary: "The production back end every product team rebuilds.",
        description: "",
        license: "MIT OR Apache-2.0",
        logo_url: "",
    };
}

impl Default for About {
    fn default() -> Self {
        Self::MAINSTAY
    }
}
