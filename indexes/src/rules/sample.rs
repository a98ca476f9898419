//! Licences, orders and uses for the rules. Names and numbers are made up; check digits are right.

use jiff::Timestamp;
use jiff::civil::{Date, date};
use licence::{
    Holder, HolderId, HolderKind, IssuerId, Licence, LicenceId, LicenceTypeCode, ProjectCode,
    StatusChange, StatusOrder, Trust, TrustReason,
};

use crate::decide::sha256;
use crate::{
    Basis, BasisKind, ChainRecordBytes, HolderToken, IndexKey, NewGrant, NewLicence, NewStatus,
    NewTrust, NewUse, Operator, Proof, Shown, UseAct,
};

/// The moment of everything here.
pub fn now() -> Timestamp {
    "2026-03-01T08:00:00.123456789Z".parse().expect("a timestamp")
}

/// One of two licence types.
pub fn licence_type(which: usize) -> LicenceTypeCode {
    let codes = ["11100000MB0143028R001", "11100000000013338W011"];
    codes[which % 2].parse().expect("a licence type code")
}

/// One of two issuers.
pub fn issuer(which: usize) -> IssuerId {
    let codes = ["11330105002500287C", "11430000006122244L"];
    codes[which % 2].parse().expect("a credit code")
}

/// One of two projects.
pub fn project(which: usize) -> ProjectCode {
    let codes = ["2603-141124-89-05-346948", "2411-130202-89-01-637015"];
    codes[which % 2].parse().expect("a project code")
}

/// The identifier of the licence with this serial, from the first issuer and of the first type.
pub fn identifier(serial: u64) -> LicenceId {
    identifier_of(0, serial)
}

fn identifier_of(which_type: usize, serial: u64) -> LicenceId {
    let serial = format!("{serial:012}");
    LicenceId::build(&licence_type(which_type), &issuer(0), &serial, 1).expect("an identifier")
}

/// A holder.
pub fn holder(number: u64) -> HolderId {
    HolderId::parse(HolderKind::OtherOrganisation, &format!("H{number:08}")).expect("a holder")
}

/// The token of that holder.
pub fn token(number: u64) -> HolderToken {
    IndexKey::new([7; 32]).token(&holder(number))
}

/// A day.
pub fn day(number: i8) -> Date {
    date(2025, 5, number)
}

/// The licence with this serial, its holder with the same number.
pub fn licence(serial: u64) -> NewLicence {
    licence_with(serial, |_| {})
}

/// The same of the other type.
pub fn other_type(serial: u64) -> NewLicence {
    licence_with(serial, |licence| {
        licence.identifier = identifier_of(1, serial);
        licence.licence_type = licence_type(1);
    })
}

/// The licence with this serial, changed before it is written down.
pub fn licence_with(serial: u64, change: impl FnOnce(&mut Licence)) -> NewLicence {
    let mut licence = Licence {
        identifier: identifier(serial),
        name: "营业执照".to_owned(),
        licence_type: licence_type(0),
        number: format!("N{serial:012}"),
        issuer_name: "示例市市场监督管理局".to_owned(),
        issuer: issuer(0),
        issued_on: day(1),
        holders: vec![Holder { name: format!("示例企业{serial}"), id: holder(serial) }],
        valid_from: None,
        valid_to: None,
        region: None,
        project: None,
        predecessor: None,
        fields: serde_json::Map::new(),
        files: Vec::new(),
    };
    change(&mut licence);
    let document = licence.to_bytes();
    let key = IndexKey::new([7; 32]);
    NewLicence {
        identifier: licence.identifier,
        licence_type: licence.licence_type,
        issuer: licence.issuer,
        holders: licence.holders.iter().map(|holder| key.token(&holder.id)).collect(),
        project: licence.project,
        number: licence.number,
        issued_on: licence.issued_on,
        digest: sha256(&document),
        document: document.into(),
        proof: Proof::Signature(vec![0x30, 0x82, serial as u8].into()),
        chain: ChainRecordBytes(vec![1, 2, 3]),
        at: now(),
    }
}

/// An order about a licence; `reason` tells two orders of the same change apart.
pub fn order(licence: &NewLicence, change: StatusChange, reason: &str) -> NewStatus {
    let order = StatusOrder {
        identifier: licence.identifier.clone(),
        change: change.clone(),
        reason: reason.to_owned(),
        ordered_at: now(),
    };
    let document = order.to_bytes();
    NewStatus {
        identifier: licence.identifier.clone(),
        change,
        issuer: licence.issuer,
        digest: sha256(&document),
        document: document.into(),
        signature: vec![0x30, 0x81].into(),
        at: now(),
    }
}

/// The fall of a licence, because of its signer's certificate.
pub fn fall(licence: &NewLicence) -> NewTrust {
    NewTrust {
        identifier: licence.identifier.clone(),
        to: Trust::Untrusted,
        reason: TrustReason::CertificateRevoked,
        at: now(),
    }
}

/// Its return.
pub fn rise(licence: &NewLicence) -> NewTrust {
    NewTrust { to: Trust::Trusted, reason: TrustReason::RevocationLifted, ..fall(licence) }
}

/// A use of a holder's licences; it opens the grant with this id.
pub fn a_use(holder: u64, grant: Option<&str>) -> NewUse {
    NewUse {
        at: now(),
        caller: *issuer(1).credit_code(),
        certificate: sha256(b"a certificate"),
        operator: Some(Operator { account: "clerk".to_owned(), organisation: "窗口".to_owned() }),
        matter: "11370800MB285591843370117002011".parse().ok(),
        case: Some("C-1".to_owned()),
        basis: Some(Basis { kind: BasisKind::Duty, reference: Some("第五条".to_owned()) }),
        reason: "办理".to_owned(),
        holder: Some(token(holder)),
        also: Vec::new(),
        project: None,
        shown: vec![Shown { identifier: identifier(holder), result: "trusted".to_owned() }],
        grant: grant.map(|id| NewGrant { id: id.to_owned(), until: now() }),
        act: UseAct::Pull,
    }
}
