//! Corrections: a field that the holder says is wrong, and what its issuer answered.

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web};

use super::{
    consents::field_name,
    licences,
    me::{Me, see_other},
    own,
    views::{self, CorrectionRow, Part},
};
use crate::{
    http::error::Problem,
    pages::{
        posted::Posted,
        texts::fill,
        verification::moment,
        views::{Badge, Fact, Notice, Tone},
        visitor::Failure,
    },
    reuse::corrections::{self, Correction, CorrectionError, NewDispute, Outcome},
};

/// Most corrections on a page.
const MOST: usize = 100;

impl From<CorrectionError> for Failure {
    fn from(error: CorrectionError) -> Self {
        own::refused(Problem::from(error))
    }
}

/// `GET /me/corrections`.
pub(crate) async fn list(me: Me) -> HttpResponse {
    me.visitor.show(all(&me).await)
}

async fn all(me: &Me) -> Result<(StatusCode, views::Corrections), Failure> {
    let corrections = corrections::of_holder(&me.visitor.hub, &me.who(), MOST).await?;
    let (page, mine) = me.frame(Part::Corrections, me.m().corrections_title).await?;
    let rows = corrections.iter().map(|correction| CorrectionRow {
        href: format!("/me/corrections/{}", correction.id),
        licence: correction.licence_name.clone(),
        field: field_name(me, &correction.licence_type, &correction.field),
        badge: badge(me, correction),
        due: correction.due.to_string(),
        at: moment(correction.disputed_at)[..10].to_owned(),
    });
    let rows = rows.collect();
    Ok((StatusCode::OK, views::Corrections { page, mine, rows }))
}

fn badge(me: &Me, correction: &Correction) -> Badge {
    let m = me.m();
    let today = me.visitor.hub.clock.today();
    let (tone, sign, word) = match &correction.outcome {
        Some(Outcome::Corrected { .. }) => (Tone::Good, "✓", m.correction_corrected),
        Some(Outcome::Kept { .. }) => (Tone::Plain, "–", m.correction_kept),
        None if correction.overdue(today) => (Tone::Bad, "!", m.correction_overdue),
        None => (Tone::Warning, "…", m.correction_waiting),
    };
    Badge { tone, sign, word: word.to_owned() }
}

/// `POST /me/corrections`: disputes a field of a licence.
pub(crate) async fn dispute(me: Me, posted: Posted) -> HttpResponse {
    let identifier = posted.text("licence").to_owned();
    match disputed(&me, &identifier, &posted).await {
        Ok(id) => see_other(&format!("/me/corrections/{id}?done=disputed")),
        Err(failure)
            if failure.status.is_client_error() && failure.status != StatusCode::NOT_FOUND =>
        {
            let kept = licences::Typed {
                field: posted.text("field").to_owned(),
                says: posted.text("says").to_owned(),
                why: posted.text("why").to_owned(),
                refused: Some(failure.say.in_language(me.visitor.language).to_owned()),
            };
            match licences::page(&me, &identifier, kept).await {
                Ok(mut page) => {
                    // Switching the language asks the same again, which changes nothing either.
                    let again = ["csrf", "licence", "field", "says", "why"].map(|name| {
                        let text = posted.text(name).to_owned();
                        (name, if name == "csrf" { me.person.csrf.clone() } else { text })
                    });
                    page.page.again = Some(again.into());
                    me.visitor.show(Ok((failure.status, page)))
                }
                Err(_) => me.visitor.failed(&failure),
            }
        }
        Err(failure) => me.visitor.failed(&failure),
    }
}

async fn disputed(me: &Me, identifier: &str, posted: &Posted) -> Result<String, Failure> {
    let (licence, holder) = own::licence(me, identifier).await?;
    let new = NewDispute {
        licence: licence.stored.identifier,
        field: posted.text("field").to_owned(),
        says: lines(posted.text("says")),
        why: lines(posted.text("why")),
        materials: posted.all("material").map(str::to_owned).collect(),
    };
    Ok(corrections::dispute(&me.visitor.hub, &me.who_for(&holder), &new).await?.id)
}

/// One line: browsers send line ends of a text as CR LF.
fn lines(text: &str) -> String {
    text.split(['\r', '\n']).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

/// `GET /me/corrections/{id}`.
pub(crate) async fn one(me: Me, id: web::Path<String>, request: HttpRequest) -> HttpResponse {
    let done = request.query_string().split('&').any(|member| member == "done=disputed");
    me.visitor.show(correction_page(&me, &id, done).await)
}

async fn correction_page(
    me: &Me,
    id: &str,
    done: bool,
) -> Result<(StatusCode, views::CorrectionPage), Failure> {
    let (hub, m) = (&me.visitor.hub, me.m());
    let correction = find(me, id).await?;
    let (page, mine) = me.frame(Part::Corrections, m.correction_title).await?;
    let field = field_name(me, &correction.licence_type, &correction.field);
    let due = correction.due.to_string();
    let mut facts = vec![
        Fact {
            link: Some((format!("/me/licences/{}", correction.licence), m.show_licence.to_owned())),
            ..Fact::data(m.column_licence, &correction.licence_name)
        },
        Fact { data: field.lang == "zh-CN", ..Fact::new(m.correction_field, field.text) },
        Fact::data(m.correction_shown, &correction.shown),
        Fact::data(m.correction_says, &correction.says),
        Fact::data(m.correction_why, &correction.why),
        Fact::data(m.issued_by, hub.department_name(&correction.issuer)),
        Fact::new(m.correction_disputed_at, moment(correction.disputed_at)),
        Fact {
            note: (!correction.due_certain).then(|| m.correction_due_uncertain.to_owned()),
            ..Fact::new(m.correction_due, due.clone())
        },
    ];
    facts.extend(correction.answered_at.map(|at| Fact::new(m.correction_answered_at, moment(at))));
    let (says, reason, corrected) = match &correction.outcome {
        Some(Outcome::Corrected { licence }) => {
            (m.correction_says_corrected.to_owned(), None, Some(format!("/me/licences/{licence}")))
        }
        Some(Outcome::Kept { reason }) => {
            (m.correction_says_kept.to_owned(), Some(reason.clone()), None)
        }
        None if correction.overdue(hub.clock.today()) => {
            (fill(m.correction_says_overdue, &[("day", &due)]), None, None)
        }
        None => (fill(m.correction_says_waiting, &[("day", &due)]), None, None),
    };
    let notice = done.then(|| Notice {
        tone: Tone::Good,
        title: m.done_disputed.to_owned(),
        says: Vec::new(),
    });
    let badge = badge(me, &correction);
    let page = views::CorrectionPage { page, mine, badge, says, notice, reason, corrected, facts };
    Ok((StatusCode::OK, page))
}

/// The correction, if one of the person's holders disputes it.
async fn find(me: &Me, id: &str) -> Result<Correction, Failure> {
    for holder in &me.person.account.holders {
        match corrections::correction(&me.visitor.hub, &me.who_for(holder), id).await {
            Ok(correction) => return Ok(correction),
            Err(CorrectionError::Unknown) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(CorrectionError::Unknown.into())
}
