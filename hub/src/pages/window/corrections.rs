//! Fields that holders dispute, answered by the department that issued the licence.

use actix_web::{HttpResponse, http::StatusCode, web};

use super::{
    cases::holder_fact,
    clerk, desk, failure, frame, notice, rows, say, see_other,
    texts::WindowTexts,
    views::{CorrectionPage, CorrectionRow, Corrections, Tab, Words},
};
use crate::{
    http::error::Problem,
    pages::{
        posted::Posted,
        texts::Language,
        verification::moment,
        views::{Badge, Fact, Tone},
        visitor::{Failure, Visitor},
    },
    reuse::{
        Who,
        corrections::{self, Correction, CorrectionError, Outcome},
        materials,
    },
};

/// Corrections listed.
const MOST_LISTED: usize = 200;

/// `GET /window/corrections`: those without an answer first, the most urgent on top.
pub(super) async fn list(visitor: Visitor) -> HttpResponse {
    visitor.show(listed(&visitor).await)
}

async fn listed(visitor: &Visitor) -> Result<(StatusCode, Corrections), Failure> {
    let (hub, w) = (&visitor.hub, WindowTexts::of(visitor.language));
    let clerk = clerk(visitor)?;
    let desk = desk(visitor, &clerk, Tab::Corrections);
    let who = Who::Clerk(clerk);
    let mut found = corrections::of_issuer(hub, &who, MOST_LISTED).await.map_err(wrong)?;
    found.sort_by_key(|one| (one.outcome.is_some(), one.outcome.is_none().then_some(one.due)));
    let rows = found.iter().map(|one| CorrectionRow {
        id: one.id.clone(),
        licence: licence_name(visitor, one),
        field: field(visitor, one),
        state: badge(visitor, one),
        at: moment(one.disputed_at).chars().take(16).collect(),
        due: due(w, one),
    });
    let page = Corrections { page: frame(visitor, w.corrections), desk, rows: rows.collect() };
    Ok((StatusCode::OK, page))
}

/// `GET /window/corrections/{id}`.
pub(super) async fn look(visitor: Visitor, id: web::Path<String>) -> HttpResponse {
    visitor.show(one(&visitor, &id, None, Default::default()).await)
}

/// `POST /window/corrections/{id}`: the answer.
pub(super) async fn answer(
    visitor: Visitor,
    id: web::Path<String>,
    posted: Posted,
) -> HttpResponse {
    let typed = (posted.text("licence").to_owned(), posted.text("reason").to_owned());
    let answered = async {
        let who = Who::Clerk(clerk(&visitor)?);
        let outcome = outcome(&posted)?;
        corrections::answer(&visitor.hub, &who, &id, &outcome).await.map_err(wrong)
    };
    match answered.await {
        Ok(correction) => see_other(&format!("/window/corrections/{}", correction.id)),
        Err(failure)
            if matches!(
                failure.status,
                StatusCode::CONFLICT | StatusCode::UNPROCESSABLE_ENTITY | StatusCode::BAD_REQUEST
            ) =>
        {
            visitor.show(one(&visitor, &id, Some(&failure), typed).await)
        }
        Err(failure) => visitor.failed(&failure),
    }
}

fn outcome(posted: &Posted) -> Result<Outcome, Failure> {
    let wrong = |code, say| Failure::of_room(StatusCode::UNPROCESSABLE_ENTITY, code, say);
    match posted.text("outcome") {
        "corrected" => {
            let licence = posted.text("licence").parse();
            let licence = licence.map_err(|_| wrong("identifier", say!(identifier_wrong)))?;
            Ok(Outcome::Corrected { licence })
        }
        _ if posted.text("reason").is_empty() => Err(wrong("reason", say!(reason_missing))),
        _ => Ok(Outcome::Kept { reason: posted.text("reason").to_owned() }),
    }
}

fn wrong(error: CorrectionError) -> Failure {
    failure(Problem::from(error))
}

async fn one(
    visitor: &Visitor,
    id: &str,
    refusal: Option<&Failure>,
    typed: (String, String),
) -> Result<(StatusCode, CorrectionPage), Failure> {
    let (hub, w) = (&visitor.hub, WindowTexts::of(visitor.language));
    let clerk = clerk(visitor)?;
    let desk = desk(visitor, &clerk, Tab::Corrections);
    let who = Who::Clerk(clerk);
    let correction = corrections::correction(hub, &who, id).await.map_err(wrong)?;
    let files = files(visitor, &who, &correction).await?;
    let page = CorrectionPage {
        page: frame(visitor, w.correction_title),
        desk,
        id: correction.id.clone(),
        state: badge(visitor, &correction),
        notice: refusal.map(|failure| notice(visitor, failure)),
        facts: facts(visitor, &correction),
        files,
        open: correction.outcome.is_none(),
        typed,
    };
    Ok((refusal.map_or(StatusCode::OK, |failure| failure.status), page))
}

/// What the holder attached: address and name.
async fn files(
    visitor: &Visitor,
    who: &Who,
    one: &Correction,
) -> Result<Vec<(String, String)>, Failure> {
    let mut files = Vec::with_capacity(one.materials.len());
    for id in &one.materials {
        let held = materials::material(&visitor.hub, who, id).await;
        let held = held.map_err(|error| failure(Problem::from(error)))?;
        files.push((format!("/window/corrections/{}/files/{id}", one.id), held.value.name));
    }
    Ok(files)
}

fn facts(visitor: &Visitor, one: &Correction) -> Vec<Fact> {
    let w = WindowTexts::of(visitor.language);
    let mut facts = vec![
        Fact::new(w.correction_licence, licence_name(visitor, one).text),
        Fact::code(visitor.t().identifier, one.licence.as_str()),
        holder_fact(visitor, w.consent_holder, &one.holder, None),
        Fact::new(w.correction_field, field(visitor, one).text),
        Fact::data(w.correction_now, &one.shown),
        Fact::data(w.correction_says, &one.says),
        Fact::data(w.correction_why, &one.why),
        Fact::new(w.correction_at, moment(one.disputed_at)),
        Fact::new(w.correction_due, due(w, one)),
    ];
    match &one.outcome {
        Some(Outcome::Corrected { licence }) => {
            facts.push(Fact::code(w.correction_new, licence.as_str()));
        }
        Some(Outcome::Kept { reason }) => facts.push(Fact::data(w.correction_no_reason, reason)),
        None => {}
    }
    facts.extend(one.answered_at.map(|at| Fact::new(w.correction_answered_at, moment(at))));
    facts
}

fn due(w: &WindowTexts, one: &Correction) -> String {
    let doubt = if one.due_certain { "" } else { w.correction_uncertain };
    format!("{}{doubt}", one.due)
}

fn licence_name(visitor: &Visitor, one: &Correction) -> Words {
    match rows::type_name(&visitor.hub, visitor.language, &one.licence_type) {
        Some(name) => Words::new(name, visitor.language),
        None => Words::new(&one.licence_name, Language::Chinese),
    }
}

fn field(visitor: &Visitor, one: &Correction) -> Words {
    let name = rows::field_name(&visitor.hub, visitor.language, &one.licence_type, &one.field);
    Words::new(name, visitor.language)
}

fn badge(visitor: &Visitor, one: &Correction) -> Badge {
    let w = WindowTexts::of(visitor.language);
    let late = one.overdue(visitor.hub.clock.today());
    let (tone, sign, word) = match &one.outcome {
        None if late => (Tone::Bad, "!", w.overdue),
        None => (Tone::Warning, "…", w.correction_open),
        Some(Outcome::Corrected { .. }) => (Tone::Good, "✓", w.correction_corrected),
        Some(Outcome::Kept { .. }) => (Tone::Plain, "■", w.correction_kept),
    };
    Badge { tone, sign, word: word.to_owned() }
}
