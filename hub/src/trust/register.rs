//! `anchors.json`, format `yihao-anchors-1`: which certificates are anchors, for what, from when until
//! when, and who said so and why. See `docs/formats/anchors.md`.

use std::fmt;

use certs::Usage;
use jiff::Timestamp;
use licence::Sha256Digest;
use serde::{Deserialize, Serialize};

/// The format's name.
pub const FORMAT: &str = "yihao-anchors-1";

/// Most entries of a list.
const MOST_ENTRIES: usize = 1_000;

/// A usage as it is written in the list and on the command line.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub enum UsageWord {
    /// Certificates that sign licences, manifests and status orders.
    IssuingLicences,
    /// Client certificates of departments' systems.
    IssuingClients,
    /// Time-stamps.
    TimeStamping,
}

impl UsageWord {
    /// The same in `certs`.
    #[must_use]
    pub fn usage(self) -> Usage {
        match self {
            Self::IssuingLicences => Usage::IssuingLicences,
            Self::IssuingClients => Usage::IssuingClients,
            Self::TimeStamping => Usage::TimeStamping,
        }
    }
}

impl fmt::Display for UsageWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::IssuingLicences => "issuing-licences",
            Self::IssuingClients => "issuing-clients",
            Self::TimeStamping => "time-stamping",
        })
    }
}

/// Who did something, when and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Act {
    /// When.
    pub at: Timestamp,
    /// Who, as the machine or the operator says.
    pub by: String,
    /// Why.
    pub why: String,
}

/// How an anchor was retired.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retirement {
    /// When it was said.
    pub at: Timestamp,
    /// Who.
    pub by: String,
    /// Why.
    pub why: String,
    /// What is proven to be older than this still stands; without it nothing does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Timestamp>,
}

/// An anchor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// SHA-256 of the certificate's DER bytes.
    pub sha256: Sha256Digest,
    /// Its file, below `anchors/`.
    pub file: String,
    /// What it is trusted for.
    pub usages: Vec<UsageWord>,
    /// Trusted for what was signed at or after this; from the beginning without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Timestamp>,
    /// Trusted for what was signed before this; without an end without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Who added it.
    pub added: Act,
    /// Who retired it, if somebody did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retired: Option<Retirement>,
}

/// What an entry amounts to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// It is trusted now.
    Trusted,
    /// Its time has not come.
    NotYet,
    /// Its time is over; what is older stands.
    Ended,
    /// It is trusted for nothing any more.
    Retired,
}

impl Entry {
    /// The end of trust: its own, or that of its retirement if that is earlier.
    #[must_use]
    pub fn ends(&self) -> Option<Timestamp> {
        let retired = self.retired.as_ref().and_then(|retired| retired.from);
        match (self.until, retired) {
            (Some(until), Some(retired)) => Some(until.min(retired)),
            (until, retired) => until.or(retired),
        }
    }

    /// Whether nothing is trusted by it, however old.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.retired.as_ref().is_some_and(|retired| retired.from.is_none())
    }

    /// What it amounts to at `now`.
    #[must_use]
    pub fn standing(&self, now: Timestamp) -> Standing {
        if self.is_gone() {
            Standing::Retired
        } else if self.ends().is_some_and(|ends| ends <= now) {
            Standing::Ended
        } else if self.from.is_some_and(|from| now < from) {
            Standing::NotYet
        } else {
            Standing::Trusted
        }
    }
}

/// The list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Register {
    format: String,
    /// Oldest first. An entry counts beside the others, but for the same certificate and usage the last
    /// one counts alone.
    pub anchors: Vec<Entry>,
}

/// Why the list was not believed, or not changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegisterError {
    /// No JSON of this form.
    #[error("anchors.json is not of the form {FORMAT}: {said}")]
    Form {
        /// What is wrong.
        said: String,
    },
    /// More than 1,000 entries.
    #[error("anchors.json has more than {MOST_ENTRIES} entries")]
    TooMany,
    /// The name of a file leads elsewhere.
    #[error("the file of an anchor is a name in the folder `anchors`; {file:?} is none")]
    FileName {
        /// The name.
        file: String,
    },
    /// The window ends before it begins.
    #[error("the anchor would be trusted until {until}, before {from}")]
    Window {
        /// Beginning.
        from: Timestamp,
        /// End.
        until: Timestamp,
    },
    /// No usage is named.
    #[error("the anchor has no usage")]
    NoUsage,
    /// Trusted for that already.
    #[error("the certificate is an anchor for {usage} already; retire it first")]
    Already {
        /// For what.
        usage: UsageWord,
    },
    /// No entry has this digest.
    #[error("no anchor in force has a digest that begins so; `hub anchors list` shows them")]
    Unknown,
    /// More than one entry has a digest that begins so.
    #[error("{found} anchors in force have a digest that begins so: give more digits")]
    Ambiguous {
        /// How many.
        found: usize,
    },
}

impl RegisterError {
    /// Part of the public interface, never reworded.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Form { .. } => "anchors_malformed",
            Self::TooMany => "anchors_too_many",
            Self::FileName { .. } => "anchor_file_name",
            Self::Window { .. } => "anchor_window",
            Self::NoUsage => "anchor_without_usage",
            Self::Already { .. } => "anchor_already",
            Self::Unknown => "anchor_unknown",
            Self::Ambiguous { .. } => "anchor_ambiguous",
        }
    }
}

impl Default for Register {
    fn default() -> Self {
        Self { format: FORMAT.to_owned(), anchors: Vec::new() }
    }
}

impl Register {
    /// Reads the list.
    ///
    /// # Errors
    /// `Form`, `TooMany`, `FileName`, `Window`, `NoUsage`.
    pub fn parse(bytes: &[u8]) -> Result<Self, RegisterError> {
        let wrong = |said: String| RegisterError::Form { said };
        let register: Self =
            serde_json::from_slice(bytes).map_err(|error| wrong(error.to_string()))?;
        if register.format != FORMAT {
            return Err(wrong(format!("its format is {:?}", register.format)));
        }
        if register.anchors.len() > MOST_ENTRIES {
            return Err(RegisterError::TooMany);
        }
        register.anchors.iter().try_for_each(check)?;
        Ok(register)
    }

    /// The list as JSON for people to read.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec_pretty(self).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }

    /// Adds an anchor.
    ///
    /// # Errors
    /// `Already` if the certificate is trusted for one of the usages, and as [`Register::parse`].
    pub fn add(&mut self, entry: Entry) -> Result<(), RegisterError> {
        check(&entry)?;
        for usage in &entry.usages {
            let held = self.counting(*usage, &entry.sha256);
            if held.is_some_and(|held| held.retired.is_none()) {
                return Err(RegisterError::Already { usage: *usage });
            }
        }
        if self.anchors.len() >= MOST_ENTRIES {
            return Err(RegisterError::TooMany);
        }
        self.anchors.push(entry);
        Ok(())
    }

    /// Retires an anchor that is in force, named by the beginning of its digest. One that ends at a time can
    /// still be retired at once.
    ///
    /// # Errors
    /// `Unknown`, `Ambiguous`, `Window`.
    pub fn retire(
        &mut self,
        digest: &str,
        retirement: Retirement,
    ) -> Result<Sha256Digest, RegisterError> {
        let open = |entry: &Entry| {
            !entry.is_gone() && (entry.retired.is_none() || retirement.from.is_none())
        };
        let found: Vec<usize> = (0..self.anchors.len())
            .filter(|at| {
                let entry = &self.anchors[*at];
                open(entry) && entry.sha256.to_string().starts_with(digest)
            })
            .collect();
        let mut digests: Vec<_> = found.iter().map(|at| self.anchors[*at].sha256).collect();
        digests.dedup();
        digests.sort();
        digests.dedup();
        let [sha256] = digests.as_slice() else {
            return Err(match digests.len() {
                0 => RegisterError::Unknown,
                found => RegisterError::Ambiguous { found },
            });
        };
        let mut changed = self.clone();
        for at in found {
            changed.anchors[at].retired = Some(retirement.clone());
            check(&changed.anchors[at])?;
        }
        *self = changed;
        Ok(*sha256)
    }

    /// What counts: for each usage and certificate its last entry, unless that is gone.
    pub fn in_force(&self) -> impl Iterator<Item = (Usage, &Entry)> {
        self.anchors.iter().flat_map(move |entry| {
            let counts = move |usage: &&UsageWord| {
                let last = self.counting(**usage, &entry.sha256);
                last.is_some_and(|last| std::ptr::eq(last, entry)) && !entry.is_gone()
            };
            entry.usages.iter().filter(counts).map(move |usage| (usage.usage(), entry))
        })
    }

    /// Whether the list has a word on a certificate, be it that it is trusted no longer: then the settings' does not
    /// count.
    #[must_use]
    pub fn speaks_of(&self, usage: Usage, sha256: &Sha256Digest) -> bool {
        let named = |entry: &Entry| entry.usages.iter().any(|word| word.usage() == usage);
        self.anchors.iter().any(|entry| entry.sha256 == *sha256 && named(entry))
    }

    /// When the window of an anchor opens or closes next.
    #[must_use]
    pub fn turns_at(&self, now: Timestamp) -> Option<Timestamp> {
        let turns = self.in_force().flat_map(|(_, entry)| [entry.from, entry.ends()]);
        turns.flatten().filter(|at| now < *at).min()
    }

    fn counting(&self, usage: UsageWord, sha256: &Sha256Digest) -> Option<&Entry> {
        let fits = |entry: &&Entry| entry.sha256 == *sha256 && entry.usages.contains(&usage);
        self.anchors.iter().rev().find(fits)
    }
}

fn check(entry: &Entry) -> Result<(), RegisterError> {
    let file = &entry.file;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if file.is_empty() || file.starts_with('.') || file.len() > 200 || !file.bytes().all(plain) {
        return Err(RegisterError::FileName { file: file.clone() });
    }
    if entry.usages.is_empty() {
        return Err(RegisterError::NoUsage);
    }
    if let (Some(from), Some(until)) = (entry.from, entry.ends())
        && until < from
    {
        return Err(RegisterError::Window { from, until });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn entry(byte: u8, usages: &[UsageWord]) -> Entry {
        Entry {
            sha256: Sha256Digest::from_bytes([byte; 32]),
            file: "root.pem".to_owned(),
            usages: usages.to_vec(),
            from: None,
            until: None,
            added: Act {
                at: at("2026-01-01T00:00:00Z"),
                by: "operator".to_owned(),
                why: "test".to_owned(),
            },
            retired: None,
        }
    }

    fn retirement(from: Option<Timestamp>) -> Retirement {
        let at = at("2026-03-01T00:00:00Z");
        Retirement { at, by: "operator".to_owned(), why: "test".to_owned(), from }
    }

    #[test]
    fn a_list_is_read_back_as_it_was_written() {
        let mut register = Register::default();
        register.add(entry(1, &[UsageWord::IssuingLicences, UsageWord::TimeStamping])).unwrap();
        register.add(entry(2, &[UsageWord::IssuingClients])).unwrap();
        register.retire("01", retirement(Some(at("2026-02-01T00:00:00Z")))).unwrap();
        assert_eq!(Register::parse(&register.to_bytes()).unwrap(), register);
    }

    #[test]
    fn what_is_retired_at_once_counts_no_more_and_what_ends_still_counts_for_what_is_older() {
        let mut register = Register::default();
        register.add(entry(1, &[UsageWord::IssuingLicences])).unwrap();
        register.add(entry(2, &[UsageWord::IssuingLicences])).unwrap();
        register.retire("01", retirement(None)).unwrap();
        register.retire("02", retirement(Some(at("2026-02-01T00:00:00Z")))).unwrap();
        let counts: Vec<_> = register.in_force().map(|(_, entry)| entry.sha256).collect();
        assert_eq!(counts, [Sha256Digest::from_bytes([2; 32])]);
        assert_eq!(register.anchors[1].standing(at("2026-01-15T00:00:00Z")), Standing::Trusted);
        assert_eq!(register.anchors[1].standing(at("2026-02-01T00:00:00Z")), Standing::Ended);

        // Its key got into other hands, as is known later: then at once, too.
        register.retire("02", retirement(None)).unwrap();
        assert_eq!(register.in_force().count(), 0);
    }

    #[test]
    fn an_anchor_is_added_once_and_again_after_it_was_retired() {
        let mut register = Register::default();
        register.add(entry(1, &[UsageWord::IssuingLicences])).unwrap();
        let again = register.add(entry(1, &[UsageWord::IssuingLicences])).unwrap_err();
        assert_eq!(again.code(), "anchor_already");
        register.add(entry(1, &[UsageWord::TimeStamping])).unwrap();
        register.retire("01", retirement(None)).unwrap();
        assert_eq!(register.in_force().count(), 0, "an anchor is retired for all it was good for");
        register.add(entry(1, &[UsageWord::IssuingLicences])).unwrap();
        assert_eq!(register.in_force().count(), 1);
    }

    #[test]
    fn an_anchor_is_named_by_the_beginning_of_its_digest() {
        let mut register = Register::default();
        register.add(entry(0x1a, &[UsageWord::IssuingLicences])).unwrap();
        register.add(entry(0x1b, &[UsageWord::IssuingLicences])).unwrap();
        let code = |digest, register: &mut Register| {
            register.retire(digest, retirement(None)).unwrap_err().code()
        };
        assert_eq!(code("1", &mut register), "anchor_ambiguous");
        assert_eq!(code("2", &mut register), "anchor_unknown");
        register.retire("1a", retirement(None)).unwrap();
        assert_eq!(code("1a", &mut register), "anchor_unknown");
    }

    #[test]
    fn what_does_not_make_sense_is_refused_by_its_code() {
        let whole = String::from_utf8({
            let mut register = Register::default();
            register.add(entry(1, &[UsageWord::IssuingLicences])).unwrap();
            register.to_bytes()
        })
        .unwrap();
        let code = |text: String| Register::parse(text.as_bytes()).unwrap_err().code();
        assert_eq!(code(whole.replace("yihao-anchors-1", "yihao-anchors-2")), "anchors_malformed");
        assert_eq!(code(whole.replace("issuing-licences", "anything")), "anchors_malformed");
        assert_eq!(code(whole.replace("\"why\"", "\"because\"")), "anchors_malformed");
        assert_eq!(code(whole.replace("root.pem", "../root.pem")), "anchor_file_name");
        assert_eq!(code(whole.replace("\"issuing-licences\"", "")), "anchor_without_usage");
        let reversed = "\"from\": \"2026-02-01T00:00:00Z\", \"until\": \"2026-01-01T00:00:00Z\",";
        assert_eq!(
            code(whole.replace("\"added\"", &format!("{reversed} \"added\""))),
            "anchor_window"
        );
    }
}
