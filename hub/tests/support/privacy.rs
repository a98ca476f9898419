//! Nobody's number or name stands where it does not belong: logs, metrics, addresses, errors.

use std::{
    io::Write,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use licence::{HolderId, HolderKind};

/// Everything that the process has written to its log since [`listen`], at every level.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<u8>>>);

impl Write for Heard {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

static HEARD: OnceLock<Heard> = OnceLock::new();

/// Hears every log line of this process from now on: of the hub's own crates at every level, of
/// others as the hub itself logs them.
pub fn listen() {
    let heard = HEARD.get_or_init(Heard::default).clone();
    let filter = "info,tantivy=warn,certval=off,hub=trace,indexes=trace,connectors=trace,\
                  certs=trace,licence=trace";
    let _ = tracing_subscriber::fmt()
        .json()
        .with_env_filter(tracing_subscriber::EnvFilter::new(filter))
        .with_writer(move || heard.clone())
        .try_init();
}

/// What was heard.
pub fn heard() -> String {
    let heard = HEARD.get_or_init(Heard::default);
    let bytes = heard.0.lock().unwrap_or_else(PoisonError::into_inner);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Fails if one of the secrets stands in the text, also percent-encoded.
pub fn keeps(what: &str, text: &str, secrets: &[String]) {
    for secret in secrets {
        assert!(secret.chars().count() > 1, "too short to look for");
        let encoded: String = secret.bytes().map(|byte| format!("%{byte:02X}")).collect();
        for form in [secret.as_str(), &encoded, &encoded.to_lowercase()] {
            if let Some(at) = text.find(form) {
                let start = text[..at].rfind('\n').map_or(0, |line| line + 1);
                let end = text[at..].find('\n').map_or(text.len(), |line| at + line);
                panic!("{what}: somebody's number or name stands in: {}", &text[start..end]);
            }
        }
    }
}

/// Fails if a citizen's number stands in the text.
pub fn names_no_citizen(what: &str, text: &str) {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric());
    for word in
        words.filter(|word| word.len() == 18 && word[..17].bytes().all(|b| b.is_ascii_digit()))
    {
        let citizen = HolderKind::from_code("111").and_then(|kind| HolderId::parse(kind, word));
        assert!(citizen.is_err(), "{what}: a citizen's number stands in {text}");
    }
}
