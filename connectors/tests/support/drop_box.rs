//! A receiver of dropped files: takes what has a done-marker, checks it against its manifest, drops repeats, answers and
//! counts. It works on the folder of a file server.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use async_trait::async_trait;
use connectors::{
    CheckedConnector, Connector, ConnectorSettings, Shared, Tally, Types,
    files::{
        answer::{
            ANSWER_END, ANSWER_FORMAT, Answer, AnswerRecord, BucketCount, COUNTS_FORMAT,
            COUNTS_NAME, Counts, HOLDINGS_NAME, HoldingRecord, Outcome,
        },
        encoding,
        manifest::{Content, DONE_END, MANIFEST_END, Manifest},
    },
    rules::{Counterpart, samples},
};
use licence::{Licence, LicenceId, Seq};

use super::file_server::FileServer;

/// A licence as the receiver holds it.
#[derive(Clone, Debug)]
pub struct Record {
    pub seq: u64,
    pub operation: String,
    pub fields: BTreeMap<String, String>,
}

/// What the receiver has taken, and what it is told to do.
#[derive(Default)]
struct Taken {
    /// Done-markers worked through, with their times.
    seen: BTreeSet<(String, std::time::SystemTime)>,
    keys: BTreeSet<u64>,
    order: Vec<Seq>,
    records: BTreeMap<String, Record>,
    problems: Vec<String>,
    refuse: BTreeSet<u64>,
    refuse_batches: bool,
    /// One more than the last number in a batch.
    next: u64,
}

/// A file server with a receiver that works through its folder `out`.
pub struct DropBox {
    pub server: FileServer,
    taken: Arc<Mutex<Taken>>,
    ended: Arc<AtomicBool>,
    worker: Option<JoinHandle<()>>,
}

impl DropBox {
    pub async fn start() -> Self {
        let server = FileServer::start().await;
        fs::create_dir_all(server.files().join("out/answers")).unwrap();
        let taken = Arc::new(Mutex::new(Taken::default()));
        write_counts(&server.files().join("out"), &taken.lock().unwrap());
        let mut this =
            Self { server, taken, ended: Arc::new(AtomicBool::new(false)), worker: None };
        this.work();
        this
    }

    /// Works until the end, every few milliseconds.
    pub fn work(&mut self) {
        let (folder, taken) = (self.server.files().join("out"), self.taken.clone());
        let ended = Arc::new(AtomicBool::new(false));
        self.ended = ended.clone();
        self.worker = Some(std::thread::spawn(move || {
            while !ended.load(Ordering::SeqCst) {
                round(&folder, &mut taken.lock().unwrap());
                std::thread::sleep(Duration::from_millis(5));
            }
        }));
    }

    /// The receiver rests; files come all the same.
    pub fn rest(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        if let Some(worker) = self.worker.take() {
            worker.join().unwrap();
        }
    }

    /// Loses what it has of these changes, and says nothing of it.
    pub fn lose(&self, seqs: &[u64]) {
        let mut taken = self.taken.lock().unwrap();
        taken.keys.retain(|seq| !seqs.contains(seq));
        taken.records.retain(|_, record| !seqs.contains(&record.seq));
    }

    /// Does not take these changes from now on, and says so in answers.
    pub fn refuse(&self, seqs: &[u64]) {
        self.taken.lock().unwrap().refuse = seqs.iter().copied().collect();
    }

    /// Takes no batch from now on.
    pub fn refuse_batches(&self, refuse: bool) {
        self.taken.lock().unwrap().refuse_batches = refuse;
    }

    pub fn out(&self) -> PathBuf {
        self.server.files().join("out")
    }

    /// Names in a folder below `out`, in order.
    pub fn names(&self, below: &str) -> Vec<String> {
        names(&self.out().join(below))
    }

    /// The licences it holds as current, and the change it holds of each.
    pub fn current(&self) -> BTreeMap<String, u64> {
        let taken = self.taken.lock().unwrap();
        let current = taken.records.iter().filter(|(_, record)| record.operation != "delete");
        current.map(|(identifier, record)| (identifier.clone(), record.seq)).collect()
    }

    pub fn fields(&self, identifier: &LicenceId) -> BTreeMap<String, String> {
        self.taken.lock().unwrap().records[&identifier.to_string()].fields.clone()
    }

    /// The numbers of the changes that it took, each once, in order of number.
    pub fn took(&self) -> Vec<u64> {
        self.taken.lock().unwrap().keys.iter().copied().collect()
    }

    /// What it found wrong in files.
    pub fn problems(&self) -> Vec<String> {
        self.taken.lock().unwrap().problems.clone()
    }

    pub fn settings(&self) -> ConnectorSettings {
        self.settings_at(self.server.port())
    }

    /// Through a relay.
    pub fn settings_at(&self, port: u16) -> ConnectorSettings {
        let more = serde_json::json!({ "host_key": self.server.known_at(port), "folder": "out" });
        ConnectorSettings {
            name: "city".to_owned(),
            kind: "files".to_owned(),
            host: Some("127.0.0.1".to_owned()),
            port: Some(port),
            user: Some(self.server.user()),
            key: Some(self.server.client_key()),
            timeout_ms: Some(2_000),
            more: more.as_object().unwrap().clone(),
            ..ConnectorSettings::default()
        }
    }

    /// As [`DropBox::settings`], with more of its own.
    pub fn settings_with(&self, more: serde_json::Value) -> ConnectorSettings {
        let mut settings = self.settings();
        settings.more.extend(more.as_object().unwrap().clone());
        settings
    }
}

/// A connector with these settings.
pub fn open(settings: &ConnectorSettings) -> Box<dyn Connector> {
    let checked = settings.check().unwrap();
    let CheckedConnector::Other(opener) = checked.connector else { panic!("another kind") };
    opener.open(&Types::new())
}

impl Drop for DropBox {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        if let Some(worker) = self.worker.take() {
            let _ = worker.join();
        }
    }
}

#[async_trait]
impl Counterpart for DropBox {
    fn connector(&self) -> Box<dyn Connector> {
        open(&self.settings_with(serde_json::json!({ "encoding": "gbk", "format": "csv" })))
    }

    async fn held(&self) -> Vec<Seq> {
        let mut taken = self.taken.lock().unwrap();
        round(&self.out(), &mut taken);
        assert_eq!(taken.problems, Vec::<String>::new());
        taken.order.clone()
    }

    fn spoil(&self, record: Shared) -> Shared {
        // GBK has no such character.
        let licence =
            Licence { issuer_name: "𠮷市样本局".to_owned(), ..(*record.licence).clone() };
        samples::of_licence(record.seq().0, licence)
    }

    async fn go_down(&mut self) {
        self.server.stop().await;
    }

    async fn come_up(&mut self) {
        self.server.start_again().await;
    }
}

fn names(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut names: Vec<String> = entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let is_file = entry.file_type().ok()?.is_file();
            is_file.then(|| entry.file_name().into_string().unwrap())
        })
        .collect();
    names.sort();
    names
}

/// Works through the batches that are complete, in order of name.
fn round(folder: &Path, taken: &mut Taken) {
    let mut any = false;
    for name in names(folder) {
        let Some(stem) = name.strip_suffix(DONE_END) else { continue };
        // It may be just being written anew.
        let Ok(written) = fs::metadata(folder.join(&name)).and_then(|about| about.modified())
        else {
            continue;
        };
        if taken.seen.insert((stem.to_owned(), written)) {
            any = true;
            match batch(folder, stem, taken) {
                Ok(answer) => {
                    // At once under its name, as receivers should.
                    put(
                        &folder.join("answers"),
                        &format!("{stem}{ANSWER_END}"),
                        &answer.to_bytes(),
                    );
                }
                Err(problem) => taken.problems.push(format!("{stem}: {problem}")),
            }
        }
    }
    if any {
        write_counts(folder, taken);
    }
}

fn batch(folder: &Path, stem: &str, taken: &mut Taken) -> Result<Answer, String> {
    let manifest = fs::read(folder.join(format!("{stem}{MANIFEST_END}")))
        .map_err(|_| "a marker without a manifest".to_owned())?;
    let manifest = Manifest::parse(&manifest).map_err(|error| error.to_string())?;
    let data = fs::read(folder.join(&manifest.file)).map_err(|_| "no data file".to_owned())?;
    manifest.check(&data).map_err(|error| error.to_string())?;
    let encoding = encoding(&manifest.encoding).ok_or("an unknown encoding")?;
    let text = encoding
        .decode_without_bom_handling_and_without_replacement(&data)
        .ok_or("not in the encoding that the manifest says")?;
    let records = records(manifest.content, &text);
    if records.len() as u64 != manifest.records || records.len() != manifest.numbers.len() {
        return Err("another number of records".to_owned());
    }
    let mut answer = Answer {
        format: ANSWER_FORMAT.to_owned(),
        batch: manifest.batch.clone(),
        result: Outcome::Taken,
        code: None,
        remark: None,
        records: Vec::new(),
    };
    taken.next = taken.next.max(manifest.last.map_or(0, |last| last + 1));
    if taken.refuse_batches {
        answer.result = Outcome::Refused;
        answer.code = Some("closed".to_owned());
        answer.remark = Some("本日不收".to_owned());
        return Ok(answer);
    }
    for ((line, fields), number) in (1..).zip(records).zip(manifest.numbers) {
        assert_eq!(fields["key"], format!("{}-{number:020}", manifest.sender));
        if taken.refuse.contains(&number) {
            // By line or by key, as receivers do.
            answer.records.push(AnswerRecord {
                line: (number % 2 == 0).then_some(line),
                key: (number % 2 == 1).then(|| fields["key"].clone()),
                code: "not_wanted".to_owned(),
                remark: format!("证件号码 {} 不符", fields["holder_number"]),
            });
            continue;
        }
        if taken.keys.insert(number) {
            taken.order.push(Seq(number));
        }
        let record =
            Record { seq: number, operation: fields["operation"].clone(), fields: fields.clone() };
        let held = taken.records.entry(fields["identifier"].clone()).or_insert(record.clone());
        if held.seq < number {
            *held = record;
        }
    }
    Ok(answer)
}

fn records(content: Content, text: &str) -> Vec<BTreeMap<String, String>> {
    match content {
        Content::Ndjson => text.lines().map(|line| serde_json::from_str(line).unwrap()).collect(),
        Content::Csv => {
            let mut reader = csv::Reader::from_reader(text.as_bytes());
            reader.deserialize().map(|record| record.unwrap()).collect()
        }
    }
}

/// Counts by type and bucket, and the list of what is held. The marks are of the fields that the built-in code map sends.
fn write_counts(folder: &Path, taken: &Taken) {
    let mut buckets: BTreeMap<connectors::Bucket, Tally> = BTreeMap::new();
    let mut types: BTreeMap<String, u64> = BTreeMap::new();
    let mut lines = String::new();
    for record in taken.records.values().filter(|record| record.operation != "delete") {
        let bucket = connectors::Bucket {
            licence_type: record.fields["type"].parse().unwrap(),
            day: record.fields["issued_on"].parse().unwrap(),
        };
        let parts = [
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
        ]
        .map(|name| record.fields[name].as_str());
        let mark = connectors::Mark::of_line(&parts.join("|"));
        buckets.entry(bucket).or_default().add(mark);
        *types.entry(record.fields["type"].clone()).or_default() += 1;
        let holding =
            connectors::Holding { identifier: record.fields["identifier"].parse().unwrap(), mark };
        let line = serde_json::to_string(&HoldingRecord::new(&bucket, &holding)).unwrap();
        lines.push_str(&line);
        lines.push('\n');
    }
    let counts = Counts {
        format: COUNTS_FORMAT.to_owned(),
        next: Some(taken.next),
        types,
        buckets: Some(
            buckets.iter().map(|(bucket, tally)| BucketCount::new(bucket, tally)).collect(),
        ),
    };
    let answers = folder.join("answers");
    put(&answers, HOLDINGS_NAME, lines.as_bytes());
    put(&answers, COUNTS_NAME, &serde_json::to_vec(&counts).unwrap());
}

fn put(folder: &Path, name: &str, bytes: &[u8]) {
    let part = folder.join(format!(".{name}"));
    // The folder may have been taken away by a test.
    if fs::write(&part, bytes).is_ok() {
        let _ = fs::rename(part, folder.join(name));
    }
}
