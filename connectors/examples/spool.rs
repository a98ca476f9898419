//! A connector to a spool folder: one JSON file for each change, in a folder that another system reads.
//!
//! `docs/write-a-connector.md` walks through it; `connectors/tests/write_a_connector.rs` holds both equal and makes it
//! keep the promises of every connector.

use std::{collections::BTreeMap, path::PathBuf};

use async_trait::async_trait;
use connectors::{
    Batch, Connector, ConnectorSettings, Delivered, DeliveryError, Kind, Opener, Operation,
    Preview, PreviewPart, Problem, Refused, SettingsProblem, Shared,
};
use licence::{LicenceId, LicenceTypeCode};
use serde::{Deserialize, Serialize};
use tokio::{fs, io::AsyncWriteExt};

/// The kind `spool`.
pub static KIND: Kind = Kind { name: "spool", check };

/// The settings that only this kind has, as written.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Raw {
    folder: Option<PathBuf>,
}

/// The same, checked.
#[derive(Clone)]
struct Settings {
    name: String,
    folder: PathBuf,
}

fn check(raw: &ConnectorSettings, problems: &mut Vec<SettingsProblem>) -> Option<Opener> {
    let own: Raw = raw.of_kind("spool", &[], problems)?;
    let Some(folder) = own.folder else {
        problems.push(SettingsProblem::Missing { setting: "folder" });
        return None;
    };
    let settings = Settings { name: raw.name().to_owned(), folder: raw.folder.join(folder) };
    Some(Opener::new(move |_| Box::new(Spool { settings: settings.clone() })))
}

/// What a file says.
#[derive(Serialize, Deserialize)]
struct Record {
    key: String,
    operation: String,
    identifier: LicenceId,
    #[serde(rename = "type")]
    licence_type: LicenceTypeCode,
    name: String,
    region: String,
    issued_on: String,
}

/// The file of a change: its name, and its bytes. Or why there will be none.
fn encode(connector: &str, item: &Shared) -> Result<(String, Vec<u8>), Refused> {
    let Some(region) = item.licence.region else {
        return Err(Refused {
            seq: item.seq(),
            code: "region_missing".to_owned(),
            remark: "the licence names no region, and this counterpart files by region".to_owned(),
        });
    };
    let key = item.key(connector);
    let record = Record {
        operation: Operation::of_item(item).word().to_owned(),
        identifier: item.identifier().clone(),
        licence_type: item.licence.licence_type,
        name: item.licence.name.clone(),
        region: region.to_string(),
        issued_on: item.licence.issued_on.to_string(),
        key: key.clone(),
    };
    let bytes = serde_json::to_vec(&record).expect("texts can be written");
    Ok((format!("{key}.json"), bytes))
}

/// A spool folder.
struct Spool {
    settings: Settings,
}

impl Spool {
    /// What the system said, as a problem: the folder is not there, not ours, or its disk is full.
    fn failed(&self, error: &std::io::Error) -> DeliveryError {
        let path = self.settings.folder.clone();
        DeliveryError::Unreachable(Problem::FileUnreadable {
            setting: "folder",
            path,
            kind: error.kind(),
        })
    }

    /// Whole under its name, or not there. The same change has the same name and bytes, so that writing it again
    /// changes nothing.
    async fn put(&self, name: &str, bytes: &[u8]) -> std::io::Result<()> {
        let part = self.settings.folder.join(format!("{name}.part"));
        let mut file = fs::File::create(&part).await?;
        file.write_all(bytes).await?;
        file.sync_all().await?;
        fs::rename(&part, self.settings.folder.join(name)).await
    }

    /// The last record of each licence.
    async fn current(&self) -> std::io::Result<BTreeMap<LicenceId, Record>> {
        let mut entries = fs::read_dir(&self.settings.folder).await?;
        let mut current = BTreeMap::<LicenceId, Record>::new();
        while let Some(entry) = entries.next_entry().await? {
            if entry.path().extension().is_none_or(|ending| ending != "json") {
                continue; // a file of somebody else's, or half a file
            }
            let bytes = fs::read(entry.path()).await?;
            let Ok(record) = serde_json::from_slice::<Record>(&bytes) else { continue };
            let before = current.get(&record.identifier);
            if before.is_none_or(|before| before.key < record.key) {
                current.insert(record.identifier.clone(), record);
            }
        }
        Ok(current)
    }
}

#[async_trait]
impl Connector for Spool {
    fn name(&self) -> &str {
        &self.settings.name
    }

    fn kind(&self) -> &'static str {
        KIND.name
    }

    async fn deliver(&self, batch: &Batch) -> Result<Delivered, DeliveryError> {
        let mut refused = Vec::new();
        for item in &batch.items {
            match encode(self.name(), item) {
                Ok((name, bytes)) => {
                    self.put(&name, &bytes).await.map_err(|error| self.failed(&error))?;
                }
                Err(reason) => refused.push(reason),
            }
        }
        // The names are durable only when the folder is.
        let folder = fs::File::open(&self.settings.folder).await;
        let synced = match folder {
            Ok(folder) => folder.sync_all().await,
            Err(error) => Err(error),
        };
        synced.map_err(|error| self.failed(&error))?;
        Ok(Delivered { refused })
    }

    async fn counts(&self) -> Result<BTreeMap<LicenceTypeCode, u64>, DeliveryError> {
        let current = self.current().await.map_err(|error| self.failed(&error))?;
        let mut counts = BTreeMap::new();
        for record in current.values().filter(|record| record.operation != "delete") {
            *counts.entry(record.licence_type).or_default() += 1;
        }
        Ok(counts)
    }

    fn preview(&self, batch: &Batch) -> Result<Preview, DeliveryError> {
        let mut preview = Preview::default();
        for item in &batch.items {
            match encode(self.name(), item) {
                Ok((name, bytes)) => preview.parts.push(PreviewPart {
                    title: self.settings.folder.join(name).display().to_string(),
                    text: String::from_utf8_lossy(&bytes).into_owned(),
                }),
                Err(reason) => preview.refused.push(reason),
            }
        }
        Ok(preview)
    }
}
