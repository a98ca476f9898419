//! The trace of operators' actions: who, why, when, what, and how it ended.

use indexes::Collection;
use jiff::Timestamp;
use licence::CreditCode;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{By, OpsError};
use crate::{
    Hub,
    records::{self, Draft, Kept, newest_first, random_name},
};

/// An action of an operator. `Debug` shows neither reason nor account.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Action {
    /// Names it among those of its connector.
    #[serde(default)]
    pub id: String,
    /// When.
    pub at: Timestamp,
    /// The department that operated.
    pub department: CreditCode,
    /// The account of the person there; none: a system of the department.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Where in the organisation the account is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organisation: Option<String>,
    /// Why, in the operator's words.
    pub why: String,
    /// `pause`, `resume`, `replay`, `reconcile`, `retry`, `code_map`, `preview`, `send_again`.
    pub act: String,
    /// What exactly: numbers and digests.
    pub detail: Value,
    /// `done`, or the code of what went wrong; none: it was begun, and the hub ended before it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
}

impl std::fmt::Debug for Action {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Action({} {} {:?})", self.id, self.act, self.outcome)
    }
}

impl Kept for Action {
    const COLLECTION: Collection = Collection::new("connector_actions");
}

fn prefix(name: &str) -> Vec<u8> {
    [name.as_bytes(), &[0]].concat()
}

/// Does `work` and traces it: durably before it is begun, and how it ended.
pub(super) async fn traced<T>(
    hub: &Hub,
    name: &str,
    by: &By,
    act: &'static str,
    detail: Value,
    work: impl Future<Output = Result<T, OpsError>>,
) -> Result<T, OpsError> {
    let at = hub.clock.now();
    let id = hex::encode(newest_first(at)) + &random_name("")?[..8];
    let key = [&prefix(name)[..], id.as_bytes()].concat();
    let mut action = Action {
        id,
        at,
        department: by.department,
        account: by.operator.as_ref().map(|operator| operator.account.clone()),
        organisation: by.operator.as_ref().map(|operator| operator.organisation.clone()),
        why: by.why().to_owned(),
        act: act.to_owned(),
        detail,
        outcome: None,
    };
    write(hub, &key, &action).await?;
    let done = work.await;
    let outcome = done.as_ref().err().map_or("done", OpsError::code);
    tracing::info!(connector = name, act, outcome, "an operator's action on a connector");
    action.outcome = Some(outcome.to_owned());
    if let Err(error) = write(hub, &key, &action).await {
        // It is traced as begun, and was done: what it came to must not be lost with the trace's end.
        tracing::error!(error.code = error.code(), "the end of an action could not be traced");
    }
    done
}

async fn write(hub: &Hub, key: &[u8], action: &Action) -> Result<(), OpsError> {
    let mut draft = Draft::new();
    draft.put(key, action);
    // Nothing is expected of the record, so this is never stale.
    let _ = draft.commit(&*hub.store).await?;
    Ok(())
}

/// The actions on a connector, newest first, after the one with this id; at most `limit`.
///
/// # Errors
/// `Unknown`, `Store`.
pub async fn actions(
    hub: &Hub,
    name: &str,
    after: Option<&str>,
    limit: usize,
) -> Result<Vec<Action>, OpsError> {
    match super::source(hub, name) {
        Some(source) => source.map(drop)?,
        None if hub.connectors.contains_key(name) || hub.couriers().contains_key(name) => {}
        None => return Err(OpsError::Unknown),
    }
    let prefix = prefix(name);
    let after = after.map(|id| [&prefix[..], id.as_bytes()].concat());
    let held = records::list::<Action>(&*hub.store, &prefix, after.as_deref(), limit).await?;
    Ok(held.into_iter().map(|held| held.value).collect())
}
