//! Batches of files: worked through from the beginning to the end, noted as handled together with their answer, and only
//! then answered and moved aside. Killed before the note, a batch is worked through again and finds what it had done;
//! killed after it, what is left of answering and moving is done at the next start.

use std::collections::BTreeMap;

use connectors::{
    DeliveryError, Problem,
    code_map::CodeMap,
    files::answer::{ANSWER_FORMAT, Answer as BatchAnswer, AnswerRecord, Outcome},
    inbound::{Answer, Aside, BatchRefused, Conclusion, FileBatch, FileDrop, Found, Marker},
};
use indexes::{Collection, StoreError};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::{Dealt, InboundState, Place, Trouble, Worker};
use crate::{
    Hub,
    records::{self, Draft, Kept},
};

/// Most bytes of remarks that an answer carries; records beyond are answered with their code alone. The answer is a
/// record of the store, of at most 4 MiB.
const REMARKS: usize = 1 << 20;
/// Longest remark, in characters.
const REMARK: usize = 300;
/// Records that are removed together.
const AT_ONCE: usize = 1_000;

/// A batch that was handled, under source · NUL · SHA-256 of its name and content: it is not taken in again.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Handled {
    at: Timestamp,
    records: u64,
    refused: u64,
    /// Its name, by which it is recognised when this record is gone.
    #[serde(default)]
    stem: String,
}

impl Kept for Handled {
    const COLLECTION: Collection = Collection::new("inbound_batches");
}

impl Worker {
    /// Works through the batches that are complete.
    pub(super) async fn batches(
        &self,
        hub: &Hub,
        map: &CodeMap,
        folder: &FileDrop,
        place: &mut Place,
        state: &watch::Sender<InboundState>,
    ) -> Result<(), Trouble> {
        self.conclude(hub, folder, place).await?;
        let mut trouble = None;
        for marker in folder.markers().await? {
            let Found { manifest, batch } = match folder.open(&marker, map).await {
                Ok(found) => found,
                // Files that we may not read, and what is no file: told at the end; the other batches are none the worse.
                Err(error) if is_of_one_batch(&error) => {
                    trouble.get_or_insert(error);
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            let mut draft = Draft::new();
            let conclusion = match &batch {
                Err(refused) => {
                    tracing::warn!(
                        inbound = self.settings.name,
                        error.code = refused.code,
                        "a batch of files is refused as a whole"
                    );
                    self.count_batch("refused");
                    concluded(&marker, manifest, refused_whole(&marker, refused), Aside::Refused)
                }
                Ok(batch) => {
                    let key = self.batch_key(&marker, batch);
                    if records::read::<Handled>(&*hub.store, &key).await?.is_some() {
                        self.count_batch("repeated");
                        let mut conclusion =
                            concluded(&marker, manifest, repeated(&marker), Aside::Handled);
                        conclusion.keeps_answer = true;
                        conclusion
                    } else if place.forgotten.as_ref().is_some_and(|last| marker.stem <= *last) {
                        self.count_batch("refused");
                        concluded(&marker, manifest, forgotten(&marker), Aside::Refused)
                    } else {
                        let answer = self.batch(hub, map, &marker, batch, &key, place).await?;
                        let (records, refused) = (batch.len() as u64, answer.records.len() as u64);
                        let (at, stem) = (hub.clock.now(), marker.stem.clone());
                        draft.put(&key, &Handled { at, records, refused, stem });
                        place.batches = Some(self.remembered(hub, place).await? + 1);
                        self.count_batch("taken");
                        self.count(records - refused, refused);
                        concluded(&marker, manifest, answer, Aside::Handled)
                    }
                }
            };
            place.concluding = Some(Box::new(conclusion));
            draft.put(self.place_key(), place);
            // It expects nothing of what is there and cannot be stale.
            let _ = draft.commit(&*hub.store).await?;
            state.send_modify(|state| state.show(place));
            self.conclude(hub, folder, place).await?;
            self.asked(hub.clock.now());
            self.forget_batches(hub, folder.keep_batches(), place).await?;
        }
        trouble.map_or(Ok(()), |error| Err(error.into()))
    }

    /// How many batches are remembered.
    async fn remembered(&self, hub: &Hub, place: &Place) -> Result<u64, StoreError> {
        if let Some(batches) = place.batches {
            return Ok(batches);
        }
        let (prefix, mut counted, mut after) = (self.rows_prefix(), 0, None::<Vec<u8>>);
        loop {
            let (collection, after_key) = (Handled::COLLECTION, after.as_deref());
            let keys = records::keys(&*hub.store, collection, &prefix, after_key, AT_ONCE).await?;
            counted += keys.len() as u64;
            match keys.last() {
                Some(last) if keys.len() == AT_ONCE => after = Some([&prefix[..], last].concat()),
                _ => return Ok(counted),
            }
        }
    }

    /// Forgets the oldest batches when there are a tenth more than are to be remembered. Their names are written down
    /// first, up to the last of them: what has such a name and is not remembered is not taken in.
    async fn forget_batches(
        &self,
        hub: &Hub,
        keep: u64,
        place: &mut Place,
    ) -> Result<(), StoreError> {
        if self.remembered(hub, place).await? <= keep + keep / 10 {
            return Ok(());
        }
        let (prefix, mut found, mut after) = (self.rows_prefix(), Vec::new(), None::<Vec<u8>>);
        loop {
            let page =
                records::list::<Handled>(&*hub.store, &prefix, after.as_deref(), AT_ONCE).await?;
            let full = page.len() == AT_ONCE;
            after = page.last().map(|last| last.key.clone());
            found.extend(page.into_iter().map(|one| (one.value.at, one.value.stem, one.key)));
            if !full {
                break;
            }
        }
        found.sort();
        let all = found.len();
        let most = usize::try_from(keep).unwrap_or(usize::MAX);
        // Without its name a batch could not be recognised any more.
        found.retain(|(_, stem, _)| !stem.is_empty());
        found.truncate(all.saturating_sub(most));
        let left = (all - found.len()) as u64;
        let last = found.iter().map(|(_, stem, _)| stem).max();
        if let Some(last) = last.filter(|last| Some(*last) > place.forgotten.as_ref()) {
            place.forgotten = Some(last.clone());
        }
        place.batches = Some(left);
        let mut draft = Draft::new();
        draft.put(self.place_key(), place);
        let _ = draft.commit(&*hub.store).await?;
        for some in found.chunks(AT_ONCE) {
            let mut draft = Draft::new();
            for (_, _, key) in some {
                draft.unindex(Handled::COLLECTION, key);
            }
            let _ = draft.commit(&*hub.store).await?;
        }
        Ok(())
    }

    /// Takes a batch in: the answer to it. What was planned for its rows stays until it is concluded.
    async fn batch(
        &self,
        hub: &Hub,
        map: &CodeMap,
        marker: &Marker,
        batch: &FileBatch,
        key: &[u8],
        place: &mut Place,
    ) -> Result<BatchAnswer, Trouble> {
        let micros = self.begin(hub, marker, batch, key, place).await?;
        let planned = &key[..self.rows_prefix().len() + 16];
        let mut refused: BTreeMap<u64, Answer> = BTreeMap::new();
        let mut taken = 0;
        let step = self.settings.pace.batch.max(1);
        for begin in (0..batch.len()).step_by(step) {
            let mut new = Vec::with_capacity(step);
            for row in batch.rows(begin..begin + step, micros) {
                let key = [planned, &line_of(&row.key).to_be_bytes()].concat();
                let planned = records::read::<Dealt>(&*hub.store, &key).await?;
                new.push(self.read(map, row, key, planned.map(|held| held.value)));
            }
            let (answers, of_step) = self.deal(hub, new).await?;
            refused.extend(answers.into_iter().map(|answer| (line_of(&answer.key), answer)));
            taken += of_step;
        }
        place.taken += taken;
        place.refused += refused.len() as u64;
        place.position.micros = micros;
        place.begun = None;
        Ok(answer(marker, refused))
    }

    /// The time that the last row of a batch has: that of the marker, but after all rows of earlier batches, since files
    /// tell seconds only, and not in the future, whatever the server's clock says. Written down before the batch is
    /// worked through: the same rows make the same orders when it is worked through again.
    async fn begin(
        &self,
        hub: &Hub,
        marker: &Marker,
        batch: &FileBatch,
        key: &[u8],
        place: &mut Place,
    ) -> Result<u64, StoreError> {
        let name = hex::encode(&key[self.rows_prefix().len()..]);
        match &place.begun {
            Some((begun, micros)) if *begun == name => return Ok(*micros),
            _ => {}
        }
        let now = u64::try_from(hub.clock.now().as_microsecond()).unwrap_or(0);
        let micros = marker.modified.saturating_mul(1_000_000).min(now);
        let micros = micros.max(place.position.micros + batch.len() as u64);
        place.begun = Some((name, micros));
        let mut draft = Draft::new();
        draft.put(self.place_key(), place);
        let _ = draft.commit(&*hub.store).await?;
        Ok(micros)
    }

    /// Answers the batch that was worked through, moves it aside, and forgets what was planned for its rows.
    async fn conclude(
        &self,
        hub: &Hub,
        folder: &FileDrop,
        place: &mut Place,
    ) -> Result<(), Trouble> {
        let Some(conclusion) = &place.concluding else { return Ok(()) };
        folder.conclude(conclusion).await?;
        // Nothing else is under way: whatever is planned was for this batch.
        self.forget_plans(hub).await?;
        place.concluding = None;
        let mut draft = Draft::new();
        draft.put(self.place_key(), place);
        let _ = draft.commit(&*hub.store).await?;
        Ok(())
    }

    async fn forget_plans(&self, hub: &Hub) -> Result<(), StoreError> {
        let prefix = self.rows_prefix();
        loop {
            let keys =
                records::keys(&*hub.store, Dealt::COLLECTION, &prefix, None, AT_ONCE).await?;
            if keys.is_empty() {
                return Ok(());
            }
            let mut draft = Draft::new();
            for rest in &keys {
                draft.unindex(Dealt::COLLECTION, &[prefix.as_slice(), rest].concat());
            }
            let _ = draft.commit(&*hub.store).await?;
        }
    }

    fn batch_key(&self, marker: &Marker, batch: &FileBatch) -> Vec<u8> {
        let named = [marker.stem.as_bytes(), &[0], batch.digest().as_bytes()].concat();
        [&self.rows_prefix()[..], certs::sha256(&named).as_bytes()].concat()
    }

    fn count_batch(&self, outcome: &'static str) {
        let source = self.settings.name.clone();
        metrics::counter!("yihao_inbound_batches_total", "source" => source, "outcome" => outcome)
            .increment(1);
    }
}

/// Whether it is about the files of one batch, as far as can be told: the server answers, and says no.
fn is_of_one_batch(error: &DeliveryError) -> bool {
    let (DeliveryError::Configuration(problem) | DeliveryError::Unreachable(problem)) = error
    else {
        return false;
    };
    matches!(
        problem,
        Problem::FileRightMissing { .. }
            | Problem::FileServerFailing { .. }
            | Problem::FolderMissing { .. }
            | Problem::AnswerMalformed { .. }
    )
}

fn line_of(key: &str) -> u64 {
    key.parse().unwrap_or(0)
}

fn concluded(
    marker: &Marker,
    manifest: Option<String>,
    answer: BatchAnswer,
    aside: Aside,
) -> Conclusion {
    Conclusion { stem: marker.stem.clone(), manifest, answer, keeps_answer: false, aside }
}

fn repeated(marker: &Marker) -> BatchAnswer {
    let remark = "this batch was handled before, and is not taken in again".to_owned();
    refused_whole(marker, &BatchRefused { code: "batch_repeated", remark })
}

fn forgotten(marker: &Marker) -> BatchAnswer {
    let remark = "a batch of this name may have been handled long ago: drop it under a later name"
        .to_owned();
    refused_whole(marker, &BatchRefused { code: "batch_name_used", remark })
}

fn refused_whole(marker: &Marker, refused: &BatchRefused) -> BatchAnswer {
    BatchAnswer {
        format: ANSWER_FORMAT.to_owned(),
        batch: marker.stem.clone(),
        result: Outcome::Refused,
        code: Some(refused.code.to_owned()),
        remark: Some(refused.remark.clone()),
        records: Vec::new(),
    }
}

fn answer(marker: &Marker, refused: BTreeMap<u64, Answer>) -> BatchAnswer {
    let mut left = REMARKS;
    let record = |(line, answer): (u64, Answer)| {
        let mut remark: String = answer.remark.chars().take(REMARK).collect();
        match left.checked_sub(remark.len()) {
            Some(rest) => left = rest,
            None => remark.clear(),
        }
        AnswerRecord { line: Some(line), key: None, code: answer.code, remark }
    };
    BatchAnswer {
        format: ANSWER_FORMAT.to_owned(),
        batch: marker.stem.clone(),
        result: Outcome::Taken,
        code: None,
        remark: None,
        records: refused.into_iter().map(record).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_stays_a_record_of_the_store_however_much_is_refused() {
        let marker = Marker { stem: "b".to_owned(), modified: 0 };
        let refused = (1..=connectors::inbound::BATCH_RECORDS).map(|line| {
            let (code, remark) = ("wrong_check_character".to_owned(), "证".repeat(10_000));
            (line, Answer { key: line.to_string(), identifier: None, code, remark })
        });
        let answer = answer(&marker, refused.collect());
        assert!(serde_json::to_vec(&answer).unwrap().len() < 3 << 20);
        assert_eq!(answer.records[0].remark.chars().count(), REMARK);
        assert_eq!(answer.records[9_999].remark, "");
    }
}
