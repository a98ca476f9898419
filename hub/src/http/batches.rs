//! Bulk intake: a signed manifest and its licences as NDJSON, streamed both ways.
//!
//! Reading never waits for the client to read: answers are short, counted by the manifest, and kept
//! until fetched, so a client that sends everything before it reads anything works too.

use actix_web::{HttpRequest, HttpResponse, post, web};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use licence::{LicenceId, Seq};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use utoipa::ToSchema;

use super::{body, error::Problem};
use crate::{
    Hub,
    intake::{BatchIntake, IntakeError, TakenIn},
    tls::Caller,
};

/// Most bytes of one line: a licence document of 256 KiB in base64, or a manifest of 100,000 lines.
const LONGEST_LINE: usize = 12 * 1024 * 1024;

/// Most bytes of a licence line after the first.
const LONGEST_LICENCE_LINE: usize = 512 * 1024;

/// Licences in one append: one fsync each.
const APPEND: usize = 1_000;

/// Bytes of documents in one append.
const APPEND_BYTES: usize = 8 * 1024 * 1024;

/// The first line of a batch.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ManifestLine {
    /// The manifest's bytes, base64.
    manifest: String,
    /// The detached CMS signature over them (DER), base64.
    signature: String,
}

/// Every further line.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LicenceLine {
    licence: String,
}

/// A line of the answer.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
enum ResultLine {
    /// The licence is in the repository.
    Held {
        /// Line of the upload, from 1.
        line: usize,
        /// 证照标识.
        #[schema(value_type = String)]
        identifier: LicenceId,
        /// Number of its registry entry.
        #[schema(value_type = u64)]
        seq: Seq,
        /// `stored` or `already_held`.
        outcome: &'static str,
    },
    /// The licence was refused.
    Refused {
        /// Line of the upload, from 1.
        line: usize,
        /// `refused`.
        outcome: &'static str,
        /// Why.
        problem: Problem,
    },
    /// The upload ended before its time.
    Broken {
        /// Why; what has a line above is stored.
        problem: Problem,
    },
    /// The last line.
    Summary {
        /// Counts.
        summary: Summary,
    },
}

/// Counts over one batch.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct Summary {
    /// Newly stored.
    pub stored: usize,
    /// Held already with the same bytes.
    pub already_held: usize,
    /// Refused.
    pub refused: usize,
    /// Listed in the manifest, but not among the lines.
    pub missing: usize,
}

/// Takes in a manifest and its licences.
///
/// First line `{"manifest", "signature"}`, then `{"licence"}` each, all base64. The answer has one
/// line for each licence, written only after it is durable, and a summary. Sending a batch again is
/// safe: what is held is reported as `already_held`.
#[utoipa::path(
    request_body(content = ManifestLine, content_type = "application/x-ndjson"),
    responses((status = 200, body = ResultLine, content_type = "application/x-ndjson"),
              (status = 403, body = Problem), (status = 422, body = Problem))
)]
#[post("/v1/licences/batches")]
pub async fn take_in_batch(
    hub: web::Data<Hub>,
    caller: Caller,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    body::require_media_type(&request, "application/x-ndjson")?;
    let mut lines = Lines { payload, buffer: BytesMut::new(), ended: false };
    let first = lines.next(LONGEST_LINE).await?.ok_or_else(|| {
        Problem::bad_request("batch_empty", "the first line must be {\"manifest\",\"signature\"}")
    })?;
    let first: ManifestLine = body::parse(&first)?;
    let manifest = body::base64("manifest", &first.manifest)?;
    let signature = body::base64("signature", &first.signature)?;
    drop(first);

    let (answer, answers) = mpsc::unbounded_channel::<Bytes>();
    // The manifest is judged before the status line is sent.
    let intake_hub = hub.clone().into_inner();
    let department = caller.department;
    let begun = BatchIntake::begin(intake_hub, department, manifest, signature).await?;
    actix_web::rt::spawn(run(begun, lines, answer));
    let answers = futures_util::stream::unfold(answers, |mut answers| async move {
        answers.recv().await.map(|line| (Ok::<_, actix_web::Error>(line), answers))
    });
    Ok(HttpResponse::Ok().content_type("application/x-ndjson").streaming(answers))
}

/// Reads lines, appends in groups, answers. Stops when the client has gone: what is not
/// acknowledged then is either stored or not, and sending it again is safe.
async fn run(mut intake: BatchIntake, mut lines: Lines, answer: mpsc::UnboundedSender<Bytes>) {
    let mut summary = Summary::default();
    let mut group: Vec<(usize, Bytes)> = Vec::with_capacity(APPEND);
    let mut group_bytes = 0;
    let mut number = 1;
    let broken = loop {
        let line = match lines.next(LONGEST_LICENCE_LINE).await {
            Ok(Some(line)) => line,
            Ok(None) => break None,
            Err(problem) => break Some(problem),
        };
        number += 1;
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        match licence_of(&line) {
            Ok(document) => {
                group_bytes += document.len();
                group.push((number, document));
            }
            Err(problem) => {
                // Keep the answers in the order of the lines.
                if let Err(problem) = append(&mut intake, &mut group, &mut summary, &answer).await {
                    break Some(problem);
                }
                group_bytes = 0;
                summary.refused += 1;
                let line = ResultLine::Refused { line: number, outcome: "refused", problem };
                send(&answer, &line);
            }
        }
        if group.len() >= APPEND || group_bytes >= APPEND_BYTES {
            if let Err(problem) = append(&mut intake, &mut group, &mut summary, &answer).await {
                break Some(problem);
            }
            group_bytes = 0;
        }
        if answer.is_closed() {
            return;
        }
    };
    let broken = match append(&mut intake, &mut group, &mut summary, &answer).await {
        Ok(()) => broken,
        Err(problem) => Some(problem),
    };
    if let Some(problem) = broken {
        send(&answer, &ResultLine::Broken { problem });
    }
    summary.missing = intake.missing();
    send(&answer, &ResultLine::Summary { summary });
}

fn licence_of(line: &[u8]) -> Result<Bytes, Problem> {
    let line: LicenceLine = body::parse(line)?;
    body::base64("licence", &line.licence)
}

async fn append(
    intake: &mut BatchIntake,
    group: &mut Vec<(usize, Bytes)>,
    summary: &mut Summary,
    answer: &mpsc::UnboundedSender<Bytes>,
) -> Result<(), Problem> {
    if group.is_empty() {
        return Ok(());
    }
    let numbers: Vec<usize> = group.iter().map(|(number, _)| *number).collect();
    let outcomes = intake.take_in(std::mem::take(group)).await.map_err(Problem::from)?;
    for (line, outcome) in numbers.into_iter().zip(outcomes) {
        send(answer, &result_line(line, outcome, summary));
    }
    Ok(())
}

fn result_line(
    line: usize,
    outcome: Result<TakenIn, IntakeError>,
    summary: &mut Summary,
) -> ResultLine {
    match outcome {
        Ok(TakenIn { identifier, appended }) => {
            let outcome = if appended.new {
                summary.stored += 1;
                metrics::counter!("yihao_licences_taken_in_total").increment(1);
                "stored"
            } else {
                summary.already_held += 1;
                "already_held"
            };
            ResultLine::Held { line, identifier, seq: appended.seq, outcome }
        }
        Err(error) => {
            summary.refused += 1;
            ResultLine::Refused { line, outcome: "refused", problem: error.into() }
        }
    }
}

fn send(answer: &mpsc::UnboundedSender<Bytes>, line: &ResultLine) {
    let mut bytes = serde_json::to_vec(line).unwrap_or_default();
    bytes.push(b'\n');
    // A client that has gone is noticed by the caller.
    let _ = answer.send(bytes.into());
}

/// Splits a payload into lines of bounded length.
struct Lines {
    payload: web::Payload,
    buffer: BytesMut,
    ended: bool,
}

impl Lines {
    /// The next line without its LF, or `None` at the end.
    async fn next(&mut self, longest: usize) -> Result<Option<Bytes>, Problem> {
        let mut searched = 0;
        loop {
            if let Some(at) = self.buffer[searched..].iter().position(|byte| *byte == b'\n') {
                let mut line = self.buffer.split_to(searched + at + 1);
                line.truncate(searched + at);
                return Ok(Some(line.freeze()));
            }
            if self.ended {
                let rest = self.buffer.split().freeze();
                return Ok((!rest.is_empty()).then_some(rest));
            }
            if self.buffer.len() > longest {
                return Err(Problem::too_large(format!("a line may have at most {longest} bytes")));
            }
            searched = self.buffer.len();
            match self.payload.next().await {
                Some(Ok(chunk)) => self.buffer.extend_from_slice(&chunk),
                Some(Err(error)) => {
                    // Half a line is not a line.
                    self.buffer.clear();
                    self.ended = true;
                    return Err(body::incomplete(&error));
                }
                None => self.ended = true,
            }
        }
    }
}
