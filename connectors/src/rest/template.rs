//! Templates: texts and JSON with `{placeholders}`, filled with what a request is about. Pure.
//!
//! A string that is one placeholder takes the value as it is: a list of records, an object. `{name:number}` makes a
//! number of it. `{{` and `}}` stand for braces.

use serde_json::Value;

/// A piece of a text.
enum Piece<'a> {
    Text(&'a str),
    Brace(char),
    /// Name, and whether a number is wanted.
    Placeholder(&'a str, bool),
}

/// What stands for a placeholder; `None`: nothing does.
pub(crate) type Lookup<'a> = dyn Fn(&str) -> Option<Value> + 'a;

/// Why a text is no template.
pub(crate) const UNBALANCED: &str = "a template has a brace that is not closed, or not opened";

/// The names of a text's placeholders.
pub(crate) fn names(text: &str) -> Result<Vec<&str>, &'static str> {
    let pieces = pieces(text)?;
    let names = pieces.into_iter().filter_map(|piece| match piece {
        Piece::Placeholder(name, _) => Some(name),
        _ => None,
    });
    Ok(names.collect())
}

/// The names of the placeholders in all strings of a JSON value.
pub(crate) fn names_in(value: &Value) -> Result<Vec<&str>, &'static str> {
    Ok(match value {
        Value::String(text) => names(text)?,
        Value::Array(list) => {
            let mut all = Vec::new();
            for value in list {
                all.extend(names_in(value)?);
            }
            all
        }
        Value::Object(members) => {
            let mut all = Vec::new();
            for value in members.values() {
                all.extend(names_in(value)?);
            }
            all
        }
        _ => Vec::new(),
    })
}

/// The text with its placeholders filled; those that nothing stands for are left empty.
pub(crate) fn text(template: &str, lookup: &Lookup<'_>) -> String {
    let mut filled = String::with_capacity(template.len());
    for piece in pieces(template).unwrap_or_default() {
        match piece {
            Piece::Text(text) => filled.push_str(text),
            Piece::Brace(brace) => filled.push(brace),
            Piece::Placeholder(name, _) => match lookup(name) {
                None | Some(Value::Null) => {}
                Some(Value::String(text)) => filled.push_str(&text),
                Some(other) => filled.push_str(&other.to_string()),
            },
        }
    }
    filled
}

/// The value with the placeholders in its strings filled.
pub(crate) fn value(template: &Value, lookup: &Lookup<'_>) -> Value {
    match template {
        Value::String(text) => string(text, lookup),
        Value::Array(list) => list.iter().map(|template| value(template, lookup)).collect(),
        Value::Object(members) => {
            let members =
                members.iter().map(|(name, template)| (name.clone(), value(template, lookup)));
            Value::Object(members.collect())
        }
        other => other.clone(),
    }
}

fn string(template: &str, lookup: &Lookup<'_>) -> Value {
    if let Ok(pieces) = pieces(template)
        && let [Piece::Placeholder(name, number)] = pieces[..]
    {
        let found = lookup(name).unwrap_or_else(|| Value::String(String::new()));
        return match (&found, number) {
            (Value::String(text), true) => match text.parse::<u64>() {
                Ok(number) => number.into(),
                Err(_) => found,
            },
            _ => found,
        };
    }
    Value::String(text(template, lookup))
}

fn pieces(text: &str) -> Result<Vec<Piece<'_>>, &'static str> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        if at > 0 {
            pieces.push(Piece::Text(&rest[..at]));
        }
        let brace = if rest[at..].starts_with('{') { '{' } else { '}' };
        rest = &rest[at + 1..];
        if rest.starts_with(brace) {
            pieces.push(Piece::Brace(brace));
            rest = &rest[1..];
            continue;
        }
        let end = rest.find(['{', '}']).filter(|_| brace == '{').ok_or(UNBALANCED)?;
        if !rest[end..].starts_with('}') {
            return Err(UNBALANCED);
        }
        let name = &rest[..end];
        pieces.push(match name.strip_suffix(":number") {
            Some(name) => Piece::Placeholder(name, true),
            None => Piece::Placeholder(name, false),
        });
        rest = &rest[end + 1..];
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest));
    }
    Ok(pieces)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn known(name: &str) -> Option<Value> {
        match name {
            "a" => Some("x".into()),
            "n" => Some("17".into()),
            "list" => Some(json!([{ "b": 1 }])),
            _ => None,
        }
    }

    #[test]
    fn placeholders_are_filled_and_braces_doubled_are_braces() {
        assert_eq!(text("{a}-{n}-{none}-{{a}}", &known), "x-17--{a}");
        let filled = value(
            &json!({ "list": "{list}", "in": ["{a}{n}", "{n:number}", 3], "odd": "{a:number}" }),
            &known,
        );
        assert_eq!(filled, json!({ "list": [{ "b": 1 }], "in": ["x17", 17, 3], "odd": "x" }));
    }

    #[test]
    fn what_stands_for_a_placeholder_is_not_looked_through_for_more() {
        let lookup = |_: &str| Some(Value::from("{secret}"));
        assert_eq!(text("{a}", &lookup), "{secret}");
        assert_eq!(value(&json!("{a}"), &lookup), json!("{secret}"));
    }

    #[test]
    fn braces_that_do_not_match_are_no_template() {
        for wrong in ["{", "}", "{a", "a}", "{a{b}}", "{{{"] {
            assert_eq!(names(wrong), Err(UNBALANCED), "{wrong}");
        }
        assert_eq!(names("{a}{b:number}{{c}}"), Ok(vec!["a", "b"]));
        assert_eq!(names_in(&json!({ "x": ["{a}", { "y": "{b}" }] })), Ok(vec!["a", "b"]));
    }
}
