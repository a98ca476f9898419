//! Judges numbers, so that another implementation can be compared: reads lines `kind TAB text` and
//! prints for each `ok` or the code of the error. Used by `.ci/check_digits.py`.

use std::io::{self, BufRead, Write};

use licence::{
    CitizenNumber, CodeError, CreditCode, ForeignResidentNumber, LicenceId, MatterCode, ProjectCode,
};

fn main() -> io::Result<()> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    for line in io::stdin().lock().lines() {
        let line = line?;
        let (kind, text) = line.split_once('\t').unwrap_or((&line, ""));
        writeln!(out, "{}", verdict(kind, text))?;
    }
    out.flush()
}

fn verdict(kind: &str, text: &str) -> &'static str {
    fn word<T>(result: Result<T, CodeError>) -> &'static str {
        result.map_or_else(|error| error.code(), |_| "ok")
    }
    match kind {
        "citizen" => word(text.parse::<CitizenNumber>()),
        "credit_code" => word(text.parse::<CreditCode>()),
        "foreign_resident" => word(text.parse::<ForeignResidentNumber>()),
        "licence_id" => word(text.parse::<LicenceId>()),
        "matter" => word(text.parse::<MatterCode>()),
        "project" => word(text.parse::<ProjectCode>()),
        // The organisation code inside a credit code, which parsing does not judge.
        "body_code" => match text.parse::<CreditCode>() {
            Ok(code) if code.body_code_checks() => "ok",
            Ok(_) => "wrong_body_code",
            Err(error) => error.code(),
        },
        _ => "unknown_kind",
    }
}
