//! What is done with a case: for the applicant at the window, and by the deciding department.

use std::collections::BTreeMap;

use actix_web::{HttpResponse, http::StatusCode, web};

use super::{
    cases::{self as pages, wrong},
    clerk, say,
    views::CasePage,
};
use crate::{
    pages::{
        posted::Posted,
        visitor::{Failure, Visitor},
    },
    reuse::{
        Who,
        case::{Case, SupplementItem},
        cases::{self, CaseError, DepartmentStep},
    },
};

/// `POST /window/cases/{id}/materials`: an earlier file is used again.
pub(super) async fn provide(
    visitor: Visitor,
    id: web::Path<String>,
    posted: Posted,
) -> HttpResponse {
    let (requirement, material) = (posted.text("requirement"), posted.text("material"));
    done(&visitor, &id, async |who| {
        cases::provide(&visitor.hub, &who, &id, requirement, material).await
    })
    .await
}

/// `POST /window/cases/{id}/promise`.
pub(super) async fn promise(
    visitor: Visitor,
    id: web::Path<String>,
    posted: Posted,
) -> HttpResponse {
    let named: Vec<String> = posted.all("requirement").map(str::to_owned).collect();
    done(&visitor, &id, async |who| cases::promise(&visitor.hub, &who, &id, &named).await).await
}

/// `POST /window/cases/{id}/submit`.
pub(super) async fn submit(visitor: Visitor, id: web::Path<String>, _: Posted) -> HttpResponse {
    done(&visitor, &id, async |who| cases::submit(&visitor.hub, &who, &id).await).await
}

/// `POST /window/cases/{id}/withdraw`: the applicant asked for it, says the ticked box.
pub(super) async fn withdraw(
    visitor: Visitor,
    id: web::Path<String>,
    posted: Posted,
) -> HttpResponse {
    if posted.text("sure").is_empty() {
        return refused(&visitor, &id, "confirmation_required", say!(withdraw_tick)).await;
    }
    done(&visitor, &id, async |who| cases::withdraw(&visitor.hub, &who, &id).await).await
}

/// `POST /window/cases/{id}/accept`.
pub(super) async fn accept(visitor: Visitor, id: web::Path<String>, _: Posted) -> HttpResponse {
    step(&visitor, &id, DepartmentStep::Accept).await
}

/// `POST /window/cases/{id}/supplement`: everything at once, each with its reason.
pub(super) async fn supplement(
    visitor: Visitor,
    id: web::Path<String>,
    posted: Posted,
) -> HttpResponse {
    let reasons: BTreeMap<&str, &str> = posted.under("why-").collect();
    let ticked: Vec<&str> = posted.all("item").collect();
    let why = |id: &str| reasons.get(id).copied().unwrap_or_default();
    let told = !ticked.is_empty() && ticked.iter().all(|id| !why(id).is_empty());
    let forgotten = reasons.iter().any(|(id, why)| !why.is_empty() && !ticked.contains(id));
    if told && !forgotten {
        let items = ticked
            .iter()
            .map(|id| SupplementItem { requirement: (*id).to_owned(), why: why(id).to_owned() })
            .collect();
        return step(&visitor, &id, DepartmentStep::Supplement { items }).await;
    }
    let failure = unprocessable("supplement_incomplete", say!(supplement_none));
    let page = pages::refused(&visitor, &id, &failure).await.map(|(status, mut page)| {
        keep_typed(&mut page, &ticked, &reasons);
        (status, page)
    });
    visitor.show(page)
}

/// What was ticked and written stays on the page.
fn keep_typed(page: &mut CasePage, ticked: &[&str], reasons: &BTreeMap<&str, &str>) {
    let mends = page.decide.iter_mut().flat_map(|decide| &mut decide.supplement);
    for mend in mends {
        mend.ticked = ticked.contains(&mend.id.as_str());
        mend.why = reasons.get(mend.id.as_str()).copied().unwrap_or_default().to_owned();
    }
}

/// `POST /window/cases/{id}/decline`.
pub(super) async fn decline(
    visitor: Visitor,
    id: web::Path<String>,
    posted: Posted,
) -> HttpResponse {
    let reason = posted.text("reason").to_owned();
    step(&visitor, &id, DepartmentStep::Decline { reason }).await
}

/// `POST /window/cases/{id}/decide`.
pub(super) async fn decide(
    visitor: Visitor,
    id: web::Path<String>,
    posted: Posted,
) -> HttpResponse {
    let granted = posted.text("granted") == "1";
    let reason = posted.text("reason").to_owned();
    step(&visitor, &id, DepartmentStep::Decide { granted, reason }).await
}

/// `POST /window/cases/{id}/result`.
pub(super) async fn result(
    visitor: Visitor,
    id: web::Path<String>,
    posted: Posted,
) -> HttpResponse {
    match posted.text("licence").parse() {
        Ok(licence) => step(&visitor, &id, DepartmentStep::Result { licence }).await,
        Err(_) => refused(&visitor, &id, "identifier", say!(identifier_wrong)).await,
    }
}

async fn step(visitor: &Visitor, id: &str, step: DepartmentStep) -> HttpResponse {
    done(visitor, id, async |who| cases::step(&visitor.hub, &who, id, step.clone(), None).await)
        .await
}

async fn done(
    visitor: &Visitor,
    id: &str,
    act: impl AsyncFnOnce(Who) -> Result<Case, CaseError>,
) -> HttpResponse {
    let done = match clerk(visitor) {
        Ok(clerk) => act(Who::Clerk(clerk)).await.map(drop).map_err(wrong),
        Err(failure) => Err(failure),
    };
    pages::after(visitor, id, done).await
}

async fn refused(visitor: &Visitor, id: &str, code: &str, say: super::Say) -> HttpResponse {
    visitor.show(pages::refused(visitor, id, &unprocessable(code, say)).await)
}

fn unprocessable(code: &str, say: super::Say) -> Failure {
    Failure::of_room(StatusCode::UNPROCESSABLE_ENTITY, code, say)
}
