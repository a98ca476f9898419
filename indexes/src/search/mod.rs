//! Full-text search: a follower of the registry log on Tantivy.

mod model;

pub use model::{SearchError, SearchFacets, SearchHit, SearchPage, SearchQuery};
