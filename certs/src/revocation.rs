//! What lists and OCSP answers together say about a path.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;
use licence::Sha256Digest;

use crate::crl::{Crl, Entry, Serial};
use crate::ocsp::{OcspAnswer, OcspStatus};
use crate::{ChainCertificate, ChainRecord, CrlError, OcspError, Revocation, Times};

/// The most lists of one issuer: each certificate of its is looked up in all of them.
const MAX_LISTS: usize = 64;

/// The most OCSP answers held.
const MAX_ANSWERS: usize = 100_000;

/// Lists and answers whose signatures were checked. Cheap to clone: the entries are shared.
#[derive(Clone, Default)]
pub(crate) struct Sources {
    /// By the issuer's [`crate::Certificate::issuer_id`]; of each, one for each scope.
    lists: HashMap<Sha256Digest, Vec<Arc<Crl>>>,
    /// By issuer and serial number: the newest, of those of one time the worst.
    answers: Arc<HashMap<(Sha256Digest, Serial), OcspAnswer>>,
}

/// A stretch of time in which a verdict does not change by itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    now: Timestamp,
    from: Timestamp,
    until: Timestamp,
}

impl Window {
    pub(crate) fn around(now: Timestamp) -> Self {
        Self { now, from: Timestamp::MIN, until: Timestamp::MAX }
    }

    pub(crate) fn holds(&self, at: Timestamp) -> bool {
        self.from <= at && at < self.until
    }

    /// Something is otherwise from `change` on; whether it is so already.
    fn passed(&mut self, change: Timestamp) -> bool {
        if change <= self.now {
            self.from = self.from.max(change);
            true
        } else {
            self.until = self.until.min(change);
            false
        }
    }
}

impl Sources {
    /// Takes in a list of the issuer, in the place of the one of the same scope.
    pub(crate) fn add_list(&mut self, issuer: Sha256Digest, list: Crl) -> Result<(), CrlError> {
        let lists = self.lists.entry(issuer).or_default();
        let is_full = lists.len() >= MAX_LISTS;
        match lists.iter_mut().find(|held| held.scope() == list.scope()) {
            Some(held) if held.this_update() > list.this_update() => {
                return Err(CrlError::Older { held: held.this_update() });
            }
            Some(held) => *held = Arc::new(list),
            None if is_full => return Err(CrlError::TooMany),
            None => lists.push(Arc::new(list)),
        }
        Ok(())
    }

    pub(crate) fn add_answers(
        &mut self,
        issuer: Sha256Digest,
        answers: Vec<(Serial, OcspAnswer)>,
        now: Timestamp,
    ) -> Result<(), OcspError> {
        let newer = |held: Option<&OcspAnswer>, said: &OcspAnswer| match held {
            Some(held) if held.this_update != said.this_update => {
                held.this_update < said.this_update
            }
            Some(held) => rank(held.status) <= rank(said.status),
            None => true,
        };
        let news: Vec<_> = answers
            .into_iter()
            .map(|(serial, said)| ((issuer, serial), said))
            .filter(|(key, said)| newer(self.answers.get(key), said))
            .collect();
        if news.is_empty() {
            return Err(OcspError::Older);
        }
        let is_needed =
            |answer: &OcspAnswer| now < answer.next_update || rank(answer.status) == REVOKED;
        let is_full = self.answers.len().saturating_add(news.len()) > MAX_ANSWERS;
        if is_full {
            let needed = self.answers.values().filter(|answer| is_needed(answer)).count();
            if needed.saturating_add(news.len()) > MAX_ANSWERS {
                return Err(OcspError::TooMany);
            }
        }
        let held = Arc::make_mut(&mut self.answers);
        if is_full {
            // Those that only say that they are over make room.
            held.retain(|_, answer| is_needed(answer));
        }
        for (key, said) in news {
            // One answer may speak twice of a certificate.
            if newer(held.get(&key), &said) {
                held.insert(key, said);
            }
        }
        Ok(())
    }

    /// Whether a list of the issuer revokes this certificate.
    pub(crate) fn is_listed(&self, issuer: &Sha256Digest, serial: &[u8], now: Timestamp) -> bool {
        let serial = Serial::new(serial);
        let lists = self.lists.get(issuer).map_or(&[][..], Vec::as_slice);
        lists.iter().filter_map(|list| list.entry(&serial)).any(|entry| entry.since <= now)
    }

    pub(crate) fn lists(&self) -> impl Iterator<Item = (&Sha256Digest, &Arc<Crl>)> {
        self.lists.iter().flat_map(|(issuer, lists)| lists.iter().map(move |list| (issuer, list)))
    }

    pub(crate) fn answers(&self) -> impl ExactSizeIterator<Item = &OcspAnswer> {
        self.answers.values()
    }

    /// The worst about any certificate of the path. `window` is narrowed to where that holds.
    pub(crate) fn judge(&self, record: &ChainRecord, window: &mut Window) -> Revocation {
        self.worst(record, None, window)
    }

    /// The worst about any certificate of the path, for a signature that is proven to be older: it outlives each
    /// revocation that came later, and no other.
    pub(crate) fn judge_at(&self, record: &ChainRecord, times: &Times) -> Revocation {
        self.worst(record, times.proven, &mut Window::around(times.now))
    }

    fn worst(
        &self,
        record: &ChainRecord,
        proven: Option<Timestamp>,
        window: &mut Window,
    ) -> Revocation {
        let mut worst = None;
        for (position, certificate) in record.certificates.iter().enumerate() {
            let verdict = match self.judge_one(position, certificate, window) {
                Revocation::Revoked { at, since } if proven.is_some_and(|it| it < since) => {
                    Revocation::Good { as_of: at }
                }
                verdict => verdict,
            };
            worst = Some(worst.map_or(verdict, |worst: Revocation| worst.worse(verdict)));
        }
        // An anchor that signs by itself is on no list; withdrawing it is what revokes it.
        worst.unwrap_or_else(|| {
            window.until = window.now;
            Revocation::Good { as_of: window.now }
        })
    }

    /// About one certificate of a path. A current answer counts before a list; but what a list
    /// revoked stays revoked, unless it was a hold and the answer is newer.
    ///
    /// * `position`: 0 is the signer, taken for no CA; the others are CAs.
    pub(crate) fn judge_one(
        &self,
        position: usize,
        certificate: &ChainCertificate,
        window: &mut Window,
    ) -> Revocation {
        let serial = Serial::new(&certificate.serial);
        let lists = self.lists.get(&certificate.issuer).map_or(&[][..], Vec::as_slice);
        let listed = by_lists(lists, &serial, position > 0, window);
        let key = (certificate.issuer, serial);
        // Where nobody asks responders, nothing is spent on them.
        let found = if self.answers.is_empty() { None } else { self.answers.get(&key) };
        let Some(answer) = found else {
            return listed.verdict;
        };
        let as_of = answer.this_update;
        let is_stale = window.passed(answer.next_update);
        let revoked = match answer.status {
            OcspStatus::Revoked { at, since } if window.passed(since) => {
                Some(Revocation::Revoked { at, since })
            }
            _ => None,
        };
        let list_is_newer = listed.of.is_some_and(|of| of >= as_of);
        match (listed.verdict, revoked, answer.status) {
            (Revocation::Revoked { .. }, _, _) if !listed.is_hold || list_is_newer || is_stale => {
                listed.verdict
            }
            // A hold that was lifted since (RFC 5280, 5.3.1).
            (Revocation::Good { .. }, Some(_), _)
                if answer.is_hold && list_is_newer && is_stale =>
            {
                listed.verdict
            }
            (_, Some(revoked), _) => revoked,
            // RFC 6960, 2.2: another source may know more.
            (Revocation::Good { .. } | Revocation::Revoked { .. }, _, OcspStatus::Unknown) => {
                listed.verdict
            }
            (_, _, OcspStatus::Unknown) if !is_stale => Revocation::Unknown { as_of },
            (_, _, _) if !is_stale => Revocation::Good { as_of },
            (Revocation::Good { .. }, _, _) => listed.verdict,
            (Revocation::Stale { as_of: of }, _, _) => Revocation::Stale { as_of: of.max(as_of) },
            (_, _, _) => Revocation::Stale { as_of },
        }
    }
}

/// What lists say, and the thisUpdate of the one that says it.
struct Listed {
    verdict: Revocation,
    of: Option<Timestamp>,
    /// It is revoked, but that may be lifted.
    is_hold: bool,
}

fn by_lists(
    lists: &[Arc<Crl>],
    serial: &Serial,
    is_authority: bool,
    window: &mut Window,
) -> Listed {
    let mut revoked: Option<(Entry, Timestamp)> = None;
    let (mut current, mut stale) = (None, None);
    for list in lists {
        let this_update = list.this_update();
        if let Some(entry) = list.entry(serial)
            && window.passed(entry.since)
            && revoked.is_none_or(|(worst, _)| entry.since < worst.since)
        {
            revoked = Some((entry, this_update));
        }
        if list.covers(is_authority) {
            let newest = if window.passed(list.next_update()) { &mut stale } else { &mut current };
            *newest = (*newest).max(Some(this_update));
        }
    }
    if let Some((Entry { at, since, is_hold }, of)) = revoked {
        return Listed { verdict: Revocation::Revoked { at, since }, of: Some(of), is_hold };
    }
    let verdict = match (current, stale) {
        (Some(as_of), _) => Revocation::Good { as_of },
        (None, Some(as_of)) => Revocation::Stale { as_of },
        (None, None) => Revocation::NoCrl,
    };
    Listed { verdict, of: current.or(stale), is_hold: false }
}

const REVOKED: u8 = 2;

/// The worse of answers of one time: revoked, unknown, good.
fn rank(status: OcspStatus) -> u8 {
    match status {
        OcspStatus::Revoked { .. } => REVOKED,
        OcspStatus::Unknown => 1,
        OcspStatus::Good => 0,
    }
}
