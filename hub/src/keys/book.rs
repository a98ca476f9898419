//! `keys.json` (`yihao-keys-1`): which keys the service has, what each is for now, who decided so and when.
//! Rules only: nothing here touches a key.

use certs::Suite;
use jiff::{SignedDuration, Timestamp};
use licence::Sha256Digest;
use serde::{Deserialize, Serialize};

/// Format of the book.
pub const FORMAT: &str = "yihao-keys-1";

/// Most bytes of a book, and most keys in it.
pub const MOST_BYTES: u64 = 1 << 20;
const MOST_KEYS: usize = 500;

/// Most characters of who and why.
const MOST_TEXT: usize = 200;

/// All keys, oldest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Book {
    format: String,
    keys: Vec<Key>,
}

/// One key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Key {
    /// Its name, also of its files: `ID.pem`, `ID.key`, `ID.csr`.
    pub id: KeyId,
    /// What it signs with.
    pub suite: Suite,
    /// SHA-256 of its public key (DER SubjectPublicKeyInfo).
    pub public_key: Sha256Digest,
    /// Where the private key is.
    pub place: Place,
    /// What it is for now.
    pub state: State,
    /// SHA-256 of its certificate, which is the first of `ID.pem`; absent while it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<Sha256Digest>,
    /// When it was made.
    pub made: Act,
    /// When its certificate was published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published: Option<Act>,
    /// When it began to sign.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current: Option<Act>,
    /// When it was retired.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retired: Option<Act>,
}

/// Where a private key is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Place {
    /// In `ID.key`, under the passphrase.
    File,
    /// In a module that the settings name.
    Pkcs11 {
        /// The token's label.
        token: String,
        /// The key's label there.
        label: String,
    },
}

/// What a key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Will sign; published once it has a certificate.
    Next,
    /// Signs.
    Current,
    /// Signs no more; what it signed stays valid.
    Retired,
}

impl State {
    /// The word of the format.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Next => "next",
            Self::Current => "current",
            Self::Retired => "retired",
        }
    }
}

/// Who did something, when and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Act {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub by: String,
    /// Why.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
}

/// A key's name: 1 to 40 small letters, digits and hyphens. Never a path.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct KeyId(String);

impl KeyId {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for KeyId {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl TryFrom<String> for KeyId {
    type Error = BookError;

    fn try_from(text: String) -> Result<Self, BookError> {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if (1..=40).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(Self(text))
        } else {
            Err(BookError::Name)
        }
    }
}

impl std::str::FromStr for KeyId {
    type Err = BookError;

    fn from_str(text: &str) -> Result<Self, BookError> {
        text.to_owned().try_into()
    }
}

/// Why the book stays as it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BookError {
    /// Not a book of this format, or one that contradicts itself.
    #[error("keys.json is not of format yihao-keys-1, or contradicts itself: {0}")]
    Shape(String),
    /// A name of a key.
    #[error("a key's name has 1 to 40 small letters, digits and hyphens")]
    Name,
    /// There is one already.
    #[error("{0} is the next key already: rotate to it, or retire it first")]
    NextExists(KeyId),
    /// There is none.
    #[error("there is no next key: make one with `hub keys new`")]
    NoNext,
    /// No such key.
    #[error("there is no key {0}")]
    Unknown(KeyId),
    /// It has no certificate.
    #[error("{0} has no certificate yet: have one issued for its request, then `hub keys certify`")]
    NotPublished(KeyId),
    /// It was published just now.
    #[error(
        "{id} was published at {published}: the others have until {from} to learn of it; --force \
         does not wait"
    )]
    TooEarly {
        /// The key.
        id: KeyId,
        /// Since when it is published.
        published: Timestamp,
        /// From when on it may sign.
        from: Timestamp,
    },
    /// It signs.
    #[error(
        "{0} signs now: rotate first, or nothing can be signed; --force retires it all the same"
    )]
    RetireCurrent(KeyId),
    /// It is retired.
    #[error("{0} is retired already")]
    AlreadyRetired(KeyId),
    /// It has one.
    #[error("{0} is not waiting for a certificate: only the next key takes one")]
    NotNext(KeyId),
    /// The book is full.
    #[error("the book has {MOST_KEYS} keys: move it aside and begin a new one")]
    Full,
    /// Who and why.
    #[error("who and why have at most {MOST_TEXT} characters and no control characters")]
    Text,
}

impl BookError {
    /// Stable code: listed in `docs/formats/errors.md`, never reworded.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Shape(_) => "keys_book",
            Self::Name => "keys_name",
            Self::NextExists(_) => "keys_next_exists",
            Self::NoNext => "keys_no_next",
            Self::Unknown(_) => "keys_unknown",
            Self::NotPublished(_) => "keys_not_published",
            Self::TooEarly { .. } => "keys_too_early",
            Self::RetireCurrent(_) => "keys_retire_current",
            Self::AlreadyRetired(_) => "keys_already_retired",
            Self::NotNext(_) => "keys_not_next",
            Self::Full => "keys_full",
            Self::Text => "keys_text",
        }
    }
}

impl Act {
    /// Somebody's act, with texts that fit.
    ///
    /// # Errors
    /// `Text`.
    pub fn new(at: Timestamp, by: &str, why: &str) -> Result<Self, BookError> {
        let fits =
            |text: &str| text.chars().count() <= MOST_TEXT && !text.chars().any(char::is_control);
        if by.is_empty() || !fits(by) || !fits(why) {
            return Err(BookError::Text);
        }
        Ok(Self { at, by: by.to_owned(), why: why.to_owned() })
    }
}

impl Default for Book {
    fn default() -> Self {
        Self { format: FORMAT.to_owned(), keys: Vec::new() }
    }
}

impl Book {
    /// Reads a book.
    ///
    /// # Errors
    /// `Shape`.
    pub fn parse(bytes: &[u8]) -> Result<Self, BookError> {
        let book: Self =
            serde_json::from_slice(bytes).map_err(|error| BookError::Shape(error.to_string()))?;
        book.check().map_err(|said| BookError::Shape(said.to_owned()))?;
        Ok(book)
    }

    fn check(&self) -> Result<(), &'static str> {
        let count = |state| self.keys.iter().filter(|key| key.state == state).count();
        let named = |key: &Key| self.keys.iter().filter(|other| other.id == key.id).count() == 1;
        let published = |key: &Key| key.certificate.is_some() == key.published.is_some();
        let signed = |key: &Key| key.current.is_none() || key.published.is_some();
        let state = |key: &Key| match key.state {
            State::Next => key.current.is_none() && key.retired.is_none(),
            State::Current => key.current.is_some() && key.retired.is_none(),
            State::Retired => key.retired.is_some(),
        };
        if self.format != FORMAT {
            Err("its member `format`")
        } else if self.keys.len() > MOST_KEYS {
            Err("too many keys")
        } else if count(State::Current) > 1 || count(State::Next) > 1 {
            Err("two keys are current, or next")
        } else if !self.keys.iter().all(named) {
            Err("two keys of one name")
        } else if !self.keys.iter().all(|key| published(key) && signed(key) && state(key)) {
            Err("a key's state does not go with its times")
        } else {
            Ok(())
        }
    }

    /// The bytes of the file.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes =
            serde_json::to_vec_pretty(self).expect("plain structures with text keys serialise");
        bytes.push(b'\n');
        bytes
    }

    /// All keys, oldest first.
    #[must_use]
    pub fn keys(&self) -> &[Key] {
        &self.keys
    }

    /// The key that signs.
    #[must_use]
    pub fn current(&self) -> Option<&Key> {
        self.keys.iter().find(|key| key.state == State::Current)
    }

    /// The key that will sign.
    #[must_use]
    pub fn next(&self) -> Option<&Key> {
        self.keys.iter().find(|key| key.state == State::Next)
    }

    /// Whether another key may be made.
    ///
    /// # Errors
    /// `NextExists`, `Full`.
    pub fn may_add(&self) -> Result<(), BookError> {
        match self.next() {
            Some(next) => Err(BookError::NextExists(next.id.clone())),
            None if self.keys.len() >= MOST_KEYS => Err(BookError::Full),
            None => Ok(()),
        }
    }

    /// Adds the next key, without a certificate.
    ///
    /// # Errors
    /// `NextExists`, `Full`.
    pub fn add(
        &mut self,
        id: KeyId,
        suite: Suite,
        public_key: Sha256Digest,
        place: Place,
        made: Act,
    ) -> Result<(), BookError> {
        self.may_add()?;
        self.keys.push(Key {
            id,
            suite,
            public_key,
            place,
            state: State::Next,
            certificate: None,
            made,
            published: None,
            current: None,
            retired: None,
        });
        Ok(())
    }

    /// Notes the next key's certificate. Another certificate for the same key begins its publication anew.
    ///
    /// # Errors
    /// `Unknown`, `NotNext`.
    pub fn certify(
        &mut self,
        id: &KeyId,
        certificate: Sha256Digest,
        act: Act,
    ) -> Result<(), BookError> {
        let key = self.find(id)?;
        if key.state != State::Next {
            return Err(BookError::NotNext(id.clone()));
        }
        key.certificate = Some(certificate);
        key.published = Some(act);
        Ok(())
    }

    /// The next key that may sign at `now`.
    ///
    /// * `least`: how long it has to be published before; `None` waits for nothing.
    ///
    /// # Errors
    /// `NoNext`, `NotPublished`, `TooEarly`.
    pub fn ready(&self, now: Timestamp, least: Option<SignedDuration>) -> Result<&Key, BookError> {
        let next = self.next().ok_or(BookError::NoNext)?;
        let published =
            next.published.as_ref().ok_or_else(|| BookError::NotPublished(next.id.clone()))?.at;
        let from = published.saturating_add(least.unwrap_or_default()).unwrap_or(Timestamp::MAX);
        if least.is_some() && now < from {
            return Err(BookError::TooEarly { id: next.id.clone(), published, from });
        }
        Ok(next)
    }

    /// The next key signs from now on; the one that did is retired.
    ///
    /// # Errors
    /// As [`Self::ready`].
    pub fn rotate(&mut self, least: Option<SignedDuration>, act: &Act) -> Result<KeyId, BookError> {
        let id = self.ready(act.at, least)?.id.clone();
        for key in &mut self.keys {
            if key.state == State::Current {
                key.state = State::Retired;
                key.retired = Some(act.clone());
            } else if key.id == id {
                key.state = State::Current;
                key.current = Some(act.clone());
            }
        }
        Ok(id)
    }

    /// Retires a key.
    ///
    /// # Errors
    /// `Unknown`, `AlreadyRetired`; `RetireCurrent` unless `force`.
    pub fn retire(&mut self, id: &KeyId, force: bool, act: Act) -> Result<(), BookError> {
        let key = self.find(id)?;
        match key.state {
            State::Retired => Err(BookError::AlreadyRetired(id.clone())),
            State::Current if !force => Err(BookError::RetireCurrent(id.clone())),
            State::Current | State::Next => {
                key.state = State::Retired;
                key.retired = Some(act);
                Ok(())
            }
        }
    }

    fn find(&mut self, id: &KeyId) -> Result<&mut Key, BookError> {
        self.keys.iter_mut().find(|key| key.id == *id).ok_or_else(|| BookError::Unknown(id.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hour: i64) -> Act {
        Act::new(Timestamp::from_second(hour * 3600).unwrap(), "operator", "").unwrap()
    }

    fn with_next(book: &mut Book, id: &str, hour: i64) -> KeyId {
        let id: KeyId = id.parse().unwrap();
        let digest = Sha256Digest::from_bytes([1; 32]);
        book.add(id.clone(), Suite::Ed25519, digest, Place::File, at(hour)).unwrap();
        id
    }

    #[test]
    fn a_key_is_made_then_published_then_signs_then_is_retired() {
        let day = Some(SignedDuration::from_hours(24));
        let digest = Sha256Digest::from_bytes([2; 32]);
        let mut book = Book::default();
        assert_eq!(book.rotate(None, &at(0)), Err(BookError::NoNext));

        let first = with_next(&mut book, "a", 0);
        assert_eq!(book.may_add(), Err(BookError::NextExists(first.clone())));
        assert_eq!(book.rotate(None, &at(0)), Err(BookError::NotPublished(first.clone())));
        book.certify(&first, digest, at(1)).unwrap();
        let code = book.rotate(day, &at(24)).unwrap_err().code();
        assert_eq!(code, "keys_too_early");
        assert_eq!(book.rotate(day, &at(25)), Ok(first.clone()));
        assert_eq!(book.certify(&first, digest, at(26)), Err(BookError::NotNext(first.clone())));
        let kept = book.retire(&first, false, at(26)).unwrap_err();
        assert_eq!(kept, BookError::RetireCurrent(first.clone()));

        let second = with_next(&mut book, "b", 30);
        book.certify(&second, digest, at(30)).unwrap();
        assert_eq!(book.rotate(None, &at(31)), Ok(second.clone()));
        let states: Vec<State> = book.keys().iter().map(|key| key.state).collect();
        assert_eq!(states, [State::Retired, State::Current]);
        assert_eq!(book.retire(&first, true, at(32)), Err(BookError::AlreadyRetired(first)));
        book.retire(&second, true, at(32)).unwrap();
        assert_eq!(book.current(), None);
        assert_eq!(Book::parse(&book.to_bytes()), Ok(book));
    }

    #[test]
    fn a_book_that_contradicts_itself_is_refused() {
        let mut book = Book::default();
        with_next(&mut book, "a", 0);
        let good = String::from_utf8(book.to_bytes()).unwrap();
        assert!(Book::parse(good.as_bytes()).is_ok());
        for (from, to) in [
            ("yihao-keys-1", "yihao-keys-2"),
            ("\"next\"", "\"current\""),
            ("\"next\"", "\"retired\""),
            ("\"a\"", "\"../a\""),
            ("\"a\"", "\"\""),
            ("\"file\"", "\"elsewhere\""),
            ("\"id\"", "\"other\": 1, \"id\""),
        ] {
            let bad = good.replacen(from, to, 1);
            assert_ne!(bad, good, "{from}");
            assert_eq!(Book::parse(bad.as_bytes()).unwrap_err().code(), "keys_book", "{to}");
        }
    }

    #[test]
    fn who_and_why_are_texts_of_one_line() {
        let act = |by: &str, why: &str| Act::new(Timestamp::UNIX_EPOCH, by, why);
        act("操作员", &"因".repeat(200)).unwrap();
        assert_eq!(act("", ""), Err(BookError::Text));
        assert_eq!(act("a", &"x".repeat(201)), Err(BookError::Text));
        assert_eq!(act("a\nb", ""), Err(BookError::Text));
    }
}
