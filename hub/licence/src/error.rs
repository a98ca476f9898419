/// Why a text is not the code it should be. Shared by all codes of this crate, because they fail
/// in the same few ways; never carries the text itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CodeError {
    /// Not the number of characters, or of parts, that the code has.
    #[error("wrong length")]
    Length,
    /// A character that the code does not allow where it stands; `position` counts from 0.
    #[error("a character is not allowed at position {position}")]
    Character {
        /// Zero-based byte position.
        position: usize,
    },
    /// The check character does not belong to the characters before it.
    #[error("the check character is wrong")]
    CheckCharacter,
    /// The digits that should be a date are not one.
    #[error("no such date")]
    Date,
    /// A licence identifier that does not start with `1.2.156.3005.2.`
    #[error("the licence identifier does not start with the root 1.2.156.3005.2")]
    Root,
    /// A licence version outside 001 to 999.
    #[error("the version is not 001 to 999")]
    Version,
    /// Not a type code of GB/T 36903 Annex A.
    #[error("unknown holder kind")]
    Kind,
}

impl CodeError {
    /// Stable name of the cause; part of the public interface.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Length => "wrong_length",
            Self::Character { .. } => "wrong_character",
            Self::CheckCharacter => "wrong_check_character",
            Self::Date => "no_such_date",
            Self::Root => "wrong_identifier_root",
            Self::Version => "wrong_version",
            Self::Kind => "unknown_holder_kind",
        }
    }
}
