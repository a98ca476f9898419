//! A holder's own licences: the list, and one with its content and what may be done about it.

use actix_web::{HttpResponse, http::StatusCode, web};
use jiff::{ToSpan, civil::Date};
use licence::{HolderId, LicenceId, LicenceStatus};

use super::{
    consents::field_name,
    me::Me,
    own::{self, Own},
    views::{self, LicenceRow, Part},
};
use crate::{
    http::{error::Problem, grants::file_answer},
    judge::{Outcome, face},
    pages::{
        home::number,
        licence::{fields, half_hidden},
        search::type_name,
        texts::{Language, fill},
        verification::{cause_name, moment, period},
        views::{Badge, Choice, Fact, File, Notice, Tone},
        visitor::Failure,
    },
    pull::PullError,
    reuse::{
        corrections::{self, CorrectionError, Disputed},
        materials,
        own::{self as licences, OwnFileError},
    },
};

/// A licence that ends within so many days is said to end soon.
const SOON_DAYS: i32 = 60;
/// Most files that are offered to go along with a correction.
const MOST_MATERIALS: usize = 20;

/// `GET /me/licences`.
pub(crate) async fn list(me: Me) -> HttpResponse {
    me.visitor.show(all(&me).await)
}

async fn all(me: &Me) -> Result<(StatusCode, views::Licences), Failure> {
    let own = own::licences(me).await?;
    let (page, mine) = me.frame(Part::Licences, me.m().licences).await?;
    let more = (own.len() == own::MOST).then(|| fill(me.m().only_newest, &[("n", &own::MOST)]));
    let licences = rows(me, &own).await?;
    Ok((StatusCode::OK, views::Licences { page, mine, licences, more }))
}

/// Lines of a list: those that count today first.
pub(crate) async fn rows(me: &Me, own: &[Own]) -> Result<Vec<LicenceRow>, Failure> {
    let identifiers: Vec<LicenceId> = own.iter().map(|one| one.stored.identifier.clone()).collect();
    let disputed = corrections::disputed(&me.visitor.hub, &identifiers).await?;
    let mut rows: Vec<(bool, LicenceRow)> = own
        .iter()
        .zip(disputed)
        .map(|(one, disputed)| (!one.is_current(), row(me, one, disputed.is_some())))
        .collect();
    rows.sort_by_key(|(past, _)| *past);
    Ok(rows.into_iter().map(|(_, row)| row).collect())
}

fn row(me: &Me, own: &Own, disputed: bool) -> LicenceRow {
    let face = face(&own.stored.document).filter(|_| !own.is_damaged());
    let type_name = type_name(&me.visitor, &own.stored.licence_type);
    let t = me.visitor.t();
    LicenceRow {
        href: format!("/me/licences/{}", own.stored.identifier),
        name: own.name(me),
        type_name: (me.visitor.language == Language::English).then_some(type_name),
        number: face.as_ref().map(|face| number_shown(me, &face.number)).unwrap_or_default(),
        valid: face
            .as_ref()
            .map(|face| period(t, face.valid_from, face.valid_to))
            .unwrap_or_default(),
        badge: standing(me, own).0,
        disputed: disputed.then(|| Badge {
            tone: Tone::Warning,
            sign: "!",
            word: me.m().licence_disputed.to_owned(),
        }),
    }
}

/// The number of a licence; an identity card's is the person's own and is shown by its ends.
fn number_shown(me: &Me, text: &str) -> String {
    let holders = &me.person.account.holders;
    let own = holders.iter().any(|one| one.kind().is_person() && one.number() == text);
    if own { half_hidden(text) } else { text.to_owned() }
}

/// How a licence stands: a badge, and what it means for its holder.
fn standing(me: &Me, own: &Own) -> (Badge, String) {
    let (m, t) = (me.m(), me.visitor.t());
    let said = |tone, sign, word: &str, says: &str| {
        (Badge { tone, sign, word: word.to_owned() }, says.to_owned())
    };
    if own.is_damaged() {
        return said(Tone::Bad, "✗", m.licence_damaged, m.licence_says_damaged);
    }
    match &own.stored.status {
        LicenceStatus::Valid => {}
        LicenceStatus::Suspended => {
            return said(Tone::Warning, "!", t.status_suspended, m.licence_says_suspended);
        }
        LicenceStatus::Revoked { cause } => {
            let says = fill(m.licence_says_revoked, &[("cause", &cause_name(t, *cause))]);
            return said(Tone::Bad, "✗", t.status_revoked, &says);
        }
        LicenceStatus::Superseded { .. } => {
            return said(Tone::Plain, "→", t.status_superseded, m.licence_says_superseded);
        }
    }
    match own.verification.validity {
        "ok" => {}
        "not_yet" => {
            return said(Tone::Warning, "!", m.licence_not_yet, m.licence_says_not_yet);
        }
        _ => return said(Tone::Bad, "✗", m.licence_expired, m.licence_says_expired),
    }
    // Whether it ended is worth more to its holder than that it proves nothing anyway.
    if own.is_unsigned() {
        return said(Tone::Warning, "!", m.licence_unsigned, m.licence_says_unsigned);
    }
    match own.verification.result {
        Outcome::Trusted => match ends_soon(me, own) {
            Some(day) => {
                let says = fill(m.licence_says_ends_soon, &[("day", &day)]);
                said(Tone::Warning, "!", m.licence_ends_soon, &says)
            }
            None => said(Tone::Good, "✓", m.licence_current, m.licence_says_current),
        },
        Outcome::Undetermined => {
            said(Tone::Warning, "?", t.undetermined, m.licence_says_undetermined)
        }
        Outcome::Untrusted => said(Tone::Bad, "✗", t.untrusted, m.licence_says_untrusted),
    }
}

fn ends_soon(me: &Me, own: &Own) -> Option<Date> {
    let today = me.visitor.hub.clock.today();
    let last = face(&own.stored.document)?.valid_to?;
    let soon = today.checked_add(SOON_DAYS.days()).ok()?;
    (last <= soon).then_some(last)
}

/// What was typed into the form that disputes a field.
#[derive(Default)]
pub(crate) struct Typed {
    /// Which field.
    pub(crate) field: String,
    /// What it should say.
    pub(crate) says: String,
    /// Why.
    pub(crate) why: String,
    /// Why it was not taken.
    pub(crate) refused: Option<String>,
}

/// `GET /me/licences/{identifier}`.
pub(crate) async fn one(me: Me, identifier: web::Path<String>) -> HttpResponse {
    let page = page(&me, &identifier, Typed::default()).await;
    me.visitor.show(page.map(|page| (StatusCode::OK, page)))
}

/// `GET /me/licences/{identifier}/files/{sha256}`.
pub(crate) async fn file(me: Me, path: web::Path<(String, String)>) -> HttpResponse {
    let (identifier, digest) = path.into_inner();
    match opened(&me, &identifier, &digest).await {
        Ok(answer) => answer,
        Err(failure) => me.visitor.failed(&failure),
    }
}

async fn opened(me: &Me, identifier: &str, digest: &str) -> Result<HttpResponse, Failure> {
    let identifier = identifier.parse().map_err(|_| own::unknown())?;
    let none = || own::refused(PullError::NoSuchFile.into());
    let digest = digest.parse().map_err(|_| none())?;
    for holder in &me.person.account.holders {
        match licences::file(&me.visitor.hub, &me.who_for(holder), &identifier, &digest).await {
            Ok((file, bytes)) => return Ok(file_answer(&file.media_type, bytes)),
            Err(OwnFileError::Look(CorrectionError::UnknownLicence)) => {}
            Err(error) => return Err(own::refused(error.into())),
        }
    }
    Err(own::unknown())
}

/// A licence, with what was typed to dispute it.
pub(crate) async fn page(
    me: &Me,
    identifier: &str,
    typed: Typed,
) -> Result<views::LicencePage, Failure> {
    let (own, holder) = own::licence(me, identifier).await?;
    let m = me.m();
    let (page, mine) = me.frame(Part::Licences, own.name(me)).await?;
    let (badge, says) = standing(me, &own);
    let content =
        (!own.is_damaged()).then(|| licence::Licence::parse(&own.stored.document).ok()).flatten();
    let newer = match &own.stored.status {
        LicenceStatus::Superseded { by } => Some(format!("/me/licences/{by}")),
        _ => None,
    };
    let code = match own.verification.result {
        Outcome::Trusted => None,
        _ => Some(fill(m.verification_code, &[("code", &own.verification.failing_link())])),
    };
    let identifiers = [own.stored.identifier.clone()];
    let disputed = corrections::disputed(&me.visitor.hub, &identifiers).await?.pop().flatten();
    let dispute = match &content {
        Some(content) => Some(dispute(me, &own, &holder, content, disputed.as_ref(), typed).await?),
        None => None,
    };
    Ok(views::LicencePage {
        page,
        mine,
        badge,
        says,
        code,
        newer,
        disputed: disputed.map(|disputed| notice(me, &own, &disputed)),
        facts: content.as_ref().map(|content| facts(me, &own, content)).unwrap_or_default(),
        files: content.map(|content| files(&content)).unwrap_or_default(),
        address: format!("/me/licences/{}", own.stored.identifier),
        dispute: dispute.filter(|dispute| !dispute.fields.is_empty()),
    })
}

fn notice(me: &Me, own: &Own, disputed: &Disputed) -> Notice {
    let names: Vec<String> = disputed
        .fields
        .iter()
        .map(|field| field_name(me, &own.stored.licence_type, field).text)
        .collect();
    let names = names.join(me.visitor.language.pick("、", ", "));
    let since = &moment(disputed.since)[..10];
    Notice {
        tone: Tone::Warning,
        title: me.m().licence_disputed.to_owned(),
        says: vec![fill(me.m().licence_says_disputed, &[("fields", &names), ("day", &since)])],
    }
}

/// The form that disputes a field: those that are text and not disputed yet.
async fn dispute(
    me: &Me,
    own: &Own,
    holder: &HolderId,
    content: &licence::Licence,
    disputed: Option<&Disputed>,
    typed: Typed,
) -> Result<views::Dispute, Failure> {
    let licence_type = &own.stored.licence_type;
    let open = |key: &String| disputed.is_none_or(|disputed| !disputed.fields.contains(key));
    let fields = content.fields.iter().filter(|(key, _)| open(key)).map(|(key, value)| {
        let shown = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        // An option is one line; long values are cut, the whole stands above.
        let shown: String = shown.chars().take(40).collect();
        Choice {
            value: key.clone(),
            label: format!("{}：{shown}", field_name(me, licence_type, key).text),
            selected: *key == typed.field,
        }
    });
    let materials =
        materials::of_holder(&me.visitor.hub, &me.who_for(holder), MOST_MATERIALS).await;
    let materials = materials.map_err(Problem::from)?;
    Ok(views::Dispute {
        licence: own.stored.identifier.to_string(),
        fields: fields.collect(),
        open: typed.refused.is_some(),
        refused: typed.refused.map(|says| Notice {
            tone: Tone::Bad,
            title: me.m().not_done.to_owned(),
            says: vec![says, me.m().what_was_typed_kept.to_owned()],
        }),
        says: typed.says,
        why: typed.why,
        materials: materials
            .into_iter()
            .map(|one| {
                let day = moment(one.handed_in_at)[..10].to_owned();
                (one.id, one.name, day)
            })
            .collect(),
    })
}

fn facts(me: &Me, own: &Own, content: &licence::Licence) -> Vec<Fact> {
    let (m, t) = (me.m(), me.visitor.t());
    let mut facts: Vec<Fact> =
        content.holders.iter().map(|holder| Fact::data(m.name_on_it, &holder.name)).collect();
    facts.push(Fact::code(m.column_number, number_shown(me, &content.number)));
    let entry = me.visitor.hub.catalogue.entry(&own.stored.licence_type);
    facts.extend(fields(&me.visitor, entry, content));
    facts.push(Fact::data(m.issued_by, &content.issuer_name));
    facts.push(Fact::new(m.issued_on, content.issued_on.to_string()));
    facts.push(Fact::new(m.column_valid, period(t, content.valid_from, content.valid_to)));
    facts.push(Fact::code(m.identifier, own.stored.identifier.as_str()));
    facts
}

fn files(content: &licence::Licence) -> Vec<File> {
    let files = content.files.iter().map(|file| File {
        name: file.name.clone(),
        media_type: file.media_type.clone(),
        size: format!("{} B", number(file.size)),
        digest: file.sha256.to_string(),
    });
    files.collect()
}
