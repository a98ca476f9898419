//! Makes a trust store of everything that is there now.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

use certs::{Certificate, CrlError, OcspError, TrustStore, Usage};
use jiff::Timestamp;
use licence::Sha256Digest;
use serde::Serialize;

use super::{
    Fault, Problem, Register, Standing, Statics, TrustFolder,
    folder::{self, MOST_FILES, dropped, read_bounded, write_atomically},
    register::Entry,
};
use crate::config::{self, ConfigError};

/// What was made.
pub struct Gathered {
    /// What signatures are judged by.
    pub store: TrustStore,
    /// The list of anchors.
    pub register: Register,
    /// Anchors of the folder for clients' certificates, as of now.
    pub client_anchors: Vec<Certificate>,
    /// Client anchors of the settings on which the folder's list has the last word.
    pub overruled: Vec<Sha256Digest>,
    /// Revocation lists of clients' authorities, as they lie there (PEM or DER).
    pub client_lists: Vec<Vec<u8>>,
    /// Each list and answer of the folder.
    pub lists: Vec<ListState>,
    /// What should be mended.
    pub problems: Vec<Problem>,
    /// What the store was made of.
    pub made_of: MadeOf,
}

/// What a store was made of: two made of the same are worth the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MadeOf {
    /// Over anchors, their windows, and intermediates.
    certificates: Sha256Digest,
    /// Lists and answers that count, by file.
    lists: BTreeSet<(PathBuf, Sha256Digest)>,
}

/// The store to go on from: what it holds already is not verified again.
pub struct Before<'a> {
    /// The store.
    pub store: &'a TrustStore,
    /// What it was made of.
    pub made_of: &'a MadeOf,
}

/// What kind of file tells about revocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ListKind {
    /// A revocation list.
    Crl,
    /// An OCSP answer.
    Ocsp,
}

/// What became of a file in `crls` or `ocsp`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ListState {
    /// What it is.
    pub kind: ListKind,
    /// The file, below the trust folder.
    pub file: String,
    /// `None` if it counts, else why not.
    pub refused: Option<&'static str>,
}

/// Makes a trust store.
///
/// * `before`: what the hub believes now, and goes on from.
/// * `keeps`: whether this is the hub, which holds on to what it believed last of each file and says beside
///   a file why it was refused. A command that looks only leaves everything as it is.
///
/// # Errors
/// `Content` for a revocation list that the settings name. What is wrong in the folder is a
/// [`Problem`].
pub fn gather(
    folder: &TrustFolder,
    statics: &Statics,
    now: Timestamp,
    before: Option<&Before<'_>>,
    keeps: bool,
) -> Result<Gathered, ConfigError> {
    let mut work = Work {
        folder,
        now,
        keeps,
        trusted: Vec::new(),
        client_anchors: Vec::new(),
        client_lists: Vec::new(),
        lists: Vec::new(),
        problems: Vec::new(),
        counts: BTreeSet::new(),
    };
    let register = work.anchors();
    for (usage, certificates) in statics.anchors() {
        let counts = |anchor: &&Certificate| !register.speaks_of(usage, &anchor.sha256());
        let anchors = certificates.iter().filter(counts).cloned();
        work.trusted.extend(anchors.map(|anchor| Trusted::Anchor(usage, anchor, None, None)));
    }
    work.trusted.extend(statics.intermediates.iter().cloned().map(Trusted::Intermediate));
    let overrules = statics.anchors().iter().any(|(usage, certificates)| {
        certificates.iter().any(|anchor| register.speaks_of(*usage, &anchor.sha256()))
    });
    let overruled: Vec<_> = statics
        .client_anchors
        .iter()
        .map(Certificate::sha256)
        .filter(|sha256| register.speaks_of(Usage::IssuingClients, sha256))
        .collect();
    work.intermediates();

    // Lists last: their issuers must be known.
    let certificates = digest(&work.trusted);
    let crls = work.files(&folder.crls());
    let answers = work.files(&folder.ocsp());
    let files = [&crls[..], &answers].concat();
    let (mut store, goes_on) = work.beginning(certificates, before, statics, &files);
    let mut clients = TrustStore::new();
    let client_anchors = statics.client_anchors.iter().chain(&work.client_anchors);
    client_anchors.for_each(|anchor| clients.add_anchor(Usage::IssuingClients, anchor.clone()));
    let known = before.filter(|_| goes_on).map(|before| &before.made_of.lists);
    let mut taker = Taker { store: &mut store, clients, known, now };
    for (path, bytes) in &statics.crls {
        let taken = taker.take(ListKind::Crl, path, bytes, true, None);
        match taken {
            Ok(()) => {}
            // The list of an authority that was retired since keeps nothing from being read.
            Err(refused) if overrules && refused.code == "crl_unknown_issuer" => {
                work.problem(path, refused.code, refused.said);
                continue;
            }
            Err(refused) => return Err(config::content("trust.crls", path, refused.said)),
        }
        work.counts.insert((path.clone(), certs::sha256(bytes)));
    }
    work.lists(&mut taker, ListKind::Crl, &crls);
    work.lists(&mut taker, ListKind::Ocsp, &answers);
    Ok(Gathered {
        store,
        register,
        client_anchors: work.client_anchors,
        overruled,
        client_lists: work.client_lists,
        lists: work.lists,
        problems: work.problems,
        made_of: MadeOf { certificates, lists: work.counts },
    })
}

/// A certificate that goes into the store.
enum Trusted {
    Anchor(Usage, Certificate, Option<Timestamp>, Option<Timestamp>),
    Intermediate(Certificate),
}

fn digest(trusted: &[Trusted]) -> Sha256Digest {
    let mut all = Vec::new();
    for one in trusted {
        let (what, certificate) = match one {
            Trusted::Anchor(usage, certificate, from, until) => {
                (format!("{usage}/{from:?}/{until:?}"), certificate)
            }
            Trusted::Intermediate(certificate) => (String::new(), certificate),
        };
        all.extend_from_slice(certs::sha256(what.as_bytes()).as_bytes());
        all.extend_from_slice(certificate.sha256().as_bytes());
    }
    certs::sha256(&all)
}

/// Why a list or an answer was not taken in.
struct Refused {
    code: &'static str,
    said: String,
    /// A newer one is held: no trouble.
    superseded: bool,
}

/// Takes lists and answers into the store, verifying only what the store does not hold yet.
struct Taker<'a> {
    store: &'a mut TrustStore,
    clients: TrustStore,
    known: Option<&'a BTreeSet<(PathBuf, Sha256Digest)>>,
    now: Timestamp,
}

impl Taker<'_> {
    /// * `believed`: it was taken in before, or the settings name it: its date, which a clock that was put
    ///   back may not have reached, is not looked at.
    /// * `client_lists`: where lists of clients' authorities are gathered too.
    fn take(
        &mut self,
        kind: ListKind,
        path: &Path,
        bytes: &[u8],
        believed: bool,
        client_lists: Option<&mut Vec<Vec<u8>>>,
    ) -> Result<(), Refused> {
        let key = (path.to_owned(), certs::sha256(bytes));
        let held = self.known.is_some_and(|known| known.contains(&key));
        match kind {
            ListKind::Crl => {
                if !held {
                    let taken = if believed {
                        self.store.add_crl(bytes)
                    } else {
                        self.store.add_crl_at(bytes, self.now)
                    };
                    taken.map_err(|error| Refused {
                        code: error.code(),
                        said: error.to_string(),
                        superseded: matches!(error, CrlError::Older { .. }),
                    })?;
                }
                if let Some(lists) = client_lists
                    && self.clients.add_crl(bytes).is_ok()
                {
                    lists.push(bytes.to_vec());
                }
            }
            ListKind::Ocsp if held => {}
            ListKind::Ocsp => {
                self.store.add_ocsp(bytes, self.now).map_err(|error| Refused {
                    code: error.code(),
                    said: error.to_string(),
                    superseded: matches!(error, OcspError::Older),
                })?;
            }
        }
        Ok(())
    }
}

struct Work<'a> {
    folder: &'a TrustFolder,
    now: Timestamp,
    keeps: bool,
    trusted: Vec<Trusted>,
    client_anchors: Vec<Certificate>,
    client_lists: Vec<Vec<u8>>,
    lists: Vec<ListState>,
    problems: Vec<Problem>,
    counts: BTreeSet<(PathBuf, Sha256Digest)>,
}

impl Work<'_> {
    fn problem(&mut self, path: &Path, code: &'static str, said: impl ToString) {
        self.problems.push(Problem::new(self.folder.place(path), code, said));
    }

    /// The store that lists are added to: the one before as far as it is still right; and whether it has its
    /// lists and answers.
    fn beginning(
        &self,
        certificates: Sha256Digest,
        before: Option<&Before<'_>>,
        statics: &Statics,
        files: &[PathBuf],
    ) -> (TrustStore, bool) {
        let there = |path: &PathBuf| {
            files.contains(path) || statics.crls.iter().any(|(named, _)| named == path)
        };
        match before {
            Some(before) if before.made_of.certificates == certificates => {
                // A list of the settings that changed may be older than before, by the operator's wish.
                let settled = |(path, digest): &(PathBuf, Sha256Digest)| {
                    let named = statics.crls.iter().find(|(named, _)| named == path);
                    named.is_none_or(|(_, bytes)| certs::sha256(bytes) == *digest)
                };
                let held = &before.made_of.lists;
                if held.iter().all(|list| there(&list.0) && settled(list)) {
                    (before.store.next(), true)
                } else {
                    (before.store.next_without_lists(), false)
                }
            }
            _ => {
                let mut store =
                    before.map_or_else(TrustStore::new, |before| before.store.successor());
                for one in &self.trusted {
                    match one {
                        Trusted::Anchor(usage, certificate, from, until) => {
                            store.add_anchor_between(*usage, certificate.clone(), *from, *until);
                        }
                        Trusted::Intermediate(certificate) => {
                            store.add_intermediate(certificate.clone());
                        }
                    }
                }
                (store, false)
            }
        }
    }

    /// The list of anchors, and each of their certificates.
    fn anchors(&mut self) -> Register {
        let register = self.register();
        for (usage, entry) in register.in_force() {
            let Some(certificate) = self.anchor(entry) else { continue };
            // Connections are judged as of now, so their anchors come and go with their windows.
            if usage == Usage::IssuingClients && entry.standing(self.now) == Standing::Trusted {
                self.client_anchors.push(certificate.clone());
            }
            let anchor = Trusted::Anchor(usage, certificate, entry.from, entry.ends());
            self.trusted.push(anchor);
        }
        register
    }

    fn register(&mut self) -> Register {
        let path = self.folder.register();
        let held = self.folder.held().join("anchors.json");
        let bytes = match read_bounded(&path) {
            Ok(bytes) => bytes,
            // A folder without anchors; but what was there once does not go by itself.
            Err(error) if error.kind() == io::ErrorKind::NotFound && !held.exists() => {
                return Register::default();
            }
            Err(error) => {
                self.problem(&path, Fault::Unreadable.code(), error);
                return self.held_register(&held);
            }
        };
        match Register::parse(&bytes) {
            Ok(register) => {
                self.hold(&held, &bytes);
                register
            }
            Err(error) => {
                self.problem(&path, error.code(), &error);
                self.held_register(&held)
            }
        }
    }

    fn held_register(&self, held: &Path) -> Register {
        let bytes = read_bounded(held).ok();
        bytes.and_then(|bytes| Register::parse(&bytes).ok()).unwrap_or_default()
    }

    /// The certificate of an entry: whichever file holds it, it has the digest of the entry.
    fn anchor(&mut self, entry: &Entry) -> Option<Certificate> {
        let path = self.folder.anchors().join(&entry.file);
        let held = self.folder.held().join("anchors").join(format!("{}.pem", entry.sha256));
        let fits = |found: &Certificate| found.sha256() == entry.sha256;
        let found = read_certificates(&path).map(|all| all.into_iter().find(fits));
        if let Ok(Some(certificate)) = found {
            self.hold(&held, certificate.to_pem().as_bytes());
            return Some(certificate);
        }
        match found {
            Err((code, said)) => self.problem(&path, code, said),
            Ok(_) => {
                let said = format!("no certificate in it has the digest {}", entry.sha256);
                self.problem(&path, Fault::OtherCertificate.code(), said);
            }
        }
        read_certificates(&held).ok()?.into_iter().find(fits)
    }

    fn intermediates(&mut self) {
        for path in self.files(&self.folder.intermediates()) {
            match read_certificates(&path) {
                Ok(certificates) => {
                    self.said(&path, None);
                    self.trusted.extend(certificates.into_iter().map(Trusted::Intermediate));
                }
                Err((code, said)) => self.refuse(&path, code, &said),
            }
        }
    }

    fn lists(&mut self, taker: &mut Taker<'_>, kind: ListKind, files: &[PathBuf]) {
        let held = self.folder.held().join(match kind {
            ListKind::Crl => "crls",
            ListKind::Ocsp => "ocsp",
        });
        for path in files {
            let copy = held.join(path.file_name().unwrap_or_default());
            let before = read_bounded(&copy).ok();
            let now = read_bounded(path);
            let believed = before.is_some() && now.as_ref().ok() == before.as_ref();
            // First what was believed before: an older list in its place is then known for one.
            if let Some(before) = before.filter(|_| !believed)
                && taker.take(kind, path, &before, true, Some(&mut self.client_lists)).is_ok()
            {
                self.counts.insert((path.clone(), certs::sha256(&before)));
            }
            let taken = match &now {
                Err(error) => Err(Refused {
                    code: Fault::Unreadable.code(),
                    said: error.to_string(),
                    superseded: false,
                }),
                Ok(bytes) => taker.take(kind, path, bytes, believed, Some(&mut self.client_lists)),
            };
            let refused = taken.as_ref().err().map(|refused| refused.code);
            match (taken, now) {
                (Ok(()), Ok(bytes)) => {
                    self.counts.insert((path.clone(), certs::sha256(&bytes)));
                    self.said(path, None);
                    self.hold(&copy, &bytes);
                }
                // That a newer one has replaced it is only told beside the file.
                (Err(refused), _) if refused.superseded => {
                    self.said(path, Some((refused.code, &refused.said)));
                }
                (Err(refused), _) => self.refuse(path, refused.code, &refused.said),
                (Ok(()), Err(_)) => {}
            }
            let file = self.folder.place(path);
            self.lists.push(ListState { kind, file, refused });
        }
        self.let_go(&held, files);
    }

    fn refuse(&mut self, path: &Path, code: &'static str, said: &str) {
        self.problem(path, code, said);
        self.said(path, Some((code, said)));
    }

    fn said(&self, path: &Path, refused: Option<(&str, &str)>) {
        if self.keeps {
            let said = refused.map(|(code, said)| format!("{code}: {said}\n"));
            folder::note(path, said.as_deref());
        }
    }

    fn files(&mut self, path: &Path) -> Vec<PathBuf> {
        if self.keeps {
            folder::sweep_notes(path);
        }
        let files = dropped(path).unwrap_or_else(|error| {
            self.problem(path, Fault::Unreadable.code(), error);
            Vec::new()
        });
        if files.len() == MOST_FILES {
            let said = format!("only the first {MOST_FILES} files are read; delete what is old");
            self.problem(path, Fault::Full.code(), said);
        }
        files
    }

    /// Holds on to what is believed. That it cannot be written is told, and no reason not to believe it.
    fn hold(&mut self, held: &Path, bytes: &[u8]) {
        if self.keeps
            && read_bounded(held).ok().as_deref() != Some(bytes)
            && let Err(error) = write_atomically(held, bytes)
        {
            self.problem(held, Fault::Unwritable.code(), error);
        }
    }

    /// What an operator deleted is not held on to.
    fn let_go(&self, held: &Path, files: &[PathBuf]) {
        if !self.keeps {
            return;
        }
        for copy in dropped(held).unwrap_or_default() {
            if !files.iter().any(|file| file.file_name() == copy.file_name()) {
                let _ = fs::remove_file(copy);
            }
        }
    }
}

/// Certificates of a file, PEM or one in DER.
pub fn read_certificates(path: &Path) -> Result<Vec<Certificate>, (&'static str, String)> {
    let bytes =
        read_bounded(path).map_err(|error| (Fault::Unreadable.code(), error.to_string()))?;
    let read = if bytes.starts_with(&[0x30]) {
        Certificate::from_der(&bytes).map(|one| vec![one])
    } else {
        Certificate::many_from_pem(&bytes)
    };
    read.map_err(|error| (error.code(), error.to_string()))
}
