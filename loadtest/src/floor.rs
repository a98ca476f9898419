//! What a benchmark is held against: the same work without what makes it a repository.
//!
//! * [`serve`], a program of its own (`loadtest floor`): a bare actix-web handler over mutual TLS
//!   that does the RocksDB reads of a pull – holder token, scan of `by_holder`, the licences named
//!   there – and sends the stored bytes. No policy, no verification, no log.
//! * [`verification_rate`]: how many ECDSA P-256 signatures ring verifies in a second on all cores.
//! * [`SearchFloor`]: Tantivy called directly on the index folder, with the same kind of query.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use actix_web::{
    App, HttpResponse, HttpServer, error::ErrorInternalServerError, http::KeepAlive, web,
};
use licence::{HolderId, LicenceTypeCode};
use ring::{hmac, rand::SystemRandom, signature};
use rocksdb::{
    BlockBasedOptions, Cache, ColumnFamilyDescriptor, DB, LruCacheOptions, Options, ReadOptions,
    SliceTransform,
};
use rustls::{
    RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
};
use serde::Deserialize;
use tantivy::{
    Index, IndexReader, ReloadPolicy, Searcher, TantivyDocument, Term,
    collector::{Count, TopDocs},
    query::{BooleanQuery, EmptyQuery, PhraseQuery, Query, TermQuery},
    schema::{Field, IndexRecordOption},
};

use crate::{
    error::{Error, read},
    folder::Folder,
};

/// Memory for RocksDB's block cache: what a hub has by default.
const CACHE: usize = 256 << 20;
/// Bytes of a holder token; with a type code of 21 they lead the keys of `by_holder`, then come
/// 4 bytes of the day and the identifier (docs/formats/store.md).
const TOKEN: usize = 16;
const BEFORE_IDENTIFIER: usize = TOKEN + 21 + 4;

/// Arguments of `loadtest floor`.
#[derive(clap::Args)]
pub struct Arguments {
    /// A folder as `loadtest generate` writes it: for the credentials and the index key.
    #[arg(long)]
    folder: PathBuf,
    /// A hub's store, opened for reading only.
    #[arg(long)]
    store: PathBuf,
    /// Where to listen.
    #[arg(long)]
    listen: SocketAddr,
}

struct Store {
    rocks: DB,
    key: hmac::Key,
}

#[derive(Deserialize)]
struct Asked {
    holder: HolderId,
    types: Vec<LicenceTypeCode>,
}

/// Serves until it is killed.
///
/// # Errors
/// `Rocks`, `File`, `Identity`.
pub fn serve(arguments: &Arguments) -> Result<(), Error> {
    let folder = Folder::at(&arguments.folder);
    let store = web::Data::new(Store::open(&arguments.store, &folder)?);
    let tls = server_config(&folder)?;
    let failed = |error: std::io::Error| Error::Program {
        program: "the floor's server".to_owned(),
        said: error.to_string(),
    };
    actix_web::rt::System::new().block_on(async move {
        let server = HttpServer::new(move || {
            App::new()
                .app_data(store.clone())
                .app_data(web::JsonConfig::default())
                .route("/v1/pulls", web::post().to(pull))
        })
        .keep_alive(KeepAlive::Os)
        .bind_rustls_0_23(arguments.listen, tls)
        .map_err(failed)?
        .run();
        println!("ready");
        server.await.map_err(failed)
    })
}

async fn pull(store: web::Data<Store>, asked: web::Json<Asked>) -> actix_web::Result<HttpResponse> {
    let licences = store.licences(&asked).map_err(ErrorInternalServerError)?;
    Ok(HttpResponse::Ok().content_type("application/octet-stream").body(licences))
}

impl Store {
    fn open(path: &Path, folder: &Folder) -> Result<Self, Error> {
        // Few shards, as the hub has them: a floor must not be slowed by its settings.
        let mut cache = LruCacheOptions::default();
        cache.set_capacity(CACHE);
        cache.set_num_shard_bits(3);
        let cache = Cache::new_lru_cache_opts(&cache);
        let mut options = Options::default();
        // As the store was written: without it, RocksDB 11.8 fails on a manifest that names logs.
        options.set_track_and_verify_wals_in_manifest(true);
        let families = DB::list_cf(&options, path)?.into_iter().map(|name| {
            let mut blocks = BlockBasedOptions::default();
            blocks.set_block_cache(&cache);
            blocks.set_cache_index_and_filter_blocks(true);
            blocks.set_bloom_filter(10.0, false);
            let mut options = Options::default();
            if name == "by_holder" {
                options.set_prefix_extractor(SliceTransform::create_fixed_prefix(TOKEN));
                blocks.set_whole_key_filtering(false);
            }
            options.set_block_based_table_factory(&blocks);
            ColumnFamilyDescriptor::new(name, options)
        });
        let rocks = DB::open_cf_descriptors_read_only(&options, path, families, false)?;
        let key = read(&folder.index_key())?;
        let key = hex::decode(key.trim_ascii()).map_err(|_| Error::Content {
            path: folder.index_key(),
            line: 1,
            what: "not hex".to_owned(),
        })?;
        Ok(Self { rocks, key: hmac::Key::new(hmac::HMAC_SHA256, &key) })
    }

    /// The stored values of the holder's licences of these types, one after the other.
    fn licences(&self, asked: &Asked) -> Result<Vec<u8>, String> {
        let family = |name: &str| self.rocks.cf_handle(name).ok_or("a family is missing");
        let (by_holder, licences) = (family("by_holder")?, family("licences")?);
        let mut token = hmac::Context::with_key(&self.key);
        token.update(asked.holder.kind().code().as_bytes());
        token.update(asked.holder.number().as_bytes());
        let token = token.sign();
        let mut answer = Vec::new();
        for code in &asked.types {
            let prefix = [&token.as_ref()[..TOKEN], code.as_str().as_bytes()].concat();
            let mut options = ReadOptions::default();
            options.set_prefix_same_as_start(true);
            let mut keys = self.rocks.raw_iterator_cf_opt(by_holder, options);
            keys.seek(&prefix);
            while let Some(key) = keys.key().filter(|key| key.starts_with(&prefix)) {
                let identifier = key.get(BEFORE_IDENTIFIER..).unwrap_or_default();
                let found = self.rocks.get_pinned_cf(licences, identifier);
                let found = found.map_err(String::from)?.ok_or("a licence is missing")?;
                answer.extend_from_slice(&found);
                keys.next();
            }
            keys.status().map_err(String::from)?;
        }
        Ok(answer)
    }
}

fn server_config(folder: &Folder) -> Result<ServerConfig, Error> {
    let (certificate, key) = folder.server();
    let wrong =
        |path: &Path, said: String| Error::Identity { what: path.display().to_string(), said };
    let pem = read(&certificate)?;
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<_, _>>()
        .map_err(|error| wrong(&certificate, error.to_string()))?;
    let server_key = PrivateKeyDer::from_pem_slice(&read(&key)?)
        .map_err(|error| wrong(&key, error.to_string()))?;
    let mut anchors = RootCertStore::empty();
    let ca = folder.ca();
    for anchor in CertificateDer::pem_slice_iter(&read(&ca)?) {
        let anchor = anchor.map_err(|error| wrong(&ca, error.to_string()))?;
        anchors.add(anchor).map_err(|error| wrong(&ca, error.to_string()))?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(anchors), provider.clone())
        .build()
        .map_err(|error| wrong(&ca, error.to_string()))?;
    ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| wrong(&certificate, error.to_string()))?
        .with_client_cert_verifier(clients)
        .with_single_cert(chain, server_key)
        .map_err(|error| wrong(&key, error.to_string()))
}

/// Signatures a second: ring's ECDSA P-256 verification over `message`, a thread on each core.
///
/// # Errors
/// `Program` if ring refuses the random key or a signature it made.
pub fn verification_rate(message: &[u8], duration: Duration) -> Result<f64, Error> {
    let failed = || Error::Program { program: "ring".to_owned(), said: "refused".to_owned() };
    let random = SystemRandom::new();
    let suite = &signature::ECDSA_P256_SHA256_ASN1_SIGNING;
    let key = signature::EcdsaKeyPair::generate_pkcs8(suite, &random).map_err(|_| failed())?;
    let key =
        signature::EcdsaKeyPair::from_pkcs8(suite, key.as_ref(), &random).map_err(|_| failed())?;
    let signed = key.sign(&random, message).map_err(|_| failed())?;
    let public = signature::UnparsedPublicKey::new(
        &signature::ECDSA_P256_SHA256_ASN1,
        signature::KeyPair::public_key(&key).as_ref(),
    );
    let start = Instant::now();
    let (verified, refused) =
        on_all_cores(start + duration, || public.verify(message, signed.as_ref()).is_ok());
    if refused { Err(failed()) } else { Ok(verified as f64 / start.elapsed().as_secs_f64()) }
}

/// Repeats `work` on a thread for each core until the deadline; how often it was done, and whether
/// it ever failed.
fn on_all_cores(deadline: Instant, work: impl Fn() -> bool + Sync) -> (u64, bool) {
    let (done, failed) = (AtomicU64::new(0), AtomicBool::new(false));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                let mut count = 0;
                while Instant::now() < deadline && !failed.load(Ordering::Relaxed) {
                    if !work() {
                        failed.store(true, Ordering::Relaxed);
                    }
                    count += 1;
                }
                done.fetch_add(count, Ordering::Relaxed);
            });
        }
    });
    (done.into_inner(), failed.into_inner())
}

/// Tantivy on a hub's index folder.
pub struct SearchFloor {
    searcher: Searcher,
    /// Bigrams of names, and of everything else.
    fields: [Field; 2],
}

impl SearchFloor {
    /// Opens the folder as it is now.
    ///
    /// # Errors
    /// `Tantivy`.
    pub fn open(folder: &Path) -> Result<Self, Error> {
        let index = Index::open_in_dir(folder)?;
        let schema = index.schema();
        let fields = [schema.get_field("names")?, schema.get_field("texts")?];
        let reader = index.reader_builder().reload_policy(ReloadPolicy::Manual);
        let reader: IndexReader = reader.try_into()?;
        Ok(Self { searcher: reader.searcher(), fields })
    }

    /// Searches a second on all cores, each counting what matches and loading the best twenty.
    ///
    /// # Errors
    /// `Program` if a search failed.
    pub fn rate(&self, texts: &[String], duration: Duration) -> Result<f64, Error> {
        let queries: Vec<_> = texts.iter().map(|text| self.query(text)).collect();
        let next = AtomicU64::new(0);
        let start = Instant::now();
        let (searched, failed) = on_all_cores(start + duration, || {
            let number = next.fetch_add(1, Ordering::Relaxed) as usize % queries.len();
            let best = TopDocs::with_limit(20).order_by_score();
            let found = self.searcher.search(&queries[number], &(Count, best));
            found.is_ok_and(|(_, hits)| {
                let mut hits = hits.into_iter();
                hits.all(|(_, place)| self.searcher.doc::<TantivyDocument>(place).is_ok())
            })
        });
        if failed {
            let said = "a direct search failed".to_owned();
            return Err(Error::Program { program: "tantivy".to_owned(), said });
        }
        Ok(searched as f64 / start.elapsed().as_secs_f64())
    }

    /// In how many documents a text is found.
    ///
    /// # Errors
    /// `Tantivy`.
    pub fn count(&self, text: &str) -> Result<usize, Error> {
        Ok(self.searcher.search(&self.query(text), &Count)?)
    }

    /// The text, of two or more characters, anywhere in a name or elsewhere: as in the hub's query,
    /// every second bigram and the last, in their places (docs/formats/store.md).
    fn query(&self, text: &str) -> BooleanQuery {
        let characters: Vec<char> = text.chars().collect();
        let last = characters.len().saturating_sub(2);
        let phrase = |field: &Field| -> Box<dyn Query> {
            let mut terms: Vec<(usize, Term)> = (0..last)
                .step_by(2)
                .chain([last])
                .map(|place| {
                    let pair = characters.iter().skip(place).take(2);
                    (place, Term::from_field_text(*field, &pair.collect::<String>()))
                })
                .collect();
            match terms.pop() {
                Some((_, only)) if terms.is_empty() => {
                    Box::new(TermQuery::new(only, IndexRecordOption::Basic))
                }
                Some(end) => {
                    terms.push(end);
                    Box::new(PhraseQuery::new_with_offset(terms))
                }
                None => Box::new(EmptyQuery),
            }
        };
        BooleanQuery::union(self.fields.iter().map(phrase).collect())
    }
}
