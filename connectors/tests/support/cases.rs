//! Cases that are handed over.

use bytes::Bytes;
use connectors::{
    CheckedConnector, ConnectorSettings,
    casebase::{CaseBase, Handover, Happened, Material, Obtained, Package},
    rules::samples::sha256,
};
use licence::{HolderId, HolderKind};

pub fn open(settings: &ConnectorSettings) -> CaseBase {
    match settings.check().unwrap().connector {
        CheckedConnector::CaseBase(settings) => CaseBase::new(settings),
        other => panic!("{other:?}"),
    }
}

pub fn handed_in(case: &str, round: u8) -> Handover {
    let material = |requirement: &str, obtained| Material {
        requirement: requirement.to_owned(),
        name: format!("材料 {requirement}"),
        obtained,
        file: None,
        digest: None,
        licence: None,
    };
    let bytes = Bytes::from(format!("package of {case}, round {round}"));
    let person = HolderKind::from_code("111").unwrap();
    Handover {
        reference: format!("{case}-{}", &sha256(&bytes).to_string()[..16]),
        case: case.to_owned(),
        at: format!("2026-03-02T0{round}:30:00Z").parse().unwrap(),
        matter: "11370800MB285591843370117002011".parse().unwrap(),
        matter_name: "开办小餐饮店".to_owned(),
        matter_version: 2,
        department: "91350100M000100Y43".parse().unwrap(),
        department_name: "样本局".to_owned(),
        applicant: HolderId::parse(person, "11010519491231002X").unwrap(),
        applicant_name: "样本申请人".to_owned(),
        window: Some("east-1".to_owned()),
        due: Some(jiff::civil::date(2026, 3, 9)),
        what: Happened::Submitted(Package {
            again: round > 1,
            digest: sha256(&bytes),
            bytes,
            materials: vec![
                material("identity", Obtained::Licence),
                material("floor-plan", Obtained::Reused),
            ],
        }),
    }
}
