//! The appearance of mail, and the base URLs of its links.

use std::net::SocketAddr;

use url::Url;

use mainstay_kernel::config::{Reader, Variable, reachable};

/// The appearance of mail, and the base URLs of its links.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Brand {
    /// The name of the product.
    pub name: String,
    /// The URL of the front end, without a trailing slash; `None` if there is no front end.
    pub app_url: Option<String>,
    /// The URL of this server as its callers see it, without a trailing slash.
    pub public_url: String,
    /// The URL of an image, shown in mail and on pages.
    pub logo: Option<Url>,
    /// The color of buttons and links.
    pub color: Color,
}

pub(super) const NAME: Variable = Variable::plain("APP_NAME", "Mainstay", "Name of the product in mail and on pages");
pub(super) const APP_URL: Variable = Variable::plain(
    "APP_URL",
    "",
    "Front end that serves /reset-password, /register, /orders/ID, /tickets/ID and /subscriptions/ID; if absent, this \
     server serves the first two",
);
pub(super) const PUBLIC_URL: Variable =
    Variable::plain("PUBLIC_URL", "", "This server as its callers see it; if absent, LISTEN_ADDR");
pub(super) const LOGO: Variable =
    Variable::plain("APP_LOGO_URL", "", "Logo in mail and on pages: an https URL of an image");
pub(super) const COLOR: Variable =
    Variable::plain("APP_COLOR", "#0f766e", "Color of buttons and links in mail and on pages");

impl Brand {
    pub(super) fn read(read: &mut Reader) -> Self {
        let name: String = read.parse(NAME.name);
        if name.is_empty() || name.chars().count() > 100 || name.chars().any(char::is_control) {
            read.fault(NAME.name, "must be 1 to 100 visible characters");
        }
        let listen: SocketAddr = read.parse("LISTEN_ADDR");
        let logo: Option<Url> = read.optional(LOGO.name);
        if logo.as_ref().is_some_and(|url| url.scheme() != "https") {
            read.fault(LOGO.name, "must be an https URL");
        }
        Self {
            name,
            app_url: base(read, APP_URL.name),
            public_url: base(read, PUBLIC_URL.name).unwrap_or_else(|| format!("http://{}", reachable(listen))),
            logo,
            color: read.parse(COLOR.name),
        }
    }

    /// Returns the base URL of the pages that links in mail open.
    pub fn pages_url(&self) -> &str {
        self.app_url.as_deref().unwrap_or(&self.public_url)
    }
}

/// Reads a URL to which paths are added.
fn base(read: &mut Reader, name: &str) -> Option<String> {
    let url: Url = read.optional(name)?;
    let plain = url.query().is_none() && url.fragment().is_none();
    let has_credentials = !url.username().is_empty() || url.password().is_some();
    if !matches!(url.scheme(), "http" | "https") || !plain || has_credentials {
        read.fault(name, "must be an http or https URL without credentials, query and fragment");
    }
    Some(url.as_str().trim_end_matches('/').to_owned())
}

/// A color.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Color([u8; 3]);

impl std::str::FromStr for Color {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text
            .strip_prefix('#')
            .filter(|digits| digits.len() == 6 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let number = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
        let [_, red, green, blue] = number.ok_or("must be a color like #0f766e")?.to_be_bytes();
        Ok(Self([red, green, blue]))
    }
}

impl std::fmt::Display for Color {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [red, green, blue] = self.0;
        write!(f, "#{red:02x}{green:02x}{blue:02x}")
    }
}

impl Color {
    const WHITE: Self = Self([255; 3]);
    const BLACK: Self = Self([0; 3]);

    /// The relative luminance (WCAG 2.2), from 0 to 1.
    fn luminance(self) -> f64 {
        let [red, green, blue] = self.0.map(|part| {
            let part = f64::from(part) / 255.0;
            if part <= 0.040_45 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
        });
        0.2126 * red + 0.7152 * green + 0.0722 * blue
    }

    fn contrast(self, other: Self) -> f64 {
        let (one, two) = (self.luminance(), other.luminance());
        (one.max(two) + 0.05) / (one.min(two) + 0.05)
    }

    /// Returns the color of text on a background of this color.
    #[must_use]
    pub fn text(self) -> Self {
        if self.contrast(Self::WHITE) >= self.contrast(Self::BLACK) { Self::WHITE } else { Self::BLACK }
    }

    /// Returns a shade with sufficient contrast on a background (WCAG 2.2, AA): lighter on a dark background, darker on
    /// a light one.
    #[must_use]
    pub fn readable_on(self, background: Self) -> Self {
        let end = f64::from(background.text().0[0]);
        let shade = |step: u32| {
            let share = f64::from(step) / 20.0;
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between two bytes")]
            Self(self.0.map(|part| (f64::from(part) * (1.0 - share) + end * share).round() as u8))
        };
        (0..=20).map(shade).find(|shade| shade.contrast(background) >= 4.5).unwrap_or(background.text())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn color(text: &str) -> Color {
        text.parse().expect("a color")
    }

    #[test]
    fn text_can_be_read_on_any_color() {
        for text in ["#000000", "#ffffff", "#1d4ed8", "#ffd500", "#808080", "#ff0000"] {
            let color = color(text);
            assert_eq!(color.to_string(), text);
            assert!(color.contrast(color.text()) >= 4.5, "{text}");
            for background in [Color::WHITE, Color::BLACK, self::color("#1f2329")] {
                assert!(color.readable_on(background).contrast(background) >= 4.5, "{text} on {background}");
            }
        }
        for bad in ["", "red", "#12345", "#1234567", "1d4ed8", "#+12345", "#12345é"] {
            assert!(bad.parse::<Color>().is_err(), "{bad}");
        }
    }
}
