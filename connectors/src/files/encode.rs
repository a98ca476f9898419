//! A batch → its files. Pure.

use licence::Seq;
use serde_json::Value as Json;

use super::{
    manifest::{Content, MANIFEST_FORMAT, Manifest, Operations, sha256, sm3},
    settings::Settings,
};
use crate::{
    Batch, Mark, Operation, Refused, Shared,
    code_map::{CodeMap, Value},
};

/// The name of the element with the key, where a code map has none: without it nobody could drop repeats.
const KEY: &str = "key";

/// The files of one batch, but for the done-marker, which is empty.
pub(crate) struct Encoded {
    /// What the names of its files begin with.
    pub(crate) stem: String,
    /// The data file; `None`: no record is left.
    pub(crate) data: Option<Vec<u8>>,
    pub(crate) manifest: Vec<u8>,
    pub(crate) refused: Vec<Refused>,
    /// The numbers of the first and the last record in the data file.
    pub(crate) ends: Option<(Seq, Seq)>,
}

/// The files of this batch: the same for the same batch and code map.
pub(crate) fn files(settings: &Settings, map: &CodeMap, batch: &Batch) -> Encoded {
    let mut data = Vec::new();
    let mut refused = Vec::new();
    let mut numbers = Vec::new();
    let mut operations = Operations::default();
    if settings.content == Content::Csv {
        let names: Vec<&str> = names(map).collect();
        // The names are the code map's, and were looked at when it was read: what the encoding lacks in them is written
        // as a character reference.
        data.extend_from_slice(&settings.encoding.encode(&csv_line(names)).0);
    }
    for item in &batch.items {
        match record(settings, map, item, &batch.id) {
            Ok(line) => {
                data.extend_from_slice(&line);
                numbers.push(item.seq().0);
                match Operation::of_item(item) {
                    Operation::Insert => operations.insert += 1,
                    Operation::Update => operations.update += 1,
                    Operation::Delete => operations.delete += 1,
                }
            }
            Err(why) => refused.push(why),
        }
    }
    let (Some(first), Some(last)) = (numbers.first().copied(), numbers.last().copied()) else {
        let (stem, manifest) = (String::new(), Vec::new());
        return Encoded { stem, data: None, manifest, refused, ends: None };
    };
    // The batch's id tells replays apart, the content what a mended code map makes of the same records: files that have
    // come to a name are never written over with others.
    let content = sha256(&[batch.id.as_bytes(), &data].concat());
    let stem = format!("{}-{first:020}-{last:020}-{}", settings.name, &content[..16]);
    let manifest = Manifest {
        format: MANIFEST_FORMAT.to_owned(),
        sender: settings.name.clone(),
        batch: stem.clone(),
        file: format!("{stem}{}", settings.content.end()),
        content: settings.content,
        encoding: settings.encoding.name().to_ascii_lowercase(),
        records: numbers.len() as u64,
        operations: Some(operations),
        size: data.len() as u64,
        sha256: sha256(&data),
        sm3: Some(sm3(&data)),
        first: Some(first),
        last: Some(last),
        numbers,
    };
    let manifest = manifest.to_bytes();
    Encoded { stem, data: Some(data), manifest, refused, ends: Some((Seq(first), Seq(last))) }
}

/// The line that is marked: what is sent of the record, but for what the same licence has another value of when it is
/// sent again.
pub(crate) fn mark(map: &CodeMap, item: &Shared, connector: &str) -> Result<Mark, Refused> {
    let values = map.encode(item, connector, "").map_err(|problem| problem.refused(item))?;
    let kept: Vec<&str> = map
        .fields
        .iter()
        .zip(&values)
        .filter(|(field, _)| {
            let from = field.from.as_deref().unwrap_or_default();
            !["batch", "changed_at", "key", "operation", "seq"].contains(&from)
        })
        .map(|(_, value)| value.text.as_str())
        .collect();
    Ok(Mark::of_line(&kept.join("|")))
}

/// The names of a record's elements, in order.
fn names(map: &CodeMap) -> impl Iterator<Item = &str> {
    let added = (!has_key(map)).then_some(KEY);
    added.into_iter().chain(map.fields.iter().map(|field| field.name.as_str()))
}

fn has_key(map: &CodeMap) -> bool {
    map.fields.iter().any(|field| field.from.as_deref() == Some("key") || field.name == KEY)
}

fn record(
    settings: &Settings,
    map: &CodeMap,
    item: &Shared,
    batch: &str,
) -> Result<Vec<u8>, Refused> {
    let mut values =
        map.encode(item, &settings.name, batch).map_err(|problem| problem.refused(item))?;
    if !has_key(map) {
        values.insert(0, Value { name: KEY.to_owned(), text: item.key(&settings.name) });
    }
    if let Some(lacking) = values.iter().find(|value| settings.encoding.encode(&value.text).2) {
        return Err(Refused {
            seq: item.seq(),
            code: "value_not_in_encoding".to_owned(),
            remark: format!(
                "the value for {} has a character that {} lacks",
                lacking.name,
                settings.encoding.name()
            ),
        });
    }
    let line = match settings.content {
        Content::Ndjson => ndjson_line(values),
        Content::Csv => csv_line(values.iter().map(|value| value.text.as_str()).collect()),
    };
    Ok(settings.encoding.encode(&line).0.into_owned())
}

/// RFC 8259 in one line: line ends in values are escaped.
fn ndjson_line(values: Vec<Value>) -> String {
    let mut line = String::from("{");
    for (position, value) in values.into_iter().enumerate() {
        if position > 0 {
            line.push(',');
        }
        // In the code map's order, which an object in memory would not keep.
        line.push_str(&Json::String(value.name).to_string());
        line.push(':');
        line.push_str(&Json::String(value.text).to_string());
    }
    line.push_str("}\n");
    line
}

/// RFC 4180, lines ending with LF.
fn csv_line(values: Vec<&str>) -> String {
    let mut writer =
        csv::WriterBuilder::new().terminator(csv::Terminator::Any(b'\n')).from_writer(Vec::new());
    writer.write_record(values).expect("writing to memory does not fail");
    let bytes = writer.into_inner().expect("writing to memory does not fail");
    String::from_utf8(bytes).expect("made of strings")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use encoding_rs::{GB18030, GBK, UTF_8};
    use licence::LicenceStatus;

    use super::*;
    use crate::{
        files::built_in,
        rules::samples,
        sftp::{Login, Target},
    };

    fn settings() -> Settings {
        Settings {
            name: "city".to_owned(),
            target: Target {
                host: "files".to_owned(),
                port: 22,
                user: "yihao".to_owned(),
                login: Login::Key("key".into()),
                host_key: "known".into(),
                connect_timeout: Duration::ZERO,
                timeout: Duration::ZERO,
            },
            folder: "/out".to_owned(),
            answers: "/out/answers".to_owned(),
            content: Content::Ndjson,
            encoding: UTF_8,
            keep: None,
            code_map: None,
        }
    }

    fn batch() -> Batch {
        let issued = samples::issued(0);
        let suspended =
            samples::changed(2, &issued, LicenceStatus::Valid, LicenceStatus::Suspended);
        Batch::new("city", 0, vec![issued, samples::issued(1), suspended])
    }

    fn text(bytes: Option<Vec<u8>>) -> String {
        String::from_utf8(bytes.unwrap()).unwrap()
    }

    #[test]
    fn a_batch_is_a_data_file_and_a_manifest() {
        let ndjson = files(&settings(), &built_in(), &batch());
        insta::assert_snapshot!("ndjson", text(ndjson.data));
        insta::assert_snapshot!("manifest", text(Some(ndjson.manifest)));
        let csv = Settings { content: Content::Csv, ..settings() };
        insta::assert_snapshot!("csv", text(files(&csv, &built_in(), &batch()).data));
    }

    #[test]
    fn the_same_batch_has_the_same_names_and_bytes_and_another_has_others() {
        let [one, two] = [0; 2].map(|_| files(&settings(), &built_in(), &batch()));
        assert_eq!((&one.stem, &one.data, &one.manifest), (&two.stem, &two.data, &two.manifest));
        let replay = Batch::new("city", 1, batch().items);
        assert_ne!(files(&settings(), &built_in(), &replay).stem, one.stem);
        let mut map = built_in();
        map.dates = crate::code_map::DateForm::Compact;
        assert_ne!(files(&settings(), &map, &batch()).stem, one.stem);
    }

    #[test]
    fn the_key_is_sent_whatever_the_code_map_leaves_out() {
        let map = serde_json::json!({
            "format": "yihao-code-map-1", "fields": [{ "as": "ZZBH", "from": "number" }]
        });
        let map = CodeMap::parse(map.to_string().as_bytes()).unwrap();
        let one = Batch::new("city", 0, vec![samples::issued(7)]);
        let sent = files(&settings(), &map, &one);
        assert_eq!(
            text(sent.data),
            "{\"key\":\"city-00000000000000000007\",\"ZZBH\":\"湘样本字第7号\"}\n"
        );
        let csv = Settings { content: Content::Csv, ..settings() };
        assert_eq!(
            text(files(&csv, &map, &one).data),
            "key,ZZBH\ncity-00000000000000000007,湘样本字第7号\n"
        );
    }

    #[test]
    fn values_that_csv_gives_a_meaning_are_quoted() {
        assert_eq!(csv_line(vec!["a", "b,c", "d\"e", "f\ng"]), "a,\"b,c\",\"d\"\"e\",\"f\ng\"\n");
        assert_eq!(csv_line(vec![""]), "\"\"\n");
    }

    #[test]
    fn characters_that_the_encoding_lacks_are_set_aside() {
        let mut licence = samples::licence(1, samples::types()[0]);
        licence.name = "𠮷𠮷许可证".to_owned();
        let items = vec![samples::issued(0), samples::of_licence(1, licence)];
        let batch = Batch::new("city", 0, items);
        let sent = |encoding| files(&Settings { encoding, ..settings() }, &built_in(), &batch);
        let gbk = sent(GBK);
        assert_eq!(gbk.refused.len(), 1);
        assert_eq!(gbk.refused[0].seq, Seq(1));
        assert_eq!(gbk.refused[0].code, "value_not_in_encoding");
        assert_eq!(gbk.refused[0].remark, "the value for name has a character that GBK lacks");
        assert_eq!(Manifest::parse(&gbk.manifest).unwrap().numbers, [0]);
        let all = sent(GB18030);
        assert_eq!(all.refused, []);
        let back = GB18030.decode(all.data.as_deref().unwrap()).0;
        assert!(back.contains("𠮷𠮷许可证") && back.contains(samples::HOLDER_NAME));
    }

    #[test]
    fn a_batch_of_which_nothing_is_left_has_no_files() {
        let empty = files(&settings(), &built_in(), &Batch::new("city", 0, Vec::new()));
        assert!(empty.data.is_none() && empty.ends.is_none());
    }

    #[test]
    fn a_mark_is_of_the_record_not_of_its_delivery() {
        let issued = samples::issued(0);
        let suspended =
            samples::changed(2, &issued, LicenceStatus::Valid, LicenceStatus::Suspended);
        let restored = samples::changed(3, &issued, LicenceStatus::Suspended, LicenceStatus::Valid);
        let mark = |item| mark(&built_in(), item, "city").unwrap();
        assert_eq!(mark(&issued), mark(&restored));
        assert_ne!(mark(&issued), mark(&suspended));
    }
}
