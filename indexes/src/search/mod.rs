//! Full-text search: a follower of the registry log on Tantivy.
//!
//! [`SearchIndex`] answers, [`SearchFollower`] fills it. The cursor is committed in one with the
//! documents, so a crash neither loses nor doubles one; thrown away, the index is filled again from
//! the first change.
//!
//! It holds names, numbers and face texts in the clear, as the documents in the store do: whoever
//! can read the folder can read them.

mod collect;
mod follow;
mod index;
mod model;
mod schema;
mod text;

pub use follow::{SearchFollower, rebuild};
pub use index::{SearchIndex, SearchSettings};
pub use model::{SearchError, SearchFacets, SearchHit, SearchPage, SearchQuery};
