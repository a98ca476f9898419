//! Licences opened under a grant: what was given, and no more.

use licence::{Licence, LicenceId};

use super::{
    failure, frame, rows,
    texts::WindowTexts,
    views::{Content, Desk, Opened, Words},
};
use crate::{
    http::error::Problem,
    pages::{
        licence::{fields, holder_facts},
        texts::Language,
        verification::{self, period},
        views::Fact,
        visitor::{Failure, Visitor},
    },
    pull::{Asker, Pulled, open_licence},
    reuse::Clerk,
};

/// Opens licences under a grant; each opening is on the access log.
///
/// # Errors
/// The grant's: unknown, withdrawn, over; and a licence that is no longer trusted.
pub(super) async fn opened(
    visitor: &Visitor,
    clerk: &Clerk,
    desk: Desk,
    grant: &str,
    licences: &[LicenceId],
    back: (String, String),
) -> Result<Content, Failure> {
    let asker = Asker::clerk(&visitor.hub, clerk);
    let mut shown = Vec::with_capacity(licences.len());
    let mut withheld = false;
    for identifier in licences {
        let pulled = open_licence(&visitor.hub, &asker, grant, identifier)
            .await
            .map_err(|error| failure(Problem::from(error)))?;
        withheld |= pulled.only_fields.is_some();
        shown.extend(one(visitor, &pulled));
    }
    let w = WindowTexts::of(visitor.language);
    Ok(Content { page: frame(visitor, w.content), desk, back, withheld, licences: shown })
}

fn one(visitor: &Visitor, pulled: &Pulled) -> Option<Opened> {
    let (hub, t) = (&visitor.hub, visitor.t());
    let mut licence = Licence::parse(&pulled.stored.document).ok()?;
    let entry = hub.catalogue.entry(&pulled.stored.licence_type);
    let mut facts = Vec::new();
    if let Some(only) = &pulled.only_fields {
        licence.fields.retain(|field, _| only.contains(field));
    } else {
        facts.push(Fact::code(t.identifier, licence.identifier.as_str()));
        facts.extend(holder_facts(visitor, &licence));
        facts.push(Fact::data(t.issuer, &licence.issuer_name));
        facts.push(Fact::new(t.issued_on, licence.issued_on.to_string()));
        facts.push(Fact::new(t.validity_period, period(t, licence.valid_from, licence.valid_to)));
    }
    facts.extend(fields(visitor, entry, &licence));
    let name = rows::type_name(hub, visitor.language, &pulled.stored.licence_type);
    Some(Opened {
        name: name.map_or_else(
            || Words::new(&licence.name, Language::Chinese),
            |name| Words::new(name, visitor.language),
        ),
        verdict: verification::verdict(t, pulled.verification.result).0,
        facts,
    })
}
