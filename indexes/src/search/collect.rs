//! One pass over what matches: counts all of it, and keeps the best.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;

use tantivy::collector::{Collector, SegmentCollector};
use tantivy::columnar::{ColumnValues, StrColumn};
use tantivy::{DocAddress, DocId, Score, SegmentOrdinal, SegmentReader};

use super::schema::{ISSUED_ON, SEQ, STATUS, STATUS_WORDS, TYPE};

/// What the clauses of a query score; a match counts by the best clause that it satisfies.
pub(super) const EXACT: Score = 4.0;
pub(super) const PREFIX: Score = 3.0;
pub(super) const IN_NAME: Score = 2.0;
pub(super) const ELSEWHERE: Score = 1.0;

/// How good a match is: clause, then day of issue, then place in the log. No two are equal, so the
/// order is always the same.
type Rank = (u8, u64, u64);

/// Keeps the best `keep` of what matches.
pub(super) struct Best {
    pub(super) keep: usize,
}

/// What was found, in one segment or in all.
#[derive(Default)]
pub(super) struct Found {
    pub(super) total: u64,
    /// The best first.
    pub(super) best: Vec<(Rank, DocAddress)>,
    pub(super) types: BTreeMap<String, u64>,
    pub(super) status: [u64; STATUS_WORDS.len()],
}

pub(super) struct SegmentBest {
    keep: usize,
    segment: SegmentOrdinal,
    types: Option<StrColumn>,
    status: Arc<dyn ColumnValues<u64>>,
    issued_on: Arc<dyn ColumnValues<u64>>,
    seq: Arc<dyn ColumnValues<u64>>,
    /// By the type's number in this segment.
    type_counts: Vec<u64>,
    best: BinaryHeap<Reverse<(Rank, DocId)>>,
    found: Found,
}

impl Collector for Best {
    type Fruit = Found;
    type Child = SegmentBest;

    fn for_segment(
        &self,
        segment: SegmentOrdinal,
        reader: &SegmentReader,
    ) -> tantivy::Result<SegmentBest> {
        let columns = reader.fast_fields();
        let types = columns.str(TYPE)?;
        let type_counts = vec![0; types.as_ref().map_or(0, |types| types.num_terms())];
        Ok(SegmentBest {
            keep: self.keep,
            segment,
            types,
            status: columns.column_first_or_default(STATUS)?,
            issued_on: columns.column_first_or_default(ISSUED_ON)?,
            seq: columns.column_first_or_default(SEQ)?,
            type_counts,
            best: BinaryHeap::with_capacity(self.keep + 1),
            found: Found::default(),
        })
    }

    fn requires_scoring(&self) -> bool {
        true
    }

    fn merge_fruits(&self, segments: Vec<Found>) -> tantivy::Result<Found> {
        let mut all = Found::default();
        for segment in segments {
            all.total += segment.total;
            all.best.extend(segment.best);
            for (code, count) in segment.types {
                *all.types.entry(code).or_default() += count;
            }
            for (sum, count) in all.status.iter_mut().zip(segment.status) {
                *sum += count;
            }
        }
        all.best.sort_unstable_by_key(|(rank, _)| Reverse(*rank));
        all.best.truncate(self.keep);
        Ok(all)
    }
}

impl SegmentCollector for SegmentBest {
    type Fruit = Found;

    fn collect(&mut self, document: DocId, score: Score) {
        self.found.total += 1;
        let status = usize::try_from(self.status.get_val(document)).unwrap_or(usize::MAX);
        if let Some(count) = self.found.status.get_mut(status) {
            *count += 1;
        }
        let type_number = self.types.as_ref().and_then(|types| types.ords().first(document));
        let type_number = type_number.and_then(|number| usize::try_from(number).ok());
        if let Some(count) = type_number.and_then(|number| self.type_counts.get_mut(number)) {
            *count += 1;
        }
        if self.keep == 0 {
            return;
        }
        let rank = (score as u8, self.issued_on.get_val(document), self.seq.get_val(document));
        let is_better = |worst: &Reverse<(Rank, DocId)>| rank > worst.0.0;
        if self.best.len() < self.keep {
            self.best.push(Reverse((rank, document)));
        } else if self.best.peek().is_some_and(is_better) {
            self.best.pop();
            self.best.push(Reverse((rank, document)));
        }
    }

    fn harvest(mut self) -> Found {
        let segment = self.segment;
        let best = self.best.into_iter();
        self.found.best = best
            .map(|Reverse((rank, document))| (rank, DocAddress::new(segment, document)))
            .collect();
        if let Some(types) = self.types {
            for (number, count) in self.type_counts.into_iter().enumerate() {
                let mut code = String::new();
                if count > 0 && types.ord_to_str(number as u64, &mut code).unwrap_or(false) {
                    self.found.types.insert(code, count);
                }
            }
        }
        self.found
    }
}
