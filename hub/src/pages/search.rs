//! Finding licences. The form travels by POST: names do not belong into addresses.

use std::collections::BTreeSet;

use actix_web::{HttpResponse, http::StatusCode, web};
use licence::LicenceTypeCode;
use serde::Deserialize;

use super::{
    home::number,
    texts::{Language, Texts, fill, holder_kind},
    views::{
        self, Badge, Choice, Facet, FacetOption, Hidden, Hit, Notice, Piece, Results, Section, Tone,
    },
    visitor::{Failure, Visitor},
};
use crate::{
    http::search::{HitAnswer, SearchAnswer, SearchRequest, answer},
    policy::Act,
};

/// Hits in a page.
const PER_PAGE: usize = 20;

/// The form as sent.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Asked {
    pub(crate) q: String,
    pub(crate) reason: String,
    #[serde(rename = "type")]
    licence_type: String,
    status: String,
    holder_kind: String,
    issued_from: String,
    issued_to: String,
    cursor: String,
    /// The token of the session that the form was made for.
    csrf: String,
    /// Set where a form carries a search along without being one.
    pub(crate) back: String,
}

impl Asked {
    /// The members that are set, but for some, as hidden fields.
    pub(crate) fn hidden(&self, without: &[&str]) -> Hidden {
        [
            ("q", &self.q),
            ("reason", &self.reason),
            ("type", &self.licence_type),
            ("status", &self.status),
            ("holder_kind", &self.holder_kind),
            ("issued_from", &self.issued_from),
            ("issued_to", &self.issued_to),
            ("cursor", &self.cursor),
            ("back", &self.back),
        ]
        .into_iter()
        .filter(|(name, value)| !value.is_empty() && !without.contains(name))
        .map(|(name, value)| (name, value.clone()))
        .collect()
    }

    fn offset(&self) -> usize {
        self.cursor.parse().unwrap_or(0)
    }

    /// Form, facets and pages for another offset.
    fn at(&self, offset: usize) -> Hidden {
        let mut hidden = self.hidden(&["cursor", "back"]);
        hidden.push(("cursor", offset.to_string()));
        hidden
    }

    fn is_filtered(&self) -> bool {
        [&self.licence_type, &self.status, &self.holder_kind, &self.issued_from, &self.issued_to]
            .iter()
            .any(|value| !value.is_empty())
    }

    fn request(&self) -> SearchRequest {
        let set = |value: &String| Some(value.clone()).filter(|value| !value.is_empty());
        SearchRequest {
            q: self.q.clone(),
            licence_type: set(&self.licence_type),
            status: set(&self.status),
            holder_kind: set(&self.holder_kind),
            issued_from: set(&self.issued_from),
            issued_to: set(&self.issued_to),
            cursor: Some(self.offset()),
            limit: Some(PER_PAGE),
            ..SearchRequest::default()
        }
    }
}

/// A form that arrived, or not in one piece.
pub(crate) type Form = Result<web::Form<Asked>, actix_web::Error>;

/// A clerk's form, made for this session; or what it is answered with.
pub(crate) fn read(visitor: &Visitor, form: Form) -> Result<Asked, Failure> {
    let clerk = visitor.as_clerk()?;
    let asked = form
        .map(web::Form::into_inner)
        .map_err(|_| Failure::bad_request("form_malformed", |t| t.say_bad_request))?;
    if asked.csrf == clerk.person.csrf {
        Ok(asked)
    } else {
        Err(Failure::forbidden("csrf_token", |t| t.say_csrf))
    }
}

/// `GET /licences`: the empty form.
pub(crate) async fn form(visitor: Visitor) -> HttpResponse {
    let asked = Asked { reason: visitor.t().default_reason.to_owned(), ..Asked::default() };
    visitor.show(visitor.as_clerk().map(|_| (StatusCode::OK, page(&visitor, &asked))))
}

/// `POST /licences`: the results.
pub(crate) async fn results(visitor: Visitor, form: Form) -> HttpResponse {
    visitor.show(found(&visitor, form).await)
}

async fn found(visitor: &Visitor, form: Form) -> Result<(StatusCode, views::Search), Failure> {
    let mut asked = read(visitor, form)?;
    let t = visitor.t();
    asked.back.clear();
    if asked.reason.trim().is_empty() {
        t.default_reason.clone_into(&mut asked.reason);
    }
    let mut page = page(visitor, &asked);
    page.page.again = Some(asked.hidden(&[]));
    let operator = Some(visitor.as_clerk()?.operator());
    let answered = answer(&visitor.hub, &visitor.caller()?, operator, asked.request())
        .await
        .map_err(Failure::from);
    let status = match answered {
        Ok(answer) => {
            page.results = Some(shown(visitor, &asked, answer));
            StatusCode::OK
        }
        Err(failure) => {
            page.notice = Some(Notice {
                tone: Tone::Bad,
                title: failure.say.in_language(visitor.language).to_owned(),
                says: vec![fill(t.error_code_is, &[("code", &failure.code)])],
            });
            failure.status
        }
    };
    Ok((status, page))
}

/// The form with what was asked in it.
fn page(visitor: &Visitor, asked: &Asked) -> views::Search {
    let t = visitor.t();
    let entries: Vec<_> = visitor
        .hub
        .catalogue
        .entries()
        .filter(|entry| visitor.may(Act::Search(entry.code)))
        .collect();
    let kinds: BTreeSet<_> =
        entries.iter().flat_map(|entry| entry.holder_kinds.iter().copied()).collect();
    views::Search {
        page: visitor.frame(Section::Search, t.search),
        text: asked.q.clone(),
        reason: asked.reason.clone(),
        types: entries
            .iter()
            .map(|entry| Choice {
                value: entry.code.to_string(),
                label: visitor.language.pick(&entry.name, &entry.name_en).to_owned(),
                selected: entry.code.as_str() == asked.licence_type,
            })
            .collect(),
        statuses: ["valid", "suspended", "revoked", "superseded"]
            .into_iter()
            .map(|word| Choice {
                value: word.to_owned(),
                label: t.status_name(word).to_owned(),
                selected: word == asked.status,
            })
            .collect(),
        kinds: kinds
            .into_iter()
            .map(|kind| Choice {
                value: kind.code().to_owned(),
                label: holder_kind(visitor.language, kind).to_owned(),
                selected: kind.code() == asked.holder_kind,
            })
            .collect(),
        from: asked.issued_from.clone(),
        to: asked.issued_to.clone(),
        filtered: asked.is_filtered(),
        notice: None,
        results: None,
    }
}

fn shown(visitor: &Visitor, asked: &Asked, answer: SearchAnswer) -> Results {
    let t = visitor.t();
    let first = asked.offset();
    let last = first + answer.hits.len();
    let summary = fill(
        t.results_total,
        &[
            ("total", &number(answer.total)),
            ("first", &number(first as u64 + 1)),
            ("last", &number(last as u64)),
        ],
    );
    let mut carried = asked.hidden(&["back"]);
    carried.push(("back", "1".to_owned()));
    Results {
        summary,
        recorded: fill(t.results_recorded, &[("seq", &answer.seq)]),
        facets: facets(visitor, asked, &answer),
        carried,
        previous: (first > 0).then(|| asked.at(first.saturating_sub(PER_PAGE))),
        next: answer.next.map(|next| asked.at(next)),
        deep: answer.next.is_none() && (last as u64) < answer.total && !answer.hits.is_empty(),
        hits: answer.hits.into_iter().map(|one| hit(visitor, &asked.q, one)).collect(),
    }
}

fn hit(visitor: &Visitor, text: &str, hit: HitAnswer) -> Hit {
    Hit {
        type_name: (visitor.language == Language::English)
            .then(|| type_name(visitor, &hit.licence_type)),
        identifier: hit.identifier.to_string(),
        first_holder: hit.holders.first().cloned().unwrap_or_default(),
        name: marked(&hit.name, text),
        holders: hit.holders.iter().map(|holder| marked(holder, text)).collect(),
        issuer: marked(&hit.issuer_name, text),
        issued_on: hit.issued_on.to_string(),
        status: status_badge(visitor.t(), &hit.status),
        highlights: hit
            .highlights
            .iter()
            // What the row shows anyway need not be said twice.
            .filter(|said| {
                **said != hit.name && **said != hit.issuer_name && !hit.holders.contains(said)
            })
            .map(|said| marked(said, text))
            .collect(),
        plain_name: hit.name,
    }
}

/// A licence's status as a badge.
pub(crate) fn status_badge(t: &Texts, word: &str) -> Badge {
    let (tone, sign) = match word {
        "valid" => (Tone::Good, "✓"),
        "suspended" => (Tone::Warning, "!"),
        "revoked" => (Tone::Bad, "✗"),
        _ => (Tone::Plain, "→"),
    };
    Badge { tone, sign, word: t.status_name(word).to_owned() }
}

fn facets(visitor: &Visitor, asked: &Asked, answer: &SearchAnswer) -> Vec<Facet> {
    let t = visitor.t();
    let type_name = |code: &str| {
        code.parse::<LicenceTypeCode>()
            .ok()
            .and_then(|code| visitor.hub.catalogue.entry(&code))
            .map_or(code, |entry| visitor.language.pick(&entry.name, &entry.name_en))
            .to_owned()
    };
    let facet =
        |title, member, chosen: &str, counts: &[(String, u64)], name: &dyn Fn(&str) -> String| {
            let all = FacetOption {
                value: String::new(),
                label: t.facet_all.to_owned(),
                count: None,
                selected: chosen.is_empty(),
            };
            let options = counts.iter().map(|(value, count)| FacetOption {
                value: value.clone(),
                label: name(value),
                count: Some(number(*count)),
                selected: value == chosen,
            });
            Facet {
                title,
                member,
                hidden: asked.hidden(&[member, "cursor", "back"]),
                options: std::iter::once(all).chain(options).collect(),
            }
        };
    let status_name = |word: &str| t.status_name(word).to_owned();
    let types = &answer.facets.licence_type;
    let statuses = &answer.facets.status;
    [
        facet(t.filter_type, "type", &asked.licence_type, types, &type_name),
        facet(t.filter_status, "status", &asked.status, statuses, &status_name),
    ]
    .into_iter()
    // One way to go is no choice.
    .filter(|facet| facet.options.len() > 2 || !facet.options[0].selected)
    .collect()
}

/// Cuts a text into pieces that match what was searched for and pieces that do not. As in the
/// index, width, case and what is no letter, digit or ideograph do not count.
pub(crate) fn marked(text: &str, searched: &str) -> Vec<Piece> {
    let letters: Vec<(usize, char)> = text
        .char_indices()
        .filter(|(_, c)| c.is_alphanumeric())
        .map(|(start, c)| (start, folded(c)))
        .collect();
    let mut marks: Vec<(usize, usize)> = Vec::new();
    for word in
        searched.split(|c: char| !folded(c).is_alphanumeric()).filter(|word| !word.is_empty())
    {
        let word: Vec<char> = word.chars().map(folded).collect();
        for window in letters.windows(word.len()) {
            if window.iter().map(|(_, c)| c).eq(word.iter()) {
                let last = window[window.len() - 1].0;
                let end = last + text[last..].chars().next().map_or(0, char::len_utf8);
                marks.push((window[0].0, end));
            }
        }
    }
    marks.sort_unstable();
    let mut pieces = Vec::new();
    let mut push = |part: &str, marked: bool| {
        if !part.is_empty() {
            pieces.push(Piece { text: part.to_owned(), marked });
        }
    };
    let mut done = 0;
    let mut marks = marks.into_iter().peekable();
    while let Some((start, mut end)) = marks.next() {
        while let Some((_, further)) = marks.next_if(|(next, _)| *next <= end) {
            end = end.max(further);
        }
        push(&text[done..start], false);
        push(&text[start..end], true);
        done = end;
    }
    push(&text[done..], false);
    pieces
}

/// Full-width forms as their ASCII, capitals as small letters.
fn folded(c: char) -> char {
    let narrow = match c {
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(c) - 0xfee0).unwrap_or(c),
        other => other,
    };
    narrow.to_lowercase().next().unwrap_or(narrow)
}

/// A type's name in the reader's language, its code if the catalogue no longer has it.
pub(crate) fn type_name(visitor: &Visitor, code: &LicenceTypeCode) -> String {
    let entry = visitor.hub.catalogue.entry(code);
    match (entry, visitor.language) {
        (Some(entry), Language::Chinese) => entry.name.clone(),
        (Some(entry), Language::English) => entry.name_en.clone(),
        (None, _) => code.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, searched: &str) -> String {
        marked(text, searched)
            .into_iter()
            .map(|piece| if piece.marked { format!("[{}]", piece.text) } else { piece.text })
            .collect()
    }

    #[test]
    fn matches_are_marked_wherever_they_stand() {
        assert_eq!(shown("澜溪云杉贸易有限公司", "云杉"), "澜溪[云杉]贸易有限公司");
        assert_eq!(shown("云杉云杉", "云杉"), "[云杉云杉]");
        assert_eq!(shown("一一一", "一一"), "[一一一]");
        assert_eq!(shown("汀陵（澜溪）公司", "汀陵澜溪"), "[汀陵（澜溪]）公司");
        assert_eq!(shown("ＡＢＣ公司", "abc 公司"), "[ＡＢＣ公司]");
        assert_eq!(shown("Lanxi ABC", "abc lanxi"), "[Lanxi] [ABC]");
        assert_eq!(shown("没有", "别的"), "没有");
        assert_eq!(shown("空", ""), "空");
        assert_eq!(shown("", "空"), "");
        assert_eq!(shown("短", "比它长得多"), "短");
    }
}
