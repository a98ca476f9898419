//! Passphrases and PINs: from a file or the environment, read when they are needed, never shown.

use std::{
    fmt,
    io::Read,
    path::{Path, PathBuf},
};

use licence::Sha256Digest;

/// Most bytes of a secret.
const MOST_BYTES: u64 = 4096;

/// The passphrase of key files, where the settings name no file.
pub const PASSPHRASE_VARIABLE: &str = "YIHAO_HUB_KEY_PASSPHRASE";
/// The PIN of the token, where the settings name no file.
pub const PIN_VARIABLE: &str = "YIHAO_HUB_KEY_PIN";

/// Where a secret comes from.
#[derive(Clone, Debug)]
pub struct Source {
    file: Option<PathBuf>,
    variable: &'static str,
}

/// A secret. `Debug` shows nothing of it.
#[derive(Clone)]
pub struct Secret(String);

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret")
    }
}

impl Source {
    /// The file if there is one, else the environment variable.
    #[must_use]
    pub fn new(file: Option<&Path>, variable: &'static str) -> Self {
        Self { file: file.map(ToOwned::to_owned), variable }
    }

    /// The secret as it is now; without the line end that editors write. `None` if it is missing or empty.
    #[must_use]
    pub fn read(&self) -> Option<Secret> {
        let text = match &self.file {
            Some(path) => {
                let mut text = String::new();
                let file = std::fs::File::open(path).ok()?;
                file.take(MOST_BYTES).read_to_string(&mut text).ok()?;
                text
            }
            None => std::env::var(self.variable).ok()?,
        };
        let text = text.strip_suffix('\n').unwrap_or(&text);
        let text = text.strip_suffix('\r').unwrap_or(text);
        (!text.is_empty()).then(|| Secret(text.to_owned()))
    }

    /// Where an operator puts the secret.
    #[must_use]
    pub fn place(&self) -> String {
        match &self.file {
            Some(path) => path.display().to_string(),
            None => format!("the environment variable {}", self.variable),
        }
    }

    /// The file, if there is one.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }
}

impl Secret {
    /// The bytes, for the one call that needs them.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// To recognise it again without keeping it. Stays in memory.
    #[must_use]
    pub fn digest(&self) -> Sha256Digest {
        certs::sha256(self.0.as_bytes())
    }
}
