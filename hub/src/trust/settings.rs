//! The trust material that the settings name file by file. A hub that cannot read one does not start.

use std::path::{Path, PathBuf};

use certs::{Certificate, Usage};

use super::folder::Print;
use crate::config::{self, Config, ConfigError};

/// What the files of `[trust]` and the client anchors of `[tls]` hold.
#[derive(Clone)]
pub struct Statics {
    /// `trust.licence_anchors`.
    pub licence_anchors: Vec<Certificate>,
    /// `tls.client_anchors`: their lists are taken in too.
    pub client_anchors: Vec<Certificate>,
    /// `time_stamps.anchors`.
    pub time_stamp_anchors: Vec<Certificate>,
    /// `trust.intermediates`.
    pub intermediates: Vec<Certificate>,
    /// `trust.crls`, with their paths.
    pub crls: Vec<(PathBuf, Vec<u8>)>,
}

impl Statics {
    /// The anchors, by what they are trusted for.
    #[must_use]
    pub fn anchors(&self) -> [(Usage, &[Certificate]); 3] {
        [
            (Usage::IssuingLicences, &self.licence_anchors),
            (Usage::IssuingClients, &self.client_anchors),
            (Usage::TimeStamping, &self.time_stamp_anchors),
        ]
    }
}

/// Reads them.
///
/// # Errors
/// `File` or `Content`, with the key.
pub fn read_statics(config: &Config) -> Result<Statics, ConfigError> {
    let all = |key, paths: &[PathBuf]| {
        let read = paths.iter().map(|path| certificates(key, path));
        read.collect::<Result<Vec<_>, _>>().map(|files| files.concat())
    };
    let crl = |path: &PathBuf| Ok((path.clone(), config::read_file("trust.crls", path)?));
    let client_anchors = std::slice::from_ref(&config.tls.client_anchors);
    Ok(Statics {
        licence_anchors: all("trust.licence_anchors", &config.trust.licence_anchors)?,
        // What is wrong with these is said where connections are opened.
        client_anchors: all("tls.client_anchors", client_anchors).unwrap_or_default(),
        time_stamp_anchors: all("time_stamps.anchors", time_stamp_anchors(config))?,
        intermediates: all("trust.intermediates", &config.trust.intermediates)?,
        crls: config.trust.crls.iter().map(crl).collect::<Result<_, ConfigError>>()?,
    })
}

/// The state of the files.
pub(super) fn prints(config: &Config) -> Vec<Print> {
    let trust = &config.trust;
    let lists = [&trust.licence_anchors, &trust.intermediates, &trust.crls];
    let named = lists.into_iter().flatten();
    let named = named.chain(time_stamp_anchors(config));
    named.chain([&config.tls.client_anchors]).map(|path| Print::of(path)).collect()
}

fn time_stamp_anchors(config: &Config) -> &[PathBuf] {
    config.time_stamps.as_ref().map_or(&[], |stamps| &stamps.anchors)
}

fn certificates(key: &'static str, path: &Path) -> Result<Vec<Certificate>, ConfigError> {
    let pem = config::read_file(key, path)?;
    Certificate::many_from_pem(&pem).map_err(|error| config::content(key, path, error))
}
