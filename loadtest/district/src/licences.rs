//! The licences of the district.
//!
//! Each type has a natural number of licences, decided by the district's size: one identity card a
//! person, a marriage certificate for seven couples in ten, and so on. A district asked for more
//! licences than that repeats the whole set in further editions (a second property, an older card).

use jiff::{
    Span,
    civil::{Date, date},
};
use licence::{Holder, Licence, LicenceId, ProjectCode};
use serde_json::{Map, Value, json};

use crate::{
    District, Pull,
    departments::REGION,
    draw::{Draw, Purpose},
    entities::{self, Enterprise, Person, day},
    kinds::Kind,
    matters::{self, MATTERS},
    names,
    numbers::compact,
};

/// The last day on which anything was issued.
const LAST: Date = date(2026, 3, 31);

/// Who of every ten couples, persons, enterprises or projects has a licence of a type.
struct Share(&'static [u64]);

const ALL: Share = Share(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
const DRIVERS: Share = Share(&[0, 1, 2, 4, 6, 8]);
const MARRIED: Share = Share(&[0, 1, 2, 3, 5, 6, 8]);
const OWNERS: Share = Share(&[0, 1, 2, 3, 4, 6, 7, 8]);
const PARENTS: Share = Share(&[0, 2, 3, 5, 8]);
const FOOD: Share = Share(&[0, 1, 2]);
const BUILDERS: Share = Share(&[3]);
const PHARMACIES: Share = Share(&[4]);
const CONSTRUCTORS: Share = Share(&[9]);
const STARTED: Share = Share(&[0, 1, 2, 4, 5, 6, 7, 9]);

impl Share {
    /// How many of `size` there are.
    fn count(&self, size: u64) -> u64 {
        let rest = self.0.iter().filter(|place| **place < size % 10).count();
        size / 10 * self.0.len() as u64 + rest as u64
    }

    /// The index of the one numbered `ordinal`.
    fn index(&self, ordinal: u64) -> u64 {
        let each = self.0.len() as u64;
        ordinal / each * 10 + self.0[(ordinal % each) as usize]
    }

    fn has(&self, index: u64) -> bool {
        self.0.contains(&(index % 10))
    }
}

impl District {
    /// The natural number of licences of each type, in the order of `Kind::ALL`.
    pub(crate) fn natural(&self) -> [u64; 12] {
        let size = &self.size;
        let couples = size.persons / 2;
        Kind::ALL.map(|kind| match kind {
            Kind::IdentityCard => ALL.count(size.persons),
            Kind::BusinessLicence => ALL.count(size.enterprises),
            Kind::DrivingLicence => DRIVERS.count(size.persons),
            Kind::MarriageCertificate => MARRIED.count(couples),
            Kind::PropertyTitle => OWNERS.count(couples),
            Kind::BirthCertificate => PARENTS.count(couples),
            Kind::FoodLicence => FOOD.count(size.enterprises),
            Kind::DrugLicence => PHARMACIES.count(size.enterprises),
            Kind::BuilderQualification => BUILDERS.count(size.enterprises),
            Kind::Constructor => CONSTRUCTORS.count(size.persons),
            Kind::PlanningPermit => ALL.count(size.projects),
            Kind::ConstructionPermit => STARTED.count(size.projects),
            Kind::SmallFoodShop | Kind::SignboardFiling => 0, // results of cases
        })
    }

    /// All licences, in a mixed order. Memory does not grow with their number.
    pub fn licences(&self) -> impl ExactSizeIterator<Item = Licence> + '_ {
        // `usize` has 64 bits on the platforms this runs on; ExactSizeIterator needs it.
        (0..self.licence_count() as usize).map(|index| self.licence(index as u64))
    }

    /// Licence number `index`, below [`licence_count`](Self::licence_count).
    pub fn licence(&self, index: u64) -> Licence {
        let (kind, ordinal, number) = self.place(index);
        Maker { district: self, kind, number }.licence(ordinal)
    }

    /// One pull that finds licence number `index` and that the policies allow.
    pub fn pull(&self, index: u64) -> Pull {
        let (kind, _, number) = self.place(index);
        let holder = self.licence(index).holders.swap_remove(0).id;
        let fitting: Vec<_> =
            MATTERS.iter().filter(|matter| matter.requires.contains(&kind)).collect();
        let mut draw = self.source.draw(Purpose::Pull, ((kind as u64) << 48) | number);
        let matter = fitting[draw.next(fitting.len() as u64) as usize];
        let types = matter
            .requires
            .iter()
            .filter(|kind| kind.allows(holder.kind()))
            .map(|kind| crate::known(kind.code()))
            .collect();
        Pull {
            department: crate::known(&matter.department.code()),
            matter: matters::code_of(matter),
            holder,
            types,
        }
    }

    /// The licence of the natural set that stands at `ordinal` within its type, if the district has it.
    pub(crate) fn natural_licence(&self, kind: Kind, ordinal: u64) -> Option<Licence> {
        let before = Kind::ALL.iter().zip(self.natural).take_while(|(other, _)| **other != kind);
        let place: u64 = before.map(|(_, count)| count).sum::<u64>() + ordinal;
        let count = self.natural.get(kind as usize).copied().unwrap_or(0);
        (ordinal < count && place < self.size.licences)
            .then(|| Maker { district: self, kind, number: ordinal }.licence(ordinal))
    }

    /// Type, ordinal within the type's natural number, and running number within the type.
    fn place(&self, index: u64) -> (Kind, u64, u64) {
        let total: u64 = self.natural.iter().sum();
        let place = self.order.place(index);
        let (edition, mut within) = (place / total, place % total);
        for (kind, count) in Kind::ALL.into_iter().zip(self.natural) {
            if within < count {
                return (kind, within, edition * count + within);
            }
            within -= count;
        }
        unreachable!("a place within the total lies in one of the types that add up to it")
    }
}

/// Makes one licence. `number` counts the licences of its type.
struct Maker<'a> {
    district: &'a District,
    kind: Kind,
    number: u64,
}

/// What differs from type to type.
struct Face {
    number: String,
    issued_on: Date,
    holders: Vec<Holder>,
    valid_to: Option<Date>,
    project: Option<ProjectCode>,
    fields: Map<String, Value>,
}

impl Maker<'_> {
    fn licence(&self, ordinal: u64) -> Licence {
        let mut draw =
            self.district.source.draw(Purpose::Licence, ((self.kind as u64) << 48) | self.number);
        let face = match self.kind {
            Kind::IdentityCard => self.identity_card(ordinal, &mut draw),
            Kind::BusinessLicence => self.business_licence(ordinal),
            Kind::DrivingLicence => self.driving_licence(DRIVERS.index(ordinal), &mut draw),
            Kind::MarriageCertificate => self.marriage(MARRIED.index(ordinal), &mut draw),
            Kind::PropertyTitle => self.property_title(OWNERS.index(ordinal), &mut draw),
            Kind::BirthCertificate => self.birth(PARENTS.index(ordinal), &mut draw),
            Kind::FoodLicence => self.food_licence(FOOD.index(ordinal), &mut draw),
            Kind::DrugLicence => self.drug_licence(PHARMACIES.index(ordinal), &mut draw),
            Kind::BuilderQualification => self.qualification(BUILDERS.index(ordinal), &mut draw),
            Kind::Constructor => self.constructor(CONSTRUCTORS.index(ordinal), &mut draw),
            Kind::PlanningPermit => self.planning_permit(ordinal, &mut draw),
            Kind::ConstructionPermit => self.construction(STARTED.index(ordinal), &mut draw),
            Kind::SmallFoodShop | Kind::SignboardFiling => {
                unreachable!("no licence that cases result in is drawn: there are none of its type")
            }
        };
        let licence_type = crate::known(self.kind.code());
        let issuer = crate::known(&self.kind.issuer().code());
        let serial = format!("{:04}{:010}", face.issued_on.year(), self.number);
        Licence {
            identifier: LicenceId::build(&licence_type, &issuer, &serial, 1)
                .expect("14 digits are a serial, 1 a version"),
            name: self.kind.name().into(),
            licence_type,
            number: face.number,
            issuer_name: self.kind.issuer().name.into(),
            issuer,
            issued_on: face.issued_on,
            holders: face.holders,
            valid_from: Some(face.issued_on),
            valid_to: face.valid_to,
            region: Some(crate::known(REGION)),
            project: face.project,
            predecessor: None,
            fields: face.fields,
            files: Vec::new(),
        }
    }

    fn identity_card(&self, index: u64, draw: &mut Draw) -> Face {
        let person = self.district.person(index);
        let issued_on = between(draw, years(person.born, 16).max(years(LAST, -11)), LAST);
        // Ten years up to the age of 25, twenty from 26 to 45 (居民身份证法 art. 5).
        let term = if issued_on < years(person.born, 26) { 10 } else { 20 };
        Face {
            number: person.id.number().to_owned(),
            issued_on,
            valid_to: Some(years(issued_on, term)),
            project: None,
            fields: fields([
                ("sex", sex(person.male)),
                ("ethnicity", json!(person.ethnicity)),
                ("birth_date", json!(person.born.to_string())),
                ("address", json!(person.address)),
            ]),
            holders: vec![of_person(person)],
        }
    }

    fn driving_licence(&self, index: u64, draw: &mut Draw) -> Face {
        let person = self.district.person(index);
        let issued_on = between(draw, years(person.born, 18).max(years(LAST, -6)), LAST);
        let first = between(draw, years(person.born, 18), issued_on);
        Face {
            number: person.id.number().to_owned(),
            issued_on,
            valid_to: Some(years(issued_on, 6)),
            project: None,
            fields: fields([
                ("sex", sex(person.male)),
                ("nationality", json!("中国")),
                ("first_issued_on", json!(first.to_string())),
                ("vehicle_class", json!(draw.frequent(&["C1", "C2", "B2", "D", "A2", "B1", "A1"]))),
                ("address", json!(person.address)),
            ]),
            holders: vec![of_person(person)],
        }
    }

    fn marriage(&self, couple: u64, draw: &mut Draw) -> Face {
        let [husband, wife] = self.couple(couple);
        let married = self.married_on(couple);
        Face {
            number: format!("J{REGION}-{}-{:06}", married.year(), draw.next(1_000_000)),
            issued_on: married,
            valid_to: None,
            project: None,
            fields: fields([
                ("registered_on", json!(married.to_string())),
                ("registrar", json!("澜溪区民政局婚姻登记处")),
            ]),
            holders: vec![of_person(husband), of_person(wife)],
        }
    }

    fn property_title(&self, couple: u64, draw: &mut Draw) -> Face {
        let [first, second] = self.couple(couple);
        let shared = MARRIED.has(couple) && draw.chance(70);
        let grown = years(first.born.max(second.born), 20);
        let issued_on = between(draw, grown.max(date(2015, 3, 1)), LAST);
        let (purpose, term) = if draw.chance(92) {
            ("城镇住宅用地/成套住宅", 70)
        } else {
            ("商服用地/商业服务", 40)
        };
        let area = draw.between(3_800, 19_500) as f64 / 100.0;
        let unit = format!(
            "{REGION}{:06}GB{:05}F{:08}",
            draw.between(1_000, 30_000),
            draw.between(1, 99_999),
            draw.between(10_001, 9_999_999)
        );
        let location =
            if shared || draw.chance(60) { first.address.clone() } else { second.address.clone() };
        let holders = if shared {
            vec![of_person(first), of_person(second)]
        } else if draw.chance(50) {
            vec![of_person(first)]
        } else {
            vec![of_person(second)]
        };
        Face {
            number: format!(
                "澜（{}）汀陵市澜溪区不动产权第{:07}号",
                issued_on.year(),
                self.number % 10_000_000
            ),
            issued_on,
            valid_to: None,
            project: None,
            fields: fields([
                ("co_ownership", json!(if shared { "共同共有" } else { "单独所有" })),
                ("location", json!(location)),
                ("unit_number", json!(unit)),
                ("right_kind", json!("国有建设用地使用权/房屋所有权")),
                ("right_nature", json!("出让/市场化商品房")),
                ("purpose", json!(purpose)),
                ("area_m2", json!(area)),
                ("use_until", json!(years(date(2009, 5, 31), term).to_string())),
            ]),
            holders,
        }
    }

    fn birth(&self, couple: u64, draw: &mut Draw) -> Face {
        let [father, mother] = self.couple(couple);
        let born = between(draw, years(father.born.max(mother.born), 20), day(LAST, -20));
        let male = draw.chance(52);
        let family_name = names::SURNAMES
            .iter()
            .find(|name| father.name.starts_with(**name))
            .copied()
            .unwrap_or_default();
        let given = draw.one(if male { names::MALE } else { names::FEMALE });
        let time = format!("{born}T{:02}:{:02}", draw.between(0, 23), draw.between(0, 59));
        Face {
            number: format!("W{:02}{:07}", born.year() % 100, self.number % 10_000_000),
            issued_on: day(born, draw.between(1, 15) as i32),
            valid_to: None,
            project: None,
            fields: fields([
                ("newborn_name", json!(format!("{family_name}{given}"))),
                ("newborn_sex", sex(male)),
                ("born_at", json!(time)),
                ("gestation_weeks", json!(draw.between(36, 41))),
                ("weight_g", json!(draw.between(250, 430) * 10)),
                ("length_cm", json!(draw.between(46, 54))),
                ("institution", json!(draw.one(names::HOSPITALS))),
            ]),
            holders: vec![of_person(mother), of_person(father)],
        }
    }

    fn constructor(&self, index: u64, draw: &mut Draw) -> Face {
        let person = self.district.person(index);
        let employer = self.builder(index);
        let issued_on = between(draw, years(person.born, 22).max(years(LAST, -3)), LAST);
        Face {
            number: format!("桂2{:02}{:08}", issued_on.year() % 100, self.number % 100_000_000),
            issued_on,
            valid_to: Some(years(issued_on, 3)),
            project: None,
            fields: fields([
                ("sex", sex(person.male)),
                ("employer", json!(employer.name)),
                ("employer_code", json!(employer.code())),
                ("specialities", json!([draw.one(&["建筑工程", "市政公用工程", "机电工程"])])),
            ]),
            holders: vec![of_person(person)],
        }
    }

    fn business_licence(&self, index: u64) -> Face {
        let enterprise = self.district.enterprise(index);
        let mut draw = self.district.source.draw(Purpose::Capital, index);
        let kind = match &enterprise.name {
            name if name.ends_with("股份有限公司") => "股份有限公司（非上市）",
            name if name.ends_with("有限公司") => "有限责任公司（自然人投资或控股）",
            name if name.ends_with("店") => "个体工商户",
            _ => "有限合伙企业",
        };
        Face {
            number: enterprise.code().to_owned(),
            issued_on: enterprise.established,
            valid_to: None,
            project: None,
            fields: fields([
                ("enterprise_type", json!(kind)),
                ("legal_representative", json!(enterprise.representative)),
                ("registered_capital_yuan", json!(draw.between(10, 5_000) * 10_000)),
                ("established_on", json!(enterprise.established.to_string())),
                ("address", json!(enterprise.address)),
                ("business_scope", json!(enterprise.scope())),
                ("english_name", json!(enterprise.english_name)),
            ]),
            holders: vec![of_enterprise(enterprise)],
        }
    }

    fn food_licence(&self, index: u64, draw: &mut Draw) -> Face {
        let enterprise = self.district.enterprise(index);
        let issued_on = between(draw, enterprise.established.max(day(LAST, -1_700)), LAST);
        let (form, items) = if enterprise.scope().contains("餐饮") {
            ("餐饮服务经营者", json!(["热食类食品制售", "冷食类食品制售"]))
        } else {
            ("食品销售经营者", json!(["预包装食品销售", "散装食品销售"]))
        };
        Face {
            number: format!("JY2{REGION}{:07}", self.number % 10_000_000),
            issued_on,
            valid_to: self.term(issued_on),
            project: None,
            fields: fields([
                ("legal_representative", json!(enterprise.representative)),
                ("premises", json!(enterprise.address)),
                ("business_form", json!(form)),
                ("items", items),
                ("supervisor", json!("澜溪区市场监督管理局文昌所")),
            ]),
            holders: vec![of_enterprise(enterprise)],
        }
    }

    fn drug_licence(&self, index: u64, draw: &mut Draw) -> Face {
        let enterprise = self.district.enterprise(index);
        let issued_on = between(draw, enterprise.established.max(day(LAST, -1_700)), LAST);
        Face {
            number: format!("桂DA{}{:05}", &REGION[2..], self.number % 100_000),
            issued_on,
            valid_to: self.term(issued_on),
            project: None,
            fields: fields([
                ("legal_representative", json!(enterprise.representative)),
                ("quality_manager", json!(entities::person_name(draw, false))),
                ("premises", json!(enterprise.address)),
                ("mode", json!(draw.one(&["零售", "零售（连锁）"]))),
                ("scope", json!(["中药饮片", "中成药", "化学药制剂", "抗生素制剂"])),
            ]),
            holders: vec![of_enterprise(enterprise)],
        }
    }

    fn qualification(&self, index: u64, draw: &mut Draw) -> Face {
        let enterprise = self.district.enterprise(index);
        let issued_on = between(draw, enterprise.established.max(day(LAST, -1_700)), LAST);
        let held = fields([
            ("speciality", json!(draw.one(&["建筑工程施工总承包", "市政公用工程施工总承包"]))),
            ("grade", json!(draw.one(&["甲级", "乙级"]))),
        ]);
        Face {
            number: format!("D2{REGION}{:05}", self.number % 100_000),
            issued_on,
            valid_to: self.term(issued_on),
            project: None,
            fields: fields([
                ("legal_representative", json!(enterprise.representative)),
                ("address", json!(enterprise.address)),
                ("qualifications", json!([held])),
            ]),
            holders: vec![of_enterprise(enterprise)],
        }
    }

    fn planning_permit(&self, index: u64, draw: &mut Draw) -> Face {
        let project = self.district.project(index);
        let issued_on = day(project.assigned, draw.between(20, 120) as i32).min(LAST);
        Face {
            number: format!("地字第{REGION}{}{:05}号", issued_on.year(), self.number % 100_000),
            issued_on,
            valid_to: None,
            fields: fields([
                ("project_name", json!(project.name)),
                ("location", json!(project.location)),
                ("area_m2", json!(draw.between(150_000, 9_000_000) as f64 / 100.0)),
                ("land_use", json!(project.land_use)),
                ("acquired_by", json!(draw.one(&["出让", "划拨"]))),
            ]),
            holders: vec![of_enterprise(self.developer(index))],
            project: Some(project.code),
        }
    }

    fn construction(&self, index: u64, draw: &mut Draw) -> Face {
        let project = self.district.project(index);
        let contractor = self.builder(index);
        let issued_on = day(project.assigned, draw.between(130, 400) as i32).min(LAST);
        Face {
            number: format!("{REGION}{}{:04}", compact(issued_on), self.number % 10_000),
            issued_on,
            valid_to: None,
            fields: fields([
                ("project_name", json!(project.name)),
                ("location", json!(project.location)),
                ("floor_area_m2", json!(draw.between(80_000, 12_000_000) as f64 / 100.0)),
                ("price_wan_yuan", json!(draw.between(30_000, 9_000_000) as f64 / 100.0)),
                ("contractor", json!(contractor.name)),
                ("contractor_code", json!(contractor.code())),
                ("site_manager", json!(entities::person_name(draw, true))),
                ("duration_days", json!(draw.between(90, 1_100))),
            ]),
            holders: vec![of_enterprise(self.developer(index))],
            project: Some(project.code),
        }
    }

    /// The two persons of a couple, him first.
    fn couple(&self, couple: u64) -> [Person; 2] {
        [self.district.person(couple * 2), self.district.person(couple * 2 + 1)]
    }

    /// The legal ages are 22 for him and 20 for her.
    fn married_on(&self, couple: u64) -> Date {
        let [husband, wife] = self.couple(couple);
        let mut draw = self.district.source.draw(Purpose::Wedding, couple);
        between(&mut draw, years(husband.born, 22).max(years(wife.born, 20)), LAST)
    }

    /// The enterprise that has a project built.
    fn developer(&self, project: u64) -> Enterprise {
        self.district.enterprise(project % self.district.size.enterprises.max(1))
    }

    /// One of the builders of the district.
    fn builder(&self, index: u64) -> Enterprise {
        let builders = BUILDERS.count(self.district.size.enterprises).max(1);
        self.district.enterprise(BUILDERS.index(index % builders))
    }

    /// The last day of a validity of whole years.
    fn term(&self, issued_on: Date) -> Option<Date> {
        self.kind.years().map(|term| day(years(issued_on, term.into()), -1))
    }
}

fn of_person(person: Person) -> Holder {
    Holder { name: person.name, id: person.id }
}

fn of_enterprise(enterprise: Enterprise) -> Holder {
    Holder { name: enterprise.name, id: enterprise.id }
}

fn sex(male: bool) -> Value {
    json!(if male { "男" } else { "女" })
}

/// Sorted by name, so that the bytes do not depend on whether JSON objects keep their order.
fn fields<const N: usize>(mut pairs: [(&str, Value); N]) -> Map<String, Value> {
    pairs.sort_by_key(|(name, _)| *name);
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn years(date: Date, years: i32) -> Date {
    date.saturating_add(Span::new().years(years))
}

/// A day from `first` to `last`; `last` if there is none between.
fn between(draw: &mut Draw, first: Date, last: Date) -> Date {
    let span = i64::from((last - first).get_days()).max(0);
    day(last, -(draw.between(0, span) as i32))
}
