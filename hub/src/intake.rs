//! Taking in what issuers sign: licences one by one, licences under a batch manifest, status orders.
//!
//! The links are checked in this order and the first that fails names the error: format and
//! identifier, catalogue (type and face fields), policy (may this issuer issue the type), files,
//! signature, chain, revocation, signer. Nothing is stored unless all hold.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use certs::{
    ChainError, ChainRecord, Manifest, Revocation, SignatureError, TrustStore, VerifiedSignature,
};
use indexes::{
    Appended, BlobError, ChainRecordBytes, NewEntry, NewLicence, NewStatus, Proof, Refusal,
    StoreError, StoredLicence,
};
use jiff::Timestamp;
use licence::{
    CreditCode, FaceFieldError, Licence, LicenceError, LicenceId, LicenceTypeCode, Sha256Digest,
    StatusOrder, StatusOrderError, TransitionError,
};

use crate::{
    config::RevokedSigners,
    face_files::{self, FaceFileError},
    hub::Hub,
    judge,
    policy::Act,
    stamps::{self, Stamp},
};

/// Why something signed was not taken in.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IntakeError {
    /// The bytes are not a licence document.
    #[error("the licence document is not acceptable: {0}")]
    Document(#[from] LicenceError),
    /// The bytes are not a status order.
    #[error("the status order is not acceptable: {0}")]
    Order(#[from] StatusOrderError),
    /// The type is not in the catalogue.
    #[error("licence type {0} is not in the catalogue: have it registered first")]
    UnknownType(LicenceTypeCode),
    /// The face fields do not fit the type's schema.
    #[error("the licence does not fit its type in the catalogue")]
    FaceFields(FaceFieldError),
    /// The issuer may not issue this type, or the caller may not hand it in.
    #[error("department {department} may not {what} licences of type {licence_type}")]
    NotPermitted {
        /// The department without the right.
        department: CreditCode,
        /// `issue`, `change the status of` or `hand over`.
        what: &'static str,
        /// The type.
        licence_type: LicenceTypeCode,
    },
    /// A batch from, or under the manifest of, a department that issues nothing.
    #[error("department {department} may not issue licences of any type")]
    IssuesNothing {
        /// The department without the right.
        department: CreditCode,
    },
    /// The signature or its chain does not hold.
    #[error("the signature does not hold: {0}")]
    Signature(#[from] SignatureError),
    /// Signed by somebody else than the licence's issuer.
    #[error(
        "the signer is not the issuer: the certificate's organizationIdentifier is {signer}, the \
         licence's issuer is {issuer}"
    )]
    SignerNotIssuer {
        /// Who signed, `none` if the certificate names nobody.
        signer: String,
        /// Who should have.
        issuer: CreditCode,
    },
    /// The manifest's text is wrong.
    #[error("the batch manifest is not acceptable: {0}")]
    Manifest(#[from] certs::ManifestError),
    /// A licence that its manifest does not list.
    #[error("the manifest does not list a licence with the digest {0}")]
    NotInManifest(Sha256Digest),
    /// The same licence twice in one batch.
    #[error("the same licence identifier was already on line {first} of this batch")]
    DuplicateInBatch {
        /// The line that came first.
        first: usize,
    },
    /// A file that the licence lists was not handed in.
    #[error("file {position} of the licence's list was not handed in (digest {sha256})")]
    FileMissing {
        /// Position in the list, from 1.
        position: usize,
        /// Its digest.
        sha256: Sha256Digest,
    },
    /// A file was handed in that the licence does not list with this size and digest.
    #[error("a file was handed in that the licence does not list (digest {sha256}, {size} bytes)")]
    FileNotListed {
        /// Digest of what came.
        sha256: Sha256Digest,
        /// Size of what came.
        size: u64,
    },
    /// A file that is signed by itself, and not to be believed.
    #[error(transparent)]
    FaceFile(#[from] FaceFileError),
    /// The identifier is taken by other bytes.
    #[error("another licence is held under this identifier: a change needs a new version")]
    Conflict,
    /// A status order for a licence that is not held.
    #[error("no licence is held under this identifier")]
    UnknownLicence,
    /// The status order is for another licence than the address says.
    #[error("the order is for another licence than the address names")]
    OrderForAnother,
    /// The status cannot change this way.
    #[error("the status cannot change this way: {0}")]
    Transition(TransitionError),
    /// The store's own check failed: a defect of the hub.
    #[error("the store refused the entry: {0}")]
    Refusal(Refusal),
    /// The file store failed.
    #[error("the file store failed")]
    Files(#[from] BlobError),
    /// The store failed.
    #[error("the licence store failed")]
    Store(#[from] StoreError),
}

impl IntakeError {
    /// Stable code: listed in `docs/formats/errors.md`, never reworded.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Document(error) => error.code(),
            Self::Order(error) => error.code(),
            Self::UnknownType(_) => "unknown_licence_type",
            Self::FaceFields(_) => "face_fields",
            Self::NotPermitted { .. } | Self::IssuesNothing { .. } => "not_permitted",
            Self::Signature(error) => error.code(),
            Self::SignerNotIssuer { .. } => "signer_not_issuer",
            Self::Manifest(error) => error.code(),
            Self::NotInManifest(_) => "not_in_manifest",
            Self::DuplicateInBatch { .. } => "duplicate_in_batch",
            Self::FileMissing { .. } => "file_missing",
            Self::FileNotListed { .. } => "file_not_listed",
            Self::FaceFile(error) => error.code(),
            Self::Conflict => "identifier_conflict",
            Self::UnknownLicence => "unknown_licence",
            Self::OrderForAnother => "order_for_another_licence",
            Self::Transition(error) => error.code(),
            Self::Refusal(refusal) => refusal.code(),
            Self::Files(error) => error.code(),
            Self::Store(error) => error.code(),
        }
    }

    /// The link that failed.
    #[must_use]
    pub fn link(&self) -> &'static str {
        match self {
            Self::Document(_) | Self::Order(_) => "format",
            Self::UnknownType(_) | Self::FaceFields(_) => "catalogue",
            Self::NotPermitted { .. } | Self::IssuesNothing { .. } => "policy",
            Self::Signature(error) => error.link().word(),
            Self::SignerNotIssuer { .. } => "certificate",
            Self::Manifest(_) | Self::NotInManifest(_) | Self::DuplicateInBatch { .. } => {
                "manifest"
            }
            Self::FileMissing { .. }
            | Self::FileNotListed { .. }
            | Self::FaceFile(_)
            | Self::Files(_) => "files",
            Self::Conflict | Self::UnknownLicence | Self::OrderForAnother => "identifier",
            Self::Transition(_) => "status",
            Self::Refusal(_) | Self::Store(_) => "store",
        }
    }
}

/// A licence that was taken in, or was already held.
#[derive(Debug)]
pub struct TakenIn {
    /// Its identifier.
    pub identifier: LicenceId,
    /// Where it stands in the log, and whether it is new.
    pub appended: Appended,
}

/// Takes in one licence with its own signature.
///
/// * `document`: the licence's bytes; `cms`: the detached signature over them, DER.
/// * `files`: contents of the files that the licence lists; files already held may be left out.
///
/// # Errors
/// The first link that fails; nothing is stored then.
pub async fn take_in(
    hub: &Hub,
    caller: &CreditCode,
    document: Bytes,
    cms: Bytes,
    files: Vec<Bytes>,
) -> Result<TakenIn, IntakeError> {
    let now = hub.clock.now();
    let licence = Licence::parse(&document)?;
    check_against_catalogue(hub, caller, &licence)?;
    let (files, all) = match_files(hub, &licence, files).await?;
    let trust = hub.trust();
    let issuer = licence.issuer.credit_code();
    let (signature, stamp) = verify_or_stamped(hub, &trust, &cms, &document, issuer, now)?;
    let signed = check_signed_files(hub, all, now).await?;
    for file in files {
        hub.blobs.put(file).await?;
    }
    let digest = certs::sha256(&document);
    if let Some(signed) = signed {
        face_files::keep(hub, &digest, &signed).await?;
    }
    // A licence that is held keeps the signature that it came with.
    let stamp = match stamp {
        Some(stamp) => {
            let held = hub.store.licence(&licence.identifier).await?;
            held.is_none_or(|held| held.proof == Proof::Unsigned).then_some(stamp)
        }
        None => None,
    };
    if let Some(stamp) = &stamp {
        stamps::file_licence(hub, &digest, stamp).await?;
    }
    let proof = Proof::Signature(cms.clone());
    let identifier = licence.identifier.clone();
    let entry = new_licence(hub, &licence, document, digest, proof, &signature.chain, now);
    let appended = one(hub.store.append(vec![entry]).await?)?;
    if let Some(stamp) = stamp.filter(|_| !appended.new) {
        let held = hub.store.licence(&identifier).await?;
        if held.is_none_or(|held| held.proof != Proof::Signature(cms)) {
            stamps::unfile_licence(hub, &digest, &stamp).await?;
        }
    }
    checked_by(hub, &trust);
    Ok(TakenIn { identifier, appended })
}

/// Takes in one licence that nobody signed, from a register of its issuer: it is held and found, and never trusted. One that
/// is held with the same bytes stays as it is held.
///
/// # Errors
/// The first link that fails; nothing is stored then. `FileMissing`: files do not come with rows.
pub async fn take_in_unsigned(
    hub: &Hub,
    caller: &CreditCode,
    document: Bytes,
) -> Result<TakenIn, IntakeError> {
    let licence = Licence::parse(&document)?;
    check_against_catalogue(hub, caller, &licence)?;
    match_files(hub, &licence, Vec::new()).await?;
    let identifier = licence.identifier.clone();
    let entry = NewEntry::Licence(NewLicence {
        at: hub.clock.now(),
        identifier: licence.identifier,
        licence_type: licence.licence_type,
        issuer: licence.issuer,
        holders: licence.holders.iter().map(|holder| hub.index_key.token(&holder.id)).collect(),
        project: licence.project,
        number: licence.number,
        issued_on: licence.issued_on,
        digest: certs::sha256(&document),
        document,
        proof: Proof::Unsigned,
        chain: ChainRecordBytes::default(),
    });
    let appended = one(hub.store.append(vec![entry]).await?)?;
    Ok(TakenIn { identifier, appended })
}

/// Changes the status of a licence that nobody signed, as its issuer's register has it.
///
/// # Errors
/// As [`change_status`]; `Refusal` with `OrderUnsigned` where the issuer signed something about the licence.
pub async fn change_status_unsigned(
    hub: &Hub,
    caller: &CreditCode,
    identifier: &LicenceId,
    order: Bytes,
) -> Result<Appended, IntakeError> {
    let (held, parsed) = may_change(hub, caller, identifier, &order).await?;
    order_status(hub, held, parsed, order, Bytes::new()).await
}

/// Changes the status of a licence by an order that its issuer signed.
///
/// # Errors
/// The first link that fails; nothing is stored then.
pub async fn change_status(
    hub: &Hub,
    caller: &CreditCode,
    identifier: &LicenceId,
    order: Bytes,
    cms: Bytes,
) -> Result<Appended, IntakeError> {
    let (held, parsed) = may_change(hub, caller, identifier, &order).await?;
    verify(&hub.trust(), &cms, &order, held.issuer.credit_code(), hub.clock.now())?;
    order_status(hub, held, parsed, order, cms).await
}

async fn may_change(
    hub: &Hub,
    caller: &CreditCode,
    identifier: &LicenceId,
    order: &[u8],
) -> Result<(StoredLicence, StatusOrder), IntakeError> {
    let parsed = StatusOrder::parse(order)?;
    if parsed.identifier != *identifier {
        return Err(IntakeError::OrderForAnother);
    }
    let held = hub.store.licence(identifier).await?.ok_or(IntakeError::UnknownLicence)?;
    for department in [caller, held.issuer.credit_code()] {
        let act = Act::Status(held.licence_type);
        may(hub, department, act, "change the status of", held.licence_type)?;
    }
    Ok((held, parsed))
}

async fn order_status(
    hub: &Hub,
    held: StoredLicence,
    parsed: StatusOrder,
    order: Bytes,
    cms: Bytes,
) -> Result<Appended, IntakeError> {
    let entry = NewEntry::Status(NewStatus {
        at: hub.clock.now(),
        identifier: held.identifier,
        change: parsed.change,
        issuer: held.issuer,
        digest: certs::sha256(&order),
        document: order,
        signature: cms,
    });
    one(hub.store.append(vec![entry]).await?)
}

fn check_against_catalogue(
    hub: &Hub,
    caller: &CreditCode,
    licence: &Licence,
) -> Result<(), IntakeError> {
    fits_catalogue(hub, licence)?;
    for department in [licence.issuer.credit_code(), caller] {
        may(hub, department, Act::Issue(licence.licence_type), "issue", licence.licence_type)?;
    }
    Ok(())
}

/// The type is in the catalogue, and the face fields fit it.
pub(crate) fn fits_catalogue(hub: &Hub, licence: &Licence) -> Result<(), IntakeError> {
    let entry = hub
        .catalogue
        .entry(&licence.licence_type)
        .ok_or(IntakeError::UnknownType(licence.licence_type))?;
    entry.check(licence).map_err(IntakeError::FaceFields)
}

/// A policy lets the department do this.
pub(crate) fn may(
    hub: &Hub,
    department: &CreditCode,
    act: Act,
    what: &'static str,
    licence_type: LicenceTypeCode,
) -> Result<(), IntakeError> {
    if hub.policies.permit(department, act) {
        return Ok(());
    }
    Err(IntakeError::NotPermitted { department: *department, what, licence_type })
}

/// Checks a signature, its chain, its revocation (a list that is missing or stale refuses nothing
/// here: reads say so) and that it is `issuer`'s.
pub(crate) fn verify(
    trust: &TrustStore,
    cms: &[u8],
    content: &[u8],
    issuer: &CreditCode,
    now: Timestamp,
) -> Result<VerifiedSignature, IntakeError> {
    by_issuer(certs::verify_detached(cms, content, trust, now)?, issuer)
}

/// The same for licences and manifests, which may be older than their signers' certificates: where the path has ended
/// or was revoked since, a time-stamp inside by a trusted authority decides, as far as the operator's rule lets it. With
/// that time-stamp, if there is one.
pub(crate) fn verify_or_stamped(
    hub: &Hub,
    trust: &TrustStore,
    cms: &[u8],
    content: &[u8],
    issuer: &CreditCode,
    now: Timestamp,
) -> Result<(VerifiedSignature, Option<Stamp>), IntakeError> {
    let signature = match certs::verify_detached(cms, content, trust, now) {
        Err(SignatureError::Chain(ended)) if has_ended(&ended) => {
            let signature = certs::verify_stamped(cms, content, trust, now)?;
            if hub.settings().trust.revoked_signers == RevokedSigners::Never {
                let judged = trust.judge(&signature.chain, now);
                if let Revocation::Revoked { at: revoked_at, .. } = judged.revocation {
                    let revoked = ChainError::Revoked { position: 0, revoked_at };
                    return Err(SignatureError::Chain(revoked).into());
                }
                if !judge::holds(&judged) {
                    return Err(SignatureError::Chain(ended).into());
                }
            }
            signature
        }
        verified => verified?,
    };
    let signature = by_issuer(signature, issuer)?;
    Ok((signature, stamps::brought(cms, trust, now)?))
}

/// It held once.
fn has_ended(error: &ChainError) -> bool {
    matches!(
        error,
        ChainError::Expired { .. } | ChainError::AnchorEnded { .. } | ChainError::Revoked { .. }
    )
}

fn by_issuer(
    signature: VerifiedSignature,
    issuer: &CreditCode,
) -> Result<VerifiedSignature, IntakeError> {
    if signature.organisation.as_ref() != Some(issuer) {
        return Err(IntakeError::SignerNotIssuer {
            signer: signature
                .organisation
                .as_ref()
                .map_or_else(|| "none".to_owned(), ToString::to_string),
            issuer: *issuer,
        });
    }
    Ok(signature)
}

/// What was just appended had been checked by these anchors and lists. A sweep by later ones may have passed its place
/// before it was there: then it has to pass again.
pub(crate) fn checked_by(hub: &Hub, trust: &Arc<TrustStore>) {
    if let Some(sweep) = hub.sweep()
        && !Arc::ptr_eq(trust, &hub.trust())
    {
        sweep.again();
    }
}

/// Checks those of the files that are sealed or signed by themselves, away from the threads that answer.
pub(crate) async fn check_signed_files(
    hub: &Hub,
    files: Vec<(usize, Bytes)>,
    now: Timestamp,
) -> Result<Option<face_files::Checked>, IntakeError> {
    if files.is_empty() {
        return Ok(None);
    }
    let (trust, setting) = (hub.trust(), hub.settings().trust.face_files);
    let check = move || face_files::check(&files, &trust, setting, now);
    let checked = tokio::task::spawn_blocking(check).await;
    checked.map_err(|_| IntakeError::Store(StoreError::Closed))?.map_err(IntakeError::from)
}

/// Brings the files that came together with the files that the licence lists: those to keep, and all of them with
/// their position in the list, from 1.
pub(crate) async fn match_files(
    hub: &Hub,
    licence: &Licence,
    files: Vec<Bytes>,
) -> Result<(Vec<Bytes>, Vec<(usize, Bytes)>), IntakeError> {
    let mut came: HashMap<Sha256Digest, Bytes> =
        files.into_iter().map(|file| (certs::sha256(&file), file)).collect();
    let (mut matched, mut all) = (Vec::new(), Vec::new());
    for (index, listed) in licence.files.iter().enumerate() {
        match came.remove(&listed.sha256) {
            Some(file) if file.len() as u64 == listed.size => {
                all.push((index + 1, file.clone()));
                matched.push(file);
            }
            Some(file) => {
                let size = file.len() as u64;
                return Err(IntakeError::FileNotListed { sha256: listed.sha256, size });
            }
            None if matched.iter().any(|file| certs::sha256(file) == listed.sha256) => {}
            None => match hub.blobs.get(&listed.sha256).await? {
                Some(held) if held.len() as u64 == listed.size => all.push((index + 1, held)),
                Some(held) => {
                    let size = held.len() as u64;
                    return Err(IntakeError::FileNotListed { sha256: listed.sha256, size });
                }
                None => {
                    return Err(IntakeError::FileMissing {
                        position: index + 1,
                        sha256: listed.sha256,
                    });
                }
            },
        }
    }
    match came.into_iter().next() {
        None => Ok((matched, all)),
        Some((sha256, file)) => Err(IntakeError::FileNotListed { sha256, size: file.len() as u64 }),
    }
}

pub(crate) fn new_licence(
    hub: &Hub,
    licence: &Licence,
    document: Bytes,
    digest: Sha256Digest,
    proof: Proof,
    chain: &ChainRecord,
    at: Timestamp,
) -> NewEntry {
    NewEntry::Licence(NewLicence {
        at,
        identifier: licence.identifier.clone(),
        licence_type: licence.licence_type,
        issuer: licence.issuer,
        holders: licence.holders.iter().map(|holder| hub.index_key.token(&holder.id)).collect(),
        project: licence.project,
        number: licence.number.clone(),
        issued_on: licence.issued_on,
        document,
        digest,
        proof,
        chain: judge::chain_bytes(chain),
    })
}

fn one(mut outcomes: Vec<Result<Appended, Refusal>>) -> Result<Appended, IntakeError> {
    match outcomes.pop() {
        Some(outcome) => outcome.map_err(refused),
        None => Err(IntakeError::Store(StoreError::Closed)),
    }
}

pub(crate) fn refused(refusal: Refusal) -> IntakeError {
    match refusal {
        Refusal::Conflict { .. } => IntakeError::Conflict,
        Refusal::UnknownLicence => IntakeError::UnknownLicence,
        Refusal::Transition(error) => IntakeError::Transition(error),
        refusal => IntakeError::Refusal(refusal),
    }
}

/// A batch being taken in: the manifest's signature is checked once, then a hash for each licence.
pub struct BatchIntake {
    hub: Arc<Hub>,
    caller: CreditCode,
    manifest: Manifest,
    digest: Sha256Digest,
    chain: ChainRecord,
    /// What the manifest was checked by.
    trust: Arc<TrustStore>,
    at: Timestamp,
    seen: HashMap<LicenceId, usize>,
    came: Vec<bool>,
}

impl BatchIntake {
    /// Checks the manifest and keeps it, so that every licence under it remains checkable.
    ///
    /// # Errors
    /// The link of the manifest that fails.
    pub async fn begin(
        hub: Arc<Hub>,
        caller: CreditCode,
        manifest: Bytes,
        cms: Bytes,
    ) -> Result<Self, IntakeError> {
        let at = hub.clock.now();
        let parsed = Manifest::parse(&manifest)?;
        for department in [&caller, parsed.issuer()] {
            let issues =
                |code: &LicenceTypeCode| hub.policies.permit(department, Act::Issue(*code));
            if !hub.catalogue.entries().any(|entry| issues(&entry.code)) {
                return Err(IntakeError::IssuesNothing { department: *department });
            }
        }
        let trust = hub.trust();
        let issuer = parsed.issuer();
        let (signature, stamp) = verify_or_stamped(&hub, &trust, &cms, &manifest, issuer, at)?;
        let digest = certs::sha256(&manifest);
        hub.store.put_manifest(&digest, manifest, cms.clone()).await?;
        // One that is held keeps the signature that it came with.
        if let Some(stamp) = stamp
            && hub.store.manifest(&digest).await?.is_some_and(|held| held.signature == cms)
        {
            stamps::file_manifest(&hub, &digest, &stamp).await?;
        }
        let came = vec![false; parsed.digests().len()];
        Ok(Self {
            hub,
            caller,
            manifest: parsed,
            digest,
            chain: signature.chain,
            trust,
            at,
            seen: HashMap::new(),
            came,
        })
    }

    /// Takes in some lines of the batch in one append; one outcome for each, in order.
    ///
    /// * `lines`: line number in the upload (from 1) and the licence's bytes.
    ///
    /// # Errors
    /// Only if the store fails: then none of these lines is acknowledged.
    pub async fn take_in(
        &mut self,
        lines: Vec<(usize, Bytes)>,
    ) -> Result<Vec<Result<TakenIn, IntakeError>>, IntakeError> {
        let mut entries = Vec::with_capacity(lines.len());
        let mut checked = Vec::with_capacity(lines.len());
        for (line, document) in lines {
            match self.check(line, document) {
                Ok((identifier, entry)) => {
                    entries.push(entry);
                    checked.push(Ok(identifier));
                }
                Err(error) => checked.push(Err(error)),
            }
        }
        let mut outcomes = self.hub.store.append(entries).await?.into_iter();
        checked_by(&self.hub, &self.trust);
        let answer = checked.into_iter().map(|line| {
            let identifier = line?;
            match outcomes.next() {
                Some(outcome) => Ok(TakenIn { identifier, appended: outcome.map_err(refused)? }),
                None => Err(IntakeError::Store(StoreError::Closed)),
            }
        });
        Ok(answer.collect())
    }

    /// How many licences of the manifest have not come.
    #[must_use]
    pub fn missing(&self) -> usize {
        self.came.iter().filter(|came| !**came).count()
    }

    fn check(
        &mut self,
        line: usize,
        document: Bytes,
    ) -> Result<(LicenceId, NewEntry), IntakeError> {
        let digest = certs::sha256(&document);
        let position = self.manifest.position(&digest).ok_or(IntakeError::NotInManifest(digest))?;
        let licence = Licence::parse(&document)?;
        if licence.issuer.credit_code() != self.manifest.issuer() {
            return Err(IntakeError::SignerNotIssuer {
                signer: self.manifest.issuer().to_string(),
                issuer: *licence.issuer.credit_code(),
            });
        }
        check_against_catalogue(&self.hub, &self.caller, &licence)?;
        if let Some(&first) = self.seen.get(&licence.identifier) {
            return Err(IntakeError::DuplicateInBatch { first });
        }
        if let Some(file) = licence.files.first() {
            // Files do not travel in a batch; licences with files are handed in one by one.
            return Err(IntakeError::FileMissing { position: 1, sha256: file.sha256 });
        }
        self.seen.insert(licence.identifier.clone(), line);
        if let Some(came) = self.came.get_mut(position as usize) {
            *came = true;
        }
        let proof = Proof::Manifest { manifest: self.digest, position };
        let identifier = licence.identifier.clone();
        let entry = new_licence(&self.hub, &licence, document, digest, proof, &self.chain, self.at);
        Ok((identifier, entry))
    }
}
