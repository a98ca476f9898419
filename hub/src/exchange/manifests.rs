//! Batch manifests whose signature was checked, remembered for the licences under them.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use certs::{ChainRecord, Manifest, TrustStore};
use jiff::Timestamp;
use licence::{LicenceTypeCode, Sha256Digest};

use super::EventError;
use crate::{Hub, intake, intake::IntakeError, policy::Act, stamps};

/// Digests in all that are remembered: they take about 80 MB. One manifest has 100,000 at most.
const DIGESTS: usize = 800_000;
/// How many are remembered, however small.
const REMEMBERED: usize = 1_000;

/// A manifest with what its signature rests on.
pub(super) struct Known {
    pub(super) manifest: Manifest,
    pub(super) chain: ChainRecord,
    /// What it was checked by.
    trust: Arc<TrustStore>,
}

/// The manifests used last.
#[derive(Default)]
pub(super) struct Manifests(Mutex<VecDeque<(Sha256Digest, Arc<Known>)>>);

impl Manifests {
    /// The manifest, checked by these anchors and lists.
    ///
    /// # Errors
    /// `ManifestMissing`, or what does not hold any more.
    pub(super) async fn find(
        &self,
        hub: &Hub,
        digest: &Sha256Digest,
        trust: &Arc<TrustStore>,
        now: Timestamp,
    ) -> Result<Arc<Known>, EventError> {
        if let Some(known) = self.recall(digest, trust) {
            return Ok(known);
        }
        let held = hub.store.manifest(digest).await?;
        let held = held.ok_or(EventError::ManifestMissing(*digest))?;
        let (known, _) = check(hub, trust, &held.document, &held.signature, now)?;
        Ok(self.remember(*digest, known))
    }

    /// Checks a manifest that came, and keeps it.
    ///
    /// # Errors
    /// The link that fails.
    pub(super) async fn take_in(
        &self,
        hub: &Hub,
        document: Bytes,
        cms: Bytes,
        trust: &Arc<TrustStore>,
        now: Timestamp,
    ) -> Result<(), EventError> {
        let digest = certs::sha256(&document);
        if hub.store.manifest(&digest).await?.is_some() {
            return Ok(());
        }
        let (known, stamp) = check(hub, trust, &document, &cms, now)?;
        hub.store.put_manifest(&digest, document, cms.clone()).await?;
        // One that is held keeps the signature that it came with.
        if let Some(stamp) = stamp
            && hub.store.manifest(&digest).await?.is_some_and(|held| held.signature == cms)
        {
            stamps::file_manifest(hub, &digest, &stamp).await?;
        }
        self.remember(digest, known);
        Ok(())
    }

    fn recall(&self, digest: &Sha256Digest, trust: &Arc<TrustStore>) -> Option<Arc<Known>> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let place = kept.iter().position(|(one, _)| one == digest)?;
        let found = kept.remove(place)?;
        if !Arc::ptr_eq(&found.1.trust, trust) {
            return None;
        }
        let known = found.1.clone();
        kept.push_back(found);
        Some(known)
    }

    fn remember(&self, digest: Sha256Digest, known: Known) -> Arc<Known> {
        let known = Arc::new(known);
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|(one, _)| *one != digest);
        kept.push_back((digest, known.clone()));
        let mut digests: usize = kept.iter().map(|(_, one)| one.manifest.digests().len()).sum();
        while digests > DIGESTS || kept.len() > REMEMBERED {
            let Some((_, oldest)) = kept.pop_front() else { break };
            digests -= oldest.manifest.digests().len();
        }
        known
    }
}

/// The manifest's text, its issuer's right, its signature.
fn check(
    hub: &Hub,
    trust: &Arc<TrustStore>,
    document: &[u8],
    cms: &[u8],
    now: Timestamp,
) -> Result<(Known, Option<stamps::Stamp>), IntakeError> {
    let manifest = Manifest::parse(document)?;
    let issuer = *manifest.issuer();
    let issues = |code: &LicenceTypeCode| hub.policies.permit(&issuer, Act::Issue(*code));
    if !hub.catalogue.entries().any(|entry| issues(&entry.code)) {
        return Err(IntakeError::IssuesNothing { department: issuer });
    }
    let (signature, stamp) = intake::verify_or_stamped(hub, trust, cms, document, &issuer, now)?;
    Ok((Known { manifest, chain: signature.chain, trust: trust.clone() }, stamp))
}
