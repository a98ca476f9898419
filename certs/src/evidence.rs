//! Evidence files: a licence with everything needed to check it, in one JSON file.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use jiff::{Timestamp, tz};
use licence::{Licence, LicenceStatus, Sha256Digest, StatusOrder, Validity};
use serde::{Deserialize, Serialize};

use crate::{
    Judgement, Link, Manifest, ManifestError, SignatureError, Times, TrustStore, VerifiedSignature,
    sha256, verify_stamped,
};

const FORMAT: &str = "yihao-evidence-1";
/// A manifest of 100 000 lines has 6.5 MB, in base64 8.7 MB.
const MAX_EVIDENCE_BYTES: usize = 16 * 1024 * 1024;
const MAX_ORDERS: usize = 100;

/// A licence, its signature, the manifest it was issued under (if any) and its status orders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// The licence's bytes.
    pub licence: Vec<u8>,
    /// CMS over the manifest if there is one, else over the licence; it may carry a time-stamp.
    pub signature: Vec<u8>,
    /// The manifest's bytes.
    pub manifest: Option<Vec<u8>>,
    /// Status orders, oldest first.
    pub orders: Vec<EvidenceOrder>,
}

/// A signed status order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvidenceOrder {
    /// The order's bytes.
    pub order: Vec<u8>,
    /// CMS over them.
    pub signature: Vec<u8>,
}

/// A status order whose signature was checked.
#[derive(Clone)]
pub struct VerifiedOrder {
    /// The order.
    pub order: StatusOrder,
    /// Its signature.
    pub signature: VerifiedSignature,
    /// What is known about the signer's path.
    pub judgement: Judgement,
}

/// What an evidence file shows.
#[derive(Clone)]
pub struct EvidenceVerdict {
    /// The licence.
    pub licence: Licence,
    /// SHA-256 of the licence's bytes.
    pub digest: Sha256Digest,
    /// The signature over licence or manifest.
    pub signature: VerifiedSignature,
    /// The licence's position, if it was issued under a manifest.
    pub manifest_position: Option<u32>,
    /// What is known about the signer's path at the time asked.
    pub judgement: Judgement,
    /// The orders, oldest first.
    pub orders: Vec<VerifiedOrder>,
    /// The status after the orders. Later orders may exist: the file shows only those in it.
    pub status: LicenceStatus,
    /// Whether the licence's own validity covers the (Beijing) date asked for.
    pub validity: Validity,
}

/// Why an evidence file does not show what it claims.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvidenceError {
    /// Not JSON of the format, or not base64.
    #[error("not a well-formed evidence file: {0}")]
    Malformed(&'static str),
    /// The licence cannot be read.
    #[error("the licence in the evidence file")]
    Licence(#[source] licence::LicenceError),
    /// The manifest cannot be read.
    #[error("the manifest in the evidence file")]
    Manifest(#[from] ManifestError),
    /// The licence is not listed in the manifest.
    #[error("the licence is not listed in the manifest")]
    NotInManifest,
    /// Nobody signed the licence: it was taken in from a register of its issuer.
    #[error("the licence is not signed")]
    Unsigned,
    /// The signature does not hold.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// The signer's certificate names another organisation than the licence's issuer, or none.
    #[error("the signer is not the issuer named in the licence")]
    SignerNotIssuer,
    /// A status order does not hold.
    #[error("status order {position} of the evidence file: {source}")]
    Order {
        /// 0 is the oldest.
        position: usize,
        /// Why.
        source: Box<OrderError>,
    },
}

/// Why a status order does not hold.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OrderError {
    /// Its bytes cannot be read.
    #[error("not a well-formed status order")]
    Malformed,
    /// It is about another licence.
    #[error("it is about another licence")]
    OtherLicence,
    /// The signature does not hold.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// It was not signed by the licence's issuer.
    #[error("its signer is not the licence's issuer")]
    SignerNotIssuer,
    /// It cannot follow the orders before it.
    #[error("it cannot follow the orders before it")]
    Transition,
}

impl OrderError {
    /// Part of the public interface, never reworded.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Malformed => "order_malformed",
            Self::OtherLicence => "order_other_licence",
            Self::Signature(error) => error.code(),
            Self::SignerNotIssuer => "signer_not_issuer",
            Self::Transition => "order_transition",
        }
    }

    /// Which link failed.
    pub fn link(&self) -> Link {
        match self {
            Self::Signature(error) => error.link(),
            Self::SignerNotIssuer => Link::Usage,
            _ => Link::Format,
        }
    }
}

impl EvidenceError {
    /// Part of the public interface, never reworded.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "evidence_malformed",
            Self::Licence(_) => "evidence_licence",
            Self::Manifest(error) => error.code(),
            Self::NotInManifest => "not_in_manifest",
            Self::Unsigned => "evidence_unsigned",
            Self::Signature(error) => error.code(),
            Self::SignerNotIssuer => "signer_not_issuer",
            Self::Order { source, .. } => source.code(),
        }
    }

    /// Which link failed.
    pub fn link(&self) -> Link {
        match self {
            Self::Malformed(_) | Self::Licence(_) | Self::Manifest(_) => Link::Format,
            Self::NotInManifest | Self::Unsigned => Link::Signature,
            Self::Signature(error) => error.link(),
            Self::SignerNotIssuer => Link::Usage,
            Self::Order { source, .. } => source.link(),
        }
    }
}

impl Evidence {
    /// Reads an evidence file of at most 16 MiB and 100 status orders.
    ///
    /// # Errors
    /// `Malformed`.
    pub fn parse(bytes: &[u8]) -> Result<Self, EvidenceError> {
        if bytes.len() > MAX_EVIDENCE_BYTES {
            return Err(EvidenceError::Malformed("too large"));
        }
        let wire: Wire<'_> = serde_json::from_slice(bytes)
            .map_err(|_| EvidenceError::Malformed("not JSON of the format"))?;
        if wire.format != FORMAT {
            return Err(EvidenceError::Malformed("another format"));
        }
        if wire.orders.len() > MAX_ORDERS {
            return Err(EvidenceError::Malformed("too many status orders"));
        }
        let decode = |text: &str| {
            BASE64.decode(text).map_err(|_| EvidenceError::Malformed("not standard base64"))
        };
        let orders = wire.orders.iter().map(|order| {
            Ok(EvidenceOrder { order: decode(&order.order)?, signature: decode(&order.signature)? })
        });
        Ok(Self {
            licence: decode(&wire.licence)?,
            signature: decode(&wire.signature)?,
            manifest: wire.manifest.as_deref().map(decode).transpose()?,
            orders: orders.collect::<Result<_, EvidenceError>>()?,
        })
    }

    /// Writes the file: JSON, one line, no line end.
    pub fn to_bytes(&self) -> Vec<u8> {
        let encode = |bytes: &[u8]| Cow::Owned(BASE64.encode(bytes));
        let orders = self.orders.iter().map(|order| WireOrder {
            order: encode(&order.order),
            signature: encode(&order.signature),
        });
        let wire = Wire {
            format: FORMAT.into(),
            licence: encode(&self.licence),
            signature: encode(&self.signature),
            manifest: self.manifest.as_deref().map(encode),
            orders: orders.collect(),
        };
        serde_json::to_vec(&wire).expect("a struct of texts always serialises")
    }

    /// Checks everything the file claims, as of `at`: the licence's form, its place in the manifest, the
    /// signature with its path to an anchor, that the signer's certificate bears the issuer's credit
    /// code, and every status order in turn. A certificate revoked by `at` is an error; that no current
    /// revocation list is at hand shows in the judgements.
    ///
    /// A signature that carries a time-stamp (as unsigned attribute) by an authority that `trust` knows is
    /// judged as of the time that the time-stamp proves: see [`verify_stamped`].
    ///
    /// The day of `at` is taken in China's time (UTC+8).
    ///
    /// # Errors
    /// See [`EvidenceError`].
    pub fn verify(
        &self,
        trust: &TrustStore,
        at: Timestamp,
    ) -> Result<EvidenceVerdict, EvidenceError> {
        if self.signature.is_empty() {
            return Err(EvidenceError::Unsigned);
        }
        let digest = sha256(&self.licence);
        let (signed, manifest_position) = match &self.manifest {
            None => (&self.licence, None),
            Some(bytes) => {
                let manifest = Manifest::parse(bytes)?;
                let position = manifest.position(&digest).ok_or(EvidenceError::NotInManifest)?;
                (bytes, Some((manifest, position)))
            }
        };
        let signature = verify_stamped(&self.signature, signed, trust, at)?;
        let licence = Licence::parse(&self.licence).map_err(EvidenceError::Licence)?;
        let issuer = licence.issuer.credit_code();
        let manifest_agrees =
            manifest_position.as_ref().is_none_or(|(manifest, _)| manifest.issuer() == issuer);
        if signature.organisation.as_ref() != Some(issuer) || !manifest_agrees {
            return Err(EvidenceError::SignerNotIssuer);
        }
        let mut status = LicenceStatus::Valid;
        let mut orders = Vec::with_capacity(self.orders.len());
        for (position, order) in self.orders.iter().enumerate() {
            let verified = order.verify(&licence, &mut status, trust, at);
            let because = |source| EvidenceError::Order { position, source: Box::new(source) };
            orders.push(verified.map_err(because)?);
        }
        let times = Times { now: at, proven: signature.proven_at };
        let day = tz::offset(8).to_datetime(at).date();
        Ok(EvidenceVerdict {
            validity: licence.valid_on(day),
            judgement: trust.judge_at(&signature.chain, &times),
            manifest_position: manifest_position.map(|(_, position)| position),
            licence,
            digest,
            signature,
            orders,
            status,
        })
    }
}

impl EvidenceOrder {
    fn verify(
        &self,
        licence: &Licence,
        status: &mut LicenceStatus,
        trust: &TrustStore,
        at: Timestamp,
    ) -> Result<VerifiedOrder, OrderError> {
        let order = StatusOrder::parse(&self.order).map_err(|_| OrderError::Malformed)?;
        if order.identifier != licence.identifier {
            return Err(OrderError::OtherLicence);
        }
        let signature = verify_stamped(&self.signature, &self.order, trust, at)?;
        if signature.organisation.as_ref() != Some(licence.issuer.credit_code()) {
            return Err(OrderError::SignerNotIssuer);
        }
        *status = status.apply(&order.change).map_err(|_| OrderError::Transition)?;
        let times = Times { now: at, proven: signature.proven_at };
        let judgement = trust.judge_at(&signature.chain, &times);
        Ok(VerifiedOrder { order, signature, judgement })
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire<'a> {
    format: Cow<'a, str>,
    licence: Cow<'a, str>,
    signature: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    manifest: Option<Cow<'a, str>>,
    #[serde(default)]
    orders: Vec<WireOrder<'a>>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireOrder<'a> {
    order: Cow<'a, str>,
    signature: Cow<'a, str>,
}
