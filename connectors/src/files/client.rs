//! What is read and written on the file server.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::{self, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use licence::LicenceId;
use tokio::{
    sync::Mutex,
    time::{self, Instant},
};

use super::{
    Sent,
    answer::{ANSWER_END, ANSWER_LIMIT, COUNTS_NAME, Counts, HOLDINGS_NAME, HoldingRecord},
    encode::Encoded,
    manifest::{DONE_END, MANIFEST_END, MANIFEST_LIMIT, Manifest},
    reply,
    settings::Settings,
};
use crate::{
    Bucket, DeliveryError, Holding, Problem, Reply, ReplyPage, ReplyPosition,
    sftp::{Entry, PART, Session, Sftp, join},
};

/// Most files in a folder that is listed.
const FILES: usize = 100_000;
/// Most replies that are given at a time.
const REPLIES: usize = 1_000;
/// Largest file of counts, in bytes.
const COUNTS_LIMIT: usize = 64 << 20;
/// Longest line of a file with holdings, in bytes.
const HOLDING_LINE: usize = 1_024;
/// How long an answer that cannot be understood may still be one that is being written.
const SETTLE: Duration = Duration::from_secs(3);
/// How often what was answered long ago is cleaned up.
const CLEAN: Duration = Duration::from_secs(3_600);
/// How often counts are looked at while they are waited for.
const LOOK: Duration = Duration::from_millis(100);
/// Below the folder of answers: those that were handled, and those that nobody understands.
const HANDLED: &str = "handled";
const UNREADABLE: &str = "unreadable";

pub(crate) struct Client {
    settings: Settings,
    /// Batches, answers: one connection for what is sent, one for what is read, so that neither waits for the other.
    sending: Sftp,
    reading: Sftp,
    answers: Mutex<Answers>,
    transfers: sync::Mutex<Transfers>,
}

/// What is being brought over.
#[derive(Default)]
struct Transfers {
    /// Names of batches.
    under_way: BTreeSet<String>,
    /// It was looked for what broken transfers left, and none was broken since.
    clean: bool,
}

/// What is known of answers that are there.
#[derive(Default)]
struct Answers {
    /// The last reply that was given, and the answers that were given whole with it and before: they are put away when
    /// the next question shows that it was handled.
    given: Option<(ReplyPosition, Vec<String>)>,
    /// Answers that cannot be understood: since when they are as they are.
    doubtful: BTreeMap<String, (Entry, Instant)>,
    /// The first of those that were put aside, until it is told.
    untold: Option<DeliveryError>,
    cleaned_at: Option<Instant>,
}

impl Client {
    pub(crate) fn new(settings: Settings) -> Self {
        let [sending, reading] = [0; 2].map(|_| Sftp::new(settings.target.clone()));
        let transfers = sync::Mutex::default();
        Self { settings, sending, reading, answers: Mutex::default(), transfers }
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    fn transfers(&self) -> sync::MutexGuard<'_, Transfers> {
        self.transfers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Brings a batch over: data file, manifest, and last the done-marker.
    pub(crate) async fn send(&self, encoded: &Encoded) -> Result<(), DeliveryError> {
        let Some(data) = &encoded.data else { return Ok(()) };
        let clean = {
            let mut transfers = self.transfers();
            transfers.under_way.insert(encoded.stem.clone());
            // Until it has gone well; a future that is dropped midway leaves it so.
            std::mem::replace(&mut transfers.clean, false)
        };
        let sent = self.bring(encoded, data).await;
        self.transfers().under_way.remove(&encoded.stem);
        sent?;
        if clean || self.sweep(encoded).await {
            self.transfers().clean = true;
        }
        Ok(())
    }

    /// Removes the beginnings of files that transfers left which nobody goes on with, because the same records have
    /// other names and bytes now: after a code map was edited, or batches were cut differently. Only what is called
    /// `….part` after a batch of ours, of the records that this batch brought. Whether it worked; if not, it is
    /// no reason to bring the batch again.
    async fn sweep(&self, encoded: &Encoded) -> bool {
        let swept = async {
            let session = self.sending.session().await?;
            for entry in session.list(&self.settings.folder, FILES).await? {
                let stem = entry.name.strip_suffix(PART).and_then(|name| {
                    let ends = [DONE_END, MANIFEST_END, self.settings.content.end()];
                    ends.iter().find_map(|end| name.strip_suffix(end))
                });
                let orphan = entry.is_file
                    && stem.is_some_and(|stem| {
                        reply::first_of(stem, &self.settings.name).is_some_and(|first| {
                            encoded.ends.is_some_and(|(from, to)| from.0 <= first && first <= to.0)
                        }) && !self.transfers().under_way.contains(stem)
                    });
                if orphan {
                    session.remove(&join(&self.settings.folder, &entry.name)).await?;
                }
            }
            session.keep();
            Ok::<_, DeliveryError>(())
        };
        match swept.await {
            Ok(()) => true,
            Err(error) => {
                let connector = &self.settings.name;
                tracing::debug!(connector, code = error.code(), "leftovers were not looked for");
                false
            }
        }
    }

    async fn bring(&self, encoded: &Encoded, data: &[u8]) -> Result<(), DeliveryError> {
        let session = self.sending.session().await?;
        let path = |end: &str| join(&self.settings.folder, &format!("{}{end}", encoded.stem));
        let put = session.put(&path(self.settings.content.end()), data).await?;
        session.put(&path(MANIFEST_END), &encoded.manifest).await?;
        // Written anew although it is there: a receiver that looks for new markers finds what an operator sends again.
        let done = path(DONE_END);
        session.remove(&done).await?;
        session.put(&done, b"").await?;
        session.keep();
        tracing::debug!(
            connector = self.settings.name,
            batch = encoded.stem,
            bytes = data.len(),
            ?put,
            "a batch was brought to the file server"
        );
        Ok(())
    }

    /// What answers say that are there, after `after` as far as that was given by this instance. One that cannot be
    /// understood is told once nothing else is left to be said.
    pub(crate) async fn replies(&self, after: &ReplyPosition) -> Result<ReplyPage, DeliveryError> {
        let mut answers = self.answers.lock().await;
        let session = self.reading.session().await?;
        // Whoever asks for what comes after the last reply has handled it.
        let goes_on = match answers.given.take() {
            Some((last, whole)) if last == *after => {
                for name in whole {
                    self.put_away(&session, &name).await?;
                }
                true
            }
            _ => false,
        };
        let mut found: Vec<(String, Vec<Reply>)> = Vec::new();
        let mut replies = 0;
        let mut more = false;
        let listed = self.list_answers(&session).await?;
        let names: HashSet<&str> = listed.iter().map(|entry| entry.name.as_str()).collect();
        answers.doubtful.retain(|name, _| names.contains(name.as_str()));
        drop(names);
        for entry in listed {
            if replies > REPLIES {
                more = true;
                break;
            }
            match self.read_answer(&session, &entry).await? {
                Ok(of_file) if of_file.is_empty() => self.put_away(&session, &entry.name).await?,
                Ok(of_file) => {
                    replies += of_file.len();
                    found.push((entry.name, of_file));
                }
                Err(why) => self.doubt(&mut answers, &session, entry, why).await?,
            }
        }
        if self.settings.keep.is_some() {
            self.clean(&mut answers, &session).await?;
        }
        session.keep();
        let (page, whole) = page(found, goes_on.then_some(after), more);
        if page.replies.is_empty()
            && let Some(error) = answers.untold.take()
        {
            return Err(error);
        }
        answers.given = page.replies.last().map(|last| (last.position.clone(), whole));
        Ok(page)
    }

    /// Answers by time, then by name.
    async fn list_answers(&self, session: &Session) -> Result<Vec<Entry>, DeliveryError> {
        // As long as nobody has answered there may be no such folder.
        if session.about(&self.settings.answers).await?.is_none() {
            return Ok(Vec::new());
        }
        let mut entries = session.list(&self.settings.answers, FILES).await?;
        entries.retain(|entry| {
            entry.is_file
                && entry
                    .name
                    .strip_suffix(ANSWER_END)
                    .is_some_and(|stem| reply::is_ours(stem, &self.settings.name))
        });
        entries.sort_by(|one, other| (one.modified, &one.name).cmp(&(other.modified, &other.name)));
        Ok(entries)
    }

    /// What an answer says; the inner error: why it cannot be understood.
    async fn read_answer(
        &self,
        session: &Session,
        entry: &Entry,
    ) -> Result<Result<Vec<Reply>, &'static str>, DeliveryError> {
        let settings = &self.settings;
        let path = join(&settings.answers, &entry.name);
        if entry.size > ANSWER_LIMIT as u64 {
            return Ok(Err("is larger than any answer"));
        }
        let bytes = match session.read(&path, ANSWER_LIMIT).await {
            Ok(bytes) => bytes.unwrap_or_default(),
            Err(DeliveryError::Configuration(Problem::AnswerTooLarge { .. })) => {
                return Ok(Err("is larger than any answer"));
            }
            // Of this file; if it is so with all of them, none can be put aside either, and that is told.
            Err(DeliveryError::Configuration(Problem::FileRightMissing { .. })) => {
                return Ok(Err("may not be read"));
            }
            Err(error) => return Err(error),
        };
        let answer = match reply::parse(&bytes, settings.encoding) {
            Ok(answer) => answer,
            Err(why) => return Ok(Err(why)),
        };
        let stem = entry.name.strip_suffix(ANSWER_END).unwrap_or_default();
        if answer.batch != stem {
            return Ok(Err("is about another batch than its name says"));
        }
        let manifest = if reply::needs_manifest(&answer, &settings.name) {
            let path = join(&settings.folder, &format!("{stem}{MANIFEST_END}"));
            let bytes = session.read(&path, MANIFEST_LIMIT).await?;
            bytes.and_then(|bytes| Manifest::parse(&bytes).ok())
        } else {
            None
        };
        Ok(reply::replies(&answer, manifest.as_ref(), &settings.name, entry.modified))
    }

    /// An answer that cannot be understood may still be on its way. If it stays as it is, it is put aside, and is to be
    /// told.
    async fn doubt(
        &self,
        answers: &mut Answers,
        session: &Session,
        entry: Entry,
        why: &'static str,
    ) -> Result<(), DeliveryError> {
        let name = entry.name.clone();
        let since = match answers.doubtful.get(&name) {
            Some((before, since)) if *before == entry => *since,
            _ => {
                let now = Instant::now();
                answers.doubtful.insert(name.clone(), (entry, now));
                now
            }
        };
        if since.elapsed() < SETTLE {
            return Ok(());
        }
        match self.move_to(session, &name, UNREADABLE).await {
            Ok(()) => answers.doubtful.remove(&name),
            Err(error @ DeliveryError::Configuration(_)) => {
                answers.untold.get_or_insert(error);
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        tracing::warn!(
            connector = self.settings.name,
            file = name,
            "an answer cannot be understood: it {why}"
        );
        let problem = Problem::AnswerFileUnusable { file: name, why };
        answers.untold.get_or_insert(DeliveryError::Configuration(problem));
        Ok(())
    }

    /// An answer was handled.
    async fn put_away(&self, session: &Session, name: &str) -> Result<(), DeliveryError> {
        if self.settings.keep.is_some_and(|keep| keep.is_zero()) {
            self.remove_batch(session, name).await?;
            return session.remove(&join(&self.settings.answers, name)).await;
        }
        self.move_to(session, name, HANDLED).await
    }

    async fn move_to(
        &self,
        session: &Session,
        name: &str,
        folder: &str,
    ) -> Result<(), DeliveryError> {
        let folder = join(&self.settings.answers, folder);
        session.make_folder(&folder).await?;
        session.rename(&join(&self.settings.answers, name), &join(&folder, name)).await
    }

    /// Removes what was answered longer ago than it is to be kept.
    async fn clean(&self, answers: &mut Answers, session: &Session) -> Result<(), DeliveryError> {
        let Some(keep) = self.settings.keep.filter(|keep| !keep.is_zero()) else { return Ok(()) };
        if answers.cleaned_at.is_some_and(|at| at.elapsed() < CLEAN) {
            return Ok(());
        }
        let folder = join(&self.settings.answers, HANDLED);
        if session.about(&folder).await?.is_some() {
            let now = self.their_time(session).await?;
            for entry in session.list(&folder, FILES).await? {
                let old = entry.modified.saturating_add(keep.as_secs()) < now;
                let stem = entry.name.strip_suffix(ANSWER_END).unwrap_or_default();
                if old && entry.is_file && reply::is_ours(stem, &self.settings.name) {
                    self.remove_batch(session, &entry.name).await?;
                    session.remove(&join(&folder, &entry.name)).await?;
                }
            }
        }
        answers.cleaned_at = Some(Instant::now());
        Ok(())
    }

    /// The server's clock, in seconds since 1970: files have their times by it, and ours may say something else.
    async fn their_time(&self, session: &Session) -> Result<u64, DeliveryError> {
        let path = join(&self.settings.answers, &format!(".{}.clock", self.settings.name));
        session.remove(&path).await?;
        session.put(&path, b"").await?;
        let about = session.about(&path).await?;
        session.remove(&path).await?;
        Ok(about.map_or(0, |about| about.modified))
    }

    /// Removes the files of an answered batch, the marker first.
    async fn remove_batch(&self, session: &Session, answer: &str) -> Result<(), DeliveryError> {
        let stem = answer.strip_suffix(ANSWER_END).unwrap_or(answer);
        for end in [DONE_END, MANIFEST_END, self.settings.content.end()] {
            session.remove(&join(&self.settings.folder, &format!("{stem}{end}"))).await?;
        }
        Ok(())
    }

    /// How far the receiver's counts go, if it has dropped any that can be read.
    pub(crate) async fn counted(&self) -> Result<Option<u64>, DeliveryError> {
        let session = self.reading.session().await?;
        let read = session.read(&join(&self.settings.answers, COUNTS_NAME), COUNTS_LIMIT).await;
        session.keep();
        match read {
            Ok(bytes) => Ok(bytes
                .and_then(|bytes| reply::parse_counts(&bytes, self.settings.encoding).ok())
                .and_then(|counts| counts.next)),
            // Told where counts are asked for.
            Err(DeliveryError::Configuration(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The receiver's counts; waited for until everything that was sent is in them.
    pub(crate) async fn counts(&self, sent: &Sent) -> Result<Counts, DeliveryError> {
        let path = join(&self.settings.answers, COUNTS_NAME);
        let next = sent.next.unwrap_or(0);
        let outdated =
            |counted| DeliveryError::Unreachable(Problem::CountsOutdated { counted, sent: next });
        let deadline = Instant::now() + self.settings.target.timeout;
        loop {
            let session = self.reading.session().await?;
            let worked_through = match &sent.again {
                Some((stem, _)) => self.worked_through(&session, stem).await?,
                None => Some(0),
            };
            let about = session.about(&path).await?;
            let bytes = session.read(&path, COUNTS_LIMIT).await?;
            session.keep();
            let problem =
                match bytes.map(|bytes| reply::parse_counts(&bytes, self.settings.encoding)) {
                    None => DeliveryError::Configuration(Problem::CountsMissing),
                    Some(Ok(counts)) => match counts.next {
                        Some(counted) if counted < next => outdated(counted),
                        _ => {
                            let modified = about.map_or(0, |about| about.modified);
                            if worked_through.is_some_and(|at| at <= modified) {
                                return Ok(counts);
                            }
                            outdated(sent.again.as_ref().map_or(next, |(_, first)| *first))
                        }
                    },
                    // Perhaps it is being written.
                    Some(Err(why)) => DeliveryError::Configuration(Problem::AnswerFileUnusable {
                        file: COUNTS_NAME.to_owned(),
                        why,
                    }),
                };
            if Instant::now() >= deadline {
                return Err(problem);
            }
            time::sleep(LOOK).await;
        }
    }

    /// Since when the receiver has worked through a batch, by the server's clock: it has answered it, or has taken it
    /// away (0: who knows when). `None`: it has not.
    async fn worked_through(
        &self,
        session: &Session,
        stem: &str,
    ) -> Result<Option<u64>, DeliveryError> {
        let answer = format!("{stem}{ANSWER_END}");
        for folder in [&self.settings.answers, &join(&self.settings.answers, HANDLED)] {
            if let Some(about) = session.about(&join(folder, &answer)).await? {
                return Ok(Some(about.modified));
            }
        }
        let marker = join(&self.settings.folder, &format!("{stem}{DONE_END}"));
        Ok(session.about(&marker).await?.is_none().then_some(0))
    }

    /// Records of a bucket by identifier, after `after`, at most `limit`, out of the receiver's list. It is read through
    /// once for each question, a piece at a time.
    pub(crate) async fn holdings(
        &self,
        bucket: &Bucket,
        after: Option<&LicenceId>,
        limit: usize,
    ) -> Result<Vec<Holding>, DeliveryError> {
        let path = join(&self.settings.answers, HOLDINGS_NAME);
        let mut found: BTreeMap<LicenceId, Holding> = BTreeMap::new();
        let session = self.reading.session().await?;
        let read = session
            .lines(&path, HOLDING_LINE, |line| {
                let record: HoldingRecord =
                    serde_json::from_slice(line).map_err(|_| "has a line of another shape")?;
                let (of, holding) = record.read().ok_or("has a line of another shape")?;
                if of == *bucket && after.is_none_or(|after| holding.identifier > *after) {
                    found.insert(holding.identifier.clone(), holding);
                    if found.len() > limit {
                        found.pop_last();
                    }
                }
                Ok(())
            })
            .await?;
        session.keep();
        let unusable = |why| Problem::AnswerFileUnusable { file: HOLDINGS_NAME.to_owned(), why };
        match read {
            None => Err(DeliveryError::Configuration(Problem::CountsMissing)),
            Some(Err(why)) => Err(DeliveryError::Configuration(unusable(why))),
            Some(Ok(())) => Ok(found.into_values().collect()),
        }
    }
}

/// A page of at most [`REPLIES`], and the names of the answers that end in it.
///
/// * `found`: replies by answer, in order; `after`: up to there they were given.
fn page(
    found: Vec<(String, Vec<Reply>)>,
    after: Option<&ReplyPosition>,
    more: bool,
) -> (ReplyPage, Vec<String>) {
    let mut page = ReplyPage { replies: Vec::new(), more, now_micros: 0 };
    let mut whole = Vec::new();
    for (name, of_file) in found {
        let mut left =
            of_file.into_iter().filter(|reply| after.is_none_or(|after| reply.position > *after));
        let room = REPLIES - page.replies.len();
        page.replies.extend(left.by_ref().take(room));
        if left.next().is_some() {
            page.more = true;
            break;
        }
        whole.push(name);
    }
    // By whichever clock is ahead: a reply is never too new to be gone on after.
    let last = page.replies.last().map_or(0, |reply| reply.position.micros);
    page.now_micros = last.max(u64::try_from(now().as_micros()).unwrap_or(u64::MAX));
    (page, whole)
}

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use licence::Seq;

    use super::*;
    use crate::Refused;

    fn answer(name: &str, micros: u64, count: u64) -> (String, Vec<Reply>) {
        let replies = (0..count).map(|number| Reply {
            position: ReplyPosition { micros, key: format!("{name}/{number:020}") },
            refused: Refused { seq: Seq(number), code: "x".to_owned(), remark: String::new() },
        });
        (name.to_owned(), replies.collect())
    }

    #[test]
    fn replies_come_in_pages_and_answers_that_end_in_one_are_named() {
        let found = || vec![answer("a", 1, 600), answer("b", 2, 600)];
        let (first, whole) = page(found(), None, false);
        assert_eq!((first.replies.len(), first.more, whole), (1_000, true, vec!["a".to_owned()]));
        let last = first.replies.last().unwrap().position.clone();
        // The next question comes after `a` was put away.
        let (second, whole) = page(found().split_off(1), Some(&last), false);
        assert_eq!((second.replies.len(), second.more, whole), (200, false, vec!["b".to_owned()]));
        let ahead = u64::MAX / 2;
        assert_eq!(page(vec![answer("a", ahead, 1)], None, false).0.now_micros, ahead);
        assert!(page(Vec::new(), None, false).0.replies.is_empty());
    }
}
