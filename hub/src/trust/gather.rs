//! Makes a trust store of everything that is there now.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use certs::{Certificate, CrlError, TrustStore, Usage};
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
    /// Revocation lists of clients' authorities, as they lie there (PEM or DER).
    pub client_lists: Vec<Vec<u8>>,
    /// Each list and answer of the folder.
    pub lists: Vec<ListState>,
    /// What should be mended.
    pub problems: Vec<Problem>,
    /// What the store was made of: two alike are worth the same.
    pub made_of: Sha256Digest,
}

/// What kind of file tells about revocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ListKind {
    /// A revocation list.
    Crl,
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
    keeps: bool,
) -> Result<Gathered, ConfigError> {
    let mut work = Work {
        folder,
        now,
        keeps,
        store: TrustStore::new(),
        client_anchors: Vec::new(),
        client_lists: Vec::new(),
        lists: Vec::new(),
        problems: Vec::new(),
        made_of: Vec::new(),
    };
    for (usage, certificates) in [
        (Usage::IssuingLicences, &statics.licence_anchors),
        (Usage::IssuingClients, &statics.client_anchors),
        (Usage::TimeStamping, &statics.time_stamp_anchors),
    ] {
        for certificate in certificates {
            work.made_of(&[b"anchor", usage.to_string().as_bytes(), certificate.der()]);
            work.store.add_anchor(usage, certificate.clone());
        }
    }
    for certificate in &statics.intermediates {
        work.made_of(&[b"intermediate", certificate.der()]);
        work.store.add_intermediate(certificate.clone());
    }
    let register = work.anchors();
    work.intermediates();
    // Lists last: their issuers must be known.
    let mut clients = TrustStore::new();
    let client_anchors = statics.client_anchors.iter().chain(&work.client_anchors);
    client_anchors.for_each(|anchor| clients.add_anchor(Usage::IssuingClients, anchor.clone()));
    for (path, bytes) in &statics.crls {
        work.made_of(&[b"crl", bytes]);
        let taken = work.store.add_crl(bytes);
        taken.map_err(|error| config::content("trust.crls", path, error))?;
    }
    work.crls(&mut clients);
    Ok(work.done(register))
}

struct Work<'a> {
    folder: &'a TrustFolder,
    now: Timestamp,
    keeps: bool,
    store: TrustStore,
    client_anchors: Vec<Certificate>,
    client_lists: Vec<Vec<u8>>,
    lists: Vec<ListState>,
    problems: Vec<Problem>,
    made_of: Vec<u8>,
}

impl Work<'_> {
    fn done(self, register: Register) -> Gathered {
        Gathered {
            store: self.store,
            register,
            client_anchors: self.client_anchors,
            client_lists: self.client_lists,
            lists: self.lists,
            problems: self.problems,
            made_of: certs::sha256(&self.made_of),
        }
    }

    fn made_of(&mut self, parts: &[&[u8]]) {
        for part in parts {
            self.made_of.extend_from_slice(certs::sha256(part).as_bytes());
        }
    }

    fn problem(&mut self, path: &Path, code: &'static str, said: impl ToString) {
        self.problems.push(Problem::new(self.folder.place(path), code, said));
    }

    /// The list of anchors, and each of their certificates.
    fn anchors(&mut self) -> Register {
        let register = self.register();
        for (usage, entry) in register.in_force() {
            let Some(certificate) = self.anchor(entry) else { continue };
            let (from, until) = (entry.from, entry.ends());
            let window = format!("{usage}/{from:?}/{until:?}");
            self.made_of(&[b"anchor", window.as_bytes(), certificate.der()]);
            // Connections are judged as of now, so their anchors come and go with their windows.
            if usage == Usage::IssuingClients && entry.standing(self.now) == Standing::Trusted {
                self.client_anchors.push(certificate.clone());
            }
            self.store.add_anchor_between(usage, certificate, from, until);
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
                    for certificate in certificates {
                        self.made_of(&[b"intermediate", certificate.der()]);
                        self.store.add_intermediate(certificate);
                    }
                }
                Err((code, said)) => self.refuse(&path, code, &said),
            }
        }
    }

    fn crls(&mut self, clients: &mut TrustStore) {
        let held = self.folder.held().join("crls");
        let files = self.files(&self.folder.crls());
        for path in &files {
            let copy = held.join(path.file_name().unwrap_or_default());
            let before = read_bounded(&copy).ok();
            let now = read_bounded(path);
            // First what was believed before: an older list in its place is then known for one.
            if let Some(before) = before.filter(|before| now.as_ref().ok() != Some(before))
                && self.store.add_crl(&before).is_ok()
            {
                self.made_of(&[b"crl", &before]);
                self.for_clients(clients, before);
            }
            let refused = match now {
                Err(error) => {
                    self.refuse(path, Fault::Unreadable.code(), &error.to_string());
                    Some(Fault::Unreadable.code())
                }
                Ok(bytes) => match self.store.add_crl(&bytes) {
                    Ok(()) => {
                        self.made_of(&[b"crl", &bytes]);
                        self.said(path, None);
                        self.hold(&copy, &bytes);
                        self.for_clients(clients, bytes);
                        None
                    }
                    Err(error) => {
                        self.refuse_list(path, &error);
                        Some(error.code())
                    }
                },
            };
            let file = self.folder.place(path);
            self.lists.push(ListState { kind: ListKind::Crl, file, refused });
        }
        self.let_go(&held, &files);
    }

    fn for_clients(&mut self, clients: &mut TrustStore, list: Vec<u8>) {
        if clients.add_crl(&list).is_ok() {
            self.client_lists.push(list);
        }
    }

    /// A list that a newer one has replaced is no trouble, it is only told beside the file.
    fn refuse_list(&mut self, path: &Path, error: &CrlError) {
        if matches!(error, CrlError::Older { .. }) {
            self.said(path, Some((error.code(), &error.to_string())));
        } else {
            self.refuse(path, error.code(), &error.to_string());
        }
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
