//! Form fields filled from licence fields, each with its source.

use std::{collections::BTreeMap, fmt};

use licence::{FormField, LicenceId, Matter};
use serde_json::{Value, value::RawValue};

use super::{
    case::{Case, FormValue},
    cases::CaseError,
    checklist::Found,
};
use crate::judge::face;

/// A form field with what stands in it.
#[derive(Clone)]
pub struct FilledField {
    /// The form it belongs to.
    pub form: String,
    /// The field.
    pub field: FormField,
    /// What stands in it; empty if nothing does.
    pub text: String,
    /// The licence it was taken from, unchanged, and that licence's name.
    pub source: Option<(LicenceId, String)>,
}

// What people write into forms stays out of logs.
impl fmt::Debug for FilledField {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "FilledField({})", self.field.id)
    }
}

/// What a face field of a licence says, as text; `None` if it is missing or empty.
pub(super) fn face_value(found: &Found, field: &str) -> Option<String> {
    let face = face(&found.stored.document)?;
    let fields: BTreeMap<String, &RawValue> = serde_json::from_str(face.fields.get()).ok()?;
    let text = match serde_json::from_str(fields.get(field)?.get()).ok()? {
        Value::String(text) => text,
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    (!text.trim().is_empty()).then_some(text)
}

/// The fields of a matter's forms with what was written, or else what licences say. Before submission a value that was
/// taken from a licence follows that licence; afterwards it stands as submitted.
pub(super) fn filled(matter: &Matter, case: &Case, found: &[Found]) -> Vec<FilledField> {
    let mut all = Vec::new();
    for form in &matter.guide.forms {
        for field in &form.fields {
            let value = match case.form.get(&field.id) {
                Some(written) => written.clone(),
                None if case.is_editable() => suggested(field, found).unwrap_or_default(),
                None => FormValue::default(),
            };
            let source = value.source.map(|identifier| {
                let name = found
                    .iter()
                    .find(|one| one.stored.identifier == identifier)
                    .and_then(|one| face(&one.stored.document))
                    .map(|face| face.name)
                    .unwrap_or_default();
                (identifier, name)
            });
            all.push(FilledField {
                form: form.id.clone(),
                field: field.clone(),
                text: value.text,
                source,
            });
        }
    }
    all
}

/// What licences say for a field.
fn suggested(field: &FormField, found: &[Found]) -> Option<FormValue> {
    field.prefill.iter().find_map(|prefill| {
        let of_type = found
            .iter()
            .filter(|one| one.is_trusted() && one.stored.licence_type == prefill.licence_type);
        let mut values = of_type.filter_map(|one| {
            let text = face_value(one, &prefill.field)?;
            let fits = text.chars().count() <= usize::from(field.most);
            fits.then(|| FormValue { text, source: Some(one.stored.identifier.clone()) })
        });
        values.next()
    })
}

/// What was written into a form, checked field by field: what equals a licence's field keeps that source.
pub(super) fn written(
    matter: &Matter,
    found: &[Found],
    values: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, FormValue>, CaseError> {
    let mut form = BTreeMap::new();
    for (id, text) in values {
        let mut fields = matter.guide.forms.iter().flat_map(|form| &form.fields);
        let field = fields.find(|field| field.id == *id).ok_or(CaseError::UnknownField)?;
        // Browsers send line ends as CR LF.
        let text = text.replace("\r\n", "\n").trim().to_owned();
        if text.chars().count() > usize::from(field.most) {
            return Err(CaseError::FieldTooLong { field: id.clone(), most: field.most });
        }
        if text.chars().any(|letter| letter.is_control() && letter != '\n' && letter != '\t') {
            return Err(CaseError::FieldCharacters { field: id.clone() });
        }
        let value = match suggested(field, found) {
            Some(suggested) if suggested.text.trim() == text => suggested,
            _ => FormValue { text, source: None },
        };
        form.insert(id.clone(), value);
    }
    Ok(form)
}
