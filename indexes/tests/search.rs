//! What is in the store is found, and the index looks after itself.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use indexes::rules::sample::{
    day, fall, holder, identifier, issuer, licence, licence_type, licence_with, order, other_type,
};
use indexes::search::rebuild;
use indexes::{
    LicenceStore, MemoryStore, NewEntry, NewLicence, Proof, SearchFollower, SearchIndex,
    SearchPage, SearchQuery, SearchSettings,
};
use licence::{Holder, HolderId, HolderKind, LicenceId, StatusChange};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

const PATIENCE: Duration = Duration::from_secs(60);

/// A store, its index and the follower between them.
struct Town {
    store: Arc<MemoryStore>,
    folder: TempDir,
    index: SearchIndex,
    follower: Option<SearchFollower>,
}

fn settings() -> SearchSettings {
    SearchSettings { live_delay: Duration::from_millis(50), ..SearchSettings::default() }
}

impl Town {
    async fn with(licences: impl IntoIterator<Item = NewLicence>) -> Self {
        let folder = TempDir::new().unwrap();
        let index = SearchIndex::open_with(folder.path(), settings()).unwrap();
        let mut town = Self { store: Arc::new(MemoryStore::new()), folder, index, follower: None };
        town.append(licences).await;
        town.follow();
        town.catch_up().await;
        town
    }

    fn follow(&mut self) {
        let token = CancellationToken::new();
        let store = Arc::clone(&self.store) as Arc<dyn LicenceStore>;
        self.follower = Some(SearchFollower::spawn(store, self.index.clone(), token));
    }

    async fn append(&self, licences: impl IntoIterator<Item = NewLicence>) {
        let entries = licences.into_iter().map(NewEntry::Licence).collect();
        let answers = self.store.append(entries).await.unwrap();
        assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    }

    async fn apply(&self, licence: &NewLicence, change: StatusChange) {
        let entry = NewEntry::Status(order(licence, change, "x"));
        self.store.append(vec![entry]).await.unwrap().remove(0).unwrap();
    }

    /// Waits until everything in the store is visible.
    async fn catch_up(&self) {
        let started = Instant::now();
        let head = self.store.head().await.unwrap();
        while self.index.next() != head {
            assert!(started.elapsed() < PATIENCE, "the follower is stuck at {}", self.index.next());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn stop(&mut self) {
        self.follower.take().unwrap().stop().await;
    }

    /// Opens the folder again, as the next process would.
    async fn restart(&mut self) {
        if self.follower.is_some() {
            self.stop().await;
        }
        self.index = SearchIndex::open_with(self.folder.path(), settings()).unwrap();
        self.follow();
        self.catch_up().await;
    }

    fn search(&self, text: &str) -> SearchPage {
        self.query(SearchQuery { text: text.to_owned(), limit: 50, ..SearchQuery::default() })
    }

    fn query(&self, query: SearchQuery) -> SearchPage {
        self.index.search(&query).unwrap()
    }

    fn found(&self, text: &str) -> Vec<LicenceId> {
        self.search(text).hits.into_iter().map(|hit| hit.identifier).collect()
    }
}

fn named(serial: u64, name: &str) -> NewLicence {
    licence_with(serial, |licence| {
        licence.holders = vec![Holder { name: name.to_owned(), id: holder(serial) }];
    })
}

fn issued(serial: u64, name: &str, issued_on: i8) -> NewLicence {
    licence_with(serial, |licence| {
        licence.holders = vec![Holder { name: name.to_owned(), id: holder(serial) }];
        licence.issued_on = day(issued_on);
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_signed_later_with_other_bytes_is_found_once_and_as_it_was_signed() {
    let claim = NewLicence { proof: Proof::Unsigned, ..named(1, "登记簿所载商店") };
    let mut town = Town::with([claim, named(2, "另一家商店")]).await;
    assert_eq!(town.found("登记簿所载"), [identifier(1)]);
    town.append([named(1, "签发的商店")]).await;
    for _ in 0..2 {
        town.catch_up().await;
        assert_eq!(town.found("签发的商店"), [identifier(1)], "once");
        assert_eq!(town.found("登记簿所载"), [], "no more as it was claimed");
        town.restart().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn any_consecutive_characters_of_a_name_find_it() {
    let names = [
        "福州市鼓楼区老王（连锁）餐饮有限责任公司",
        "福建省ABC Trading（福州）股份有限公司",
        "ＸＹＺ２００３实业·集团",
        "莆田市荔城区西天尾镇𠮷祥百货商店",
        "厦门3M中国有限公司",
        "Fujian Café & Söhne GmbH",
    ];
    let town = Town::with((0..).zip(names).map(|(serial, name)| named(serial, name))).await;
    for (serial, name) in (0..).zip(names) {
        let characters: Vec<char> = name.chars().collect();
        assert_eq!(town.found(name)[0], identifier(serial), "{name}");
        for length in 1..=6 {
            for run in characters.windows(length) {
                let text: String = run.iter().collect();
                if text.chars().any(char::is_alphanumeric) {
                    let found = town.found(&text);
                    assert!(found.contains(&identifier(serial)), "{text} of {name}");
                }
            }
        }
    }
    // Typed in another width, case or bracket.
    assert_eq!(town.found("老王(连锁)餐饮"), [identifier(0)]);
    assert_eq!(town.found("老王连锁餐饮"), [identifier(0)]);
    assert_eq!(town.found("ａｂｃ trad"), [identifier(1)]);
    assert_eq!(town.found("xyz2003实业集团"), [identifier(2)]);
    assert_eq!(town.found("cafe sohne"), [identifier(5)]);
    // Not a piece of any name: characters that all occur, but not in a row.
    assert_eq!(town.found("鼓楼餐饮"), []);
    assert_eq!(town.found("王老"), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_issuers_and_face_fields_are_found_too() {
    let with_fields = licence_with(1, |licence| {
        licence.number = "91350100M000100Y43".to_owned();
        let fields = r#"{"经营范围":"糕点、面包零售","住所":{"街道":"东街口88号"},"n":42}"#;
        licence.fields = serde_json::from_str(fields).unwrap();
    });
    let town = Town::with([with_fields, licence(2)]).await;
    for text in ["91350100M000100Y43", "91350100m000", "00Y43", "面包零售", "东街口88", "糕点面包"]
    {
        assert_eq!(town.found(text), [identifier(1)], "{text}");
    }
    assert_eq!(town.search("市场监督").total, 2, "the issuer's name");
    assert_eq!(town.found(identifier(2).as_str()), [identifier(2)], "the identifier");
    // A run does not go from one text into the next.
    assert_eq!(town.found("零售东街"), []);
    // Parts apart from each other, as people type them.
    assert_eq!(town.found("东街口 面包"), [identifier(1)]);
    assert_eq!(town.found("东街口 车辆"), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn exact_names_come_first_then_beginnings_then_the_rest_each_newest_first() {
    let elsewhere = licence_with(7, |licence| {
        licence.fields = serde_json::from_str(r#"{"备注":"原海天商贸"}"#).unwrap();
        licence.issued_on = day(28);
    });
    let town = Town::with([
        issued(1, "福州海天商贸行", 20),
        issued(2, "海天商贸", 1),
        issued(3, "海天商贸有限公司", 9),
        issued(4, "海天商贸行", 12),
        issued(5, "厦门海天商贸", 25),
        elsewhere,
        issued(8, "海天商贸", 2),
    ])
    .await;
    let expected = [8, 2, 4, 3, 5, 1, 7].map(identifier);
    assert_eq!(town.found("海天商贸"), expected);
    assert_eq!(town.search("海天商贸"), town.search("海天商贸"), "always the same");
    for offset in 0..8 {
        let page = town.query(SearchQuery {
            text: "海天商贸".to_owned(),
            offset,
            limit: 2,
            ..SearchQuery::default()
        });
        assert_eq!(page.total, 7);
        let found: Vec<_> = page.hits.into_iter().map(|hit| hit.identifier).collect();
        assert_eq!(found, expected[offset.min(7)..(offset + 2).min(7)]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_of_trust_pass_by_and_change_nothing_that_is_found() {
    let town = Town::with([licence(1), licence(2)]).await;
    let before = town.search("示例企业");
    let falls = [1, 2].map(|serial| NewEntry::Trust(fall(&licence(serial))));
    town.store.append(falls.into()).await.unwrap();
    town.apply(&licence(2), StatusChange::Suspend).await;
    town.catch_up().await;
    let after = town.search("示例企业");
    assert_eq!((before.total, after.total), (2, 2));
    assert_eq!(after.facets.status.len(), 2, "the order behind them was seen");
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_narrow_and_facets_count() {
    let in_region = |serial, region: &str, kind, number: &str| {
        licence_with(serial, |licence| {
            licence.region = Some(region.parse().unwrap());
            licence.holders[0].id = HolderId::parse(kind, number).unwrap();
            licence.issued_on = day(serial as i8);
        })
    };
    let organisation = "91350100M000100Y43";
    let suspended = in_region(3, "350203", HolderKind::Organisation, organisation);
    let town = Town::with([
        in_region(1, "350102", HolderKind::Organisation, organisation),
        in_region(2, "350103", HolderKind::OtherPerson, "P1234567"),
        suspended.clone(),
        other_type(4),
    ])
    .await;
    town.apply(&suspended, StatusChange::Suspend).await;
    town.catch_up().await;
    let found = |change: &dyn Fn(&mut SearchQuery)| {
        let mut query = SearchQuery { limit: 50, ..SearchQuery::default() };
        change(&mut query);
        let hits = town.query(query).hits;
        let mut serials: Vec<u64> =
            hits.iter().map(|hit| hit.identifier.serial().parse().unwrap()).collect();
        serials.sort_unstable();
        serials
    };
    assert_eq!(found(&|_| {}), [1, 2, 3, 4]);
    assert_eq!(found(&|query| query.licence_types = vec![licence_type(1)]), [4]);
    let both = vec![licence_type(0), licence_type(1)];
    assert_eq!(found(&|query| query.licence_types.clone_from(&both)), [1, 2, 3, 4]);
    assert_eq!(found(&|query| query.issuer = Some(issuer(0))), [1, 2, 3, 4]);
    assert_eq!(found(&|query| query.issuer = Some(issuer(1))), [0; 0]);
    assert_eq!(found(&|query| query.region = "350102".parse().ok()), [1]);
    assert_eq!(found(&|query| query.region = "350100".parse().ok()), [1, 2]);
    assert_eq!(found(&|query| query.region = "350000".parse().ok()), [1, 2, 3]);
    assert_eq!(found(&|query| query.status = Some("suspended".to_owned())), [3]);
    assert_eq!(found(&|query| query.status = Some("no such word".to_owned())), [0; 0]);
    assert_eq!(found(&|query| query.holder_kind = Some(HolderKind::OtherPerson)), [2]);
    assert_eq!(found(&|query| query.issued_from = Some(day(2))), [2, 3]);
    assert_eq!(found(&|query| query.issued_to = Some(day(1))), [1, 4]);
    assert_eq!(
        found(&|query| (query.issued_from, query.issued_to) = (Some(day(2)), Some(day(2)))),
        [2]
    );
    assert_eq!(
        found(&|query| {
            query.text = "示例企业".to_owned();
            query.region = "350000".parse().ok();
            query.holder_kind = Some(HolderKind::Organisation);
        }),
        [1, 3]
    );
    let facets = town.search("").facets;
    let types =
        [(licence_type(0).as_str().to_owned(), 3), (licence_type(1).as_str().to_owned(), 1)];
    assert_eq!(facets.licence_type, types);
    assert_eq!(facets.status, [("valid".to_owned(), 3), ("suspended".to_owned(), 1)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_text_from_outside_is_an_error() {
    let town = Town::with([named(1, "福州海天商贸")]).await;
    let texts = [
        "\"",
        "((",
        "name:",
        "a AND",
        "NOT",
        "-",
        "*",
        "[a TO",
        "\0",
        "\u{2}福",
        "\u{3}",
        "~2",
        "^",
        "+福州",
        "福州 OR",
        "{",
        "\\",
        "'; DROP TABLE",
        "𝒜",
        "\u{202e}州福",
        "e\u{301}",
    ];
    for text in texts {
        town.search(text);
    }
    town.search(&"福".repeat(100_000));
    town.search(&"福 ".repeat(10_000));
    assert_eq!(town.search("  ").total, 1, "no text finds everything");
    assert_eq!(town.search("（）·").total, 0, "text that holds nothing to find finds nothing");
    assert_eq!(town.found("+福州"), [identifier(1)]);
    let page = town.query(SearchQuery {
        text: "福州".to_owned(),
        offset: usize::MAX,
        limit: usize::MAX,
        ..SearchQuery::default()
    });
    assert_eq!((page.total, page.hits.len()), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn matches_are_shown_as_plain_text() {
    let marked = licence_with(1, |licence| {
        licence.holders[0].name = "福州<b>（海天）</b>商贸".to_owned();
        let text = format!("{}海天商贸{}", "前".repeat(40), "后".repeat(40));
        licence.fields.insert("备注".to_owned(), text.into());
    });
    let town = Town::with([marked]).await;
    let hit = town.search("海天").hits.remove(0);
    assert_eq!(hit.matched, ["海天"]);
    assert_eq!(hit.highlights[0], "福州<b>（海天）</b>商贸", "as it stands, to be escaped");
    let piece = format!("…{}海天商贸{}…", "前".repeat(16), "后".repeat(14));
    assert_eq!(hit.highlights[1], piece);
    let hit = town.search("海天)b商").hits.remove(0);
    assert_eq!(hit.matched, ["海天）</b>商"]);
    let hit = town.search("福州 前前").hits.remove(0);
    assert_eq!(hit.matched, ["前前", "福州"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_status_shows_and_nothing_is_doubled() {
    let town = Town::with([named(1, "福州海天商贸"), named(2, "海天")]).await;
    town.apply(&named(1, "福州海天商贸"), StatusChange::Suspend).await;
    town.catch_up().await;
    let page = town.search("福州海天");
    assert_eq!((page.total, page.hits[0].status.as_str()), (1, "suspended"));
    town.apply(&named(1, "福州海天商贸"), StatusChange::Restore).await;
    // Issued and suspended within one reading of the log.
    town.append([named(3, "新海天")]).await;
    town.apply(&named(3, "新海天"), StatusChange::Suspend).await;
    town.catch_up().await;
    let page = town.search("海天");
    let status: Vec<_> = page.hits.iter().map(|hit| hit.status.as_str()).collect();
    assert_eq!((page.total, status), (3, vec!["valid", "suspended", "valid"]));
    assert_eq!(town.index.size(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_licence_is_visible_within_a_second() {
    let folder = TempDir::new().unwrap();
    let index = SearchIndex::open(folder.path()).unwrap();
    let store = Arc::new(MemoryStore::new());
    let following = Arc::clone(&store) as Arc<dyn LicenceStore>;
    let follower = SearchFollower::spawn(following, index.clone(), CancellationToken::new());
    let town = Town { store, folder, index, follower: Some(follower) };
    let mut slowest = Duration::ZERO;
    for serial in 1..=8 {
        let started = Instant::now();
        town.append([named(serial, "福州海天商贸")]).await;
        while town.search("海天").total < serial {
            assert!(started.elapsed() < PATIENCE);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        slowest = slowest.max(started.elapsed());
        tokio::time::sleep(Duration::from_millis(70 * serial % 300)).await;
    }
    // The promise is one second; the machine that runs the tests may be busy.
    assert!(slowest < Duration::from_secs(3), "{slowest:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_follower_goes_on_where_it_stopped() {
    let mut town = Town::with((0..50).map(licence)).await;
    town.stop().await;
    town.append((50..70).map(licence)).await;
    town.restart().await;
    assert_eq!(town.index.size(), 70);
    // Stopped without a word, as by a crash: what was not committed is read again.
    town.append((70..2500).map(licence)).await;
    drop(town.follower.take());
    let again = Town { store: Arc::clone(&town.store), ..Town::with([]).await };
    drop(again);
    town.catch_up().await;
    assert_eq!(town.index.size(), 2500);
}

fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries.filter(|path| path.is_file()).collect();
    files.sort();
    files
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_index_is_rebuilt() {
    let mut town = Town::with((0..300).map(licence)).await;
    town.stop().await;
    let names: Vec<_> = files(town.folder.path());
    let names: Vec<_> = names.iter().map(|path| path.file_name().unwrap().to_owned()).collect();
    assert!(names.len() > 5);
    for number in 0..names.len() {
        // A rebuilt index has files of other names: the one at the same place is taken.
        let files = files(town.folder.path());
        let Some(file) = files.get(number) else { continue };
        let mut bytes = std::fs::read(file).unwrap();
        if bytes.is_empty() {
            continue;
        }
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0x21;
        std::fs::write(file, bytes).unwrap();
        town.restart().await;
        assert_eq!(town.index.size(), 300, "{}", file.display());
        assert_eq!(town.search("示例企业").total, 300, "{}", file.display());
        town.stop().await;
    }
    for number in [0, 3, 5] {
        let files = files(town.folder.path());
        std::fs::remove_file(&files[number]).unwrap();
        town.restart().await;
        assert_eq!(town.search("示例企业").total, 300, "{}", files[number].display());
        town.stop().await;
    }
    std::fs::remove_dir_all(town.folder.path()).unwrap();
    town.restart().await;
    assert_eq!(town.search("示例企业").total, 300, "deleted");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_deleted_under_the_follower_is_rebuilt() {
    let town = Town::with((0..100).map(licence)).await;
    std::fs::remove_dir_all(town.folder.path()).unwrap();
    town.append((100..120).map(licence)).await;
    town.catch_up().await;
    assert_eq!(town.search("示例企业").total, 120);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_of_another_store_is_rebuilt() {
    let mut town = Town::with((0..30).map(licence)).await;
    town.stop().await;
    // As long, but other licences; then a shorter one.
    for serials in [1000..1030, 1000..1010] {
        town.store = Arc::new(MemoryStore::new());
        town.append(serials.clone().map(licence)).await;
        town.index = SearchIndex::open_with(town.folder.path(), settings()).unwrap();
        town.follow();
        let expected = serials.end - serials.start;
        let started = Instant::now();
        while town.search("示例企业10").total != expected || town.index.size() != expected {
            assert!(started.elapsed() < PATIENCE);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        town.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rebuilding_throws_away_and_fills_again() {
    let mut town = Town::with((0..1500).map(licence)).await;
    let store = Arc::clone(&town.store) as Arc<dyn LicenceStore>;
    let in_use = rebuild(town.folder.path(), Arc::clone(&store), |_, _| {}).await;
    assert_eq!(in_use.unwrap_err().code(), "search_locked", "a hub is using it");
    town.stop().await;
    let mut steps = Vec::new();
    let rebuilt = rebuild(town.folder.path(), store, |done, all| steps.push((done, all))).await;
    assert_eq!(rebuilt.unwrap(), 1500);
    assert_eq!(steps, [(1000, 1500), (1500, 1500)]);
    let index = SearchIndex::open(town.folder.path()).unwrap();
    assert_eq!(index.size(), 1500);
    assert_eq!(index.next(), town.store.head().await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_followers_do_not_write_to_one_index() {
    let mut town = Town::with([licence(1)]).await;
    let other = SearchIndex::open_with(town.folder.path(), settings()).unwrap();
    let store = Arc::clone(&town.store) as Arc<dyn LicenceStore>;
    let second = SearchFollower::spawn(store, other.clone(), CancellationToken::new());
    town.append([licence(2)]).await;
    town.catch_up().await;
    assert_eq!(town.index.size(), 2);
    town.stop().await;
    // Only now the second can.
    town.append([licence(3)]).await;
    let started = Instant::now();
    while other.size() < 3 {
        assert!(started.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    second.stop().await;
}
