//! The matters (政务服务事项) that the district's departments handle.

use licence::{CreditCode, LicenceTypeCode, MatterCode};
use serde_json::{Value, json};

use crate::{
    departments::{Body, HOUSING, LABOUR, SERVICES},
    kinds::Kind,
    stories::Story,
};

/// One matter that is a purpose of pulls only. `base` is the 基本编码, twelve digits.
pub(crate) struct Matter {
    pub(crate) name: &'static str,
    pub(crate) department: &'static Body,
    base: &'static str,
    pub(crate) requires: &'static [Kind],
    basis: &'static str,
    /// Licences of family members count, so that their consent is a basis.
    pub(crate) family: bool,
}

impl Matter {
    /// 实施编码: body 18, level 4 (county), 基本编码 12.
    pub(crate) fn code(&self) -> String {
        format!("{}4{}", self.department.code(), self.base)
    }
}

pub(crate) static MATTERS: &[Matter] = &[
    Matter {
        name: "企业开办住所核验",
        department: &SERVICES,
        base: "450131001000",
        requires: &[Kind::IdentityCard, Kind::PropertyTitle, Kind::BusinessLicence],
        basis: "《中华人民共和国市场主体登记管理条例》第十六条",
        family: false,
    },
    Matter {
        name: "食品经营许可受理",
        department: &SERVICES,
        base: "450131025001",
        requires: &[Kind::BusinessLicence, Kind::FoodLicence, Kind::IdentityCard],
        basis: "《食品经营许可和备案管理办法》第十二条",
        family: false,
    },
    Matter {
        name: "药品经营许可证换发受理",
        department: &SERVICES,
        base: "450172016003",
        requires: &[Kind::BusinessLicence, Kind::DrugLicence, Kind::IdentityCard],
        basis: "《药品经营和使用质量监督管理办法》第十七条",
        family: false,
    },
    Matter {
        name: "新生儿出生一件事",
        department: &SERVICES,
        base: "450709002000",
        requires: &[Kind::BirthCertificate, Kind::MarriageCertificate, Kind::IdentityCard],
        basis: "《中华人民共和国户口登记条例》第七条",
        family: true,
    },
    Matter {
        name: "二手房转移登记一件事",
        department: &SERVICES,
        base: "450715001004",
        requires: &[Kind::PropertyTitle, Kind::IdentityCard, Kind::MarriageCertificate],
        basis: "《不动产登记暂行条例》第十六条",
        family: true,
    },
    Matter {
        name: "建筑工程施工许可证核发",
        department: &HOUSING,
        base: "450117005000",
        requires: &[Kind::BusinessLicence, Kind::PlanningPermit, Kind::BuilderQualification],
        basis: "《中华人民共和国建筑法》第八条",
        family: false,
    },
    Matter {
        name: "建筑业企业资质核准",
        department: &HOUSING,
        base: "450117002000",
        requires: &[Kind::BusinessLicence, Kind::BuilderQualification, Kind::Constructor],
        basis: "《建筑业企业资质管理规定》第十四条",
        family: false,
    },
    Matter {
        name: "房屋建筑工程竣工验收备案",
        department: &HOUSING,
        base: "450117020000",
        requires: &[Kind::ConstructionPermit, Kind::PlanningPermit, Kind::BusinessLicence],
        basis: "《建设工程质量管理条例》第四十九条",
        family: false,
    },
    Matter {
        name: "公共租赁住房保障资格确认",
        department: &HOUSING,
        base: "450717003000",
        requires: &[Kind::IdentityCard, Kind::MarriageCertificate, Kind::PropertyTitle],
        basis: "《公共租赁住房管理办法》第七条",
        family: true,
    },
    Matter {
        name: "企业社会保险登记",
        department: &LABOUR,
        base: "452014001001",
        requires: &[Kind::BusinessLicence, Kind::IdentityCard],
        basis: "《中华人民共和国社会保险法》第五十七条",
        family: false,
    },
    Matter {
        name: "生育保险待遇核定",
        department: &LABOUR,
        base: "452036004000",
        requires: &[Kind::BirthCertificate, Kind::MarriageCertificate, Kind::IdentityCard],
        basis: "《中华人民共和国社会保险法》第五十四条",
        family: true,
    },
    Matter {
        name: "职业技能提升补贴申领",
        department: &LABOUR,
        base: "452014026002",
        requires: &[Kind::IdentityCard, Kind::DrivingLicence, Kind::Constructor],
        basis: "《中华人民共和国就业促进法》第四十九条",
        family: false,
    },
];

/// The matter list as the hub reads it: `licence::Matters::parse` accepts it.
pub fn matters_json() -> String {
    let purposes = MATTERS.iter().map(|matter| {
        json!({
            "code": matter.code(),
            "name": matter.name,
            "department": matter.department.code(),
            "requires": matter.requires.iter().map(|kind| kind.code()).collect::<Vec<_>>(),
            "basis": matter.basis,
            "version": 1,
        })
    });
    let applied_for = Story::ALL.into_iter().map(|story| {
        json!({
            "code": story.code(),
            "name": story.name(),
            "department": story.department().code(),
            "requires": story.requires(),
            "basis": story.basis(),
            "version": 1,
            "guide": story.guide(),
        })
    });
    let matters: Vec<Value> = purposes.chain(applied_for).collect();
    format!("{:#}\n", json!({ "format": "yihao-matters-2", "matters": matters }))
}

/// The code of the matter that stands at `number` in the list.
pub(crate) fn code_of(matter: &Matter) -> MatterCode {
    crate::known(&matter.code())
}

/// A matter of this department for which a licence type is required.
pub fn matter_for(department: &CreditCode, licence_type: &LicenceTypeCode) -> Option<MatterCode> {
    MATTERS
        .iter()
        .find(|matter| {
            matter.department.code() == department.as_str()
                && matter.requires.iter().any(|kind| kind.code() == licence_type.as_str())
        })
        .map(code_of)
}

/// The code of the mandate under which a matter's department looks at what the matter needs.
pub fn mandate_for(matter: &MatterCode) -> String {
    format!("M-{}", &matter.as_str()[19..31])
}

/// The mandate under which the labour bureau looks into insurance fraud: its holders are told 30 days later.
pub const INSPECTION: &str = "M-inspection";

/// The mandates as the hub reads them (`yihao-mandates-1`): one for each matter that is pulled for, and
/// [`INSPECTION`].
pub fn mandates_json() -> String {
    let pulled = MATTERS.iter().map(|matter| {
        let types = matter.requires.iter().map(|kind| kind.code().to_owned()).collect();
        (matter.name, matter.basis, matter.department, code_of(matter), types)
    });
    let applied = Story::ALL.into_iter().map(|story| {
        let types = story.requires().iter().map(ToString::to_string).collect::<Vec<_>>();
        (story.name(), story.basis(), story.department(), story.code(), types)
    });
    let mut mandates: Vec<Value> = pulled
        .chain(applied)
        .map(|(name, basis, department, matter, types)| {
            json!({
                "code": mandate_for(&matter),
                "name": format!("{name}核验"),
                "basis": basis,
                "department": department.code(),
                "matters": [matter],
                "types": types,
            })
        })
        .collect();
    let insured = MATTERS
        .iter()
        .find(|matter| matter.department.code() == LABOUR.code())
        .expect("the labour bureau handles matters");
    mandates.push(json!({
        "code": INSPECTION,
        "name": "社会保险基金监督检查",
        "basis": "《社会保险基金监督条例》第二十二条",
        "department": LABOUR.code(),
        "matters": [code_of(insured)],
        "types": insured.requires.iter().map(|kind| kind.code()).collect::<Vec<_>>(),
        "disclosed_after_days": 30,
    }));
    format!("{:#}\n", json!({ "format": "yihao-mandates-1", "mandates": mandates }))
}
