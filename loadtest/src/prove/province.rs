//! Records that flow to the province's exchange database while the hub is killed.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use serde::Deserialize;

use super::{Findings, Progress, Stage, orders, pulls};
use crate::{enterprises::BUSINESS_LICENCE, error::Error, postgres::Postgres};

/// Rows in the order in which the province sees them: transactions in the order of their numbers.
/// Rows of one transaction appear at the same time, and their order is that of their numbers.
const IN_ORDER: &str = "order by xmin::text::bigint, row_guid";
/// How often the province's rows are counted: each time starts a program.
const COUNTING: Duration = Duration::from_millis(100);

/// Lets the records flow, with kills, pulls and status orders at the same time.
pub(super) async fn push_under_fire(
    stage: &mut Stage,
    pulls: usize,
    postgres: &Postgres,
    findings: &mut Findings,
) -> Result<(), Error> {
    let before = rows(postgres)?;
    let left = stage.enterprises.len() as u64 - before;
    let points = stage.kill_points(left);
    // Rows with an order are not trusted all the time, so they are not among those pulled.
    let calls = pulls::random_calls(stage, pulls, orders::ROWS);
    let identifiers = pulls::identifiers(stage);
    let clerk = stage.target(&stage.clerk)?;
    let puller = clerk.clone();
    let pulled = tokio::spawn(async move { pulls::pull_all(&puller, calls, identifiers).await });
    let signed = orders::sign(stage)?;
    let regulator = stage.target(&stage.regulator)?;
    let given = tokio::spawn(orders::give(regulator, signed, Duration::from_millis(2)));

    let down_before = stage.down;
    let start = Instant::now();
    stage.operate("resume").await?;
    let mut killed = 0;
    for point in points {
        let mut progress = Progress::new("the pushes");
        let pushed = loop {
            let pushed = rows(postgres)?;
            if pushed >= before + point {
                break pushed;
            }
            progress.at(pushed)?;
            tokio::time::sleep(COUNTING).await;
        };
        stage.kill_and_restart()?;
        // Only a kill that found something left to push counts.
        killed += u32::from(pushed < stage.enterprises.len() as u64);
    }
    findings.require(
        killed == stage.kills_wanted,
        &format!("{killed} of {} kills fell into the pushes", stage.kills_wanted),
    );
    let issued = stage.enterprises.len() as u64;
    let mut progress = Progress::new("the pushes");
    while rows(postgres)? < issued {
        progress.at(rows(postgres)?)?;
        tokio::time::sleep(COUNTING).await;
    }
    let busy = start.elapsed() - (stage.down - down_before);
    findings.tell(&format!(
        "pushed {left} records to the province with {killed} kills and pulls at the same time: \
         {:.0} records/s while the hub was there",
        left as f64 / busy.as_secs_f64()
    ));
    let joined = |error: tokio::task::JoinError| Error::Program {
        program: "a connection's task".to_owned(),
        said: error.to_string(),
    };
    let pulled = pulled.await.map_err(joined)?;
    let acknowledged = given.await.map_err(joined)?;
    let mut progress = Progress::new("the pushes");
    while rows(postgres)? < issued + acknowledged {
        progress.at(rows(postgres)?)?;
        tokio::time::sleep(COUNTING).await;
    }
    pulls::check(&pulled, pulls, findings);
    pulls::check_uses(&clerk, &pulled, findings).await?;
    orders::check(stage, acknowledged, findings).await
}

fn rows(postgres: &Postgres) -> Result<u64, Error> {
    postgres.count("select count(*) from up_lic_data")
}

/// Compares both sides: by the hub's own reconcile, and row by row.
pub(super) async fn compare(
    stage: &mut Stage,
    postgres: &Postgres,
    findings: &mut Findings,
) -> Result<(), Error> {
    #[derive(Deserialize)]
    struct Reconciliation {
        agrees: bool,
        types: Vec<TypeCount>,
    }
    #[derive(Deserialize)]
    struct TypeCount {
        licence_type: String,
        ours: u64,
        theirs: u64,
    }
    let said = stage.operate("reconcile").await?;
    let said: Reconciliation = serde_json::from_value(said).map_err(|_| Error::Answer {
        call: "POST /v1/connectors/province/reconcile".to_owned(),
        status: 200,
        code: " with a body of another shape".to_owned(),
    })?;
    let valid = (stage.enterprises.len() - orders::ROWS * 2 / 3) as u64;
    let counted = said.types.iter().find(|count| count.licence_type == BUSINESS_LICENCE);
    let counted = counted.map_or((0, 0), |count| (count.ours, count.theirs));
    findings.require(
        said.agrees && counted == (valid, valid),
        &format!("reconciling finds {valid} valid licences on both sides: {counted:?}"),
    );
    let connector = stage.connector().await?;
    findings.require(
        connector.set_aside == 0,
        &format!("no record is set aside: {} are", connector.set_aside),
    );

    let expected = stage.enterprises.len() as u64 + stage.orders;
    let found = rows(postgres)?;
    findings.require(found == expected, &format!("the province has {expected} rows, not {found}"));
    let different = postgres.count("select count(distinct row_guid) from up_lic_data")?;
    findings.require(different == found, "no row is there twice");
    let backwards = postgres.count(&format!(
        "select count(*) from (select row_guid <= lag(row_guid) over ({IN_ORDER}) as back \
         from up_lic_data) as rows where back"
    ))?;
    findings.require(
        backwards == 0,
        &format!("rows arrive in the order of the log: {backwards} did not"),
    );
    check_operations(stage, postgres, findings)?;
    findings.tell(&format!(
        "the province has {found} rows of {} licences, in order; both sides count {} valid ones",
        stage.enterprises.len(),
        counted.1
    ));
    Ok(())
}

/// Every licence of every holder has its rows, and they say in order what happened to it.
fn check_operations(
    stage: &Stage,
    postgres: &Postgres,
    findings: &mut Findings,
) -> Result<(), Error> {
    let lines = postgres.query(&format!(
        "select certificate_source_id, min(certificate_holder_code), \
         string_agg(cd_operation, '' {IN_ORDER}) from up_lic_data group by certificate_source_id"
    ))?;
    let mut theirs: HashMap<&str, (&str, &str)> = HashMap::new();
    for line in lines.lines() {
        let mut cells = line.split('\t');
        if let (Some(licence), Some(holder), Some(operations)) =
            (cells.next(), cells.next(), cells.next())
        {
            theirs.insert(licence, (holder, operations));
        }
    }
    let mut wrong = 0;
    for (row, enterprise) in stage.enterprises.iter().enumerate() {
        let expected = (enterprise.code.as_str(), orders::operations(row));
        wrong += u64::from(theirs.remove(enterprise.licence.as_str()) != Some(expected));
    }
    findings.require(
        wrong == 0,
        &format!("each licence's rows say in order what happened to it: {wrong} do not"),
    );
    findings.require(
        theirs.is_empty(),
        &format!("the province has no licence that was not handed in: {} it has", theirs.len()),
    );
    Ok(())
}
