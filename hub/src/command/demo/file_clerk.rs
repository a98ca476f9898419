//! A district's office that takes what the hub drops on its file server: it reads each batch that has its done-marker,
//! answers it, and says what it holds. What it has is in memory: a demo that starts again sends everything again.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use connectors::{
    Bucket, Holding, Mark, Tally,
    files::{
        answer::{
            ANSWER_END, ANSWER_FORMAT, Answer, BucketCount, COUNTS_FORMAT, COUNTS_NAME, Counts,
            HOLDINGS_NAME, HoldingRecord, Outcome,
        },
        manifest::{DONE_END, MANIFEST_END, Manifest},
    },
};
use tokio::{task::JoinHandle, time};

/// How often it looks.
const LOOK: Duration = Duration::from_millis(250);

/// What the built-in code map sends of a licence that is part of its mark, in its order.
const MARKED: [&str; 15] = [
    "identifier",
    "type",
    "name",
    "number",
    "holder_name",
    "holder_kind",
    "holder_number",
    "issuer",
    "issuer_name",
    "issued_on",
    "valid_from",
    "valid_to",
    "region",
    "project",
    "status",
];

/// Takes what comes until it is aborted.
///
/// * `folder`: where batches come; answers go to `answers` below it.
pub fn open(folder: PathBuf) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut office = Office { folder, ..Office::default() };
        loop {
            let worked = tokio::task::spawn_blocking(move || {
                let worked = office.round();
                (office, worked)
            });
            let Ok((back, worked)) = worked.await else { return };
            office = back;
            if let Err(error) = worked {
                tracing::warn!(%error, "the demo's office cannot work through its files");
            }
            time::sleep(LOOK).await;
        }
    })
}

#[derive(Default)]
struct Office {
    folder: PathBuf,
    /// The last record of each licence: its number, whether it counts, and what it counts as.
    held: BTreeMap<String, (u64, Option<(Bucket, Holding)>)>,
    /// One more than the last number worked through.
    next: u64,
}

impl Office {
    /// Works through the batches that are complete, in order of name.
    fn round(&mut self) -> io::Result<()> {
        let mut stems = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let name = entry?.file_name().into_string().unwrap_or_default();
            stems.extend(name.strip_suffix(DONE_END).map(str::to_owned));
        }
        stems.sort();
        let answers = self.folder.join("answers");
        let mut any = false;
        for stem in stems {
            let answer = answers.join(format!("{stem}{ANSWER_END}"));
            // Answered, and not yet taken away by the hub.
            if answer.exists() {
                continue;
            }
            let refused = self.take(&stem).err();
            let says = Answer {
                format: ANSWER_FORMAT.to_owned(),
                batch: stem.clone(),
                result: if refused.is_some() { Outcome::Refused } else { Outcome::Taken },
                code: refused.map(str::to_owned),
                remark: None,
                records: Vec::new(),
            };
            put(&answers, &format!("{stem}{ANSWER_END}"), &says.to_bytes())?;
            any = true;
        }
        if any { self.write_counts(&answers) } else { Ok(()) }
    }

    /// Takes a batch; an error is the code under which it is refused.
    fn take(&mut self, stem: &str) -> Result<(), &'static str> {
        let read = |name: &str| fs::read(self.folder.join(name)).map_err(|_| "file_missing");
        let manifest = read(&format!("{stem}{MANIFEST_END}"))?;
        let manifest = Manifest::parse(&manifest).map_err(|_| "manifest")?;
        let data = read(&format!("{stem}.ndjson"))?;
        manifest.check(&data).map_err(|_| "checksum")?;
        let text = std::str::from_utf8(&data).map_err(|_| "encoding")?;
        let records = text
            .lines()
            .map(serde_json::from_str::<BTreeMap<String, String>>)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| "shape")?;
        for (number, record) in manifest.numbers.iter().zip(&records) {
            let field = |name: &str| record.get(name).map(String::as_str).unwrap_or_default();
            let line = MARKED.map(field).join("|");
            let counts = || {
                let licence_type = field("type").parse().ok()?;
                let day = field("issued_on").parse().ok()?;
                let identifier = field("identifier").parse().ok()?;
                let mark = Mark::of_line(&line);
                Some((Bucket { licence_type, day }, Holding { identifier, mark }))
            };
            let current = if field("operation") == "delete" { None } else { counts() };
            let held = self.held.entry(field("identifier").to_owned()).or_default();
            if held.0 <= *number {
                *held = (*number, current);
            }
        }
        self.next = self.next.max(manifest.last.map_or(0, |last| last + 1));
        Ok(())
    }

    fn write_counts(&self, answers: &Path) -> io::Result<()> {
        let mut buckets: BTreeMap<Bucket, Tally> = BTreeMap::new();
        let mut types: BTreeMap<String, u64> = BTreeMap::new();
        let mut lines = Vec::new();
        for (bucket, holding) in self.held.values().filter_map(|(_, current)| current.as_ref()) {
            buckets.entry(*bucket).or_default().add(holding.mark);
            *types.entry(bucket.licence_type.to_string()).or_default() += 1;
            serde_json::to_writer(&mut lines, &HoldingRecord::new(bucket, holding))?;
            lines.push(b'\n');
        }
        let buckets = buckets.iter().map(|(bucket, tally)| BucketCount::new(bucket, tally));
        let counts = Counts {
            format: COUNTS_FORMAT.to_owned(),
            next: Some(self.next),
            types,
            buckets: Some(buckets.collect()),
        };
        put(answers, HOLDINGS_NAME, &lines)?;
        put(answers, COUNTS_NAME, &serde_json::to_vec(&counts)?)
    }
}

/// A file that is there whole or not at all.
fn put(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let part = folder.join(format!(".{name}"));
    fs::write(&part, bytes)?;
    fs::rename(part, folder.join(name))
}
