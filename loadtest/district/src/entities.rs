//! Who and what exists in the district: persons, enterprises, projects, each a function of its
//! index alone.

use jiff::{Span, civil::Date};
use licence::{HolderId, HolderKind, ProjectCode};

use crate::{
    District, departments,
    draw::{Draw, Purpose, Shuffle, Source},
    names, numbers,
};

/// A person of the district.
#[derive(Clone)]
pub struct Person {
    /// Family name and given name.
    pub name: String,
    /// Citizen number.
    pub id: HolderId,
    /// Date of birth, as in the number.
    pub born: Date,
    /// Sex as in the number: an odd sequence is a man's.
    pub male: bool,
    /// One of the peoples of the region.
    pub ethnicity: &'static str,
    /// Home address in the district.
    pub address: String,
}

/// What an enterprise lives from; it decides which licences it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// A trade of the table.
    Trade(usize),
    Builder,
    Pharmacy,
}

/// An enterprise of the district.
#[derive(Clone)]
pub struct Enterprise {
    /// Registered name.
    pub name: String,
    /// English name.
    pub english_name: String,
    /// Credit code.
    pub id: HolderId,
    /// Day of registration.
    pub established: Date,
    /// Name of the legal representative, a person of the district.
    pub representative: String,
    /// Registered address.
    pub address: String,
    pub(crate) line: Line,
}

impl Enterprise {
    /// Business scope as registered.
    pub fn scope(&self) -> &'static str {
        self.line.trade().scope
    }

    /// The credit code as text.
    pub fn code(&self) -> &str {
        self.id.number()
    }
}

impl Line {
    pub(crate) fn trade(self) -> &'static names::Trade {
        match self {
            Self::Trade(number) => &names::TRADES[number],
            Self::Builder => &names::BUILDER,
            Self::Pharmacy => &names::PHARMACY,
        }
    }
}

/// An investment project of the district.
#[derive(Clone)]
pub struct Project {
    /// Project code, new form.
    pub code: ProjectCode,
    /// Name.
    pub name: String,
    /// Day the code was assigned.
    pub assigned: Date,
    /// Land use of its plot.
    pub land_use: &'static str,
    /// Where it is built.
    pub location: String,
}

/// A division code and the years of births that may carry it: from the year after it came into
/// force to the year before it went out of force (checked against `licence::RegionTable`).
type Births = (&'static str, i16, i16);

/// Districts of the city: half of the persons were registered here.
const LOCAL: &[Births] = &[
    ("450202", 1984, 2003),
    ("450203", 1984, 2003),
    ("450204", 1984, 2003),
    ("450205", 1984, 2003),
];

/// Where the other half came from; the last six codes are no longer in force today.
const ELSEWHERE: &[Births] = &[
    ("110102", 1982, 2003),
    ("120106", 1982, 2003),
    ("130202", 1984, 2003),
    ("130402", 1984, 2003),
    ("140429", 1986, 2003),
    ("150202", 1984, 2003),
    ("210202", 1984, 2003),
    ("211002", 1984, 2003),
    ("220202", 1984, 2003),
    ("230602", 1984, 2003),
    ("310110", 1982, 2003),
    ("320302", 1984, 2003),
    ("330122", 1982, 2003),
    ("330127", 1982, 2003),
    ("340121", 1982, 2003),
    ("340402", 1984, 2003),
    ("350121", 1982, 2003),
    ("360121", 1982, 2003),
    ("370303", 1984, 2003),
    ("370402", 1984, 2003),
    ("410202", 1984, 2003),
    ("410302", 1984, 2003),
    ("420202", 1984, 2003),
    ("430121", 1982, 2003),
    ("440802", 1984, 2003),
    ("450302", 1984, 2003),
    ("510121", 1982, 2003),
    ("510302", 1984, 2003),
    ("522324", 1982, 2003),
    ("532326", 1982, 2003),
    ("620122", 1982, 2003),
    ("632522", 1982, 2003),
    ("652924", 1982, 2003),
    ("110103", 1982, 2003),
    ("310228", 1982, 1996),
    ("332522", 1982, 1999),
    ("360122", 1982, 2003),
    ("352230", 1982, 1998),
    ("342121", 1982, 1991),
];

/// A day and a region take 499 couples: sequences 001 to 998, odd for him, even for her.
const COUPLES_A_DAY: u64 = 499;
/// She is at most this many days older than he, or up to `OFFSETS - OLDER_DAYS` younger.
const OLDER_DAYS: i32 = 500;
const OFFSETS: u64 = 1401;

/// Numbers for couples out of a list of regions, each couple a different pair of numbers.
#[derive(Clone)]
pub(crate) struct Register {
    /// Region, first day, and the number of days before this region's in the list.
    spans: Vec<(&'static str, Date, u64)>,
    shuffle: Shuffle,
}

impl Register {
    fn new(source: &Source, regions: &[Births]) -> Self {
        let mut spans = Vec::with_capacity(regions.len());
        let mut days = 0;
        for (region, first, last) in regions {
            // Leave room on both sides for her, born up to OLDER_DAYS before or 900 days after.
            let low = day(Date::constant(*first, 1, 1), OLDER_DAYS);
            let high = day(Date::constant(*last, 12, 31), OLDER_DAYS - OFFSETS as i32);
            spans.push((*region, low, days));
            days += u64::from((high - low).get_days().unsigned_abs()) + 1;
        }
        Self { spans, shuffle: source.shuffle(Purpose::Couple, days * COUPLES_A_DAY) }
    }

    /// Numbers and birth dates of the two persons of a couple.
    fn couple(&self, index: u64) -> [(String, Date); 2] {
        let place = self.shuffle.place(index);
        let (days, couple) = (place / COUPLES_A_DAY, place % COUPLES_A_DAY);
        let span = self.spans.partition_point(|(_, _, before)| *before <= days) - 1;
        let (region, first, before) = self.spans[span];
        let his = day(first, (days - before) as i32);
        // Her offset depends on the sequence alone, so no two women of one sequence share a day.
        let hers = day(his, (couple * 7919 % OFFSETS) as i32 - OLDER_DAYS);
        [
            (numbers::citizen(region, his, couple * 2 + 1), his),
            (numbers::citizen(region, hers, couple * 2 + 2), hers),
        ]
    }
}

/// The number tables of a district, computed once.
#[derive(Clone)]
pub(crate) struct Registers {
    local: Register,
    elsewhere: Register,
    bodies: Shuffle,
    projects: Shuffle,
}

/// Project codes: 60 months from 2021, two guiding departments, two types, 100,000 numbers.
const PROJECT_MONTHS: u64 = 60;
const PROJECT_CODES: u64 = PROJECT_MONTHS * 2 * 2 * 100_000;

impl Registers {
    pub(crate) fn new(source: &Source) -> Self {
        Self {
            local: Register::new(source, LOCAL),
            elsewhere: Register::new(source, ELSEWHERE),
            bodies: source.shuffle(Purpose::Enterprise, numbers::BODIES),
            projects: source.shuffle(Purpose::Project, PROJECT_CODES),
        }
    }
}

impl District {
    /// Person number `index`; 2n is a man, 2n + 1 the woman he married if the two are married.
    pub fn person(&self, index: u64) -> Person {
        let couple = index / 2;
        let register = if couple.is_multiple_of(2) {
            &self.registers.local
        } else {
            &self.registers.elsewhere
        };
        let male = index.is_multiple_of(2);
        let [his, hers] = register.couple(couple / 2);
        let (number, born) = if male { his } else { hers };
        let mut draw = self.source.draw(Purpose::Person, index);
        Person {
            name: person_name(&mut draw, male),
            id: holder(HolderKind::Citizen, &number),
            born,
            male,
            ethnicity: if draw.chance(80) { "汉" } else { draw.frequent(names::MINORITIES) },
            address: self.home(couple),
        }
    }

    /// Address of the home of couple `couple`.
    fn home(&self, couple: u64) -> String {
        let mut draw = self.source.draw(Purpose::Couple, couple);
        format!(
            "{}{}{}{}号{}{}栋{}单元{}{:02}室",
            departments::CITY,
            departments::DISTRICT,
            draw.one(names::STREETS),
            draw.between(1, 299),
            draw.one(names::QUARTERS),
            draw.between(1, 28),
            draw.between(1, 4),
            draw.between(1, 26),
            draw.between(1, 4),
        )
    }

    /// Enterprise number `index`: of ten, three deal in food, one builds, one is a pharmacy.
    pub fn enterprise(&self, index: u64) -> Enterprise {
        let mut draw = self.source.draw(Purpose::Enterprise, index);
        let line = match index % 10 {
            0..=2 => Line::Trade(draw.next(names::FOOD_TRADES) as usize),
            3 => Line::Builder,
            4 => Line::Pharmacy,
            _ => {
                let others = names::TRADES.len() as u64 - names::FOOD_TRADES;
                Line::Trade((names::FOOD_TRADES + draw.next(others)) as usize)
            }
        };
        let trade = line.trade();
        let characters = if draw.chance(30) { 3 } else { 2 };
        let mut word = String::new();
        let mut pinyin = String::new();
        for _ in 0..characters {
            let (character, sound) =
                names::TRADE_NAME[draw.next(names::TRADE_NAME.len() as u64) as usize];
            word.push_str(character);
            pinyin.push_str(sound);
        }
        let (form, form_en) = match draw.next(10) {
            0 => ("股份有限公司", "Co., Ltd."),
            1 => ("合伙企业（有限合伙）", "Partnership (L.P.)"),
            2 => ("个体工商户", "Sole Proprietorship"),
            _ => ("有限公司", "Co., Ltd."),
        };
        let (form, form_en) = match line {
            Line::Builder => ("有限公司", "Co., Ltd."),
            _ => (form, form_en),
        };
        let place = if draw.chance(40) { "汀陵市澜溪区" } else { "汀陵" };
        let name = match form {
            "个体工商户" => format!("{place}{word}{}店", trade.word),
            form => format!("{place}{word}{}{form}", trade.word),
        };
        let mut sounds = pinyin.chars();
        let english_name = format!(
            "Tingling {}{} {} {form_en}",
            sounds.next().map(|first| first.to_ascii_uppercase()).unwrap_or_default(),
            sounds.as_str(),
            trade.english,
        );
        let kind = if form == "个体工商户" { "92" } else { "91" };
        let body = numbers::body(self.registers.bodies.place(index));
        let representative = self.person(draw.next(self.size.persons.max(1))).name;
        Enterprise {
            name,
            english_name,
            id: holder(
                HolderKind::Organisation,
                &numbers::credit(kind, departments::REGION, &body),
            ),
            established: day(Date::constant(2005, 1, 4), draw.between(0, 7600) as i32),
            representative,
            address: format!(
                "{}{}{}{}号{}层{:02}室",
                departments::CITY,
                departments::DISTRICT,
                draw.one(names::STREETS),
                draw.between(1, 299),
                draw.between(1, 30),
                draw.between(1, 30),
            ),
            line,
        }
    }

    /// Project number `index`.
    pub fn project(&self, index: u64) -> Project {
        let place = self.registers.projects.place(index);
        let (group, number) = (place / 100_000, place % 100_000);
        let (month, rest) = (group / 4, group % 4);
        let (year, month) = (2021 + (month / 12) as i16, 1 + (month % 12) as i8);
        let code = numbers::project(
            &format!("{:02}{month:02}", year - 2000),
            departments::REGION,
            ["04", "89"][(rest / 2) as usize],
            ["01", "05"][(rest % 2) as usize],
            number,
        );
        let mut draw = self.source.draw(Purpose::Project, index);
        let (work, land_use) = names::WORKS[draw.next(names::WORKS.len() as u64) as usize];
        let street = draw.one(names::STREETS);
        Project {
            code: crate::known(&code),
            name: format!("{}{street}{work}项目", departments::DISTRICT),
            assigned: Date::constant(year, month, draw.between(1, 28) as i8),
            land_use,
            location: format!(
                "{}{}{street}{}号地块",
                departments::CITY,
                departments::DISTRICT,
                draw.between(1, 120)
            ),
        }
    }
}

/// A family name and one or two characters.
pub(crate) fn person_name(draw: &mut Draw, male: bool) -> String {
    let characters = if male { names::MALE } else { names::FEMALE };
    let mut name = String::from(draw.frequent(names::SURNAMES));
    name.push_str(draw.one(characters));
    if draw.chance(78) {
        name.push_str(draw.one(characters));
    }
    name
}

/// `date` moved by `days`; dates of the district are far from the ends of the calendar.
pub(crate) fn day(date: Date, days: i32) -> Date {
    date.saturating_add(Span::new().days(days))
}

pub(crate) fn holder(kind: HolderKind, number: &str) -> HolderId {
    HolderId::parse(kind, number).expect("the district makes valid numbers, see its tests")
}
