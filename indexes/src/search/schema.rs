//! What stands in the index about a licence.

use jiff::civil::Date;
use licence::{HolderKind, Licence, LicenceId, LicenceTypeCode};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tantivy::schema::{
    BytesOptions, Field, IndexRecordOption, NumericOptions, Schema, TextFieldIndexing, TextOptions,
};
use tantivy::tokenizer::{RawTokenizer, TextAnalyzer};
use tantivy::{Index, TantivyDocument, Term};

use super::text::{Bigrams, Characters, folded_text};
use crate::StoredLicence;

/// Changes with everything that makes an index of before useless: fields, analyser, records.
pub(super) const VERSION: u32 = 1;

/// Names of the columns that the collector reads.
pub(super) const TYPE: &str = "licence_type";
pub(super) const STATUS: &str = "status";
pub(super) const ISSUED_ON: &str = "issued_on";
pub(super) const SEQ: &str = "seq";

/// The words of the status column, by number.
pub(super) const STATUS_WORDS: [&str; 4] = ["valid", "suspended", "revoked", "superseded"];

/// The fields of the index.
#[derive(Clone, Copy)]
pub(super) struct Fields {
    pub(super) identifier: Field,
    /// Bigrams of the licence's and its holders' names.
    pub(super) names: Field,
    /// Bigrams of issuer, number and face fields.
    pub(super) texts: Field,
    /// Single characters of all of them.
    pub(super) characters: Field,
    /// Number and identifier, folded and whole.
    pub(super) exact: Field,
    pub(super) licence_type: Field,
    pub(super) issuer: Field,
    pub(super) regions: Field,
    pub(super) holder_kinds: Field,
    pub(super) status: Field,
    pub(super) issued_on: Field,
    seq: Field,
    pub(super) record: Field,
}

impl Fields {
    pub(super) fn new() -> (Schema, Self) {
        let indexing = |tokenizer: &str, option| {
            let indexing = TextFieldIndexing::default().set_tokenizer(tokenizer);
            let indexing = indexing.set_fieldnorms(false).set_index_option(option);
            TextOptions::default().set_indexing_options(indexing)
        };
        let bigrams = indexing("bigrams", IndexRecordOption::WithFreqsAndPositions);
        let characters = indexing("characters", IndexRecordOption::Basic);
        let whole = indexing("whole", IndexRecordOption::Basic);
        let column = NumericOptions::default().set_fast();
        let mut schema = Schema::builder();
        let fields = Self {
            identifier: schema.add_text_field("identifier", whole.clone()),
            names: schema.add_text_field("names", bigrams.clone()),
            texts: schema.add_text_field("texts", bigrams),
            characters: schema.add_text_field("characters", characters),
            exact: schema.add_text_field("exact", whole.clone()),
            licence_type: schema.add_text_field(TYPE, whole.clone().set_fast("raw")),
            issuer: schema.add_text_field("issuer", whole.clone()),
            regions: schema.add_text_field("regions", whole.clone()),
            holder_kinds: schema.add_text_field("holder_kinds", whole),
            status: schema.add_u64_field(STATUS, column.clone().set_indexed()),
            issued_on: schema.add_u64_field(ISSUED_ON, column.clone()),
            seq: schema.add_u64_field(SEQ, column),
            record: schema.add_bytes_field("record", BytesOptions::default().set_stored()),
        };
        (schema.build(), fields)
    }

    /// The document of a licence as it is held now.
    pub(super) fn document(&self, stored: &StoredLicence) -> TantivyDocument {
        let record = Record::new(stored);
        let mut document = TantivyDocument::default();
        document.add_text(self.identifier, stored.identifier.as_str());
        for name in std::iter::once(&record.name).chain(&record.holder_names) {
            document.add_text(self.names, name);
        }
        let texts = [&record.issuer_name, &record.number].into_iter().chain(&record.faces);
        texts.for_each(|text| document.add_text(self.texts, text));
        document.add_text(self.characters, record.all_text());
        document.add_text(self.exact, folded_text(&record.number));
        document.add_text(self.exact, folded_text(stored.identifier.as_str()));
        document.add_text(self.licence_type, stored.licence_type.as_str());
        document.add_text(self.issuer, stored.issuer.as_str());
        for kind in &record.holder_kinds {
            document.add_text(self.holder_kinds, kind.code());
        }
        if let Some(region) = &record.region {
            regions_of(region).into_iter().for_each(|region| {
                document.add_text(self.regions, region);
            });
        }
        document.add_u64(self.status, status_number(stored.status.word()));
        document.add_u64(self.issued_on, day_number(stored.issued_on));
        document.add_u64(self.seq, stored.seq.0);
        document.add_bytes(self.record, &record.to_bytes());
        document
    }

    /// Names the one document of a licence.
    pub(super) fn identifier_term(&self, identifier: &LicenceId) -> Term {
        Term::from_field_text(self.identifier, identifier.as_str())
    }
}

/// The analysers that the schema names.
pub(super) fn register_analysers(index: &Index) {
    index.tokenizers().register("bigrams", TextAnalyzer::from(Bigrams));
    index.tokenizers().register("characters", TextAnalyzer::from(Characters));
    index.tokenizers().register("whole", TextAnalyzer::from(RawTokenizer::default()));
}

/// What is shown of a licence that was found.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) identifier: LicenceId,
    pub(super) licence_type: LicenceTypeCode,
    pub(super) name: String,
    pub(super) holder_names: Vec<String>,
    pub(super) holder_kinds: Vec<HolderKind>,
    pub(super) issuer_name: String,
    pub(super) number: String,
    pub(super) status: String,
    pub(super) issued_on: Date,
    pub(super) faces: Vec<String>,
    region: Option<String>,
}

impl Record {
    fn new(stored: &StoredLicence) -> Self {
        let mut record = Self {
            identifier: stored.identifier.clone(),
            licence_type: stored.licence_type,
            name: String::new(),
            holder_names: Vec::new(),
            holder_kinds: Vec::new(),
            issuer_name: String::new(),
            number: stored.number.clone(),
            status: stored.status.word().to_owned(),
            issued_on: stored.issued_on,
            faces: Vec::new(),
            region: None,
        };
        match Licence::parse(&stored.document) {
            Ok(licence) => {
                record.name = licence.name;
                record.issuer_name = licence.issuer_name;
                record.region = licence.region.map(|region| region.as_str().to_owned());
                for holder in licence.holders {
                    record.holder_kinds.push(holder.id.kind());
                    record.holder_names.push(holder.name);
                }
                let mut faces = Vec::new();
                licence.fields.values().for_each(|value| texts_of(value, &mut faces));
                // Most faces repeat name and number.
                let is_new = |face: &String| !record.texts().any(|text| text == face);
                faces.retain(is_new);
                record.faces = faces;
            }
            // It was parsed when it came in: this program reads less than the one before it.
            Err(error) => tracing::warn!(
                licence.id = %stored.identifier,
                code = error.code(),
                "a held licence does not parse; it can only be found by its number"
            ),
        }
        record
    }

    /// In the order in which matches are shown.
    pub(super) fn texts(&self) -> impl Iterator<Item = &String> {
        let names = self.holder_names.iter().chain([&self.name, &self.number, &self.issuer_name]);
        names.chain(&self.faces)
    }

    fn all_text(&self) -> String {
        self.texts().map(String::as_str).collect::<Vec<_>>().join(" ")
    }

    fn to_bytes(&self) -> Vec<u8> {
        postcard::to_stdvec(self).expect("texts and lists of texts serialise into memory")
    }

    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        postcard::from_bytes(bytes).ok()
    }
}

/// Depth is bounded by the licence's parser.
fn texts_of(value: &Value, texts: &mut Vec<String>) {
    match value {
        Value::String(text) => texts.push(text.clone()),
        Value::Array(values) => values.iter().for_each(|value| texts_of(value, texts)),
        Value::Object(fields) => fields.values().for_each(|value| texts_of(value, texts)),
        _ => {}
    }
}

/// The division and the prefecture and province that it lies in.
fn regions_of(region: &str) -> Vec<String> {
    let mut regions = vec![region.to_owned()];
    for length in [4, 2] {
        if let Some(start) = region.get(..length) {
            regions.push(format!("{start:0<6}"));
        }
    }
    regions.dedup();
    regions
}

pub(super) fn status_number(word: &str) -> u64 {
    let number = STATUS_WORDS.iter().position(|one| *one == word);
    number.unwrap_or(STATUS_WORDS.len()) as u64
}

/// YYYYMMDD; days before year 0 count as the first.
pub(super) fn day_number(day: Date) -> u64 {
    let year = u64::try_from(day.year()).unwrap_or(0);
    year * 10_000
        + u64::from(day.month().unsigned_abs()) * 100
        + u64::from(day.day().unsigned_abs())
}
