//! The rules of the domain types, one module a subject.

mod bad_documents;
mod catalogue;
mod codes;
mod documents;
mod holders;
mod matters;
mod properties;
mod regions;
mod samples;
mod status;
mod stored_shapes;
