//! The licence types of the district and their face fields: twelve that its persons and enterprises hold, and two that
//! cases of its matters result in.

use serde_json::{Value, json};

use crate::departments::{APPROVALS, Body, MARKET, POLICE};

/// A licence type of the district.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    IdentityCard,
    BusinessLicence,
    DrivingLicence,
    MarriageCertificate,
    PropertyTitle,
    BirthCertificate,
    FoodLicence,
    DrugLicence,
    BuilderQualification,
    Constructor,
    PlanningPermit,
    ConstructionPermit,
    SmallFoodShop,
    SignboardFiling,
}

impl Kind {
    /// What persons and enterprises of the district hold.
    pub(crate) const ALL: [Self; 12] = [
        Self::IdentityCard,
        Self::BusinessLicence,
        Self::DrivingLicence,
        Self::MarriageCertificate,
        Self::PropertyTitle,
        Self::BirthCertificate,
        Self::FoodLicence,
        Self::DrugLicence,
        Self::BuilderQualification,
        Self::Constructor,
        Self::PlanningPermit,
        Self::ConstructionPermit,
    ];

    /// What nobody holds before a case was granted.
    pub(crate) const RESULTS: [Self; 2] = [Self::SmallFoodShop, Self::SignboardFiling];

    /// The whole catalogue.
    pub(crate) fn catalogue() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().chain(Self::RESULTS)
    }

    /// Credit code of the defining authority and three digits. The codes of the business licence,
    /// identity card, constructor's registration and construction permit are the published ones;
    /// the others belong to this district alone.
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::IdentityCard => "11100000000013127D001",
            Self::BusinessLicence => "11100000MB0143028R001",
            Self::DrivingLicence => "11100000000013127D003",
            Self::MarriageCertificate => "11100000000013194B001",
            Self::PropertyTitle => "11100000MB03271699021",
            Self::BirthCertificate => "11100000MB0195346U002",
            Self::FoodLicence => "11100000MB0143028R014",
            Self::DrugLicence => "11100000MB0143028R027",
            Self::BuilderQualification => "11100000000013338W005",
            Self::Constructor => "11100000000013338W001",
            Self::PlanningPermit => "11100000MB03271699031",
            Self::ConstructionPermit => "11100000000013338W009",
            Self::SmallFoodShop => "11100000MB0143028R041",
            Self::SignboardFiling => "11100000000013338W041",
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::IdentityCard => "居民身份证",
            Self::BusinessLicence => "营业执照",
            Self::DrivingLicence => "机动车驾驶证",
            Self::MarriageCertificate => "结婚证",
            Self::PropertyTitle => "不动产权证书",
            Self::BirthCertificate => "出生医学证明",
            Self::FoodLicence => "食品经营许可证",
            Self::DrugLicence => "药品经营许可证",
            Self::BuilderQualification => "建筑业企业资质证书",
            Self::Constructor => "二级建造师注册证书",
            Self::PlanningPermit => "建设用地规划许可证",
            Self::ConstructionPermit => "建筑工程施工许可证",
            Self::SmallFoodShop => "小餐饮登记证",
            Self::SignboardFiling => "户外招牌设置备案证明",
        }
    }

    fn name_en(self) -> &'static str {
        match self {
            Self::IdentityCard => "Resident Identity Card",
            Self::BusinessLicence => "Business Licence",
            Self::DrivingLicence => "Driving Licence",
            Self::MarriageCertificate => "Marriage Certificate",
            Self::PropertyTitle => "Real Estate Title Certificate",
            Self::BirthCertificate => "Medical Certificate of Birth",
            Self::FoodLicence => "Food Operation Licence",
            Self::DrugLicence => "Drug Operation Licence",
            Self::BuilderQualification => "Construction Enterprise Qualification Certificate",
            Self::Constructor => "Class 2 Constructor Registration Certificate",
            Self::PlanningPermit => "Construction Land Planning Permit",
            Self::ConstructionPermit => "Construction Permit",
            Self::SmallFoodShop => "Small Food Shop Registration",
            Self::SignboardFiling => "Proof of Signboard Filing",
        }
    }

    fn class(self) -> &'static str {
        match self {
            Self::BirthCertificate => "proof",
            Self::PlanningPermit | Self::ConstructionPermit => "approval",
            Self::SignboardFiling => "result",
            _ => "licence",
        }
    }

    fn authority(self) -> &'static str {
        match self {
            Self::IdentityCard | Self::DrivingLicence => "中华人民共和国公安部",
            Self::BusinessLicence | Self::FoodLicence | Self::DrugLicence | Self::SmallFoodShop => {
                "国家市场监督管理总局"
            }
            Self::MarriageCertificate => "中华人民共和国民政部",
            Self::PropertyTitle | Self::PlanningPermit => "中华人民共和国自然资源部",
            Self::BirthCertificate => "国家卫生健康委员会",
            Self::BuilderQualification
            | Self::Constructor
            | Self::ConstructionPermit
            | Self::SignboardFiling => "中华人民共和国住房和城乡建设部",
        }
    }

    /// Type codes of the holders a licence of this type may have.
    fn holder_kinds(self) -> &'static [&'static str] {
        match self {
            Self::IdentityCard => &["111"],
            Self::DrivingLicence | Self::Constructor => &["111", "511", "516", "553"],
            Self::MarriageCertificate | Self::BirthCertificate => {
                &["111", "414", "511", "516", "553"]
            }
            Self::PropertyTitle | Self::SmallFoodShop | Self::SignboardFiling => {
                &["001", "111", "414", "511", "516", "553"]
            }
            _ => &["001"],
        }
    }

    /// Whether a holder of this kind may have a licence of this type.
    pub(crate) fn allows(self, holder: licence::HolderKind) -> bool {
        self.holder_kinds().contains(&holder.code())
    }

    fn sharing(self) -> &'static str {
        match self {
            Self::BusinessLicence | Self::BuilderQualification | Self::ConstructionPermit => {
                "unconditional"
            }
            _ => "conditional",
        }
    }

    /// Years a licence is valid for, where the type fixes them.
    pub(crate) fn years(self) -> Option<u8> {
        match self {
            Self::FoodLicence | Self::DrugLicence | Self::BuilderQualification => Some(5),
            Self::SmallFoodShop => Some(3),
            _ => None,
        }
    }

    fn validity(self) -> Value {
        match (self, self.years()) {
            (_, Some(years)) => json!({ "years": years }),
            (Self::IdentityCard | Self::DrivingLicence | Self::Constructor, None) => {
                json!("stated")
            }
            _ => json!("open_ended"),
        }
    }

    pub(crate) fn issuer(self) -> &'static Body {
        match self {
            Self::BusinessLicence | Self::FoodLicence | Self::DrugLicence | Self::SmallFoodShop => {
                &MARKET
            }
            Self::IdentityCard | Self::DrivingLicence => &POLICE,
            _ => &APPROVALS,
        }
    }

    /// JSON Schema of the face fields; `title` is the label printed on the licence.
    fn fields(self) -> Value {
        match self {
            Self::IdentityCard => object(
                &[
                    ("sex", sex()),
                    ("ethnicity", text("民族", 8)),
                    ("birth_date", date("出生日期")),
                    ("address", text("住址", 120)),
                ],
                &["sex", "ethnicity", "birth_date", "address"],
            ),
            // What a register knows of an old enterprise is little, hence the few required fields.
            Self::BusinessLicence => object(
                &[
                    ("enterprise_type", text("类型", 60)),
                    ("legal_representative", text("法定代表人", 60)),
                    ("registered_capital_yuan", number("注册资本（元）")),
                    ("established_on", date("成立日期")),
                    ("address", text("住所", 200)),
                    ("business_scope", text("经营范围", 4000)),
                    ("english_name", text("英文名称", 200)),
                ],
                &["established_on", "business_scope"],
            ),
            Self::DrivingLicence => object(
                &[
                    ("sex", sex()),
                    ("nationality", text("国籍", 30)),
                    ("first_issued_on", date("初次领证日期")),
                    (
                        "vehicle_class",
                        one_of("准驾车型", &["A1", "A2", "B1", "B2", "C1", "C2", "D", "E"]),
                    ),
                    ("address", text("住址", 120)),
                ],
                &["sex", "nationality", "first_issued_on", "vehicle_class"],
            ),
            Self::MarriageCertificate => object(
                &[
                    ("registered_on", date("登记日期")),
                    ("registrar", text("登记机关", 60)),
                    ("remark", text("备注", 200)),
                ],
                &["registered_on", "registrar"],
            ),
            Self::PropertyTitle => object(
                &[
                    ("co_ownership", one_of("共有情况", &["单独所有", "共同共有", "按份共有"])),
                    ("location", text("坐落", 200)),
                    (
                        "unit_number",
                        pattern("不动产单元号", "^[0-9]{12}[A-Z]{2}[0-9]{5}[A-Z][0-9]{8}$"),
                    ),
                    ("right_kind", text("权利类型", 60)),
                    ("right_nature", text("权利性质", 60)),
                    ("purpose", text("用途", 60)),
                    ("area_m2", number("建筑面积（平方米）")),
                    ("use_until", date("使用期限至")),
                ],
                &["co_ownership", "location", "unit_number", "right_kind", "purpose", "area_m2"],
            ),
            Self::BirthCertificate => object(
                &[
                    ("newborn_name", text("新生儿姓名", 60)),
                    ("newborn_sex", sex()),
                    (
                        "born_at",
                        pattern("出生时间", "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}$"),
                    ),
                    ("gestation_weeks", whole("出生孕周", 20, 45)),
                    ("weight_g", whole("出生体重（克）", 300, 8000)),
                    ("length_cm", whole("出生身长（厘米）", 20, 70)),
                    ("institution", text("接生机构", 100)),
                ],
                &["newborn_name", "newborn_sex", "born_at", "institution"],
            ),
            Self::FoodLicence => object(
                &[
                    ("legal_representative", text("法定代表人（负责人）", 60)),
                    ("premises", text("经营场所", 200)),
                    (
                        "business_form",
                        one_of("主体业态", &["食品销售经营者", "餐饮服务经营者", "单位食堂"]),
                    ),
                    ("items", list("经营项目", text("经营项目", 60))),
                    ("supervisor", text("日常监督管理机构", 100)),
                ],
                &["legal_representative", "premises", "business_form", "items"],
            ),
            Self::DrugLicence => object(
                &[
                    ("legal_representative", text("法定代表人", 60)),
                    ("quality_manager", text("质量负责人", 60)),
                    ("premises", text("经营地址", 200)),
                    ("mode", one_of("经营方式", &["零售", "零售（连锁）", "批发"])),
                    ("scope", list("经营范围", text("经营范围", 60))),
                ],
                &["legal_representative", "quality_manager", "premises", "mode", "scope"],
            ),
            Self::BuilderQualification => object(
                &[
                    ("legal_representative", text("法定代表人", 60)),
                    ("address", text("详细地址", 200)),
                    (
                        "qualifications",
                        list(
                            "资质类别及等级",
                            object(
                                &[
                                    ("speciality", text("资质类别", 60)),
                                    (
                                        "grade",
                                        one_of("等级", &["甲级", "乙级", "特级", "不分等级"]),
                                    ),
                                ],
                                &["speciality", "grade"],
                            ),
                        ),
                    ),
                ],
                &["legal_representative", "qualifications"],
            ),
            Self::Constructor => object(
                &[
                    ("sex", sex()),
                    ("employer", text("聘用企业", 100)),
                    ("employer_code", pattern("聘用企业代码", "^[0-9A-HJ-NPQRTUWXY]{18}$")),
                    ("specialities", list("注册专业", text("注册专业", 30))),
                ],
                &["sex", "employer", "specialities"],
            ),
            Self::PlanningPermit => object(
                &[
                    ("project_name", text("项目名称", 100)),
                    ("location", text("用地位置", 200)),
                    ("area_m2", number("用地面积（平方米）")),
                    ("land_use", text("土地用途", 60)),
                    ("acquired_by", one_of("土地取得方式", &["出让", "划拨", "租赁"])),
                ],
                &["project_name", "location", "area_m2", "land_use"],
            ),
            Self::ConstructionPermit => object(
                &[
                    ("project_name", text("工程名称", 100)),
                    ("location", text("建设地址", 200)),
                    ("floor_area_m2", number("建设规模（平方米）")),
                    ("price_wan_yuan", number("合同价格（万元）")),
                    ("contractor", text("施工单位", 100)),
                    ("contractor_code", pattern("施工单位代码", "^[0-9A-HJ-NPQRTUWXY]{18}$")),
                    ("site_manager", text("项目经理", 60)),
                    ("duration_days", whole("合同工期（天）", 1, 5000)),
                ],
                &["project_name", "location", "price_wan_yuan", "contractor", "duration_days"],
            ),
            Self::SmallFoodShop => object(
                &[
                    ("shop_name", text("店铺名称", 60)),
                    ("premises", text("经营场所", 200)),
                    ("items", text("经营项目", 200)),
                ],
                &["premises"],
            ),
            Self::SignboardFiling => object(
                &[
                    ("location", text("设置地点", 200)),
                    ("wording", text("招牌文字", 120)),
                    ("size", text("规格", 60)),
                ],
                &["location"],
            ),
        }
    }
}

/// The catalogue as the hub reads it: `licence::Catalogue::parse` accepts it.
pub fn catalogue_json() -> String {
    let types: Vec<Value> = Kind::catalogue()
        .map(|kind| {
            json!({
                "code": kind.code(),
                "name": kind.name(),
                "name_en": kind.name_en(),
                "class": kind.class(),
                "authority": kind.authority(),
                "holder_kinds": kind.holder_kinds(),
                "sharing": kind.sharing(),
                "validity": kind.validity(),
                "fields": kind.fields(),
            })
        })
        .collect();
    format!("{:#}\n", json!({ "format": "yihao-catalogue-1", "types": types }))
}

fn object(properties: &[(&str, Value)], required: &[&str]) -> Value {
    let properties: serde_json::Map<String, Value> =
        properties.iter().map(|(name, schema)| ((*name).to_owned(), schema.clone())).collect();
    json!({
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
}

fn text(title: &str, max_chars: u32) -> Value {
    json!({ "title": title, "type": "string", "minLength": 1, "maxLength": max_chars })
}

fn pattern(title: &str, pattern: &str) -> Value {
    json!({ "title": title, "type": "string", "pattern": pattern })
}

fn date(title: &str) -> Value {
    pattern(title, "^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$")
}

fn number(title: &str) -> Value {
    json!({ "title": title, "type": "number", "exclusiveMinimum": 0 })
}

fn whole(title: &str, low: u32, high: u32) -> Value {
    json!({ "title": title, "type": "integer", "minimum": low, "maximum": high })
}

fn one_of(title: &str, values: &[&str]) -> Value {
    json!({ "title": title, "type": "string", "enum": values })
}

fn sex() -> Value {
    one_of("性别", &["男", "女"])
}

fn list(title: &str, items: Value) -> Value {
    json!({ "title": title, "type": "array", "minItems": 1, "maxItems": 40, "items": items })
}
