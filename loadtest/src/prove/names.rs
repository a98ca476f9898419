//! Names of the register, searched for whole and in part.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use serde::Deserialize;
use serde_json::json;

use super::{Findings, Stage};
use crate::{
    client::{Call, Connection, Target},
    enterprises::{BUSINESS_LICENCE, Enterprise},
    error::{Error, write},
};

/// Connections that search at the same time.
const CONNECTIONS: usize = 8;
/// Hits on a page.
const PAGE: u64 = 50;
/// The hub pages no further.
const DEEPEST: u64 = 1_000;
/// Failures told one by one.
const TOLD: usize = 20;

/// What became of one search.
enum Outcome {
    /// On the first page.
    First,
    /// Among the matches, but so many match that it is not on the first page.
    Crowded { matches: u64 },
    /// Nothing in the text can be searched for: blanks and marks only.
    NothingToSearch,
    /// Not found where it must be.
    Lost { matches: u64 },
    /// The hub answered otherwise.
    Failed,
}

struct Search {
    position: usize,
    text: String,
    is_whole: bool,
}

#[derive(Deserialize)]
struct Page {
    total: u64,
    hits: Vec<Hit>,
}

#[derive(Deserialize)]
struct Hit {
    identifier: String,
}

/// Searches for `count` names by full name and by a part of each length from 2 to 6 characters.
pub(super) async fn check(
    stage: &mut Stage,
    count: usize,
    findings: &mut Findings,
) -> Result<(), Error> {
    let searches = Arc::new(choose(stage, count));
    let target = stage.target(&stage.clerk)?;
    let next = Arc::new(AtomicUsize::new(0));
    let start = Instant::now();
    let workers: Vec<_> = (0..CONNECTIONS)
        .map(|_| {
            let (target, searches) = (target.clone(), searches.clone());
            let (next, enterprises) = (next.clone(), stage.enterprises.clone());
            tokio::spawn(work(target, searches, enterprises, next))
        })
        .collect();
    let mut outcomes = Vec::with_capacity(searches.len());
    for worker in workers {
        let done = worker.await.map_err(|error| Error::Program {
            program: "a connection's task".to_owned(),
            said: error.to_string(),
        })?;
        outcomes.extend(done?);
    }
    report(&searches, &outcomes, start, findings);
    list(stage, &searches, &outcomes)
}

fn choose(stage: &mut Stage, count: usize) -> Vec<Search> {
    let mut searches = Vec::with_capacity(count * 6);
    for _ in 0..count {
        let position = stage.any(stage.enterprises.len());
        let name: Vec<char> = stage.enterprises[position].name.chars().collect();
        searches.push(Search { position, text: name.iter().collect(), is_whole: true });
        for length in 2..=name.len().min(6) {
            let first = stage.any(name.len() - length + 1);
            let text = name[first..first + length].iter().collect();
            searches.push(Search { position, text, is_whole: false });
        }
    }
    searches
}

async fn work(
    target: Target,
    searches: Arc<Vec<Search>>,
    enterprises: Arc<Vec<Enterprise>>,
    next: Arc<AtomicUsize>,
) -> Result<Vec<(usize, Outcome)>, Error> {
    let mut connection = target.connect().await?;
    let mut outcomes = Vec::new();
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let Some(search) = searches.get(number) else { return Ok(outcomes) };
        let enterprise = &enterprises[search.position];
        outcomes.push((number, one(&mut connection, search, enterprise).await?));
    }
}

async fn one(
    connection: &mut Connection,
    search: &Search,
    enterprise: &Enterprise,
) -> Result<Outcome, Error> {
    let wanted = enterprise.licence.as_str();
    let body = json!({ "q": search.text, "type": BUSINESS_LICENCE, "limit": PAGE });
    let answer = connection.send(&Call::post("/v1/search", body.to_string())).await?;
    let Ok(page) = answer.json::<Page>("POST /v1/search") else { return Ok(Outcome::Failed) };
    if page.hits.iter().any(|hit| hit.identifier == wanted) {
        return Ok(Outcome::First);
    }
    if !search.text.chars().any(is_searchable) {
        return Ok(Outcome::NothingToSearch);
    }
    let matches = page.total;
    if matches <= PAGE {
        return Ok(Outcome::Lost { matches });
    }
    // It must be among those of its day: the filter narrows what is looked through, not the match.
    let mut cursor = 0;
    while cursor < DEEPEST {
        let body = json!({
            "q": search.text, "type": BUSINESS_LICENCE, "limit": PAGE, "cursor": cursor,
            "issued_from": enterprise.issued_on, "issued_to": enterprise.issued_on,
        });
        let answer = connection.send(&Call::post("/v1/search", body.to_string())).await?;
        let Ok(page) = answer.json::<Page>("POST /v1/search") else { return Ok(Outcome::Failed) };
        if page.hits.iter().any(|hit| hit.identifier == wanted) {
            return Ok(Outcome::Crowded { matches });
        }
        cursor += PAGE;
        if cursor >= page.total {
            return Ok(Outcome::Lost { matches });
        }
    }
    // Thousands of its day match, more than can be paged through.
    Ok(Outcome::Crowded { matches })
}

/// Letters, digits, ideographs, and the private code points that stand for rare ones.
fn is_searchable(character: char) -> bool {
    character.is_alphanumeric() || ('\u{e000}'..='\u{f8ff}').contains(&character)
}

/// Writes down every search whose licence was not on the first page, and why.
fn list(stage: &Stage, searches: &[Search], outcomes: &[(usize, Outcome)]) -> Result<(), Error> {
    let mut lines = "row\tpart\tmatches\twhy\n".to_owned();
    for (number, outcome) in outcomes {
        let search = &searches[*number];
        let (matches, why) = match outcome {
            Outcome::First => continue,
            Outcome::Crowded { matches } => (*matches, "more match than a page holds"),
            Outcome::NothingToSearch => (0, "blanks and marks only"),
            Outcome::Lost { matches } => (*matches, "NOT FOUND"),
            Outcome::Failed => (0, "NOT ANSWERED"),
        };
        lines.push_str(&format!("{}\t{}\t{matches}\t{why}\n", search.position, search.text));
    }
    write(&stage.folder.root().join("not-on-first-page.tsv"), lines)
}

fn report(
    searches: &[Search],
    outcomes: &[(usize, Outcome)],
    start: Instant,
    findings: &mut Findings,
) {
    let seconds = start.elapsed().as_secs_f64();
    let wholes = searches.iter().filter(|search| search.is_whole).count();
    findings.tell(&format!(
        "searched for {wholes} full names and {} parts of them in {seconds:.1} s",
        searches.len() - wholes
    ));
    let (mut whole_first, mut part_first, mut nothing, mut lost, mut failed) = (0, 0, 0, 0, 0);
    // By the part's length: how often, and how many matched at least and at most.
    let mut crowded: BTreeMap<usize, (u64, u64, u64)> = BTreeMap::new();
    let mut told = 0;
    for (number, outcome) in outcomes {
        let search = &searches[*number];
        let length = search.text.chars().count();
        match outcome {
            Outcome::First if search.is_whole => whole_first += 1,
            Outcome::First => part_first += 1,
            Outcome::NothingToSearch => nothing += 1,
            Outcome::Crowded { matches } => {
                let (count, least, most) = crowded.entry(length).or_insert((0, u64::MAX, 0));
                *count += 1;
                *least = (*least).min(*matches);
                *most = (*most).max(*matches);
                findings.require(
                    !search.is_whole,
                    &format!(
                        "row {}: found by its full name, but not on the first page",
                        search.position
                    ),
                );
            }
            Outcome::Lost { matches } => {
                lost += 1;
                if told < TOLD {
                    told += 1;
                    findings.tell(&format!(
                        "row {}: not among the {matches} matches of {length} characters of its name",
                        search.position
                    ));
                }
            }
            Outcome::Failed => failed += 1,
        }
    }
    findings.tell(&format!(
        "on the first page: {whole_first} of {wholes} by full name, {part_first} of {} by a part",
        searches.len() - wholes
    ));
    for (length, (count, least, most)) in crowded {
        findings.tell(&format!(
            "not on the first page: {count} by {length} characters, because {least} to {most} licences match"
        ));
    }
    if nothing > 0 {
        findings.tell(&format!("{nothing} parts are blanks and marks only, and find nothing"));
    }
    findings.require(lost == 0, &format!("every name is found by its parts: {lost} were not"));
    findings.require(failed == 0, &format!("every search is answered: {failed} were not"));
    findings.require(outcomes.len() == searches.len(), "every search that was planned was made");
}
