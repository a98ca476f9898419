//! Checks one event: is everything in it signed by who may sign it, and what of it is new here.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use certs::TrustStore;
use connectors::push::{
    Event, ISSUED, LicenceData, MAX_ORDERS, ManifestData, OrderData, ProofData, STATUS_CHANGED,
    TRUST_CHANGED,
};
use indexes::{NewEntry, NewStatus, Proof, StoreError, StoredLicence};
use jiff::{Timestamp, civil::Date};
use licence::{
    CreditCode, IssuerId, Licence, LicenceId, LicenceTypeCode, Seq, Sha256Digest, StatusOrder,
    Trust,
};
use serde_json::value::RawValue;

use super::{Came, EventError, MAX_SOURCES, Planned, Source, came_key};
use crate::{
    Hub,
    intake::{self, IntakeError},
    policy::Act,
    records::Kept,
    stamps::Stamp,
};

/// What is known of a licence while a request is worked on.
#[derive(Clone)]
struct Face {
    digest: Sha256Digest,
    licence_type: LicenceTypeCode,
    issuer: IssuerId,
    day: Date,
    /// Nobody signed it yet: the signature is still to come.
    unsigned: bool,
    /// The orders that were applied before this request.
    orders: Vec<Bytes>,
    /// The entry of this request that brings it in, which the store may yet refuse.
    entry: Option<usize>,
}

impl From<StoredLicence> for Face {
    fn from(held: StoredLicence) -> Self {
        Self {
            digest: held.digest,
            licence_type: held.licence_type,
            issuer: held.issuer,
            day: held.issued_on,
            unsigned: held.proof == Proof::Unsigned,
            orders: held.orders.into_iter().map(|order| order.document).collect(),
            entry: None,
        }
    }
}

/// A request being worked on.
pub(super) struct Desk<'a> {
    hub: &'a Hub,
    sender: &'a CreditCode,
    now: Timestamp,
    /// What everything of this request is checked by.
    pub(super) trust: Arc<TrustStore>,
    /// The licences that the events are about: held, or coming in with this request.
    faces: HashMap<LicenceId, Face>,
    /// How many entries the events so far make.
    entries: usize,
    /// The names that the sender has come under.
    sources: HashSet<String>,
    /// Those among them that are new with this request.
    pub(super) new_sources: Vec<String>,
}

impl<'a> Desk<'a> {
    /// Looks up what is held of the licences that the events are about.
    pub(super) async fn open(
        hub: &'a Hub,
        sender: &'a CreditCode,
        events: &[(&str, Option<Event>)],
    ) -> Result<Self, StoreError> {
        let subjects = events.iter().filter_map(|(_, event)| event.as_ref()?.subject.as_deref());
        let mut identifiers: Vec<LicenceId> =
            subjects.filter_map(|subject| subject.parse().ok()).collect();
        identifiers.sort_unstable();
        identifiers.dedup();
        let mut faces = HashMap::with_capacity(identifiers.len());
        // In portions: what is kept of each is small, what is read may not be.
        for portion in identifiers.chunks(64) {
            let held = hub.store.licences(portion).await?;
            faces.extend(
                held.into_iter().flatten().map(|held| (held.identifier.clone(), held.into())),
            );
        }
        let prefix = format!("{sender}\0").into_bytes();
        let records = hub.store.records(Source::COLLECTION, &prefix, None, MAX_SOURCES).await?;
        let name = |record: indexes::Record| {
            String::from_utf8(record.key.get(prefix.len()..).unwrap_or_default().to_vec()).ok()
        };
        Ok(Self {
            hub,
            sender,
            now: hub.clock.now(),
            trust: hub.trust(),
            faces,
            entries: 0,
            sources: records.into_iter().filter_map(name).collect(),
            new_sources: Vec::new(),
        })
    }

    /// A manifest comes in.
    pub(super) async fn manifest(&self, data: &RawValue) -> Result<(), EventError> {
        if !super::may_exchange(self.hub, self.sender) {
            return Err(IntakeError::IssuesNothing { department: *self.sender }.into());
        }
        let data: ManifestData = serde_json::from_str(data.get()).map_err(|_| EventError::Data)?;
        let (document, cms) = (decode(&data.manifest)?, decode(&data.signature)?);
        let manifests = &self.hub.exchange.manifests;
        manifests.take_in(self.hub, document, cms, &self.trust, self.now).await
    }

    /// A licence comes in, or what became of it.
    pub(super) async fn licence(
        &mut self,
        event: &Event,
        data: &RawValue,
        number: Seq,
    ) -> Result<Planned, EventError> {
        let data: LicenceData = serde_json::from_str(data.get()).map_err(|_| EventError::Data)?;
        let order = match (event.kind.as_str(), &data.order) {
            (ISSUED | TRUST_CHANGED, None) => None,
            (STATUS_CHANGED, Some(order)) => Some(order),
            (ISSUED | TRUST_CHANGED | STATUS_CHANGED, _) => return Err(EventError::Data),
            _ => return Err(EventError::Kind),
        };
        let subject = event.subject.as_deref().and_then(|subject| subject.parse().ok());
        let identifier: LicenceId = subject.ok_or(EventError::Subject)?;
        if data.orders.len() > MAX_ORDERS {
            return Err(EventError::Data);
        }
        let mut planned = Planned::default();
        let face = match self.faces.get(&identifier) {
            // What nobody signed bars nothing that its issuer signed: the store decides.
            Some(face) if face.digest != data.digest && !face.unsigned => {
                self.may(Act::Exchange(face.licence_type), face.licence_type)?;
                return Err(IntakeError::Conflict.into());
            }
            Some(face) if !face.unsigned => face.clone(),
            // Nobody here relies on it, so there is nothing to tell.
            _ if event.kind == TRUST_CHANGED && data.trust == Trust::Untrusted => {
                return Ok(planned);
            }
            unsigned => {
                let orders = unsigned.map(|held| held.orders.clone()).unwrap_or_default();
                let (mut face, entry, stamp) = self.new_licence(&identifier, &data).await?;
                face.entry = Some(self.entries);
                planned.stamp = stamp.map(|stamp| (face.digest, stamp));
                planned.entries.push(entry);
                Face { orders, ..face }
            }
        };
        self.may(Act::Exchange(face.licence_type), face.licence_type)?;
        // One that comes twice in a request is appended twice: only the store knows whether the first time counts.
        for order in data.orders.iter().chain(order) {
            planned.entries.extend(self.new_order(&identifier, &face, order)?);
        }
        if !self.sources.contains(&event.source) {
            if self.sources.len() >= MAX_SOURCES {
                return Err(EventError::Sources);
            }
            self.sources.insert(event.source.clone());
            self.new_sources.push(event.source.clone());
        }
        let key = came_key(self.sender, &event.source, &face.licence_type, face.day, &identifier);
        planned.came = Some((key, number));
        planned.rests_on = face.entry;
        self.entries += planned.entries.len();
        // Only what is whole is known to the events after it.
        self.faces.insert(identifier, face);
        Ok(planned)
    }

    fn may(&self, act: Act, licence_type: LicenceTypeCode) -> Result<(), IntakeError> {
        intake::may(self.hub, self.sender, act, "hand over", licence_type)
    }

    /// A licence that is not held, or that nobody had signed: checked as if its issuer had handed it in.
    async fn new_licence(
        &self,
        identifier: &LicenceId,
        data: &LicenceData,
    ) -> Result<(Face, NewEntry, Option<Stamp>), EventError> {
        let hub = self.hub;
        let document = decode(&data.document)?;
        let digest = certs::sha256(&document);
        if digest != data.digest {
            return Err(EventError::Digest);
        }
        let licence = Licence::parse(&document).map_err(IntakeError::from)?;
        if licence.identifier != *identifier {
            return Err(EventError::Subject);
        }
        intake::fits_catalogue(hub, &licence)?;
        let licence_type = licence.licence_type;
        let issuer = licence.issuer.credit_code();
        intake::may(hub, issuer, Act::Issue(licence_type), "issue", licence_type)?;
        self.may(Act::Exchange(licence_type), licence_type)?;
        // Files do not travel in events: a licence that lists some comes in where they are held.
        let files = intake::match_files(hub, &licence, Vec::new()).await;
        let (_, files) = files.map_err(|error| match error {
            IntakeError::FileMissing { position, sha256 } => EventError::File { position, sha256 },
            other => other.into(),
        })?;
        let (proof, chain, stamp) = match &data.proof {
            ProofData::Signature(cms) => {
                let cms = decode(cms)?;
                let (signature, stamp) =
                    intake::verify_or_stamped(hub, &self.trust, &cms, &document, issuer, self.now)?;
                (Proof::Signature(cms), signature.chain, stamp)
            }
            ProofData::Manifest { digest: named, .. } => {
                let manifests = &hub.exchange.manifests;
                let known = manifests.find(hub, named, &self.trust, self.now).await?;
                // The position is looked up, not believed.
                let position =
                    known.manifest.position(&digest).ok_or(IntakeError::NotInManifest(digest))?;
                if known.manifest.issuer() != issuer {
                    return Err(IntakeError::SignerNotIssuer {
                        signer: known.manifest.issuer().to_string(),
                        issuer: *issuer,
                    }
                    .into());
                }
                (Proof::Manifest { manifest: *named, position }, known.chain.clone(), None)
            }
        };
        intake::check_signed_files(hub, files, self.now).await?;
        let face = Face {
            digest,
            licence_type,
            issuer: licence.issuer,
            day: licence.issued_on,
            unsigned: false,
            orders: Vec::new(),
            entry: None,
        };
        let entry = intake::new_licence(hub, &licence, document, digest, proof, &chain, self.now);
        Ok((face, entry, stamp))
    }

    /// An order that was not applied yet: checked as if the issuer had given it here.
    fn new_order(
        &self,
        identifier: &LicenceId,
        face: &Face,
        order: &OrderData,
    ) -> Result<Option<NewEntry>, EventError> {
        let (document, signature) = (decode(&order.document)?, decode(&order.signature)?);
        if face.orders.contains(&document) {
            return Ok(None);
        }
        let parsed = StatusOrder::parse(&document).map_err(IntakeError::from)?;
        if parsed.identifier != *identifier {
            return Err(IntakeError::OrderForAnother.into());
        }
        let issuer = face.issuer.credit_code();
        let act = Act::Status(face.licence_type);
        intake::may(self.hub, issuer, act, "change the status of", face.licence_type)?;
        intake::verify(&self.trust, &signature, &document, issuer, self.now)?;
        let entry = NewEntry::Status(NewStatus {
            at: self.now,
            identifier: identifier.clone(),
            change: parsed.change,
            issuer: face.issuer,
            digest: certs::sha256(&document),
            document,
            signature,
        });
        Ok(Some(entry))
    }
}

fn decode(text: &str) -> Result<Bytes, EventError> {
    STANDARD.decode(text).map(Bytes::from).map_err(|_| EventError::Data)
}

/// For [`super::holdings`]: the identifier at the end of a [`Came`]'s key.
pub(super) fn identifier_of(key: &[u8]) -> Result<LicenceId, StoreError> {
    let last = key.rsplit(|byte| *byte == 0).next().unwrap_or_default();
    let parsed = std::str::from_utf8(last).ok().and_then(|text| text.parse().ok());
    parsed.ok_or_else(|| StoreError::Corrupt {
        place: format!("records, collection {}", Came::COLLECTION.name()),
        detail: "a key does not end in a licence identifier".to_owned(),
    })
}
