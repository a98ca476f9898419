//! The verdict on a licence, link by link, in sentences.

use indexes::StoredLicence;
use jiff::{
    Timestamp,
    civil::{Date, date},
    tz::TimeZone,
};
use licence::{LicenceStatus, RevocationCause};

use super::{
    texts::{Texts, fill},
    views::{Badge, Link, Tone},
};
use crate::{
    judge::{Face, Outcome, Verification},
    stamps::TimeStampState,
};

/// How counterparts write "without end".
const OPEN_END: Date = date(2099, 12, 31);

/// Whether a link holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    Holds,
    Broken,
    Unknown,
}

/// The overall verdict: the judged one, but untrusted if the registry log tells another story.
pub(crate) fn outcome(verification: &Verification, in_log: bool) -> Outcome {
    if in_log { verification.result } else { Outcome::Untrusted }
}

/// The verdict as a badge, and what it means.
pub(crate) fn verdict(t: &'static Texts, outcome: Outcome) -> (Badge, &'static str) {
    let (tone, sign, word, means) = match outcome {
        Outcome::Trusted => (Tone::Good, "✓", t.trusted, t.trusted_means),
        Outcome::Untrusted => (Tone::Bad, "✗", t.untrusted, t.untrusted_means),
        Outcome::Undetermined => (Tone::Warning, "?", t.undetermined, t.undetermined_means),
    };
    (Badge { tone, sign, word: word.to_owned() }, means)
}

/// Every link of the verification.
///
/// * `in_log`: the registry log's entry with the licence's number is about it, with its digest.
pub(crate) fn links(
    t: &'static Texts,
    stored: &StoredLicence,
    face: Option<&Face<'_>>,
    verification: &Verification,
    in_log: bool,
) -> Vec<Link> {
    vec![
        signature(t, verification),
        chain(t, verification),
        revocation(t, verification),
        status(t, &stored.status),
        validity(t, face, verification),
        log(t, verification, in_log),
    ]
}

fn signature(t: &'static Texts, verification: &Verification) -> Link {
    match verification.signature {
        "ok" => link(t, Mark::Holds, t.link_signature, t.signature_ok),
        "unsigned" => link(t, Mark::Broken, t.link_signature, t.signature_none),
        _ => link(t, Mark::Broken, t.link_signature, t.signature_damaged),
    }
}

fn chain(t: &'static Texts, verification: &Verification) -> Link {
    let (mark, says) = match verification.chain {
        "ok" => (Mark::Holds, t.chain_ok),
        "none" => (Mark::Broken, t.chain_none),
        "anchor_withdrawn" => (Mark::Broken, t.chain_anchor_withdrawn),
        "anchor_not_yet_valid" | "anchor_ended" => (Mark::Broken, t.chain_anchor_other_time),
        _ => (Mark::Broken, t.chain_damaged),
    };
    link(t, mark, t.link_chain, says)
}

fn revocation(t: &'static Texts, verification: &Verification) -> Link {
    let (mark, says) = match verification.revocation.result {
        "good" => (Mark::Holds, t.revocation_good),
        "outlived" => (Mark::Holds, t.revocation_outlived),
        "revoked" => (Mark::Broken, t.revocation_revoked),
        "unknown" => (Mark::Unknown, t.revocation_unknown),
        "stale" => (Mark::Unknown, t.revocation_stale),
        "none" => (Mark::Unknown, t.revocation_none),
        _ => (Mark::Unknown, t.revocation_no_crl),
    };
    let at = verification.revocation.as_of.map(moment).unwrap_or_default();
    let (proven, by) = verification.proven.map_or_else(Default::default, |proven| {
        let by = if proven.by == "time_stamp" { t.proven_by_stamp } else { t.proven_by_log };
        (moment(proven.at), by)
    });
    let says = fill(says, &[("at", &at), ("proven", &proven), ("by", &by)]);
    link(t, mark, t.link_revocation, says)
}

fn status(t: &'static Texts, status: &LicenceStatus) -> Link {
    match status {
        LicenceStatus::Valid => link(t, Mark::Holds, t.link_status, t.status_ok),
        LicenceStatus::Suspended => link(t, Mark::Broken, t.link_status, t.status_suspended_means),
        LicenceStatus::Revoked { cause } => {
            let says = fill(t.status_revoked_means, &[("cause", &cause_name(t, *cause))]);
            link(t, Mark::Broken, t.link_status, says)
        }
        LicenceStatus::Superseded { by } => Link {
            link: Some((format!("/licences/{by}"), t.show_successor.to_owned())),
            ..link(t, Mark::Broken, t.link_status, t.status_superseded_means)
        },
    }
}

fn validity(t: &'static Texts, face: Option<&Face<'_>>, verification: &Verification) -> Link {
    let (mark, says) = match verification.validity {
        "ok" => (Mark::Holds, t.validity_ok),
        "not_yet" => (Mark::Broken, t.validity_not_yet),
        "expired" => (Mark::Broken, t.validity_expired),
        _ => (Mark::Broken, t.validity_damaged),
    };
    let period = face.map(|face| period(t, face.valid_from, face.valid_to)).unwrap_or_default();
    link(t, mark, t.link_validity, fill(says, &[("period", &period)]))
}

fn log(t: &'static Texts, verification: &Verification, in_log: bool) -> Link {
    let (mark, says) = if in_log { (Mark::Holds, t.log_ok) } else { (Mark::Broken, t.log_differs) };
    Link {
        code: Some(verification.log.digest.to_string()),
        ..link(t, mark, t.link_log, fill(says, &[("seq", &verification.log.seq)]))
    }
}

/// Since when the signature is shown to exist; nothing where nobody is asked for time-stamps.
pub(crate) fn time_stamp(t: &'static Texts, state: &TimeStampState) -> Option<Link> {
    let at = state.at.map(moment).unwrap_or_default();
    let by = state.authority.as_deref().unwrap_or_default();
    Some(match state.state {
        "stamped" => {
            let says = fill(t.time_stamped, &[("at", &at), ("by", &by)]);
            link(t, Mark::Holds, t.link_time_stamp, says)
        }
        "due" => link(t, Mark::Unknown, t.link_time_stamp, t.time_stamp_due),
        _ => return None,
    })
}

fn link(t: &'static Texts, mark: Mark, title: &'static str, says: impl Into<String>) -> Link {
    let (tone, sign, word) = match mark {
        Mark::Holds => (Tone::Good, "✓", t.mark_ok),
        Mark::Broken => (Tone::Bad, "✗", t.mark_broken),
        Mark::Unknown => (Tone::Warning, "?", t.mark_unknown),
    };
    let badge = Badge { tone, sign, word: word.to_owned() };
    Link { badge, title, says: says.into(), code: None, link: None }
}

/// The name of a cause of revocation.
pub(crate) fn cause_name(t: &'static Texts, cause: RevocationCause) -> &'static str {
    match cause {
        RevocationCause::Annulled => t.cause_annulled,
        RevocationCause::Withdrawn => t.cause_withdrawn,
        RevocationCause::Deregistered => t.cause_deregistered,
    }
}

/// A period of validity.
pub(crate) fn period(t: &'static Texts, from: Option<Date>, to: Option<Date>) -> String {
    match (from, to.filter(|to| *to != OPEN_END)) {
        (Some(from), Some(to)) => fill(t.period, &[("from", &from), ("to", &to)]),
        (Some(from), None) => fill(t.period_open, &[("from", &from)]),
        (None, Some(to)) => fill(t.period_until, &[("to", &to)]),
        (None, None) => t.period_none.to_owned(),
    }
}

/// A moment by the clock of China.
pub(crate) fn moment(at: Timestamp) -> String {
    let there = TimeZone::fixed(jiff::tz::offset(8)).to_datetime(at);
    there.strftime("%Y-%m-%d %H:%M:%S").to_string()
}
