//! What departments' systems write → what it says. Pure.

use super::{
    Answer, AnswerStep, Asked, Refusal,
    client::{ErrorRow, StepRow},
};
use crate::remark;

/// Most things that are asked for at once.
const MOST_ITEMS: usize = 100;
/// Most characters of a reason; it is shown to the applicant as it is.
const MOST_REASON: usize = 1_000;

/// A row of `dn_pro_step` → a step.
pub(crate) fn answer(row: StepRow) -> Answer {
    Answer { step: step(&row), reference: row.row_guid, case: row.project_no }
}

fn step(row: &StepRow) -> Result<AnswerStep, &'static str> {
    Ok(match row.step.as_str() {
        "accept" => AnswerStep::Accept,
        "supplement" => AnswerStep::Supplement(items(&row.items)?),
        "decline" => AnswerStep::Decline { reason: needed(&row.remark)? },
        "grant" => AnswerStep::Decide { granted: true, reason: text(&row.remark)? },
        "refuse" => AnswerStep::Decide { granted: false, reason: needed(&row.remark)? },
        "result" => AnswerStep::Result {
            licence: row
                .licence
                .parse()
                .map_err(|_| "certificate_source_id is not a licence identifier")?,
        },
        _ => return Err("step must be accept, supplement, decline, grant, refuse or result"),
    })
}

fn items(text: &str) -> Result<Vec<Asked>, &'static str> {
    let items: Vec<Asked> = serde_json::from_str(text)
        .map_err(|_| "items must be a JSON list of {\"requirement\": …, \"why\": …}")?;
    if items.is_empty() {
        return Err("items must name at least one requirement");
    }
    if items.len() > MOST_ITEMS {
        return Err("items may name 100 requirements at most");
    }
    items
        .into_iter()
        .map(|item| Ok(Asked { requirement: item.requirement, why: needed(&item.why)? }))
        .collect()
}

fn text(text: &str) -> Result<String, &'static str> {
    if text.chars().count() > MOST_REASON {
        return Err("a reason may have 1000 characters at most");
    }
    let clean = |letter: char| if letter.is_control() { ' ' } else { letter };
    Ok(text.chars().map(clean).collect::<String>().trim().to_owned())
}

fn needed(given: &str) -> Result<String, &'static str> {
    let text = text(given)?;
    if text.is_empty() { Err("a reason is missing") } else { Ok(text) }
}

/// A row of `dn_pro_error` → a refusal. A material's row is about the handover it came with.
pub(crate) fn refusal(prefix: &str, row: ErrorRow) -> Option<Refusal> {
    let reference = row.row_guid.strip_prefix(prefix)?;
    // Cases start with their day; what does not is of a connector whose name starts like ours.
    if !reference.starts_with(|first: char| first.is_ascii_digit()) {
        return None;
    }
    let reference = match reference.rsplit_once('-') {
        Some((before, number))
            if number.len() == 3 && number.bytes().all(|byte| byte.is_ascii_digit()) =>
        {
            before
        }
        _ => reference,
    };
    let (reference, remark) = (reference.to_owned(), remark::kept(&row.remark));
    Some(Refusal { row: row.row_guid, reference, remark })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(step: &str, remark: &str, items: &str, licence: &str) -> StepRow {
        StepRow {
            row_guid: "a-1".to_owned(),
            project_no: "20260302-AAAAAAAAAA".to_owned(),
            step: step.to_owned(),
            remark: remark.to_owned(),
            items: items.to_owned(),
            licence: licence.to_owned(),
        }
    }

    #[test]
    fn each_step_says_what_it_must_say() {
        let asked = r#"[{"requirement":"floor-plan","why":"看不清"}]"#;
        let asks = AnswerStep::Supplement(vec![Asked {
            requirement: "floor-plan".to_owned(),
            why: "看不清".to_owned(),
        }]);
        let licence = "1.2.156.3005.2.11100000000013338W011.11430000006122244L.20230000403.001.U";
        let because = || "因\n此".to_owned();
        let reason = || "因 此".to_owned();
        for (row, said) in [
            (row("accept", "", "", ""), Ok(AnswerStep::Accept)),
            (row("supplement", "", asked, ""), Ok(asks)),
            (row("decline", &because(), "", ""), Ok(AnswerStep::Decline { reason: reason() })),
            (
                row("refuse", &because(), "", ""),
                Ok(AnswerStep::Decide { granted: false, reason: reason() }),
            ),
            (
                row("grant", "", "", ""),
                Ok(AnswerStep::Decide { granted: true, reason: String::new() }),
            ),
            (
                row("result", "", "", licence),
                Ok(AnswerStep::Result { licence: licence.parse().unwrap() }),
            ),
            (
                row("result", "", "", "1.2"),
                Err("certificate_source_id is not a licence identifier"),
            ),
            (row("refuse", " ", "", ""), Err("a reason is missing")),
            (row("supplement", "", "[]", ""), Err("items must name at least one requirement")),
            (
                row("supplement", "", r#"[{"requirement":"a","why":""}]"#, ""),
                Err("a reason is missing"),
            ),
            (
                row("supplement", "", "{", ""),
                Err("items must be a JSON list of {\"requirement\": …, \"why\": …}"),
            ),
            (
                row("decline", &"长".repeat(1_001), "", ""),
                Err("a reason may have 1000 characters at most"),
            ),
            (
                row("ok", "", "", ""),
                Err("step must be accept, supplement, decline, grant, refuse or result"),
            ),
        ] {
            assert_eq!(answer(row).step, said);
        }
    }

    #[test]
    fn a_refusal_names_what_was_handed_over() {
        let refusal = |guid: &str| {
            let row = ErrorRow {
                row_guid: guid.to_owned(),
                remark: "身份证 11010519491231002X 有误".to_owned(),
            };
            refusal("cases-", row).map(|refusal| (refusal.reference, refusal.remark))
        };
        let said = || "身份证 *** 有误".to_owned();
        assert_eq!(
            refusal("cases-20260302-AB-0123456789abcdef"),
            Some(("20260302-AB-0123456789abcdef".to_owned(), said()))
        );
        assert_eq!(
            refusal("cases-20260302-AB-0123456789abcdef-017"),
            Some(("20260302-AB-0123456789abcdef".to_owned(), said()))
        );
        assert_eq!(refusal("other-20260302-AB"), None);
        assert_eq!(refusal("cases-north-20260302-AB"), None);
    }
}
