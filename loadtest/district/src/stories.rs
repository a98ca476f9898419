//! Matters with a guide, and who of the district can apply for them: what samples, tests and the demo are told with.

use std::collections::BTreeSet;

use jiff::{Span, civil::Date};
use licence::{
    ApplicantKind, Form, FormField, Guide, Holder, Level, Licence, LicenceId, LicenceTypeCode,
    MatterCode, Prefill, Requirement, Said, TimeLimit, Way,
};
use serde_json::{Map, Value};

use crate::{
    District,
    departments::{Body, LABOUR, SERVICES},
    kinds::Kind,
};

/// A matter of the district that is applied for, with all that its guide says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Story {
    /// 开办小餐饮店: eight materials, of which seven are held and one is handed in.
    FoodShop,
    /// 户外招牌设置备案: asks the applicant of the food shop for nothing.
    Signboard,
    /// 食品摊贩备案: a health certificate may follow.
    FoodStall,
    /// 稳岗返还申领: for an organisation.
    JobRefund,
}

/// Who can apply, and with what.
#[derive(Clone, Debug)]
pub struct Applicant {
    /// Number of the person or enterprise in the district.
    pub index: u64,
    /// Name and number.
    pub holder: Holder,
    /// The licences that the story's matter finds, all valid on the day.
    pub licences: Vec<Licence>,
}

impl Story {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::FoodShop, Self::Signboard, Self::FoodStall, Self::JobRefund];

    /// The matter's code.
    #[must_use]
    pub fn code(self) -> MatterCode {
        crate::known(&format!("{}4{}", self.department().code(), self.base()))
    }

    /// The matter's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::FoodShop => "开办小餐饮店",
            Self::Signboard => "户外招牌设置备案",
            Self::FoodStall => "食品摊贩备案",
            Self::JobRefund => "失业保险稳岗返还申领",
        }
    }

    /// Short name, for identifiers.
    #[must_use]
    pub fn slug(self) -> &'static str {
        match self {
            Self::FoodShop => "food-shop",
            Self::Signboard => "signboard",
            Self::FoodStall => "food-stall",
            Self::JobRefund => "job-refund",
        }
    }

    pub(crate) fn department(self) -> &'static Body {
        match self {
            Self::FoodShop | Self::Signboard | Self::FoodStall => &SERVICES,
            Self::JobRefund => &LABOUR,
        }
    }

    fn base(self) -> &'static str {
        match self {
            Self::FoodShop => "450131025010",
            Self::Signboard => "450117089001",
            Self::FoodStall => "450131025020",
            Self::JobRefund => "452014039001",
        }
    }

    pub(crate) fn basis(self) -> &'static str {
        match self {
            Self::FoodShop | Self::FoodStall => "《中华人民共和国食品安全法》第三十六条",
            Self::Signboard => "《城市市容和环境卫生管理条例》第十一条",
            Self::JobRefund => "《失业保险条例》第十条",
        }
    }

    /// The types that its guide names.
    pub(crate) fn requires(self) -> BTreeSet<LicenceTypeCode> {
        self.guide().licence_types()
    }

    /// All that an applicant reads.
    pub(crate) fn guide(self) -> Guide {
        match self {
            Self::FoodShop => food_shop(),
            Self::Signboard => signboard(),
            Self::FoodStall => food_stall(),
            Self::JobRefund => job_refund(),
        }
    }
}

impl District {
    /// The first who holds, on that day, all that the repository can supply for a story. One and the same person for the
    /// food shop, the signboard and the stall; an enterprise for the refund.
    #[must_use]
    pub fn applicant(&self, story: Story, on: Date) -> Option<Applicant> {
        let valid = |licence: &Licence| {
            licence.issued_on <= on && licence.valid_to.is_none_or(|last| last >= on)
        };
        if story == Story::JobRefund {
            return (0..self.size().enterprises).find_map(|index| {
                let licence = self.natural_licence(Kind::BusinessLicence, index).filter(valid)?;
                let holder = licence.holders.first()?.clone();
                Some(Applicant { index, holder, licences: vec![licence] })
            });
        }
        // One title a couple at most; it has to be in one name, or else the other one's consent is needed.
        (0..self.size().persons / 2).find_map(|ordinal| {
            let title = self.natural_licence(Kind::PropertyTitle, ordinal).filter(valid)?;
            let [holder] = &*title.holders else { return None };
            let holder = holder.clone();
            let index = (0..self.size().persons).find(|&i| self.person(i).id == holder.id)?;
            let card = self.natural_licence(Kind::IdentityCard, index).filter(valid)?;
            Some(Applicant { index, holder, licences: vec![card, title] })
        })
    }
}

/// A licence that a granted case of the story results in, for its issuer to sign: `serial` counts them. `None` if the
/// story results in none. The fields are those of the catalogue's type.
#[must_use]
pub fn result(
    story: Story,
    holder: Holder,
    fields: Map<String, Value>,
    issued_on: Date,
    serial: u64,
) -> Option<Licence> {
    let kind = match story {
        Story::FoodShop => Kind::SmallFoodShop,
        Story::Signboard => Kind::SignboardFiling,
        Story::FoodStall | Story::JobRefund => return None,
    };
    let licence_type = crate::known(kind.code());
    let issuer = crate::known(&kind.issuer().code());
    let last_day = |years: u8| {
        issued_on.saturating_add(Span::new().years(years)).saturating_sub(Span::new().days(1))
    };
    Some(Licence {
        identifier: LicenceId::build(
            &licence_type,
            &issuer,
            &format!("{:04}{:010}", issued_on.year(), serial % 10_000_000_000),
            1,
        )
        .ok()?,
        name: kind.name().into(),
        licence_type,
        number: format!("澜备{}第{serial:06}号", issued_on.year()),
        issuer_name: kind.issuer().name.into(),
        issuer,
        issued_on,
        holders: vec![holder],
        valid_from: Some(issued_on),
        valid_to: kind.years().map(last_day),
        region: Some(crate::known(crate::REGION)),
        project: None,
        predecessor: None,
        fields,
        files: Vec::new(),
    })
}

/// The kind of file that the food shop asks for and the signboard uses again.
pub const FLOOR_PLAN: &str = "floor-plan";
/// The kind of file that may follow for a stall.
pub const HEALTH_CERTIFICATE: &str = "health-certificate";

fn food_shop() -> Guide {
    Guide {
        name_en: english("Open a small food shop"),
        applicants: vec![ApplicantKind::Person, ApplicantKind::Organisation],
        days: TimeLimit { legal: 20, promised: 5 },
        taken_at: vec![Level::District, Level::Street],
        flow: vec![
            said("申请：网上提交，或到任一窗口", "Apply: here, or at any window"),
            said(
                "受理：材料齐全即受理，缺什么一次说清",
                "Accepted when complete; what is missing is said all at once",
            ),
            said("核查：到经营场所看一次", "Check: one visit to the premises"),
            said("决定：发小餐饮登记证", "Decision: a small food shop registration is issued"),
        ],
        requirements: vec![
            Requirement {
                sample: sample("身份证正反面清楚、在有效期内", "Both sides legible, not expired"),
                ..required(
                    "operator",
                    ("经营者身份证明", "Proof of who the operator is"),
                    "《食品经营许可和备案管理办法》第十二条",
                    vec![
                        by(Kind::IdentityCard),
                        by(Kind::BusinessLicence),
                        file("identity-proof", 0),
                    ],
                )
            },
            required(
                "operator-age",
                (
                    "经营者出生日期，或企业成立日期",
                    "Operator's date of birth, or date of establishment",
                ),
                "《中华人民共和国民法典》第十八条",
                vec![
                    fact(Kind::IdentityCard, "birth_date"),
                    fact(Kind::BusinessLicence, "established_on"),
                    file("identity-proof", 0),
                ],
            ),
            required(
                "operator-home",
                ("经营者住址", "Operator's address"),
                "《食品经营许可和备案管理办法》第十二条",
                vec![
                    fact(Kind::IdentityCard, "address"),
                    fact(Kind::BusinessLicence, "address"),
                    file("residence-proof", 90),
                ],
            ),
            Requirement {
                sample: sample(
                    "产权证书，或出租人签字的租赁合同，租期不少于一年",
                    "Title, or a lease signed by the landlord for one year or more",
                ),
                ..required(
                    "premises-right",
                    ("经营场所使用证明", "Right to use the premises"),
                    "《食品经营许可和备案管理办法》第十二条",
                    vec![by(Kind::PropertyTitle), file("lease", 365)],
                )
            },
            required(
                "premises-location",
                ("经营场所坐落", "Where the premises are"),
                "《食品经营许可和备案管理办法》第十二条",
                vec![fact(Kind::PropertyTitle, "location"), file("lease", 365)],
            ),
            required(
                "premises-area",
                ("经营场所面积", "Area of the premises"),
                "《食品经营许可审查通则》第九条",
                vec![fact(Kind::PropertyTitle, "area_m2"), file("lease", 365)],
            ),
            Requirement {
                may_follow_days: Some(10),
                sample: sample(
                    "共有的房屋，由其他共有人签字同意；单独所有的不用",
                    "Shared property: signed by the other owners; not needed for a single owner",
                ),
                ..required(
                    "co-owners",
                    ("共有人同意（或单独所有）", "Consent of co-owners (or single ownership)"),
                    "《中华人民共和国民法典》第三百零一条",
                    vec![
                        Way::Fact {
                            licence_type: crate::known(Kind::PropertyTitle.code()),
                            field: "co_ownership".into(),
                            equals: Some("单独所有".into()),
                        },
                        file("co-owner-consent", 0),
                    ],
                )
            },
            floor_plan(),
        ],
        forms: vec![Form {
            id: "registration".into(),
            name: said("小餐饮登记申请表", "Application for registration"),
            fields: vec![
                typed("shop-name", ("店铺名称", "Name of the shop"), 60),
                prefilled(
                    "operator-address",
                    ("经营者住址", "Operator's address"),
                    200,
                    &[(Kind::IdentityCard, "address"), (Kind::BusinessLicence, "address")],
                ),
                prefilled(
                    "premises",
                    ("经营场所", "Premises"),
                    200,
                    &[(Kind::PropertyTitle, "location"), (Kind::BusinessLicence, "address")],
                ),
                prefilled(
                    "area",
                    ("面积（平方米）", "Area (m²)"),
                    20,
                    &[(Kind::PropertyTitle, "area_m2")],
                ),
                typed("items", ("经营项目", "What is sold"), 200),
                typed("phone", ("联系电话", "Telephone"), 20),
                FormField { optional: true, ..typed("remark", ("备注", "Remark"), 500) },
            ],
        }],
        result: Some(crate::known(Kind::SmallFoodShop.code())),
        ..Guide::default()
    }
}

fn signboard() -> Guide {
    Guide {
        name_en: english("File a shop signboard"),
        applicants: vec![ApplicantKind::Person, ApplicantKind::Organisation],
        days: TimeLimit { legal: 10, promised: 2 },
        taken_at: vec![Level::District, Level::Street],
        flow: vec![
            said("申请：网上提交，或到任一窗口", "Apply: here, or at any window"),
            said("备案：材料齐全即备案", "Filed when complete"),
        ],
        requirements: vec![
            required(
                "operator",
                ("经营者身份证明", "Proof of who the operator is"),
                "《城市市容和环境卫生管理条例》第十一条",
                vec![by(Kind::IdentityCard), by(Kind::BusinessLicence), file("identity-proof", 0)],
            ),
            required(
                "premises-right",
                ("经营场所使用证明", "Right to use the premises"),
                "《城市市容和环境卫生管理条例》第十一条",
                vec![by(Kind::PropertyTitle), file("lease", 365)],
            ),
            floor_plan(),
        ],
        forms: vec![Form {
            id: "filing".into(),
            name: said("户外招牌设置备案表", "Signboard filing"),
            fields: vec![
                prefilled(
                    "location",
                    ("设置地点", "Where it is put up"),
                    200,
                    &[(Kind::PropertyTitle, "location"), (Kind::BusinessLicence, "address")],
                ),
                typed("wording", ("招牌文字", "Wording"), 120),
                typed("size", ("规格（长×高，米）", "Size (width × height, m)"), 60),
            ],
        }],
        result: Some(crate::known(Kind::SignboardFiling.code())),
        ..Guide::default()
    }
}

fn food_stall() -> Guide {
    Guide {
        name_en: english("Register a food stall"),
        applicants: vec![ApplicantKind::Person],
        days: TimeLimit { legal: 10, promised: 3 },
        taken_at: vec![Level::District, Level::Street, Level::Village],
        flow: vec![
            said(
                "申请：网上提交，或到街道、社区窗口",
                "Apply: here, or at a street or community window",
            ),
            said("备案：发摊位号", "Registered: a pitch is assigned"),
        ],
        requirements: vec![
            required(
                "operator",
                ("经营者身份证明", "Proof of who the operator is"),
                "《中华人民共和国食品安全法》第三十六条",
                vec![by(Kind::IdentityCard), file("identity-proof", 0)],
            ),
            required(
                "operator-address",
                ("经营者住址", "Operator's address"),
                "《中华人民共和国食品安全法》第三十六条",
                vec![fact(Kind::IdentityCard, "address"), file("residence-proof", 90)],
            ),
            Requirement {
                may_follow_days: Some(10),
                sample: sample(
                    "体检机构出具，一年内有效",
                    "From a medical centre, valid for one year",
                ),
                ..required(
                    "health",
                    ("从业人员健康证明", "Health certificate of who prepares food"),
                    "《中华人民共和国食品安全法》第四十五条",
                    vec![file(HEALTH_CERTIFICATE, 365)],
                )
            },
        ],
        forms: vec![Form {
            id: "stall".into(),
            name: said("食品摊贩备案表", "Food stall registration"),
            fields: vec![
                prefilled("address", ("住址", "Address"), 200, &[(Kind::IdentityCard, "address")]),
                typed("pitch", ("希望的经营地点", "Where you would like to stand"), 120),
                typed("goods", ("经营品种", "What you sell"), 200),
            ],
        }],
        ..Guide::default()
    }
}

fn job_refund() -> Guide {
    Guide {
        name_en: english("Refund of unemployment insurance for keeping jobs"),
        applicants: vec![ApplicantKind::Organisation],
        days: TimeLimit { legal: 20, promised: 10 },
        taken_at: vec![Level::District, Level::Street],
        flow: vec![
            said("申请：单位在网上提交，或到任一窗口", "Apply: here, or at any window"),
            said("审核：比对参保缴费记录", "Check against contribution records"),
            said(
                "决定：返还到单位账户",
                "Decision: the refund is paid to the organisation's account",
            ),
        ],
        requirements: vec![
            required(
                "organisation",
                ("营业执照", "Business licence"),
                "《失业保险条例》第十条",
                vec![by(Kind::BusinessLicence)],
            ),
            required(
                "representative-name",
                ("法定代表人姓名", "Name of the legal representative"),
                "《失业保险条例》第十条",
                vec![
                    fact(Kind::BusinessLicence, "legal_representative"),
                    file("representative-proof", 0),
                ],
            ),
            Requirement {
                sample: sample(
                    "按月列出在职人数和缴费额，盖单位章",
                    "Staff and contributions by month, with the seal",
                ),
                ..required(
                    "contributions",
                    ("参保缴费名册", "List of contributions"),
                    "《失业保险条例》第六条",
                    vec![file("contribution-list", 30)],
                )
            },
            Requirement {
                may_follow_days: Some(5),
                ..required(
                    "account",
                    ("单位银行账户证明", "Proof of the bank account"),
                    "《失业保险条例》第十条",
                    vec![file("account-proof", 365)],
                )
            },
        ],
        forms: vec![Form {
            id: "refund".into(),
            name: said("稳岗返还申请表", "Application for the refund"),
            fields: vec![
                prefilled(
                    "representative",
                    ("法定代表人", "Legal representative"),
                    60,
                    &[(Kind::BusinessLicence, "legal_representative")],
                ),
                prefilled(
                    "address",
                    ("住所", "Address"),
                    200,
                    &[(Kind::BusinessLicence, "address")],
                ),
                typed("staff", ("在职职工人数", "Number of staff"), 10),
                typed("contact", ("经办人电话", "Telephone of the contact"), 20),
            ],
        }],
        ..Guide::default()
    }
}

/// The same for the food shop and the signboard, so that one file serves both.
fn floor_plan() -> Requirement {
    Requirement {
        sample: sample(
            "画出厨房、餐区、洗手间和出入口，标明尺寸，PDF 或图片",
            "Kitchen, dining area, toilets and doors with their sizes; PDF or picture",
        ),
        ..required(
            "floor-plan",
            ("餐饮场所平面布局图", "Floor plan of the premises"),
            "《食品经营许可和备案管理办法》第十二条",
            vec![file(FLOOR_PLAN, 365)],
        )
    }
}

fn said(zh: &str, en: &str) -> Said {
    Said { zh: zh.into(), en: english(en) }
}

fn english(text: &str) -> Option<String> {
    Some(text.into())
}

fn sample(zh: &str, en: &str) -> Option<Said> {
    Some(said(zh, en))
}

fn required(id: &str, name: (&str, &str), basis: &str, ways: Vec<Way>) -> Requirement {
    Requirement {
        id: id.into(),
        name: said(name.0, name.1),
        basis: basis.into(),
        ways,
        may_follow_days: None,
        sample: None,
    }
}

fn by(kind: Kind) -> Way {
    Way::Licence { licence_type: crate::known(kind.code()) }
}

fn fact(kind: Kind, field: &str) -> Way {
    Way::Fact { licence_type: crate::known(kind.code()), field: field.into(), equals: None }
}

fn file(kind: &str, reusable_days: u16) -> Way {
    Way::File { kind: kind.into(), reusable_days }
}

fn typed(id: &str, label: (&str, &str), most: u16) -> FormField {
    FormField {
        id: id.into(),
        label: said(label.0, label.1),
        optional: false,
        most,
        prefill: Vec::new(),
    }
}

fn prefilled(id: &str, label: (&str, &str), most: u16, from: &[(Kind, &str)]) -> FormField {
    let prefill = from.iter().map(|(kind, field)| Prefill {
        licence_type: crate::known(kind.code()),
        field: (*field).into(),
    });
    FormField { prefill: prefill.collect(), ..typed(id, label, most) }
}
