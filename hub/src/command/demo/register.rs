//! A department of the demo whose systems cannot call the hub: its old register and its present one are tables in the
//! exchange database, which the hub fetches from. What the present one has is signed by the department's key service,
//! played here; what the old one has nobody signs.

use std::{fmt::Write, net::TcpListener, path::Path, sync::Arc};

use actix_web::{App, HttpResponse, HttpServer, dev::ServerHandle, web};
use base64::{Engine, engine::general_purpose::STANDARD};
use certs::{SigningIdentity, sign_detached};
use connectors::{department_desk::DepartmentDesk, local_postgres::LocalPostgres};
use district::Department;
use jiff::Timestamp;
use licence::Licence;
use rustls::{
    RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
};
use serde_json::{Value, json};

use super::{DemoError, district_files::DemoDistrict, write};

/// The code map of both registers.
pub const MAP: &str = "register-map.json";
/// Rows of each register.
const ROWS: usize = 6;

/// What of a licence stands in which column, beside its face fields.
const COLUMNS: [(&str, &str); 13] = [
    ("zzmc", "name"),
    ("zzlxdm", "licence_type"),
    ("zzbh", "number"),
    ("czzt", "holder_name"),
    ("czztdm", "holder_number"),
    ("czztdmlx", "holder_kind"),
    ("fzjg", "issuer_name"),
    ("fzjgdm", "issuer"),
    ("fzrq", "issued_on"),
    ("yxq_begin", "valid_from"),
    ("yxq_end", "valid_to"),
    ("zt", "status"),
    ("op", "operation"),
];

/// Face fields that the registers have.
const FACES: [&str; 2] = ["established_on", "business_scope"];

/// The department with the registers.
pub fn department() -> Option<Department> {
    district::issuing_departments().into_iter().find(|one| one.slug == "market-regulation")
}

/// Licences that organisations hold, of those with these face fields.
fn licences(demo: &DemoDistrict) -> Vec<Licence> {
    let Some(market) = department() else { return Vec::new() };
    let district = demo.district();
    let fits = |licence: &Licence| {
        *licence.issuer.credit_code() == market.code
            && licence.files.is_empty()
            && licence.project.is_none()
            && licence.holders.len() == 1
            && !licence.holders[0].id.kind().is_person()
            && FACES.iter().all(|name| licence.fields.get(*name).is_some_and(Value::is_string))
    };
    // From the end: visitors begin with the first.
    let all = (0..district.licence_count()).rev().map(|index| district.licence(index));
    all.filter(fits).take(2 * ROWS).collect()
}

/// Writes the code map, and the rows into the tables if they are not there.
pub async fn prepare(
    demo: &DemoDistrict,
    data: &Path,
    province: &LocalPostgres,
) -> Result<(), DemoError> {
    let licences = licences(demo);
    let mut fields: Vec<Value> =
        COLUMNS.iter().map(|(name, from)| json!({ "as": name, "from": from })).collect();
    fields.extend(FACES.iter().map(|name| json!({ "as": name, "from": format!("fields.{name}") })));
    fields.push(json!({ "as": "bgsj", "from": "changed_at" }));
    let map = json!({
        "format": "yihao-code-map-1", "fields": fields, "dates": "iso", "times": "china", "empty": "/",
        "open_ended": "2099-12-31",
        "codes": {
            "status": { "valid": "01", "suspended": "02", "revoked.withdrawn": "07" },
            "operation": { "insert": "I", "update": "U", "delete": "D" },
        },
    });
    let text = serde_json::to_string_pretty(&map).unwrap_or_default();
    write(&data.join(MAP), text.as_bytes())?;

    // The department writes by the clock that the hub will ask for, not by that of the desk.
    let mut sql = "RESET TimeZone;".to_owned();
    for (register, licences) in ["old_register", "register"].into_iter().zip(licences.chunks(ROWS))
    {
        let columns: String = COLUMNS
            .iter()
            .map(|(name, _)| *name)
            .chain(FACES)
            .map(|name| format!("\"{name}\" text, "))
            .collect();
        let _ = write!(
            sql,
            "CREATE TABLE IF NOT EXISTS {register} (row_guid varchar(50) PRIMARY KEY, {columns}bgsj text, cd_time timestamp(0) NOT NULL);
             CREATE TABLE IF NOT EXISTS {register}_errors (row_guid varchar(50), certificate_source_id varchar(128),
                 error_remark text, error_time timestamp(0));"
        );
        for (place, licence) in licences.iter().enumerate() {
            let values: String = COLUMNS
                .iter()
                .map(|(_, from)| column(licence, from, place))
                .chain(
                    FACES
                        .iter()
                        .map(|name| licence.fields[*name].as_str().unwrap_or_default().to_owned()),
                )
                .map(|value| format!("'{}', ", value.replace('\'', "''")))
                .collect();
            let _ = write!(
                sql,
                "INSERT INTO {register} VALUES ('{register}-{place}', {values}
                     to_char(now() AT TIME ZONE 'Asia/Shanghai', 'YYYY-MM-DD HH24:MI:SS'), localtimestamp)
                 ON CONFLICT DO NOTHING;"
            );
        }
    }
    DepartmentDesk::connect(&province.connection()).await?.run(&sql).await?;
    Ok(())
}

/// * `place`: one is suspended, one has a number that is none.
fn column(licence: &Licence, from: &str, place: usize) -> String {
    let day = |date: Option<jiff::civil::Date>, none: &str| {
        date.map_or_else(|| none.to_owned(), |date| date.to_string())
    };
    let holder = &licence.holders[0];
    match from {
        "name" => licence.name.clone(),
        "licence_type" => licence.licence_type.to_string(),
        "number" => format!("{}-旧", licence.number),
        "holder_name" => holder.name.clone(),
        "holder_number" if place == 4 => holder.id.number().chars().rev().collect(),
        "holder_number" => holder.id.number().to_owned(),
        "holder_kind" => holder.id.kind().code().to_owned(),
        "issuer_name" => licence.issuer_name.clone(),
        "issuer" => licence.issuer.to_string(),
        "issued_on" => day(Some(licence.issued_on), "/"),
        "valid_from" => day(licence.valid_from, "/"),
        "valid_to" => day(licence.valid_to, "2099-12-31"),
        "status" if place == 2 => "02".to_owned(),
        "status" => "01".to_owned(),
        _ => "I".to_owned(),
    }
}

/// The department's key service on this port.
///
/// # Errors
/// Its certificate, or its port.
pub fn key_service(
    demo: &DemoDistrict,
    listener: TcpListener,
    signer: SigningIdentity,
) -> Result<ServerHandle, DemoError> {
    let (certificate, key) = demo.city_identity()?;
    let broken = || std::io::Error::other("not a certificate with its key");
    let failed = |source| DemoError::File { path: demo.credentials().join("city.pem"), source };
    let tls = || {
        let mut roots = RootCertStore::empty();
        let anchor = demo.authority().anchor().to_pem();
        roots.add(CertificateDer::from_pem_slice(anchor.as_bytes()).ok()?).ok()?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let clients =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
        let clients = clients.build().ok()?;
        let chain: Vec<CertificateDer<'static>> =
            CertificateDer::pem_slice_iter(certificate.as_bytes())
                .collect::<Result<_, _>>()
                .ok()?;
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).ok()?;
        let tls = ServerConfig::builder_with_provider(provider);
        let tls = tls.with_safe_default_protocol_versions().ok()?;
        tls.with_client_cert_verifier(clients).with_single_cert(chain, key).ok()
    };
    let tls = tls().ok_or_else(broken).map_err(failed)?;
    let signer = Arc::new(signer);
    let server = HttpServer::new(move || {
        let signer = signer.clone();
        let sign = move |asked: web::Json<Value>| {
            let signer = signer.clone();
            async move {
                let content = asked["content"].as_str().and_then(|text| STANDARD.decode(text).ok());
                let signed = content
                    .and_then(|content| sign_detached(&signer, &content, Timestamp::now()).ok());
                match signed {
                    Some(cms) => {
                        HttpResponse::Ok().json(json!({ "signature": STANDARD.encode(cms) }))
                    }
                    None => HttpResponse::UnprocessableEntity().finish(),
                }
            }
        };
        App::new()
            .app_data(web::JsonConfig::default().limit(4 << 20))
            .route("/sign", web::post().to(sign))
    });
    let server = server.workers(1).disable_signals().listen_rustls_0_23(listener, tls);
    let server = server.map_err(failed)?.run();
    let handle = server.handle();
    tokio::spawn(server);
    Ok(handle)
}
