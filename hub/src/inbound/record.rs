//! What a row says, made into what this hub takes in. Pure.

use connectors::{
    Operation,
    code_map::Incoming,
    inbound::{Checked, Defects},
};
use licence::{
    Catalogue, CodeError, Holder, HolderId, HolderKind, IssuerId, Licence, LicenceId,
    LicenceStatus, LicenceTypeCode, MAX_DOCUMENT_BYTES, RevocationCause, StatusChange,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Why a row is not taken. Names elements of ours, never their values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// A stable word.
    pub code: String,
    /// In words.
    pub remark: String,
}

impl Refused {
    /// With this code and these words.
    pub fn new(code: &str, remark: impl Into<String>) -> Self {
        Self { code: code.to_owned(), remark: remark.into() }
    }

    fn element(element: &str, cause: &CodeError) -> Self {
        Self::new(cause.code(), format!("{element}: {cause}"))
    }

    fn missing(element: &str) -> Self {
        Self::new("element_missing", format!("{element} is missing"))
    }
}

/// A number whose check character is wrong, kept by the settings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Defect {
    /// The element, GB/T 36903.
    pub element: String,
    /// What is wrong with it.
    pub code: String,
}

/// Which licence a row is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// It has an identifier.
    Given(LicenceId),
    /// It has none: its type, issuer and number name it, this hub numbers its versions.
    Numbered {
        /// Its type.
        licence_type: LicenceTypeCode,
        /// Its issuer.
        issuer: IssuerId,
        /// 证照编号.
        number: String,
    },
}

/// A licence that a row describes. The identifier is not the final one for [`Subject::Numbered`].
#[derive(Clone)]
pub struct Described {
    /// The licence.
    pub licence: Licence,
    /// The document as it came, if a document came.
    pub document: Option<Vec<u8>>,
    /// What of it is wrong and kept.
    pub defects: Vec<Defect>,
}

/// Which licence it is about.
///
/// # Errors
/// What is missing or wrong.
pub fn subject(settings: &Checked, incoming: &Incoming) -> Result<Subject, Refused> {
    if let Some(document) = &incoming.document {
        let licence = document_of(document)?.0;
        return Ok(Subject::Given(licence.identifier));
    }
    match incoming.identifier.as_deref().map(str::parse::<LicenceId>) {
        Some(Ok(identifier)) => return Ok(Subject::Given(identifier)),
        Some(Err(CodeError::CheckCharacter)) if settings.defects == Defects::Keep => {}
        Some(Err(cause)) => return Err(Refused::element("ZZBS", &cause)),
        None => {}
    }
    Ok(Subject::Numbered {
        licence_type: licence_type(incoming)?,
        issuer: issuer(settings, incoming)?,
        number: incoming.number.clone().ok_or_else(|| Refused::missing("ZZBH"))?,
    })
}

/// The serial of a licence that has no identifier: its number where that can be one, else a digest of it.
pub fn serial(number: &str) -> String {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let fits = (1..=32).contains(&number.len())
        && number.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
    if fits {
        return number.to_owned();
    }
    let digest = certs::sha256(number.as_bytes());
    let letters = digest.as_bytes()[..24].iter();
    letters.map(|byte| char::from(ALPHABET[usize::from(byte % 32)])).collect()
}

fn licence_type(incoming: &Incoming) -> Result<LicenceTypeCode, Refused> {
    let text = incoming.licence_type.as_ref().ok_or_else(|| Refused::missing("ZZLXDM"))?;
    text.parse().map_err(|cause| Refused::element("ZZLXDM", &cause))
}

fn issuer(settings: &Checked, incoming: &Incoming) -> Result<IssuerId, Refused> {
    let issuer = match (&incoming.issuer, settings.issuers.only()) {
        (Some(text), _) => text.parse().map_err(|cause| Refused::element("ZZBFJGDM", &cause))?,
        (None, Some(only)) => *only,
        (None, None) => return Err(Refused::missing("ZZBFJGDM")),
    };
    settings.issuers.contains(&issuer).then_some(issuer).ok_or_else(not_of_source)
}

/// The licence is one of an issuer that the source does not speak for.
pub fn not_of_source() -> Refused {
    Refused::new("issuer_not_of_source", "ZZBFJGDM: licences of this issuer do not come from here")
}

fn document_of(text: &str) -> Result<(Licence, Vec<u8>), Refused> {
    use base64::{Engine, engine::general_purpose::STANDARD};
    let bytes = if text.starts_with('{') {
        text.as_bytes().to_vec()
    } else {
        let no_document =
            |_| Refused::new("not_an_object", "the document is neither JSON nor base64");
        STANDARD.decode(text).map_err(no_document)?
    };
    if bytes.len() > MAX_DOCUMENT_BYTES {
        return Err(Refused::new("document_too_large", "the document is too large"));
    }
    let licence =
        Licence::parse(&bytes).map_err(|error| Refused::new(error.code(), error.to_string()))?;
    Ok((licence, bytes))
}

/// The licence that a row describes.
///
/// # Errors
/// What is missing or wrong, the first that is found.
pub fn described(
    settings: &Checked,
    catalogue: &Catalogue,
    incoming: &Incoming,
    issuer_name: impl FnOnce(&IssuerId) -> String,
) -> Result<Described, Refused> {
    if let Some(document) = &incoming.document {
        let (licence, bytes) = document_of(document)?;
        let known = Incoming { issuer: Some(licence.issuer.to_string()), ..Incoming::default() };
        issuer(settings, &known)?;
        return Ok(Described { licence, document: Some(bytes), defects: Vec::new() });
    }
    let keep = settings.defects == Defects::Keep;
    let mut defects = Vec::new();
    let code = licence_type(incoming)?;
    let entry = catalogue.entry(&code).ok_or_else(|| {
        Refused::new("unknown_licence_type", "ZZLXDM: the type is not in the catalogue")
    })?;
    let issuer = issuer(settings, incoming)?;
    let number = incoming.number.clone().ok_or_else(|| Refused::missing("ZZBH"))?;
    let identifier = match incoming.identifier.as_deref().map(str::parse::<LicenceId>) {
        Some(Ok(identifier)) => identifier,
        Some(Err(CodeError::CheckCharacter)) if keep => {
            defects.push(defect("ZZBS", &CodeError::CheckCharacter));
            first_version(&code, &issuer, &number)?
        }
        Some(Err(cause)) => return Err(Refused::element("ZZBS", &cause)),
        None => first_version(&code, &issuer, &number)?,
    };
    let mut holders = Vec::with_capacity(incoming.holders.len());
    for holder in &incoming.holders {
        let kind: HolderKind =
            holder.kind.parse().map_err(|cause| Refused::element("holders/CZZTDMLXDM", &cause))?;
        let id = match HolderId::parse(kind, &holder.number) {
            Ok(id) => id,
            Err(cause @ CodeError::CheckCharacter) if keep => {
                defects.push(defect("holders/CZZTDM", &cause));
                let other = if kind.is_person() {
                    HolderKind::OtherPerson
                } else {
                    HolderKind::OtherOrganisation
                };
                HolderId::parse(other, &holder.number)
                    .map_err(|cause| Refused::element("holders/CZZTDM", &cause))?
            }
            Err(cause) => return Err(Refused::element("holders/CZZTDM", &cause)),
        };
        holders.push(Holder { name: holder.name.clone(), id });
    }
    let mut optional = |element: &str, wrong: Option<CodeError>| match wrong {
        None => Ok(()),
        Some(cause @ CodeError::CheckCharacter) if keep => {
            defects.push(defect(element, &cause));
            Ok(())
        }
        Some(cause) => Err(Refused::element(element, &cause)),
    };
    let project = incoming.project.as_deref().map(str::parse).transpose();
    optional("XMDM", project.as_ref().err().cloned())?;
    let predecessor = incoming.predecessor.as_deref().map(str::parse).transpose();
    optional("GLZZBS", predecessor.as_ref().err().cloned())?;
    let region = incoming.region.as_deref().map(str::parse).transpose();
    let region = region.map_err(|cause| Refused::element("XZQHDM", &cause))?;
    let licence = Licence {
        identifier,
        name: incoming.name.clone().unwrap_or_else(|| entry.name.clone()),
        licence_type: code,
        number,
        issuer_name: incoming.issuer_name.clone().unwrap_or_else(|| issuer_name(&issuer)),
        issuer,
        issued_on: incoming.issued_on.ok_or_else(|| Refused::missing("ZZBFRQ"))?,
        holders,
        valid_from: incoming.valid_from,
        valid_to: incoming.valid_to,
        region,
        project: project.ok().flatten(),
        predecessor: predecessor.ok().flatten(),
        fields: face(&entry.fields, incoming),
        files: Vec::new(),
    };
    licence.check().map_err(|error| Refused::new(error.code(), error.to_string()))?;
    Ok(Described { licence, document: None, defects })
}

fn defect(element: &str, cause: &CodeError) -> Defect {
    Defect { element: element.to_owned(), code: cause.code().to_owned() }
}

fn first_version(
    code: &LicenceTypeCode,
    issuer: &IssuerId,
    number: &str,
) -> Result<LicenceId, Refused> {
    let built = LicenceId::build(code, issuer, &serial(number), 1);
    built.map_err(|cause| Refused::element("ZZBH", &cause))
}

/// Face fields in the JSON types that the catalogue gives them; what cannot be one stays a text, which the catalogue
/// then refuses.
fn face(schema: &Value, incoming: &Incoming) -> Map<String, Value> {
    let wants = |name: &str| schema["properties"][name]["type"].as_str().unwrap_or("string");
    let value = |name: &String, text: &String| match wants(name) {
        "string" => Value::String(text.clone()),
        _ => serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.clone())),
    };
    incoming.fields.iter().map(|(name, text)| (name.clone(), value(name, text))).collect()
}

/// Whether two versions of a licence say the same, but for what names the version.
pub fn same(left: &Licence, right: &Licence) -> bool {
    let neutral = |licence: &Licence| Licence {
        identifier: left.identifier.clone(),
        predecessor: None,
        ..licence.clone()
    };
    neutral(left) == neutral(right)
}

/// The change of status that a row asks for; `None`: it is so already, or the row does not say.
///
/// A record that was deleted there is deregistered here, unless the row says how it ended.
///
/// # Errors
/// The status cannot become that one.
pub fn status_change(
    incoming: &Incoming,
    now: &LicenceStatus,
) -> Result<Option<StatusChange>, Refused> {
    let said = incoming.status.as_deref();
    let deleted = incoming.operation == Some(Operation::Delete);
    let wanted = match said {
        Some(word) if word.starts_with("revoked.") || word == "superseded" => word,
        _ if deleted => "revoked.deregistered",
        Some(word) => word,
        None => return Ok(None),
    };
    let cannot = || {
        let says = format!("a licence that is {} cannot become {wanted}", now.word());
        Refused::new("status_transition_not_allowed", says)
    };
    let ended = match wanted {
        "revoked.annulled" => Some(RevocationCause::Annulled),
        "revoked.withdrawn" => Some(RevocationCause::Withdrawn),
        "revoked.deregistered" => Some(RevocationCause::Deregistered),
        _ => None,
    };
    match (wanted, now) {
        ("valid", LicenceStatus::Valid)
        | ("suspended", LicenceStatus::Suspended)
        | ("superseded", LicenceStatus::Superseded { .. }) => Ok(None),
        // The row of a record as it began says nothing of what became of it.
        ("valid", _) if incoming.operation == Some(Operation::Insert) => Ok(None),
        ("valid", LicenceStatus::Suspended) => Ok(Some(StatusChange::Restore)),
        ("suspended", LicenceStatus::Valid) => Ok(Some(StatusChange::Suspend)),
        ("superseded", LicenceStatus::Valid | LicenceStatus::Suspended) => Err(Refused::new(
            "successor_unknown",
            "the row says superseded, and not by which licence: the successor's row does that",
        )),
        (_, LicenceStatus::Revoked { cause }) if ended == Some(*cause) => Ok(None),
        (_, LicenceStatus::Superseded { .. }) if deleted && ended.is_some() => Ok(None),
        (_, LicenceStatus::Valid | LicenceStatus::Suspended) => match ended {
            Some(cause) => Ok(Some(StatusChange::Revoke { cause })),
            None => Err(cannot()),
        },
        _ => Err(cannot()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asks(status: Option<&str>, operation: Operation, now: &LicenceStatus) -> String {
        let incoming = Incoming {
            status: status.map(str::to_owned),
            operation: Some(operation),
            ..Incoming::default()
        };
        match status_change(&incoming, now) {
            Ok(None) => "nothing".to_owned(),
            Ok(Some(StatusChange::Revoke { cause })) => cause.word().to_owned(),
            Ok(Some(change)) => change.word().to_owned(),
            Err(refused) => refused.code,
        }
    }

    #[test]
    fn what_a_row_asks_for_follows_from_what_is_held() {
        use {LicenceStatus as Is, Operation as Op};
        let revoked = Is::Revoked { cause: RevocationCause::Withdrawn };
        for (status, operation, now, expected) in [
            (None, Op::Update, &Is::Valid, "nothing"),
            (Some("valid"), Op::Update, &Is::Valid, "nothing"),
            (Some("valid"), Op::Update, &Is::Suspended, "restore"),
            (Some("valid"), Op::Insert, &Is::Suspended, "nothing"),
            (Some("suspended"), Op::Insert, &Is::Valid, "suspend"),
            (Some("revoked.withdrawn"), Op::Update, &Is::Suspended, "withdrawn"),
            (Some("revoked.withdrawn"), Op::Update, &revoked, "nothing"),
            (Some("revoked.annulled"), Op::Delete, &Is::Valid, "annulled"),
            (Some("valid"), Op::Delete, &Is::Valid, "deregistered"),
            (None, Op::Delete, &revoked, "status_transition_not_allowed"),
            (Some("valid"), Op::Update, &revoked, "status_transition_not_allowed"),
            (Some("superseded"), Op::Update, &Is::Valid, "successor_unknown"),
        ] {
            assert_eq!(asks(status, operation, now), expected, "{status:?} {operation:?} {now:?}");
        }
    }

    #[test]
    fn a_number_that_can_be_a_serial_is_one() {
        assert_eq!(serial("JY14502030000001"), "JY14502030000001");
        let other = serial("澜食经许〔2025〕12号");
        assert_eq!((other.len(), serial("澜食经许〔2025〕12号") == other), (24, true));
        assert!(other.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit()));
        assert_ne!(other, serial("澜食经许〔2025〕13号"));
        assert_eq!(serial("a").len(), 24);
    }
}
