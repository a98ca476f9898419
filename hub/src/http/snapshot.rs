//! A start for newcomers of the change feed: the state of every licence as of one number, streamed.
//!
//! The contract: who has all licence lines of a snapshot with `seq` S, and applies the changes after S to them, has
//! what the registry holds. The lines say the state after change S, whatever is appended meanwhile: a licence that came
//! later is left out, and what later changes did to one is undone from the log. An answer without its end line is
//! not whole; it can be gone on with from its last line.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use actix_web::{HttpRequest, HttpResponse, get, web};
use bytes::Bytes;
use indexes::{LicenceStore, StoreError, StoredLicence};
use jiff::Timestamp;
use licence::{
    ChangeKind, CreditCode, IssuerId, LicenceId, LicenceStatus, LicenceTypeCode, Seq, Sha256Digest,
    Trust,
};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use utoipa::{IntoParams, ToSchema};

use super::{
    changes::{compacted, followed},
    error::Problem,
};
use crate::{Hub, tls::Caller};

/// Bytes of licence documents read at a time, about: how many licences a page has follows from the last one's.
const PAGE_BYTES: usize = 4 << 20;

/// Fewest and most licences of a page. A document has 256 KiB at most, so that a page has 16 MiB at worst to start with.
const PAGE: std::ops::RangeInclusive<usize> = 16..=1_000;
const FIRST_PAGE: usize = 64;

/// Snapshots sent at a time: in all, and to one department.
const AT_A_TIME: usize = 8;
const AT_A_TIME_EACH: usize = 2;

/// How long a page waits to be fetched before the answer is broken off.
const FETCHED_WITHIN: Duration = Duration::from_secs(60);

/// Where to go on with a snapshot that was broken off.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct SnapshotRequest {
    /// `seq` of the snapshot that was broken off; left out for a new one.
    #[serde(default)]
    seq: Option<u64>,
    /// With `seq`: the identifier of the last line received.
    #[serde(default)]
    after_licence: Option<String>,
}

/// A line of the answer.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
enum Line {
    /// The first line.
    Start {
        /// The last change whose effect the lines show: follow the feed with `after` set to it. Left out while the
        /// registry is empty: follow from the start.
        #[serde(skip_serializing_if = "Option::is_none")]
        seq: Option<u64>,
        /// When it was begun.
        #[schema(value_type = String)]
        at: Timestamp,
        /// The licence types that the caller may follow.
        #[schema(value_type = Vec<String>)]
        types: BTreeSet<LicenceTypeCode>,
    },
    /// One licence.
    Licence(LicenceLine),
    /// The last line.
    End {
        /// Always true.
        end: bool,
        /// How many licence lines this answer has.
        count: u64,
    },
}

/// A licence, as it was after the change that the snapshot names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
struct LicenceLine {
    /// 证照标识.
    #[schema(value_type = String)]
    identifier: LicenceId,
    #[serde(rename = "type")]
    #[schema(value_type = String)]
    licence_type: LicenceTypeCode,
    #[schema(value_type = String)]
    issuer: IssuerId,
    /// SHA-256 of the signed licence.
    #[schema(value_type = String)]
    digest: Sha256Digest,
    status: &'static str,
    /// `trusted` or `untrusted`.
    trust: &'static str,
    /// With `untrusted`: why.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    /// Number of the last change of this licence that the line shows.
    #[schema(value_type = u64)]
    seq: Seq,
}

/// Every licence that the caller may follow, as of one number of the change feed.
///
/// NDJSON: a first line with `seq`, a line for each licence by identifier, and a last line `{"end":true,"count":N}`. Then
/// follow the changes with `after` set to `seq`. An answer without its last line is not whole: ask again with `seq` and
/// `after_licence`.
#[utoipa::path(
    params(SnapshotRequest),
    responses((status = 200, body = Line, content_type = "application/x-ndjson"), (status = 403, body = Problem),
              (status = 410, body = Problem), (status = 422, body = Problem), (status = 503, body = Problem))
)]
#[get("/v1/changes/snapshot")]
pub async fn snapshot(
    hub: web::Data<Hub>,
    caller: Caller,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let asked = web::Query::<SnapshotRequest>::from_query(request.query_string())
        .map_err(|_| wrong_query())?
        .into_inner();
    let types = followed(&hub, &caller)?;
    let head = hub.store.head().await?;
    let (end, after) = match (asked.seq, asked.after_licence) {
        (None, None) => (head, None),
        (Some(seq), after) => {
            let after = after.map(|text| text.parse::<LicenceId>()).transpose();
            (Seq(seq.saturating_add(1)), after.map_err(|_| wrong_query())?)
        }
        (None, Some(_)) => return Err(wrong_query()),
    };
    if end > head {
        return Err(Problem::unacceptable(
            "snapshot_beyond_head",
            "there is no change with this number yet",
        )
        .at("request"));
    }
    if end < hub.store.first_change().await? {
        return Err(compacted());
    }
    let ticket = UnderWay::begin(hub.into_inner(), caller.department).ok_or_else(|| {
        Problem::unavailable(
            "snapshots_under_way",
            "as many snapshots as the hub sends at a time are under way; ask again later",
        )
        .at("request")
    })?;
    let start =
        Line::Start { seq: end.0.checked_sub(1), at: ticket.hub.clock.now(), types: types.clone() };
    let reading = Reading::new(ticket.hub.store.clone(), types, end, after);
    // One page waits, one is being made: memory stays bounded however slowly the caller reads.
    let (answer, answers) = mpsc::channel::<Result<Bytes, StoreError>>(1);
    actix_web::rt::spawn(send(ticket, start, reading, answer));
    let answers = futures_util::stream::unfold(answers, |mut answers| async move {
        let page = answers.recv().await?;
        // The stored reason is in the log; an error here breaks the connection off, so that nobody takes it for whole.
        let page = page.map_err(|_| actix_web::error::ErrorInternalServerError("broken off"));
        Some((page, answers))
    });
    Ok(HttpResponse::Ok().content_type("application/x-ndjson").streaming(answers))
}

fn wrong_query() -> Problem {
    Problem::bad_request(
        "query",
        "`seq` is a whole number, and `after_licence` the identifier of a line of that snapshot",
    )
}

/// Makes the lines and sends them, page by page, until the end or until nobody fetches them.
async fn send(
    ticket: Ticket,
    start: Line,
    mut reading: Reading,
    answer: mpsc::Sender<Result<Bytes, StoreError>>,
) {
    let mut count = 0;
    let mut page = Vec::new();
    write(&mut page, &start);
    let broken = loop {
        match reading.next().await {
            Err(error) => break error,
            Ok(Some(lines)) => {
                count += lines.len() as u64;
                lines.into_iter().for_each(|line| write(&mut page, &Line::Licence(line)));
            }
            Ok(None) => {
                write(&mut page, &Line::End { end: true, count });
                let _ = answer.send_timeout(Ok(page.into()), FETCHED_WITHIN).await;
                return;
            }
        }
        if page.is_empty() {
            if answer.is_closed() {
                return;
            }
            continue; // a page of other types
        }
        let whole = std::mem::take(&mut page);
        if answer.send_timeout(Ok(whole.into()), FETCHED_WITHIN).await.is_err() {
            tracing::info!(
                department = %ticket.department,
                "a snapshot was broken off: nobody fetched it any more"
            );
            return;
        }
    };
    tracing::error!(error.code = broken.code(), error = %broken, "a snapshot was broken off");
    let _ = answer.send_timeout(Err(broken), FETCHED_WITHIN).await;
}

fn write(page: &mut Vec<u8>, line: &Line) {
    serde_json::to_writer(&mut *page, line).expect("a line of texts and numbers can be written");
    page.push(b'\n');
}

/// The licences as of one number, page by page.
struct Reading {
    store: Arc<dyn LicenceStore>,
    types: BTreeSet<LicenceTypeCode>,
    /// The first change that does not count any more.
    end: Seq,
    after: Option<LicenceId>,
    page: usize,
}

impl Reading {
    fn new(
        store: Arc<dyn LicenceStore>,
        types: BTreeSet<LicenceTypeCode>,
        end: Seq,
        after: Option<LicenceId>,
    ) -> Self {
        Self { store, types, end, after, page: FIRST_PAGE }
    }

    /// The lines of the next page; may be none. `None`: there is no further page.
    async fn next(&mut self) -> Result<Option<Vec<LicenceLine>>, StoreError> {
        let page = self.store.page_of_licences(self.after.clone(), self.page).await?;
        let Some(last) = page.last() else { return Ok(None) };
        self.after = Some(last.identifier.clone());
        let bytes: usize = page.iter().map(|stored| stored.document.len()).sum();
        self.page = (PAGE_BYTES * page.len() / bytes.max(1)).clamp(*PAGE.start(), *PAGE.end());
        let mut lines = Vec::with_capacity(page.len());
        for stored in &page {
            if self.types.contains(&stored.licence_type)
                && let Some(line) = as_of(&*self.store, stored, self.end).await?
            {
                lines.push(line);
            }
        }
        Ok(Some(lines))
    }
}

/// The licence as it was before the change numbered `end`; `None`: it came in later.
async fn as_of(
    store: &dyn LicenceStore,
    stored: &StoredLicence,
    end: Seq,
) -> Result<Option<LicenceLine>, StoreError> {
    if stored.seq >= end {
        return Ok(None);
    }
    let before = |seq: &Seq| *seq < end;
    let orders = stored.orders.iter().map(|order| order.seq);
    let marks = stored.trust.iter().map(|mark| mark.seq);
    let status = match orders.clone().find(|seq| !before(seq)) {
        None => stored.status.clone(),
        Some(later) => status_before(store, later).await?,
    };
    let mark = stored.trust.iter().rev().find(|mark| before(&mark.seq));
    let trust = mark.map_or(Trust::Trusted, |mark| mark.to);
    let reason = mark.filter(|_| trust == Trust::Untrusted).map(|mark| mark.reason.word());
    let seq = orders.chain(marks).filter(before).fold(stored.seq, Seq::max);
    Ok(Some(LicenceLine {
        identifier: stored.identifier.clone(),
        licence_type: stored.licence_type,
        issuer: stored.issuer,
        digest: stored.digest,
        status: status.word(),
        trust: trust.word(),
        reason,
        seq,
    }))
}

/// The status that this change changed.
async fn status_before(store: &dyn LicenceStore, seq: Seq) -> Result<LicenceStatus, StoreError> {
    let change = store.changes(seq, 1).await?.pop().filter(|change| change.seq == seq);
    match change.map(|change| change.kind) {
        Some(ChangeKind::StatusChanged { from, .. }) => Ok(from),
        _ => Err(StoreError::Corrupt {
            place: format!("registry log, entry {seq}"),
            detail: "the change of status that a licence names is not there".to_owned(),
        }),
    }
}

/// Snapshots that are being sent, by department.
#[derive(Debug, Default)]
pub struct UnderWay(Mutex<BTreeMap<CreditCode, usize>>);

impl UnderWay {
    /// `None`: there are as many as there may be.
    fn begin(hub: Arc<Hub>, department: CreditCode) -> Option<Ticket> {
        hub.snapshots.enter(department).then(|| Ticket { hub, department })
    }

    fn enter(&self, department: CreditCode) -> bool {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let free = all.values().sum::<usize>() < AT_A_TIME;
        let own = all.get(&department).copied().unwrap_or(0);
        let enters = free && own < AT_A_TIME_EACH;
        if enters {
            all.insert(department, own + 1);
        }
        enters
    }

    fn leave(&self, department: &CreditCode) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = all.get_mut(department) {
            *own = own.saturating_sub(1);
            if *own == 0 {
                all.remove(department);
            }
        }
    }
}

/// One of them; ends with it.
struct Ticket {
    hub: Arc<Hub>,
    department: CreditCode,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.hub.snapshots.leave(&self.department);
    }
}

#[cfg(test)]
mod tests {
    use indexes::{
        MemoryStore, NewEntry, NewLicence, Proof,
        rules::sample::{fall, licence, licence_type, order, other_type, rise},
    };
    use licence::{Change, RevocationCause, StatusChange};

    use super::*;

    /// A registry in which something happens.
    struct Registry {
        store: Arc<MemoryStore>,
        licences: Vec<NewLicence>,
        happened: u64,
    }

    impl Registry {
        async fn after(happenings: u64) -> Self {
            let store = Arc::new(MemoryStore::new());
            let mut registry = Self { store, licences: Vec::new(), happened: 0 };
            registry.goes_on(happenings).await;
            registry
        }

        /// A third of what happens are new licences, of two types, with identifiers in no order; the rest is about
        /// one of those there.
        async fn goes_on(&mut self, happenings: u64) {
            for number in self.happened..self.happened + happenings {
                let serial = number * 7_919 % 1_000_003;
                let entry = if number.is_multiple_of(3) {
                    let new =
                        if number.is_multiple_of(5) { other_type(serial) } else { licence(serial) };
                    self.licences.push(new.clone());
                    let unsigned = NewLicence { proof: Proof::Unsigned, ..new.clone() };
                    NewEntry::Licence(if number.is_multiple_of(4) { unsigned } else { new })
                } else {
                    let about = &self.licences[serial as usize % self.licences.len()];
                    let reason = number.to_string();
                    let revoke = StatusChange::Revoke { cause: RevocationCause::Withdrawn };
                    match number % 8 {
                        // The signature of one that nobody had signed; of others, nothing new.
                        7 => NewEntry::Licence(about.clone()),
                        0 | 3 => NewEntry::Trust(fall(about)),
                        1 => NewEntry::Trust(rise(about)),
                        2 | 4 => NewEntry::Status(order(about, StatusChange::Suspend, &reason)),
                        5 => NewEntry::Status(order(about, StatusChange::Restore, &reason)),
                        _ => NewEntry::Status(order(about, revoke, &reason)),
                    }
                };
                // A change that the status does not allow is refused, and changes nothing.
                let _ = self.store.append(vec![entry]).await.unwrap();
            }
            self.happened += happenings;
        }

        async fn changes(&self, from: Seq) -> Vec<Change> {
            self.store.changes(from, usize::MAX).await.unwrap()
        }

        fn read(&self, end: Seq, after: Option<LicenceId>) -> Reading {
            Reading::new(self.store.clone(), types(), end, after)
        }
    }

    fn types() -> BTreeSet<LicenceTypeCode> {
        BTreeSet::from([licence_type(0)])
    }

    /// What somebody has who applies these changes to these lines.
    fn applied(
        mut held: BTreeMap<LicenceId, LicenceLine>,
        changes: Vec<Change>,
    ) -> BTreeMap<LicenceId, LicenceLine> {
        for change in changes {
            let identifier = change.identifier().clone();
            if !types().contains(change.licence_type()) {
                continue;
            }
            if let ChangeKind::Issued { digest, .. } | ChangeKind::Unsigned { digest, .. } =
                &change.kind
            {
                let unsigned = matches!(change.kind, ChangeKind::Unsigned { .. });
                let line = LicenceLine {
                    identifier: identifier.clone(),
                    licence_type: *change.licence_type(),
                    issuer: *change.issuer(),
                    digest: *digest,
                    status: "valid",
                    trust: if unsigned { "untrusted" } else { "trusted" },
                    reason: unsigned.then_some("unsigned"),
                    seq: change.seq,
                };
                held.insert(identifier, line);
                continue;
            }
            let line = held.get_mut(&identifier).expect("it was issued before");
            line.seq = change.seq;
            match &change.kind {
                ChangeKind::StatusChanged { to, .. } => line.status = to.word(),
                ChangeKind::TrustChanged { to, reason, .. } => {
                    line.trust = to.word();
                    line.reason = (*to == Trust::Untrusted).then(|| reason.word());
                }
                ChangeKind::Issued { .. } | ChangeKind::Unsigned { .. } => {}
            }
        }
        held
    }

    #[tokio::test]
    async fn a_snapshot_shows_one_moment_whatever_is_appended_between_its_pages() {
        let mut registry = Registry::after(400).await;
        let end = registry.store.head().await.unwrap();
        let mut reading = registry.read(end, None);
        let mut lines = Vec::new();
        reading.page = 4;
        while let Some(page) = reading.next().await.unwrap() {
            lines.extend(page);
            reading.page = 4;
            registry.goes_on(12).await;
        }
        let grown = registry.store.head().await.unwrap().0 - end.0;
        assert!(grown > 100, "much happened meanwhile, {grown} changes");
        let count = lines.len();
        let held: BTreeMap<_, _> =
            lines.into_iter().map(|line| (line.identifier.clone(), line)).collect();
        assert_eq!(held.len(), count, "each licence stands once");

        let whole = registry.changes(Seq::ZERO).await;
        let until = whole[..end.0 as usize].to_vec();
        assert_eq!(held, applied(BTreeMap::new(), until), "the state as of the number");
        assert_eq!(
            applied(held, registry.changes(end).await),
            applied(BTreeMap::new(), whole),
            "with the changes after it, the state at the end"
        );
    }

    #[tokio::test]
    async fn a_snapshot_broken_off_goes_on_where_it_was() {
        let mut registry = Registry::after(200).await;
        let end = registry.store.head().await.unwrap();
        let whole = collected(registry.read(end, None)).await;
        registry.goes_on(200).await;
        let (first, rest) = whole.split_at(17);
        let after = first.last().map(|line| line.identifier.clone());
        assert_eq!(collected(registry.read(end, after)).await, rest);
    }

    #[tokio::test]
    async fn a_snapshot_needs_no_change_before_its_number() {
        let mut registry = Registry::after(200).await;
        let end = registry.store.head().await.unwrap();
        let before = collected(registry.read(end, None)).await;
        registry.store.cut_changes(end);
        registry.goes_on(200).await;
        assert_eq!(collected(registry.read(end, None)).await, before);
    }

    async fn collected(mut reading: Reading) -> Vec<LicenceLine> {
        let mut lines = Vec::new();
        while let Some(page) = reading.next().await.unwrap() {
            lines.extend(page);
        }
        lines
    }

    #[test]
    fn one_department_cannot_take_every_place() {
        let under_way = UnderWay::default();
        let [one, other]: [CreditCode; 2] =
            ["11330105002500287C", "11430000006122244L"].map(|code| code.parse().unwrap());
        assert!(under_way.enter(one) && under_way.enter(one) && !under_way.enter(one));
        assert!(under_way.enter(other));
        under_way.leave(&one);
        assert!(under_way.enter(one));
    }
}
