//! The versions of matters that cases were or may be opened under, kept in the store.
//!
//! A case stays with the version it began with. The list of matters is a file of the operator's, which is edited; so
//! each version is kept when the hub first starts with it, and a version that was kept is never another one later.

use std::{collections::BTreeMap, path::PathBuf};

use indexes::{Collection, LicenceStore, StoreError};
use licence::{Matter, MatterCode, Matters};

use crate::records::{self, Draft, Kept};

impl Kept for Matter {
    const COLLECTION: Collection = Collection::new("matters");
}

/// How many records are read at a time.
const PAGE: usize = 500;

/// Why a hub does not start with a list of matters.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeepError {
    /// A version that was kept says something else now.
    #[error(
        "version {version} of matter {code} in {path} is not what this hub was started with before: cases may \
         rely on it; give the changed entry the next version, and leave the old one as it was or take it out"
    )]
    Changed {
        /// The file.
        path: PathBuf,
        /// The matter.
        code: MatterCode,
        /// Its version.
        version: u32,
    },
    /// The store failed.
    #[error("the versions of matters cannot be read or kept")]
    Store(#[from] StoreError),
}

/// Keeps what the list has and the store has not, and adds the earlier versions that the store has.
///
/// # Errors
/// `Changed` for a version with other content than before; then nothing was kept. The store's.
pub async fn keep(
    store: &dyn LicenceStore,
    matters: Matters,
    path: &std::path::Path,
) -> Result<Matters, KeepError> {
    // Another hub on the same store may keep the same versions just now: then all is read again.
    loop {
        let kept = all(store).await?;
        let known: BTreeMap<_, _> =
            kept.iter().map(|matter| ((&matter.code, matter.version), matter)).collect();
        let mut draft = Draft::new();
        let mut new = false;
        for matter in matters.every_version() {
            match known.get(&(&matter.code, matter.version)) {
                Some(known) if *known == matter => {}
                Some(_) => {
                    return Err(KeepError::Changed {
                        path: path.to_owned(),
                        code: matter.code.clone(),
                        version: matter.version,
                    });
                }
                None => {
                    draft.create(&key(matter), matter);
                    new = true;
                }
            }
        }
        if !new || draft.commit(store).await?.is_ok() {
            return Ok(matters.with_earlier(kept));
        }
    }
}

/// Code, NUL (which no code has), version: big-endian.
fn key(matter: &Matter) -> Vec<u8> {
    let mut key = matter.code.as_str().as_bytes().to_vec();
    key.push(0);
    key.extend_from_slice(&matter.version.to_be_bytes());
    key
}

async fn all(store: &dyn LicenceStore) -> Result<Vec<Matter>, StoreError> {
    let mut kept = Vec::new();
    let mut after: Option<Vec<u8>> = None;
    loop {
        let page = records::list::<Matter>(store, b"", after.as_deref(), PAGE).await?;
        let full = page.len() == PAGE;
        after = page.last().map(|last| last.key.clone());
        kept.extend(page.into_iter().map(|held| held.value));
        if !full {
            return Ok(kept);
        }
    }
}

#[cfg(test)]
mod tests {
    use indexes::MemoryStore;
    use serde_json::json;

    use super::*;

    const CODE: &str = "11370800MB285591843370117002011";

    fn listed(versions: &[(u32, &str)]) -> Matters {
        let matters: Vec<_> = versions
            .iter()
            .map(|(version, name)| {
                json!({ "code": CODE, "name": name, "department": &CODE[..18], "requires": [],
                        "basis": "食品安全法第三十五条", "version": version })
            })
            .collect();
        let file = json!({ "format": "yihao-matters-2", "matters": matters });
        Matters::parse(file.to_string().as_bytes()).unwrap()
    }

    async fn started(store: &MemoryStore, versions: &[(u32, &str)]) -> Result<Matters, KeepError> {
        keep(store, listed(versions), std::path::Path::new("matters.json")).await
    }

    #[actix_web::test]
    async fn a_version_that_the_list_lost_is_still_there_and_is_not_current() {
        let store = MemoryStore::new();
        let code = CODE.parse().unwrap();
        started(&store, &[(1, "一")]).await.unwrap();
        let matters = started(&store, &[(2, "二")]).await.unwrap();
        assert_eq!(matters.version(&code, 1).unwrap().name, "一");
        assert_eq!(matters.get(&code).unwrap().name, "二");
        assert_eq!(matters.versions(&code).len(), 1);
        let none = started(&store, &[]).await.unwrap();
        assert!(none.get(&code).is_none(), "what is not listed cannot be run");
        assert_eq!(none.version(&code, 2).unwrap().name, "二");
    }

    #[actix_web::test]
    async fn a_version_with_other_content_is_refused_and_the_same_content_is_not() {
        let store = MemoryStore::new();
        started(&store, &[(1, "一")]).await.unwrap();
        started(&store, &[(1, "一")]).await.unwrap();
        let refused = started(&store, &[(1, "壹"), (2, "二")]).await.unwrap_err();
        assert!(matches!(refused, KeepError::Changed { version: 1, .. }));
        let matters = started(&store, &[(1, "一")]).await.unwrap();
        assert!(matters.version(&CODE.parse().unwrap(), 2).is_none(), "nothing of it was kept");
    }
}
