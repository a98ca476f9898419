//! The sheet that a window puts up, and its QR code.

use actix_web::{
    HttpRequest, HttpResponse,
    http::{StatusCode, header},
    web,
};
use qrcode::{EcLevel, QrCode, render::svg};

use super::{
    guide::{facts, materials},
    matter, matter_name,
    texts::MattersTexts,
    views::Sheet,
};
use crate::pages::{
    texts::fill,
    views::Section,
    visitor::{Failure, Visitor},
};

/// Pixels of one module; printed, the code is scaled.
const MODULE: u32 = 8;

/// `GET /matters/{code}/print`.
pub(super) async fn sheet(
    visitor: Visitor,
    request: HttpRequest,
    code: web::Path<String>,
) -> HttpResponse {
    visitor.show(page(&visitor, &request, &code))
}

fn page(
    visitor: &Visitor,
    request: &HttpRequest,
    code: &str,
) -> Result<(StatusCode, Sheet), Failure> {
    let matter = matter(visitor, code)?;
    let (hub, language) = (&visitor.hub, visitor.language);
    let w = MattersTexts::of(language);
    let name = matter_name(language, matter);
    let day = hub.clock.today();
    let mut facts = facts(hub, language, matter);
    facts.retain(|fact| fact.label != w.code && fact.label != w.version);
    let sheet = Sheet {
        page: visitor.frame(Section::Matters, name.text.clone()),
        w,
        code: matter.code.to_string(),
        name,
        facts,
        materials: materials(hub, language, matter),
        address: address(visitor, request, matter.code.as_str()),
        made: fill(w.sheet_made, &[("n", &matter.version), ("day", &day)]),
    };
    Ok((StatusCode::OK, sheet))
}

/// `GET /matters/{code}/qr.svg`.
pub(super) async fn qr(
    visitor: Visitor,
    request: HttpRequest,
    code: web::Path<String>,
) -> HttpResponse {
    let matter = match matter(&visitor, &code) {
        Ok(matter) => matter,
        Err(failure) => return visitor.failed(&failure),
    };
    let address = address(&visitor, &request, matter.code.as_str());
    let Ok(code) = QrCode::with_error_correction_level(address, EcLevel::M) else {
        // 2,331 bytes fit; the address in the settings is longer.
        return visitor.failed(&Failure::unavailable("address_too_long", |t| t.say_unavailable));
    };
    let image = code.render::<svg::Color>().module_dimensions(MODULE, MODULE).build();
    HttpResponse::Ok().insert_header((header::CONTENT_TYPE, "image/svg+xml")).body(image)
}

/// Where a phone finds the guide: at the address of the settings, else where the reader found the sheet.
fn address(visitor: &Visitor, request: &HttpRequest, code: &str) -> String {
    let base = match &visitor.hub.settings().login {
        Some(login) => login.address.trim_end_matches('/').to_owned(),
        None => {
            let connection = request.connection_info();
            format!("{}://{}", connection.scheme(), connection.host())
        }
    };
    format!("{base}/matters/{code}")
}
