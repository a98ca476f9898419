//! Files that the pages refer to, embedded, under names that change with their content.

use std::sync::LazyLock;

/// Addresses and contents of the embedded files.
pub(crate) static ASSETS: LazyLock<Assets> = LazyLock::new(|| Assets {
    css: Asset::new(
        "pages",
        "css",
        "text/css; charset=utf-8",
        include_str!("../../static/pages.css"),
    ),
    js: Asset::new(
        "pages",
        "js",
        "text/javascript; charset=utf-8",
        include_str!("../../static/pages.js"),
    ),
    upload: Asset::new(
        "upload",
        "js",
        "text/javascript; charset=utf-8",
        include_str!("../../static/upload.js"),
    ),
    mark: Asset::new("mark", "svg", "image/svg+xml", include_str!("../../static/mark.svg")),
});

/// The embedded files.
pub(crate) struct Assets {
    pub(crate) css: Asset,
    pub(crate) js: Asset,
    pub(crate) upload: Asset,
    pub(crate) mark: Asset,
}

/// One embedded file.
pub(crate) struct Asset {
    /// Its address.
    pub(crate) href: String,
    /// Its media type.
    pub(crate) media_type: &'static str,
    /// Its content.
    pub(crate) content: &'static str,
}

impl Asset {
    fn new(stem: &str, extension: &str, media_type: &'static str, content: &'static str) -> Self {
        let digest = certs::sha256(content.as_bytes()).to_string();
        let href = format!("/static/{stem}.{}.{extension}", &digest[..12]);
        Self { href, media_type, content }
    }
}

impl Assets {
    /// The file at this address.
    pub(crate) fn at(&self, path: &str) -> Option<&Asset> {
        [&self.css, &self.js, &self.upload, &self.mark].into_iter().find(|asset| asset.href == path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Relative luminance. Source: WCAG 2.2, definition of "relative luminance".
    fn luminance(colour: &str) -> f64 {
        let part = |at: usize| {
            let value = f64::from(u8::from_str_radix(&colour[at..at + 2], 16).unwrap()) / 255.0;
            if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * part(1) + 0.7152 * part(3) + 0.0722 * part(5)
    }

    fn token(name: &str) -> &'static str {
        let place = format!("--{name}: ");
        let css = ASSETS.css.content;
        let start = css.find(&place).unwrap_or_else(|| panic!("no token {name}")) + place.len();
        &css[start..start + 7]
    }

    #[test]
    fn text_stands_out_from_what_is_behind_it() {
        let pairs = [
            ("ink", "paper"),
            ("ink", "ground"),
            ("ink", "brand-soft"),
            ("ink", "mark"),
            ("ink", "bad-soft"),
            ("ink", "warning-soft"),
            ("ink", "good-soft"),
            ("ink-soft", "paper"),
            ("ink-soft", "ground"),
            ("ink-soft", "plain-soft"),
            ("ink-soft", "brand-soft"),
            ("link", "paper"),
            ("link", "ground"),
            ("brand", "paper"),
            ("brand", "brand-soft"),
            ("on-brand", "brand"),
            ("on-brand", "brand-deep"),
            ("good", "good-soft"),
            ("warning", "warning-soft"),
            ("bad", "bad-soft"),
        ];
        for (text, behind) in pairs {
            let (one, other) = (luminance(token(text)), luminance(token(behind)));
            let ratio = (one.max(other) + 0.05) / (one.min(other) + 0.05);
            assert!(ratio >= 4.5, "{text} on {behind}: {ratio:.2}");
        }
        // Lines of fields and marks of focus: WCAG 2.2, 1.4.11.
        for (line, behind) in [("line-strong", "paper"), ("focus", "paper"), ("focus", "ground")] {
            let (one, other) = (luminance(token(line)), luminance(token(behind)));
            let ratio = (one.max(other) + 0.05) / (one.min(other) + 0.05);
            assert!(ratio >= 3.0, "{line} on {behind}: {ratio:.2}");
        }
    }

    #[test]
    fn files_are_named_by_their_content() {
        let digest = certs::sha256(ASSETS.css.content.as_bytes()).to_string();
        assert_eq!(ASSETS.css.href, format!("/static/pages.{}.css", &digest[..12]));
        assert!(ASSETS.at(&ASSETS.js.href).is_some());
        assert!(ASSETS.at("/static/pages.css").is_none());
    }
}
