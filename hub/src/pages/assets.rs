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
    mark: Asset::new("mark", "svg", "image/svg+xml", include_str!("../../static/mark.svg")),
});

/// The embedded files.
pub(crate) struct Assets {
    pub(crate) css: Asset,
    pub(crate) js: Asset,
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
        [&self.css, &self.js, &self.mark].into_iter().find(|asset| asset.href == path)
    }
}
