//! A file in a form. The session's token comes first, so that nobody else's form is read any further.

use actix_multipart::{Field, Multipart};
use futures_util::{StreamExt, TryStreamExt};

use crate::{
    Hub,
    http::error::Problem,
    reuse::{
        Who, cases,
        materials::{MaterialError, NewMaterial},
        upload,
    },
};

/// Most bytes of a member that is no file.
const MOST_TEXT: usize = 256;

/// Takes the file of a form for a requirement of a case, and attaches it there.
///
/// The members, in this order: `csrf`; `requirement`; others, which are not looked at; `material`, the id of one that was
/// handed in before, or `file`.
///
/// # Errors
/// The form is not this session's or has no file; the file is not taken; it does not fit the case.
pub(crate) async fn receive(
    hub: &Hub,
    who: &Who,
    csrf: &str,
    case: &str,
    mut form: Multipart,
) -> Result<(), Problem> {
    let first = form.try_next().await.ok().flatten().filter(|field| field.name() == Some("csrf"));
    let sent = match first {
        Some(field) => text(field).await,
        None => None,
    };
    if sent.as_deref() != Some(csrf) {
        return Err(Problem::forbidden("csrf_token", "the form is not of this session"));
    }
    let received = members(hub, who, case, &mut form).await;
    if received.is_err() {
        // A browser shows the answer only if its form was read to the end.
        drain(hub, &mut form).await;
    }
    received
}

async fn members(hub: &Hub, who: &Who, case: &str, form: &mut Multipart) -> Result<(), Problem> {
    let mut requirement = None;
    while let Some(field) = form.try_next().await.map_err(|_| MaterialError::Interrupted)? {
        match (field.name().unwrap_or_default(), &requirement) {
            ("requirement", None) => requirement = text(field).await,
            ("material", Some(requirement)) => {
                let material = text(field).await.ok_or_else(missing)?;
                cases::provide(hub, who, case, requirement, &material).await?;
                return Ok(());
            }
            ("file", Some(requirement)) => {
                return take(hub, who, case, requirement, field).await;
            }
            _ => {}
        }
    }
    Err(missing())
}

async fn take(
    hub: &Hub,
    who: &Who,
    case: &str,
    requirement: &str,
    file: Field,
) -> Result<(), Problem> {
    let held = cases::case(hub, who, case).await?.value;
    let kind = upload::asked_for(hub, who, &held, requirement).await?;
    let name = name_of(&file).ok_or_else(missing)?;
    let what = NewMaterial { kind, name, size: 0, case: Some(held.id), valid_until: None };
    let material = upload::take(hub, who, &held.holder, &what, file).await?;
    cases::provide(hub, who, case, requirement, &material.id).await?;
    Ok(())
}

fn missing() -> Problem {
    Problem::unacceptable("file_missing", "the form has no file, or not for which requirement")
        .at("request")
}

/// A short member.
async fn text(mut field: Field) -> Option<String> {
    let mut bytes = Vec::new();
    while let Some(piece) = field.next().await {
        bytes.extend_from_slice(&piece.ok()?);
        if bytes.len() > MOST_TEXT {
            return None;
        }
    }
    String::from_utf8(bytes).ok()
}

/// The file's name without a path; `None` if no file was chosen.
fn name_of(field: &Field) -> Option<String> {
    let name = field.content_disposition()?.get_filename()?;
    let name = name.rsplit(['/', '\\']).next().unwrap_or(name).trim();
    (!name.is_empty()).then(|| name.to_owned())
}

async fn drain(hub: &Hub, form: &mut Multipart) {
    let mut left = hub.settings().materials.most_bytes;
    while let Ok(Some(mut field)) = form.try_next().await {
        while let Some(Ok(piece)) = field.next().await {
            match left.checked_sub(piece.len() as u64) {
                Some(rest) => left = rest,
                None => return,
            }
        }
    }
}
