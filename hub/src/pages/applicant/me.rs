//! Whose pages these are: the person who has logged in, and the holder they act for now.

use std::{future::Future, pin::Pin};

use actix_web::{
    FromRequest, HttpRequest, HttpResponse,
    dev::Payload,
    error::InternalError,
    http::{StatusCode, header},
};
use licence::HolderId;

use super::{
    own,
    texts::MeTexts,
    views::{Mine, Part},
};
use crate::{
    login::{Person, Role, middleware::cookie},
    pages::{
        posted::Posted,
        views::{Frame, Section},
        visitor::{Failure, Visitor},
    },
    reuse::Who,
};

/// Remembers for whom the person acts: the place among their holders, and for which session that was chosen.
const COOKIE: &str = "yihao_for";

/// An applicant at their pages.
pub(crate) struct Me {
    /// The reader.
    pub(crate) visitor: Visitor,
    /// Who has logged in.
    pub(crate) person: Person,
    /// For whom they act now: the place among their holders.
    pub(crate) place: usize,
}

impl Me {
    /// The texts of these pages.
    pub(crate) fn m(&self) -> &'static MeTexts {
        MeTexts::of(self.visitor.language)
    }

    /// For whom the person acts now.
    pub(crate) fn holder(&self) -> &HolderId {
        &self.person.account.holders[self.place]
    }

    /// As the rooms of [`crate::reuse`] want it.
    pub(crate) fn who(&self) -> Who {
        self.who_for(self.holder())
    }

    /// The same for one of the person's holders.
    pub(crate) fn who_for(&self, holder: &HolderId) -> Who {
        Who::Holder { person: self.person.clone(), holder: holder.clone() }
    }

    /// What surrounds a page, and what the personal pages share.
    pub(crate) async fn frame(
        &self,
        part: Part,
        title: impl Into<String>,
    ) -> Result<(Frame, Mine), Failure> {
        let frame = self.visitor.frame(Section::Mine, title);
        let several = self.person.account.holders.len() > 1;
        let acting = match several {
            true => Some(own::name_of(self, self.place).await?),
            false => None,
        };
        let tag = self.visitor.language.tag();
        let mine = Mine { m: self.m(), part, tag, csrf: self.person.csrf.clone(), acting };
        Ok((frame, mine))
    }
}

impl FromRequest for Me {
    type Error = actix_web::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self, actix_web::Error>>>>;

    /// Sends who has not logged in to do so, and tells others than applicants that these pages are not theirs.
    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let found = of(request);
        Box::pin(async move { found })
    }
}

fn of(request: &HttpRequest) -> Result<Me, actix_web::Error> {
    let visitor = Visitor::of(request)?;
    let instead = |page: HttpResponse| InternalError::from_response("no applicant", page).into();
    let Some(person) = visitor.person.clone() else {
        let next = if request.method().is_safe() { request.path() } else { "/me" };
        return Err(instead(see_other(&format!("/login?next={next}"))));
    };
    if !person.is(Role::Applicant) || person.account.holders.is_empty() {
        let failure = Failure::of_room(StatusCode::FORBIDDEN, "not_an_applicant", |language| {
            MeTexts::of(language).say_not_an_applicant
        });
        return Err(instead(visitor.failed(&failure)));
    }
    let place = chosen_holder(request, &person);
    Ok(Me { visitor, person, place })
}

/// For whom a person acts in this session: the place among their holders.
pub(crate) fn chosen_holder(request: &HttpRequest, person: &Person) -> usize {
    let chosen = cookie(request, COOKIE).and_then(|value| {
        let (place, session) = value.split_once('.')?;
        let place: usize = place.parse().ok()?;
        (session == mark(person) && place < person.account.holders.len()).then_some(place)
    });
    chosen.unwrap_or(0)
}

/// Names a session in the cookie; what it is made from is itself a digest.
fn mark(person: &Person) -> &str {
    person.session.get(..16).unwrap_or_default()
}

/// `POST /me/holder`: act for another of one's holders.
pub(crate) async fn choose(me: Me, posted: Posted) -> HttpResponse {
    let place = posted.text("place").parse().ok();
    match place.filter(|place: &usize| *place < me.person.account.holders.len()) {
        Some(place) => acting_for(&me, place, see_other("/me")),
        None => me.visitor.failed(&Failure::of_room(
            StatusCode::UNPROCESSABLE_ENTITY,
            "holder_choice",
            |language| MeTexts::of(language).say_holder_choice,
        )),
    }
}

/// Adds to an answer that from now on the person acts for another holder.
pub(crate) fn acting_for(me: &Me, place: usize, mut answer: HttpResponse) -> HttpResponse {
    let login = me.visitor.hub.settings().login.as_ref();
    let secure = login.is_some_and(|login| login.address.starts_with("https:"));
    let cookie = format!(
        "{COOKIE}={place}.{}; Path=/; HttpOnly; SameSite=Lax{}",
        mark(&me.person),
        if secure { "; Secure" } else { "" }
    );
    if let Ok(value) = header::HeaderValue::try_from(cookie) {
        answer.headers_mut().append(header::SET_COOKIE, value);
    }
    answer
}

/// Go on there, by GET.
pub(crate) fn see_other(address: &str) -> HttpResponse {
    HttpResponse::SeeOther().insert_header((header::LOCATION, address)).finish()
}
