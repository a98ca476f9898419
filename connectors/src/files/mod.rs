//! Drops batches as files on a file server, by SFTP, and reads the files that come back: `docs/formats/files.md`.
//!
//! A batch is a data file (NDJSON or CSV), a manifest with counts and digests, and a done-marker, which comes last: what
//! has no marker is not complete. The same batch has the same names and bytes, so it can be brought over again. The
//! receiver drops repeats by the key in each record.

pub mod answer;
mod client;
mod encode;
pub mod manifest;
mod reply;
mod settings;

use std::{
    collections::BTreeMap,
    sync::{Arc, LazyLock, Mutex, PoisonError},
};

use async_trait::async_trait;
use licence::{LicenceId, LicenceTypeCode, Seq};

pub(crate) use settings::check_folder;
pub use settings::{Settings, encoding};

use crate::{
    Batch, Bucket, Connector, ConnectorSettings, Delivered, DeliveryError, Holding, Kind, Mark,
    Opener, Preview, PreviewPart, Problem, ReplyPage, ReplyPosition, SettingsProblem, Shared,
    Tally,
    code_map::{CodeMap, CodeMapFile},
};

/// The kind `files`.
pub static KIND: Kind = Kind { name: "files", check };

fn check(raw: &ConnectorSettings, problems: &mut Vec<SettingsProblem>) -> Option<Opener> {
    let settings = Settings::check(raw, problems)?;
    Some(Opener::new(move |_| Box::new(Files::new(settings.clone()))))
}

/// The code map where the settings name none.
///
/// # Panics
/// Never: it is ours, and tested.
pub fn built_in() -> CodeMap {
    CodeMap::parse(include_bytes!("code-map.json")).expect("the built-in code map is one")
}

static BUILT_IN: LazyLock<Arc<CodeMap>> = LazyLock::new(|| Arc::new(built_in()));

/// A file server that batches are dropped on.
pub struct Files {
    client: client::Client,
    code_map: Option<CodeMapFile>,
    sent: Mutex<Sent>,
}

/// How far this counterpart is.
#[derive(Clone, Default)]
pub(crate) struct Sent {
    /// One more than the number of the last change that was brought over, or that the receiver had counted before;
    /// `None`: nothing was brought over since the start.
    pub(crate) next: Option<u64>,
    /// The last batch that was brought over, and its first number, if there are changes in it that were brought over
    /// before: the receiver's numbers do not tell whether it has worked through it.
    pub(crate) again: Option<(String, u64)>,
}

impl Files {
    /// A connector with these settings. It connects when something is delivered.
    pub fn new(settings: Settings) -> Self {
        let code_map = settings.code_map.clone().map(CodeMapFile::new);
        Self { client: client::Client::new(settings), code_map, sent: Mutex::default() }
    }

    fn map(&self) -> Result<Arc<CodeMap>, DeliveryError> {
        match &self.code_map {
            Some(file) => file.current(),
            None => Ok(BUILT_IN.clone()),
        }
    }

    async fn current_counts(&self) -> Result<answer::Counts, DeliveryError> {
        let sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner).clone();
        self.client.counts(&sent).await
    }

    fn note(&self, encoded: &encode::Encoded, counted: Option<u64>) {
        let Some((Seq(first), Seq(last))) = encoded.ends else { return };
        let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        let before = sent.next.or(counted).unwrap_or(0);
        sent.next = Some(before.max(last.saturating_add(1)));
        sent.again = (first < before).then(|| (encoded.stem.clone(), first));
    }
}

#[async_trait]
impl Connector for Files {
    fn name(&self) -> &str {
        &self.client.settings().name
    }

    fn kind(&self) -> &'static str {
        KIND.name
    }

    async fn deliver(&self, batch: &Batch) -> Result<Delivered, DeliveryError> {
        let map = self.map()?;
        let encoded = encode::files(self.client.settings(), &map, batch);
        let first = self.sent.lock().unwrap_or_else(PoisonError::into_inner).next.is_none();
        let counted = if first { self.client.counted().await? } else { None };
        self.client.send(&encoded).await?;
        self.note(&encoded, counted);
        Ok(Delivered { refused: encoded.refused })
    }

    async fn counts(&self) -> Result<BTreeMap<LicenceTypeCode, u64>, DeliveryError> {
        let counts = self.current_counts().await?;
        counts.by_type().ok_or(DeliveryError::Configuration(Problem::UnknownTypeCounted))
    }

    async fn replies(&self, after: &ReplyPosition) -> Result<ReplyPage, DeliveryError> {
        self.client.replies(after).await
    }

    fn preview(&self, batch: &Batch) -> Result<Preview, DeliveryError> {
        let settings = self.client.settings();
        let encoded = encode::files(settings, &*self.map()?, batch);
        let mut preview = Preview { parts: Vec::new(), refused: encoded.refused };
        if let Some(data) = &encoded.data {
            let path = |end| crate::sftp::join(&settings.folder, &format!("{}{end}", encoded.stem));
            let at = settings.target.address();
            let mut part = |end, text: String| {
                let title = format!(
                    "sftp://{at}{}{}",
                    if path(end).starts_with('/') { "" } else { "/" },
                    path(end)
                );
                preview.parts.push(PreviewPart { title, text });
            };
            part(settings.content.end(), settings.encoding.decode(data).0.into_owned());
            part(manifest::MANIFEST_END, String::from_utf8_lossy(&encoded.manifest).into_owned());
            part(manifest::DONE_END, String::new());
        }
        Ok(preview)
    }

    fn mark(&self, item: &Shared) -> Result<Mark, DeliveryError> {
        // What cannot be written is set aside and not held there: its mark is of nothing that could be.
        Ok(encode::mark(&*self.map()?, item, self.name())
            .unwrap_or_else(|refused| Mark::of_line(&refused.code)))
    }

    async fn tallies(&self) -> Result<Option<BTreeMap<Bucket, Tally>>, DeliveryError> {
        let counts = self.current_counts().await?;
        counts.by_bucket().ok_or(DeliveryError::Configuration(Problem::UnknownTypeCounted))
    }

    async fn holdings(
        &self,
        bucket: &Bucket,
        after: Option<&LicenceId>,
        limit: usize,
    ) -> Result<Vec<Holding>, DeliveryError> {
        self.client.holdings(bucket, after, limit).await
    }
}
