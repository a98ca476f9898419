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

/// A session. Its token stays out of `Debug`.
#[derive(Clone, Serialize, Deserialize)]
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

impl std::fmt::Debug for Session {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Session").field("since", &self.since).finish_non_exhaustive()
    }
}

impl Kept for Session {
    const COLLECTION: Collection = Collection::new("sessions");
}

/// Sessions of an account: digest of the subject, then the session's key.
const OF_ACCOUNT: Collection = Collection::new("sessions_of_account");
/// Most sessions of one account that are looked through.
const MOST_SESSIONS: usize = 1_000;

fn of_account(subject: &str) -> Vec<u8> {
    certs::sha256(subject.as_bytes()).as_bytes()[..16].to_vec()
}

fn in_account(subject: &str, key: &str) -> Vec<u8> {
    [of_account(subject), key.as_bytes().to_vec()].concat()
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
    let key = key(&secret);
    draft.create(key.as_bytes(), &session);
    draft.index(OF_ACCOUNT, &in_account(&session.account.subject, &key));
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
    if session.is_over(limits, now) {
        end(store, &key).await?;
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

impl Session {
    fn is_over(&self, limits: Limits, now: Timestamp) -> bool {
        now > self.since + limits.absolute || now > self.seen + limits.idle
    }
}

/// A session as its owner sees it.
#[derive(Clone, Debug)]
pub struct Listed {
    /// The key of its record. It does not lead to the secret.
    pub key: String,
    /// When it began.
    pub since: Timestamp,
    /// When it was last seen, to the minute.
    pub seen: Timestamp,
}

/// The sessions of an account that last, the newest first. Those that are over are taken away.
///
/// # Errors
/// The store's.
pub async fn of(
    store: &dyn LicenceStore,
    account: &Account,
    limits: Limits,
    now: Timestamp,
) -> Result<Vec<Listed>, StoreError> {
    let prefix = of_account(&account.subject);
    let mut listed = Vec::new();
    for key in records::keys(store, OF_ACCOUNT, &prefix, None, MOST_SESSIONS).await? {
        match records::read::<Session>(store, &key).await? {
            Some(held) if held.value.account.subject != account.subject => {}
            Some(held) if !held.value.is_over(limits, now) => listed.push(Listed {
                key: String::from_utf8_lossy(&key).into_owned(),
                since: held.value.since,
                seen: held.value.seen,
            }),
            Some(_) => end(store, &String::from_utf8_lossy(&key)).await?,
            None => {
                let mut draft = Draft::new();
                draft.unindex(OF_ACCOUNT, &[prefix.clone(), key].concat());
                draft.commit(store).await.map(drop)?;
            }
        }
    }
    listed.sort_by_key(|session| std::cmp::Reverse(session.since));
    Ok(listed)
}

/// Takes away all sessions that are over: those that nobody came back to.
///
/// # Errors
/// The store's.
pub async fn sweep(
    store: &dyn LicenceStore,
    limits: Limits,
    now: Timestamp,
) -> Result<(), StoreError> {
    let mut after: Option<Vec<u8>> = None;
    loop {
        let page = records::list::<Session>(store, b"", after.as_deref(), MOST_SESSIONS).await?;
        let Some(last) = page.last() else { return Ok(()) };
        after = Some(last.key.clone());
        for held in page.iter().filter(|held| held.value.is_over(limits, now)) {
            end(store, &String::from_utf8_lossy(&held.key)).await?;
        }
    }
}

/// Ends a session; one that is not there has ended already.
///
/// # Errors
/// The store's.
pub async fn end(store: &dyn LicenceStore, key: &str) -> Result<(), StoreError> {
    if let Some(held) = records::read::<Session>(store, key.as_bytes()).await? {
        let mut draft = Draft::new();
        // Whatever it is now: it may just have been touched.
        draft.unindex(Session::COLLECTION, key.as_bytes());
        draft.unindex(OF_ACCOUNT, &in_account(&held.value.account.subject, key));
        draft.commit(store).await.map(drop)?;
    }
    Ok(())
}

/// The key of a session's record.
#[must_use]
pub fn key(secret: &str) -> String {
    certs::sha256(secret.as_bytes()).to_string()
}
