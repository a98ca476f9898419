//! What is being delivered: a stretch of the feed or of the resend queue, divided into lanes.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Range,
    sync::Arc,
};

use indexes::StoredManifest;
use licence::{HolderId, LicenceId, Seq, Sha256Digest};

use super::{Stretch, resend::Entry};
use crate::{Batch, Shared};

/// Where records come from, and what is to be done once all of them are through.
pub(super) enum Origin {
    /// The change feed: the cursor goes to this number.
    Feed(Seq),
    /// The resend queue: these entries leave it.
    Queue(Vec<Entry>),
}

/// Records to be delivered. It is kept when an attempt fails, so that the next one sends the same batches.
pub(super) struct Work {
    pub(super) origin: Origin,
    lanes: Vec<Lane>,
    manifests: BTreeMap<Sha256Digest, Arc<StoredManifest>>,
}

/// Records that are delivered one batch after the other.
struct Lane {
    items: Vec<Shared>,
    /// What is still to go, the next part last.
    parts: Vec<Range<usize>>,
}

/// One batch of one lane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) lane: usize,
    pub(super) range: Range<usize>,
}

impl Part {
    pub(super) fn len(&self) -> usize {
        self.range.len()
    }
}

impl Work {
    /// * `lanes`: most lanes.
    /// * `most`: most records of a batch.
    pub(super) fn new(stretch: Stretch, origin: Origin, lanes: usize, most: usize) -> Self {
        let lanes = divide(stretch.items, lanes)
            .into_iter()
            .map(|items| {
                let starts = (0..items.len()).step_by(most.max(1));
                let part = |start: usize| start..items.len().min(start.saturating_add(most.max(1)));
                Lane { parts: starts.map(part).rev().collect(), items }
            })
            .collect();
        Self { origin, lanes, manifests: stretch.manifests }
    }

    /// The next part of the first lane that has one and of which `busy` does not say that one is under way.
    pub(super) fn next(&self, busy: impl Fn(usize) -> bool) -> Option<Part> {
        let mut lanes = self.lanes.iter().enumerate().filter(|(lane, _)| !busy(*lane));
        lanes.find_map(|(lane, held)| Some(Part { lane, range: held.parts.last()?.clone() }))
    }

    /// The part as a batch.
    pub(super) fn batch(&self, connector: &str, replays: u64, part: &Part) -> Batch {
        let items = self.lanes[part.lane].items[part.range.clone()].to_vec();
        let mut batch = Batch::new(connector, replays, items);
        if !self.manifests.is_empty() {
            let named = batch.items.iter().filter_map(super::feed::manifest);
            batch.manifests =
                named.filter_map(|name| Some((*name, self.manifests.get(name)?.clone()))).collect();
        }
        batch
    }

    /// The numbers of the part's records.
    pub(super) fn seqs(&self, part: &Part) -> impl Iterator<Item = Seq> + '_ {
        self.lanes[part.lane].items[part.range.clone()].iter().map(Shared::seq)
    }

    /// The number of the part's first record.
    pub(super) fn first(&self, part: &Part) -> Seq {
        self.lanes[part.lane].items[part.range.start].seq()
    }

    /// The part is through: its records were taken or set aside.
    pub(super) fn done(&mut self, part: &Part) {
        self.lanes[part.lane].parts.pop();
    }

    /// The part was refused as a whole: its halves are tried one after the other.
    pub(super) fn halve(&mut self, part: &Part) {
        let middle = part.range.start + part.len() / 2;
        let parts = &mut self.lanes[part.lane].parts;
        parts.pop();
        parts.push(middle..part.range.end);
        parts.push(part.range.start..middle);
    }

    /// With records from the feed: the first change that is not through, in any lane.
    pub(super) fn mark(&self) -> Option<Seq> {
        let Origin::Feed(end) = self.origin else { return None };
        let next = |lane: &Lane| Some(lane.items[lane.parts.last()?.start].seq());
        Some(self.lanes.iter().filter_map(next).min().unwrap_or(end))
    }
}

/// Divides records into lanes, each in the order given. The records of one licence are in one lane, and so are those of
/// one holder; a licence with several holders joins what is theirs. Filled evenly, in the order of first records.
fn divide(items: Vec<Shared>, lanes: usize) -> Vec<Vec<Shared>> {
    if lanes <= 1 || items.len() <= 1 {
        return if items.is_empty() { Vec::new() } else { vec![items] };
    }
    let mut groups = Groups((0..items.len()).collect());
    let mut of_holder: HashMap<&HolderId, usize> = HashMap::new();
    let mut of_licence: HashMap<&LicenceId, usize> = HashMap::new();
    for (index, item) in items.iter().enumerate() {
        groups.join(*of_licence.entry(item.identifier()).or_insert(index), index);
        for holder in &item.licence.holders {
            groups.join(*of_holder.entry(&holder.id).or_insert(index), index);
        }
    }
    let roots: Vec<usize> = (0..items.len()).map(|index| groups.root(index)).collect();
    let mut sizes = vec![0; items.len()];
    for root in &roots {
        sizes[*root] += 1;
    }
    let mut filled = vec![0; lanes];
    let mut lane_of: Vec<Option<usize>> = vec![None; items.len()];
    let mut divided: Vec<Vec<Shared>> = (0..lanes).map(|_| Vec::new()).collect();
    for (item, root) in items.into_iter().zip(roots) {
        let lane = *lane_of[root].get_or_insert_with(|| {
            let lightest = (0..lanes).min_by_key(|lane| filled[*lane]).unwrap_or(0);
            filled[lightest] += sizes[root];
            lightest
        });
        divided[lane].push(item);
    }
    divided.retain(|lane| !lane.is_empty());
    divided
}

/// Disjoint sets: each index names one nearer to the first of its set, which names itself.
struct Groups(Vec<usize>);

impl Groups {
    fn root(&mut self, mut index: usize) -> usize {
        while self.0[index] != index {
            self.0[index] = self.0[self.0[index]];
            index = self.0[index];
        }
        index
    }

    fn join(&mut self, one: usize, other: usize) {
        let (one, other) = (self.root(one), self.root(other));
        self.0[one.max(other)] = one.min(other);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::rules::samples;

    /// Records 0, 1, …: each of the licence and with the holders that these numbers name.
    fn records(of: &[(u64, Vec<u64>)]) -> Vec<Shared> {
        let record = |(seq, (licence, holders)): (usize, &(u64, Vec<u64>))| {
            let mut document = samples::licence(*licence, samples::types()[0]);
            let sample = document.holders[0].clone();
            document.holders = holders
                .iter()
                .map(|holder| licence::Holder {
                    id: HolderId::parse(
                        licence::HolderKind::OtherOrganisation,
                        &format!("H{holder}"),
                    )
                    .expect("a number"),
                    ..sample.clone()
                })
                .collect();
            samples::of_licence(seq as u64, document)
        };
        of.iter().enumerate().map(record).collect()
    }

    fn numbers(lanes: &[Vec<Shared>]) -> Vec<Vec<u64>> {
        lanes.iter().map(|lane| lane.iter().map(|item| item.seq().0).collect()).collect()
    }

    #[test]
    fn what_belongs_together_is_in_one_lane() {
        let of = [(1, vec![1]), (2, vec![2]), (3, vec![3]), (1, vec![1]), (4, vec![2, 3])];
        assert_eq!(numbers(&divide(records(&of), 1)), [vec![0, 1, 2, 3, 4]]);
        assert_eq!(numbers(&divide(records(&of), 2)), [vec![0, 3], vec![1, 2, 4]]);
        assert_eq!(numbers(&divide(records(&of), 9)), [vec![0, 3], vec![1, 2, 4]]);
        assert!(divide(Vec::new(), 4).is_empty());
    }

    #[test]
    fn the_mark_stands_before_what_is_not_through_in_any_lane() {
        let of = [(1, vec![1]), (2, vec![2]), (1, vec![1]), (2, vec![2])];
        let stretch = Stretch { items: records(&of), ..Stretch::empty(Seq(9)) };
        let mut work = Work::new(stretch, Origin::Feed(Seq(9)), 2, 1);
        let first = work.next(|_| false).expect("a part");
        let second = work.next(|lane| lane == first.lane).expect("a part");
        assert_eq!((first.lane, second.lane), (0, 1));
        assert_eq!(work.mark(), Some(Seq(0)));
        work.done(&second);
        assert_eq!(work.mark(), Some(Seq(0)), "the first record is still to come");
        work.done(&first);
        assert_eq!(work.mark(), Some(Seq(2)));
        for lane in [0, 1] {
            work.done(&work.next(|other| other != lane).expect("a part"));
        }
        assert_eq!((work.next(|_| false), work.mark()), (None, Some(Seq(9))));
    }

    #[test]
    fn a_refused_part_is_halved_in_order() {
        let of: Vec<_> = (0..5).map(|number| (number, vec![number])).collect();
        let stretch = Stretch { items: records(&of), ..Stretch::empty(Seq(5)) };
        let mut work = Work::new(stretch, Origin::Feed(Seq(5)), 1, 10);
        work.halve(&work.next(|_| false).expect("a part"));
        let part = work.next(|_| false).expect("a part");
        assert_eq!(part.range, 0..2);
        work.done(&part);
        assert_eq!(work.next(|_| false).expect("a part").range, 2..5);
        assert_eq!(work.mark(), Some(Seq(2)));
    }

    proptest! {
        /// Nothing is lost, nothing is twice, order stays within a lane, and no licence or holder is in two lanes.
        #[test]
        fn lanes_keep_order(
            of in proptest::collection::vec((0_u64..12, proptest::collection::vec(0_u64..12, 0..3)), 0..40),
            lanes in 1_usize..6,
        ) {
            let divided = divide(records(&of), lanes);
            prop_assert!(divided.len() <= lanes);
            let found = numbers(&divided);
            let mut all: Vec<u64> = found.concat();
            all.sort_unstable();
            prop_assert_eq!(all, (0..of.len() as u64).collect::<Vec<_>>());
            let mut seen: HashMap<String, usize> = HashMap::new();
            for (lane, seqs) in found.iter().enumerate() {
                prop_assert!(seqs.is_sorted());
                for seq in seqs {
                    let (licence, holders) = &of[*seq as usize];
                    let keys = holders.iter().map(|holder| format!("h{holder}"));
                    for key in keys.chain([format!("l{licence}")]) {
                        prop_assert_eq!(*seen.entry(key).or_insert(lane), lane);
                    }
                }
            }
        }
    }
}
