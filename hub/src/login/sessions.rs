//! Sessions: kept here, known to the browser by a random secret in a cookie, ended at any time.
//!
//! What is stored is the digest of the secret: who reads the store cannot take over a session. A session is new at
//! every login, so that nobody can be made to log in to a session that somebody else knows.

use indexes::{Collection, LicenceStore, StoreError};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Account, Person};
use crate::records::{self, Draft, Held, Kept};

/// The cookie that carries a session's secret.
pub const COOKIE: &str = "yihao_session";

/// How long sessions last.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Without a request.
    pub idle: SignedDuration,
    /// In all.
    pub absolute: SignedDuration,
}

impl Default for Limits {
    /// Half an hour, and ten hours.
    fn default() -> Self {
        Self { idle: SignedDuration::from_mins(30), absolute: SignedDuration::from_hours(10) }
    }
}

/// A session.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Session {
    /// Whose.
    pub account: Account,
    /// What its forms must carry.
    pub csrf: String,
    /// When it began.
    pub since: Timestamp,
    /// When it was last seen, to the minute.
    pub seen: Timestamp,
}

impl Kept for Session {
    const COLLECTION: Collection = Collection::new("sessions");
}

/// Begins a session; answers the secret for the cookie.
///
/// # Errors
/// The store's.
pub async fn begin(
    store: &dyn LicenceStore,
    account: Account,
    now: Timestamp,
) -> Result<(String, Session), StoreError> {
    let secret = format!("{}{}", records::random_name("")?, records::random_name("")?);
    let csrf = records::random_name("")?;
    let session = Session { account, csrf, since: now, seen: now };
    let mut draft = Draft::new();
    draft.create(key(&secret).as_bytes(), &session);
    // A secret of 256 bits is not there yet.
    draft.commit(store).await?.map_err(|_| StoreError::Closed)?;
    Ok((secret, session))
}

/// The person whose session has this secret, if it still lasts.
///
/// # Errors
/// The store's.
pub async fn person(
    store: &dyn LicenceStore,
    secret: &str,
    limits: Limits,
    now: Timestamp,
) -> Result<Option<Person>, StoreError> {
    let key = key(secret);
    let Some(held) = records::read::<Session>(store, key.as_bytes()).await? else {
        return Ok(None);
    };
    let session = &held.value;
    if now > session.since + limits.absolute || now > session.seen + limits.idle {
        return Ok(None);
    }
    if now > session.seen + SignedDuration::from_mins(1) {
        touch(store, &held, now).await?;
    }
    let Session { account, csrf, .. } = held.value;
    Ok(Some(Person { account, session: key, csrf }))
}

async fn touch(
    store: &dyn LicenceStore,
    held: &Held<Session>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let mut draft = Draft::new();
    draft.replace(held, &Session { seen: now, ..held.value.clone() });
    // Another request may have been first, or the session has just ended: either is fine.
    draft.commit(store).await.map(drop)
}

/// Ends a session; one that is not there has ended already.
///
/// # Errors
/// The store's.
pub async fn end(store: &dyn LicenceStore, key: &str) -> Result<(), StoreError> {
    if let Some(held) = records::read::<Session>(store, key.as_bytes()).await? {
        let mut draft = Draft::new();
        draft.remove(&held);
        // Stale: it was touched meanwhile; take it out whatever it is now.
        if draft.commit(store).await?.is_err() {
            let mut draft = Draft::new();
            draft.unindex(Session::COLLECTION, key.as_bytes());
            draft.commit(store).await.map(drop)?;
        }
    }
    Ok(())
}

/// The key of a session's record.
#[must_use]
pub fn key(secret: &str) -> String {
    certs::sha256(secret.as_bytes()).to_string()
}
