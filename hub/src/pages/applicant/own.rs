//! What a holder has in the repository, judged now. Every look is on the access log before it is shown.

use std::{
    collections::HashMap,
    sync::{Mutex, OnceLock, PoisonError},
};

use actix_web::http::StatusCode;
use indexes::{HolderToken, StoredLicence};
use licence::{HolderId, LicenceId, LicenceStatus};

use super::{me::Me, texts::MeTexts};
use crate::{
    http::error::Problem,
    judge::{Judge, Outcome, Verification, face},
    pages::visitor::Failure,
    reuse::uses,
};

/// Most licences of one holder on a page.
pub(crate) const MOST: usize = 200;

/// The most names that are remembered; beyond, the memory starts anew.
const REMEMBERED: usize = 10_000;

/// A licence of the holder.
pub(crate) struct Own {
    /// As kept.
    pub(crate) stored: StoredLicence,
    /// The verdict now.
    pub(crate) verification: Verification,
}

impl Own {
    async fn judged(judge: &Judge<'_>, stored: StoredLicence) -> Result<Self, Failure> {
        let verification = judge.licence(&stored, face(&stored.document).as_ref()).await?;
        Ok(Self { stored, verification })
    }

    /// What the licence is called; the name of its type if the bytes are damaged.
    pub(crate) fn name(&self, me: &Me) -> String {
        let type_name = || crate::pages::search::type_name(&me.visitor, &self.stored.licence_type);
        face(&self.stored.document).map_or_else(type_name, |face| face.name)
    }

    /// It counts today.
    pub(crate) fn is_current(&self) -> bool {
        self.stored.status == LicenceStatus::Valid
            && self.verification.validity == "ok"
            && !self.is_unsigned()
    }

    /// It came from its issuer's register, and nobody signed it: it is shown to its holder, as what it is.
    pub(crate) fn is_unsigned(&self) -> bool {
        self.verification.signature == "unsigned"
    }

    /// Nothing of it is shown: it is not what was taken in.
    pub(crate) fn is_damaged(&self) -> bool {
        !matches!(self.verification.signature, "ok" | "unsigned")
    }
}

/// The licences of the holder the person acts for, newest first. The look is recorded.
pub(crate) async fn licences(me: &Me) -> Result<Vec<Own>, Failure> {
    let hub = &me.visitor.hub;
    let token = hub.index_key.token(me.holder());
    let stored = hub.store.licences_of_holder(&token, &[], MOST).await?;
    let own = judged(me, stored).await?;
    record(me, token, &own).await?;
    Ok(own)
}

/// One licence of any holder the person acts for. What is somebody else's is answered like what does not exist.
pub(crate) async fn licence(me: &Me, identifier: &str) -> Result<(Own, HolderId), Failure> {
    let hub = &me.visitor.hub;
    let identifier: LicenceId = identifier.parse().map_err(|_| unknown())?;
    let stored = hub.store.licence(&identifier).await?.ok_or_else(unknown)?;
    let mine = me.person.account.holders.iter().find_map(|holder| {
        let token = hub.index_key.token(holder);
        stored.holders.contains(&token).then(|| (holder.clone(), token))
    });
    let (holder, token) = mine.ok_or_else(unknown)?;
    let own = [Own::judged(&Judge::new(hub), stored).await?];
    record(me, token, &own).await?;
    let [own] = own;
    Ok((own, holder))
}

async fn judged(me: &Me, stored: Vec<StoredLicence>) -> Result<Vec<Own>, Failure> {
    let judge = Judge::new(&me.visitor.hub);
    let mut own = Vec::with_capacity(stored.len());
    for stored in stored {
        own.push(Own::judged(&judge, stored).await?);
    }
    Ok(own)
}

pub(crate) fn unknown() -> Failure {
    Failure::of_room(StatusCode::NOT_FOUND, "unknown_licence", |language| {
        MeTexts::of(language).say_unknown_licence
    })
}

async fn record(me: &Me, holder: HolderToken, own: &[Own]) -> Result<(), Failure> {
    let hub = &me.visitor.hub;
    let looked: Vec<(LicenceId, Outcome)> =
        own.iter().map(|one| (one.stored.identifier.clone(), one.verification.result)).collect();
    let new = uses::own_look(hub, holder, &looked).map_err(|_| {
        let status = StatusCode::SERVICE_UNAVAILABLE;
        Failure::of_room(status, "service_missing", |language| {
            MeTexts::of(language).say_service_missing
        })
    })?;
    hub.store.record_use(new).await?;
    Ok(())
}

/// Names of holders by session and place. A page that only says for whom the person acts is not a look each time: the
/// name is read from a licence once in a session, and that is recorded.
static NAMES: OnceLock<Mutex<HashMap<(String, usize), String>>> = OnceLock::new();

/// What a holder of the person is called: the person's own name, or an organisation's as its licences have it, else its
/// credit code.
pub(crate) async fn name_of(me: &Me, place: usize) -> Result<String, Failure> {
    let account = &me.person.account;
    let Some(holder) = account.holders.get(place) else { return Ok(String::new()) };
    if holder.kind().is_person() {
        return Ok(account.name.clone());
    }
    let names = NAMES.get_or_init(Mutex::default);
    let key = (me.person.session.clone(), place);
    let known = names.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
    if let Some(name) = known {
        return Ok(name);
    }
    let hub = &me.visitor.hub;
    let token = hub.index_key.token(holder);
    let newest = hub.store.licences_of_holder(&token, &[], 1).await?;
    let own = judged(me, newest).await?;
    record(me, token, &own).await?;
    let named = own.iter().filter(|one| one.verification.result != Outcome::Untrusted);
    let name = named.filter_map(|one| licence::Licence::parse(&one.stored.document).ok()).find_map(
        |licence| licence.holders.into_iter().find(|one| one.id == *holder).map(|one| one.name),
    );
    let name = name.unwrap_or_else(|| holder.number().to_owned());
    let mut names = names.lock().unwrap_or_else(PoisonError::into_inner);
    if names.len() >= REMEMBERED {
        names.clear();
    }
    names.insert(key, name.clone());
    Ok(name)
}

/// Words for what failed in a room below, by its stable code.
pub(crate) fn refused(problem: Problem) -> Failure {
    in_our_words(Failure::from(problem))
}

/// The same failure, in the words of these pages.
pub(crate) fn in_our_words(mut failure: Failure) -> Failure {
    if let Some(say) = MeTexts::of_code(&failure.code) {
        failure.say = crate::pages::visitor::Say::Room(say);
    }
    failure
}
