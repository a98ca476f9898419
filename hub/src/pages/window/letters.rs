//! Letters of a case, to print on A4: 受理通知书, 补正告知书, 不予受理（办理）决定书, 容缺受理承诺书.
//!
//! They are official documents, so they are Chinese whatever the page's language. What each must say comes from
//! 行政许可法 articles 32 (acceptance, telling at once what is missing, a written receipt with seal and date), 38 (a
//! refusal says why, and how to have it reviewed) and 42 (time limit); 行政复议法 article 20 (60 days) and 行政诉讼法
//! article 46 (six months) give the terms of the remedies.

use jiff::{
    Timestamp,
    civil::Date,
    tz::{self, TimeZone},
};
use licence::{Calendar, Deadline, Matter};

use super::views::Letter;
use crate::reuse::case::{Case, CaseState, Provided, StepKind, SupplementItem};

/// Working days for what was asked for. No law sets this term; districts commonly give ten.
const SUPPLEMENT_DAYS: u16 = 10;

/// A kind of letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// 受理通知书.
    Acceptance,
    /// 补正告知书.
    Supplement,
    /// 不予受理决定书, 不予办理决定书.
    Refusal,
    /// 容缺受理承诺书.
    Promise,
}

impl Kind {
    /// All, in the order of a case.
    pub(crate) const ALL: [Self; 4] =
        [Self::Promise, Self::Supplement, Self::Acceptance, Self::Refusal];

    /// The word in the address.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Acceptance => "acceptance",
            Self::Supplement => "supplement",
            Self::Refusal => "refusal",
            Self::Promise => "promise",
        }
    }

    /// The kind with this word.
    pub(crate) fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }

    /// Whether the case has come to the step that the letter tells of.
    pub(crate) fn is_due(self, case: &Case) -> bool {
        match self {
            Self::Promise => case.promise.is_some(),
            Self::Acceptance => step(case, |what| matches!(what, StepKind::Accepted)).is_some(),
            Self::Supplement => asked_for(case).is_some(),
            Self::Refusal => matches!(case.state, CaseState::Declined | CaseState::Refused),
        }
    }
}

/// What a letter needs beside the case.
pub(crate) struct Facts<'a> {
    /// The case.
    pub(crate) case: &'a Case,
    /// Its matter, in the case's version.
    pub(crate) matter: &'a Matter,
    /// The department that decides.
    pub(crate) department: &'a str,
    /// What the applicant is called on a licence of the case; `None` if no licence says it.
    pub(crate) applicant: Option<&'a str>,
    /// The applicant's number, with its middle hidden if it is a person's.
    pub(crate) number: &'a str,
    /// Working days.
    pub(crate) calendar: &'a Calendar,
}

/// The letter, if the case has come to it.
pub(crate) fn letter(kind: Kind, facts: &Facts<'_>) -> Option<Letter> {
    match kind {
        Kind::Acceptance => acceptance(facts),
        Kind::Supplement => supplement(facts),
        Kind::Refusal => refusal(facts),
        Kind::Promise => promise(facts),
    }
}

fn acceptance(facts: &Facts<'_>) -> Option<Letter> {
    let case = facts.case;
    let (at, _) = step(case, |what| matches!(what, StepKind::Accepted))?;
    let day = day_of(at);
    let limit = facts.matter.guide.days;
    let mut closing = Vec::new();
    if let Some(due) = case.due {
        closing.push(format!(
            "本事项法定办结时限{}个工作日，承诺办结时限{}个工作日，应于{}前办结。",
            limit.legal,
            limit.promised,
            chinese(due)
        ));
    }
    if let Some(promise) = case.promise.as_ref().filter(|promise| promise.kept_at.is_none()) {
        closing.push(format!(
            "其中容缺受理的材料，请按所作承诺于{}前补齐；逾期未补齐的，记入未履行承诺情况，\
             此后不再适用容缺受理。",
            chinese(promise.until)
        ));
    }
    closing.push("办理进度和结果可凭办件编号在网上或本区任一政务服务窗口查询。".to_owned());
    Some(Letter {
        title: "受理通知书",
        number: format!("{}-受", case.id),
        opening: vec![format!(
            "{}提出的“{}”申请（办件编号：{}），经审查，申请事项属于本机关职权范围，\
             申请材料符合要求。根据《中华人民共和国行政许可法》第三十二条第一款第（五）项\
             {}，决定予以受理。受理的材料如下：",
            submitted_on(facts),
            facts.matter.name,
            case.id,
            basis(facts),
        )],
        columns: vec!["材料名称", "取得方式"],
        rows: facts
            .matter
            .guide
            .requirements
            .iter()
            .map(|one| {
                let how = match case.provided.get(&one.id) {
                    Some(Provided::Licence { .. }) => "电子证照共享，申请人免交",
                    Some(Provided::Fact { .. }) => "证照记载事项共享，申请人免交",
                    Some(Provided::Material { reused: true, .. }) => "使用以前提交的材料",
                    Some(Provided::Material { reused: false, .. }) => "申请人提交",
                    Some(Provided::Promised) => "容缺受理，承诺后补",
                    None => "—",
                };
                vec![one.name.zh.clone(), how.to_owned()]
            })
            .collect(),
        closing,
        signed: (facts.department.to_owned(), chinese(day)),
        seal: true,
        ..addressed(facts)
    })
}

fn supplement(facts: &Facts<'_>) -> Option<Letter> {
    let case = facts.case;
    let (at, items) = asked_for(case)?;
    let day = day_of(at);
    let rounds = case
        .steps
        .iter()
        .filter(|step| matches!(step.what, StepKind::SupplementAsked { .. }))
        .count();
    let deadline = facts.calendar.working_days_after(day, SUPPLEMENT_DAYS);
    Some(Letter {
        title: "补正告知书",
        number: format!("{}-补{rounds}", case.id),
        opening: vec![format!(
            "{}提出的“{}”申请（办件编号：{}），本机关已收悉。经审查，申请材料不齐全或者\
             不符合法定形式。根据《中华人民共和国行政许可法》第三十二条第一款第（四）项\
             {}，现将需要补正的全部内容一次性告知如下：",
            submitted_on(facts),
            facts.matter.name,
            case.id,
            basis(facts),
        )],
        columns: vec!["需要补正的内容", "存在的问题和补正要求"],
        rows: items
            .iter()
            .map(|item| vec![name_of(facts.matter, &item.requirement), item.why.clone()])
            .collect(),
        closing: vec![
            format!(
                "请自本告知书作出之日起{SUPPLEMENT_DAYS}个工作日内，即{}前补正{}。可以在网上补交，\
                 也可以到本区任一政务服务窗口补交；本告知书未列出的材料不必再交。",
                chinese(deadline.date),
                doubt(deadline),
            ),
            "补正齐全、符合法定形式的，本机关予以受理。".to_owned(),
        ],
        signed: (facts.department.to_owned(), chinese(day)),
        seal: true,
        foot: received(),
        ..addressed(facts)
    })
}

fn refusal(facts: &Facts<'_>) -> Option<Letter> {
    let case = facts.case;
    let (at, reason) = case.steps.iter().rev().find_map(|step| match &step.what {
        StepKind::Declined { reason } | StepKind::Decided { granted: false, reason } => {
            Some((step.at, reason.as_str()))
        }
        _ => None,
    })?;
    let (title, mark, article, decided) = match case.state {
        CaseState::Declined => ("不予受理决定书", "不受", "第三十二条", "不予受理"),
        CaseState::Refused => ("不予办理决定书", "不予", "第三十八条第二款", "不予办理"),
        _ => return None,
    };
    Some(Letter {
        title,
        number: format!("{}-{mark}", case.id),
        opening: vec![
            format!(
                "{}提出的“{}”申请（办件编号：{}），本机关经审查，根据《中华人民共和国行政许可法》\
                 {article}{}，决定{decided}。",
                submitted_on(facts),
                facts.matter.name,
                case.id,
                basis(facts),
            ),
            format!("理由：{reason}"),
        ],
        closing: vec![
            "如对本决定不服，可以自收到本决定书之日起六十日内依法申请行政复议，也可以自收到\
             本决定书之日起六个月内依法向人民法院提起行政诉讼。"
                .to_owned(),
        ],
        signed: (facts.department.to_owned(), chinese(day_of(at))),
        seal: true,
        foot: received(),
        ..addressed(facts)
    })
}

fn promise(facts: &Facts<'_>) -> Option<Letter> {
    let promise = facts.case.promise.as_ref()?;
    let names = promise.requirements.iter().map(|id| vec![name_of(facts.matter, id)]);
    Some(Letter {
        title: "容缺受理承诺书",
        number: format!("{}-诺", facts.case.id),
        to: Some(facts.department.to_owned()),
        opening: vec![format!(
            "本人（单位）申请办理“{}”（办件编号：{}），主要材料已经齐全，下列材料暂时不能提交，\
                 申请容缺受理：",
            facts.matter.name, facts.case.id
        )],
        columns: vec!["后补的材料"],
        rows: names.collect(),
        closing: vec![
            "本人（单位）已被一次性告知上述材料和补交期限，并郑重承诺：".to_owned(),
            format!("一、于{}前补齐上述全部材料；", chinese(promise.until)),
            "二、所提交的材料真实、合法、有效；".to_owned(),
            "三、逾期未补齐的，承担相应责任，此后申请不再适用容缺受理，直至补齐为止。".to_owned(),
            format!("本承诺已由本平台签名存证，承诺文件摘要（SHA-256）：{}。", promise.document),
        ],
        lines: vec!["承诺人（签字或盖章）：", "经办人："],
        signed: (
            facts.applicant.map_or_else(|| format!("证件号码 {}", facts.number), str::to_owned),
            chinese(day_of(promise.at)),
        ),
        seal: false,
        department: String::new(), // the applicant's letter, not the department's
        foot: Vec::new(),
    })
}

/// A letter with the department above and the applicant addressed; the rest is the caller's.
fn addressed(facts: &Facts<'_>) -> Letter {
    let to = match facts.applicant {
        Some(name) => name.to_owned(),
        None => format!("申请人（证件号码 {}）", facts.number),
    };
    Letter { department: facts.department.to_owned(), to: Some(to), ..Letter::default() }
}

/// `你（单位）于2026年3月2日`.
fn submitted_on(facts: &Facts<'_>) -> String {
    let case = facts.case;
    let first = case.steps.iter().find(|step| matches!(step.what, StepKind::Submitted { .. }));
    let at = first.map_or(case.opened_at, |step| step.at);
    let you = if case.holder.kind().is_person() { "你" } else { "你单位" };
    format!("{you}于{}", chinese(day_of(at)))
}

/// The matter's own legal basis, to stand after the general one.
fn basis(facts: &Facts<'_>) -> String {
    match facts.matter.basis.trim() {
        "" => "的规定".to_owned(),
        own => format!("的规定，并依据{own}"),
    }
}

fn received() -> Vec<String> {
    vec![
        "本文书一式两份，一份送达申请人，一份存入办件档案。".to_owned(),
        "签收人：　　　　　　　　　　　签收日期：　　　　年　　月　　日".to_owned(),
    ]
}

/// The name of a requirement, or of a form field, of the matter.
pub(crate) fn name_of(matter: &Matter, id: &str) -> String {
    let guide = &matter.guide;
    let requirement = guide.requirements.iter().find(|one| one.id == id).map(|one| &one.name);
    let fields = || guide.forms.iter().flat_map(|form| &form.fields);
    requirement
        .map(|name| name.zh.clone())
        .or_else(|| {
            fields().find(|field| field.id == id).map(|field| format!("申请表：{}", field.label.zh))
        })
        .unwrap_or_else(|| id.to_owned())
}

/// The latest supplement, and what it asked for.
pub(crate) fn asked_for(case: &Case) -> Option<(Timestamp, &[SupplementItem])> {
    case.steps.iter().rev().find_map(|step| match &step.what {
        StepKind::SupplementAsked { items } => Some((step.at, items.as_slice())),
        _ => None,
    })
}

/// The latest step that fits.
fn step(case: &Case, fits: impl Fn(&StepKind) -> bool) -> Option<(Timestamp, &StepKind)> {
    case.steps.iter().rev().find(|step| fits(&step.what)).map(|step| (step.at, &step.what))
}

fn doubt(deadline: Deadline) -> &'static str {
    if deadline.certain {
        ""
    } else {
        "（当年放假安排尚未公布，暂按周一至周五计算）"
    }
}

/// The day in China.
fn day_of(at: Timestamp) -> Date {
    TimeZone::fixed(tz::offset(8)).to_datetime(at).date()
}

/// `2026年3月2日`.
fn chinese(day: Date) -> String {
    format!("{}年{}月{}日", day.year(), day.month(), day.day())
}
