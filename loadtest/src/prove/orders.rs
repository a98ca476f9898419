//! Status orders while the hub is killed: some licences are suspended, some restored after that,
//! some revoked.

use std::time::{Duration, Instant};

use base64::{Engine, engine::general_purpose::STANDARD};
use certs::{SigningIdentity, sign_detached};
use jiff::Timestamp;
use licence::{LicenceId, RevocationCause, StatusChange, StatusOrder};
use serde_json::json;

use super::{Findings, PATIENCE, Stage, pull_of, pulls::Answered};
use crate::{
    client::{Call, Target},
    error::Error,
};

/// Licences of each fate. The first third of the register's first rows is suspended, the second
/// suspended and restored, the last revoked.
const EACH: usize = 100;
/// How many rows have an order.
pub(super) const ROWS: usize = 3 * EACH;
/// Orders in all.
const ORDERS: u64 = 4 * EACH as u64;

/// What an order does to a row.
fn changes(row: usize) -> Vec<StatusChange> {
    match row / EACH {
        0 => vec![StatusChange::Suspend],
        1 => vec![StatusChange::Suspend, StatusChange::Restore],
        _ => vec![StatusChange::Revoke { cause: RevocationCause::Deregistered }],
    }
}

/// The operations that the province gets for a row, oldest first.
pub(super) fn operations(row: usize) -> &'static str {
    match row / EACH {
        0 | 2 => "ID",
        1 => "IDI",
        _ => "I",
    }
}

/// The orders, signed.
pub(super) fn sign(stage: &Stage) -> Result<Vec<Call>, Error> {
    let identity = stage.authority.issuer(&stage.regulator)?;
    let mut calls = Vec::new();
    for (row, enterprise) in stage.enterprises.iter().enumerate().take(ROWS) {
        for change in changes(row) {
            calls.push(order(&identity, &enterprise.licence, change)?);
        }
    }
    Ok(calls)
}

fn order(
    identity: &SigningIdentity,
    licence: &LicenceId,
    change: StatusChange,
) -> Result<Call, Error> {
    let now = Timestamp::now();
    let order = StatusOrder {
        identifier: licence.clone(),
        change,
        reason: "load test".to_owned(),
        ordered_at: now,
    };
    let order = order.to_bytes();
    let signature = sign_detached(identity, &order, now)?;
    let body =
        json!({ "order": STANDARD.encode(&order), "signature": STANDARD.encode(&signature) });
    Ok(Call::post(format!("/v1/licences/{licence}/status"), body.to_string()))
}

/// Gives the orders one after the other, each until it is acknowledged. Returns how many were.
pub(super) async fn give(target: Target, calls: Vec<Call>, pause: Duration) -> u64 {
    let mut acknowledged = 0;
    for call in calls {
        let since = Instant::now();
        while since.elapsed() < PATIENCE {
            match target.once(&call).await {
                Ok(answer) if (200..300).contains(&answer.status) => {
                    acknowledged += 1;
                    break;
                }
                Ok(answer) if answer.status < 500 => return acknowledged,
                _ => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
        tokio::time::sleep(pause).await;
    }
    acknowledged
}

/// After all orders: each licence has the status that it was given.
pub(super) async fn check(
    stage: &mut Stage,
    acknowledged: u64,
    findings: &mut Findings,
) -> Result<(), Error> {
    stage.orders = acknowledged;
    findings.require(
        acknowledged == ORDERS,
        &format!("every order is acknowledged: {acknowledged} of {ORDERS}"),
    );
    let target = stage.target(&stage.clerk)?;
    let mut connection = target.connect().await?;
    let mut wrong = 0;
    for (row, enterprise) in stage.enterprises.iter().enumerate().take(ROWS) {
        let (status, result) = match row / EACH {
            0 => ("suspended", "untrusted"),
            1 => ("ok", "trusted"),
            _ => ("revoked", "untrusted"),
        };
        let answer = connection.send(&pull_of(stage, enterprise)).await?;
        let answered: Answered = answer.json("POST /v1/pulls")?;
        let is_right = matches!(answered.licences.as_slice(), [only]
            if only.verification.status == status && only.verification.result == result);
        wrong += u64::from(!is_right);
    }
    findings
        .require(wrong == 0, &format!("a pull shows the status that was ordered: {wrong} do not"));
    Ok(())
}
