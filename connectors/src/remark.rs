//! Counterparts' words, made fit to be kept and shown.

/// Characters kept of a remark.
const MAX_CHARS: usize = 300;
/// Digits in one word from which it is taken for a number of a person, an organisation or a telephone.
const MASK_FROM: usize = 7;

/// A counterpart's remark without control characters, at most 300 characters, with words that hold seven digits or
/// more masked: a remark may quote the number it complains about, and is shown to operators.
pub(crate) fn kept(text: &str) -> String {
    let mut kept = String::new();
    let mut word = String::new();
    let mut chars = 0;
    for character in text.chars().map(Some).chain([None]) {
        match character {
            Some(letter) if letter.is_ascii_alphanumeric() || is_wide_digit(letter) => {
                word.push(letter)
            }
            // It would part a number without showing.
            Some(letter) if is_invisible(letter) => {}
            other => {
                let digits =
                    word.chars().filter(|c| c.is_ascii_digit() || is_wide_digit(*c)).count();
                kept.push_str(if digits >= MASK_FROM { "***" } else { &word });
                word.clear();
                if let Some(separator) = other {
                    kept.push(if separator.is_control() { ' ' } else { separator });
                }
            }
        }
        chars += 1;
        if chars > MAX_CHARS * 4 {
            break; // a word that never ends is dropped
        }
    }
    match kept.char_indices().nth(MAX_CHARS) {
        Some((end, _)) => format!("{}…", &kept[..end]),
        None => kept,
    }
}

/// The name of a column, if it is one: a server writes whatever it likes where the name belongs.
pub(crate) fn column(name: &str) -> Option<String> {
    let fits = (1..=64).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && name.bytes().filter(u8::is_ascii_digit).count() < MASK_FROM;
    fits.then(|| name.to_owned())
}

/// A database's SQLSTATE, if it is one; else nothing.
pub(crate) fn sqlstate(text: &str) -> &str {
    let fits = text.len() == 5 && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    match fits {
        true => text,
        false => Default::default(),
    }
}

/// A counterpart's code: a short word, or `refused` if it is not one.
pub(crate) fn code(text: &str) -> String {
    let fits = (1..=40).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
        && text.bytes().filter(u8::is_ascii_digit).count() < MASK_FROM;
    if fits { text.to_owned() } else { "refused".to_owned() }
}

/// Characters that show nothing, or turn the direction of what follows.
fn is_invisible(letter: char) -> bool {
    matches!(letter, '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}')
}

fn is_wide_digit(letter: char) -> bool {
    ('０'..='９').contains(&letter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_masked_and_words_kept() {
        for (given, expected) in [
            ("证件号码 11010519491231002X 校验错误", "证件号码 *** 校验错误"),
            ("code 91350100M000100Y43, column issue_dept", "code ***, column issue_dept"),
            ("１１０１０５１９４９", "***"),
            ("row 17 of 200: too long", "row 17 of 200: too long"),
            ("2025-03-01 field missing", "2025-03-01 field missing"),
            ("a\u{0}b\nc", "a b c"),
            ("110105\u{200B}19491231002X\u{202E} 错误", "*** 错误"),
            ("", ""),
        ] {
            assert_eq!(kept(given), expected);
        }
    }

    #[test]
    fn length_is_bounded() {
        assert_eq!(kept(&"错".repeat(1_000)).chars().count(), MAX_CHARS + 1);
        assert!(kept(&"1".repeat(1_000_000)).chars().count() <= MAX_CHARS + 1);
    }

    #[test]
    fn only_names_and_codes_of_a_database_are_kept() {
        assert_eq!(column("issue_dept").as_deref(), Some("issue_dept"));
        for other in ["11010519491231002X", "张三", "a b", "", &"x".repeat(65)] {
            assert_eq!(column(other), None);
        }
        assert_eq!(
            (sqlstate("22P02"), sqlstate("11010519491231002X"), sqlstate("错误")),
            ("22P02", "", "")
        );
    }

    #[test]
    fn only_a_word_is_a_code() {
        assert_eq!(code("unknown_type"), "unknown_type");
        for other in ["", "two words", "11010519491231002X", "错误", &"x".repeat(41)] {
            assert_eq!(code(other), "refused");
        }
    }
}
