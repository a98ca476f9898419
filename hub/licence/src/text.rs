//! What every code type has in common: it is written as its text and read through its parser.

/// `Display`, `AsRef<str>`, `Serialize` and `Deserialize` of a type that has `as_str` and `FromStr`.
macro_rules! text_code {
    ($type:ty, $expecting:literal) => {
        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl AsRef<str> for $type {
            fn as_ref(&self) -> &str {
                self.as_str()
            }
        }

        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Text;
                impl serde::de::Visitor<'_> for Text {
                    type Value = $type;
                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str($expecting)
                    }
                    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<$type, E> {
                        text.parse().map_err(E::custom)
                    }
                }
                deserializer.deserialize_str(Text)
            }
        }
    };
}

/// `Debug` as the type's name and its text; for codes that name no person.
macro_rules! debug_shows_text {
    ($type:ident) => {
        impl std::fmt::Debug for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{}({})", stringify!($type), self.as_str())
            }
        }
    };
}

/// `Debug` as the type's name only; for numbers that name a person.
macro_rules! debug_hides_text {
    ($type:ident) => {
        impl std::fmt::Debug for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(concat!(stringify!($type), "(…)"))
            }
        }
    };
}

pub(crate) use {debug_hides_text, debug_shows_text, text_code};

/// The text of a code that was checked to be ASCII when it was parsed.
pub(crate) fn ascii(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("codes are ASCII: checked by their parser")
}

/// The first byte that `allowed` refuses, as an error with its position.
pub(crate) fn all_bytes(
    bytes: &[u8],
    offset: usize,
    allowed: impl Fn(u8) -> bool,
) -> Result<(), crate::CodeError> {
    match bytes.iter().position(|&byte| !allowed(byte)) {
        None => Ok(()),
        Some(at) => Err(crate::CodeError::Character { position: offset + at }),
    }
}

/// Upper-case letters and digits: the alphabet of serials and matter codes.
pub(crate) fn is_upper_or_digit(byte: u8) -> bool {
    byte.is_ascii_uppercase() || byte.is_ascii_digit()
}
