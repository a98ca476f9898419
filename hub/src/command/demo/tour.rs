//! What a visitor of the demo can do: files for five commands, and the commands.

use std::{fmt::Write, net::SocketAddr};

use base64::{Engine, engine::general_purpose::STANDARD};
use connectors::local_postgres::LocalPostgres;
use jiff::Timestamp;
use licence::{LicenceId, RevocationCause, StatusChange, StatusOrder};
use serde_json::{Value, json};

use super::{
    DemoError,
    district_files::{DemoDistrict, departments, signed_licence},
    write,
};
use crate::clock::day_in_china;

/// Prepares the files and says what to do with them.
pub fn prepare(
    demo: &DemoDistrict,
    https: SocketAddr,
    pages: SocketAddr,
    province: Option<&LocalPostgres>,
    now: Timestamp,
) -> Result<String, DemoError> {
    let credentials = demo.credentials();
    let Some(scene) = Scene::set(demo, now)? else {
        return Ok("the district has no enterprise to show".to_owned());
    };
    let put = |name: &str, value: &Value| {
        let text = serde_json::to_string_pretty(value).unwrap_or_default();
        write(&credentials.join(name), text.as_bytes())
    };
    put("pull.json", &scene.pull)?;
    put("search.json", &scene.search)?;
    put("issue.json", &scene.issue)?;
    put("revoke.json", &scene.revoke)?;

    let base = format!("https://localhost:{}", https.port());
    let curl = |slug: &str, data: Option<&str>, path: &str| {
        let mut command = format!("curl -s --cacert ca.pem --cert {slug}.pem --key {slug}.key");
        if let Some(data) = data {
            let _ = write!(command, " -H 'Content-Type: application/json' -d @{data}");
        }
        let _ = write!(command, " {base}{path}");
        command
    };
    let mut text = String::new();
    let _ = writeln!(
        text,
        "\n澜溪区演示 · A demo district\n  pages      http://{pages}/\n  HTTPS      {base}\n  \
         files      {}\n\nTry it; all commands run in that folder:  cd {}\n",
        credentials.display(),
        credentials.display(),
    );
    let identifier = &scene.identifier;
    let mut steps = vec![
        (
            "Pull: an enterprise's licences for a matter, verified",
            vec![curl(&scene.puller, Some("pull.json"), "/v1/pulls")],
        ),
        (
            "Search: part of a name finds it",
            vec![curl(&scene.puller, Some("search.json"), "/v1/search")],
        ),
        (
            "Issue one more licence to the same enterprise",
            vec![curl("market-regulation", Some("issue.json"), "/v1/licences")],
        ),
    ];
    let mut revoke = vec![
        curl(
            "market-regulation",
            Some("revoke.json"),
            &format!("/v1/licences/{identifier}/status"),
        ),
        curl(&scene.puller, Some("pull.json"), "/v1/pulls"),
    ];
    if let Some(province) = province {
        revoke.push(format!(
            "psql \"{}\" -c \"select cd_operation, cd_time from up_lic_data where \
             certificate_source_id = '{identifier}' order by cd_time\"",
            province.connection()
        ));
    }
    steps.push(("Revoke it; the pull and the province change", revoke));
    let hub = std::env::current_exe().unwrap_or_else(|_| "hub".into());
    steps.push((
        "Verify offline: open the content under the grant of a pull, and check it without the hub",
        vec![
            format!(
                "{} | python3 -c 'import json,sys; a=json.load(sys.stdin); \
                 i=[l for l in a[\"licences\"] if l[\"verification\"][\"result\"]==\"trusted\"][0]; \
                 print(\"{base}/v1/grants/\"+a[\"grant\"]+\"/licences/\"+i[\"identifier\"])' > address",
                curl(&scene.puller, Some("pull.json"), "/v1/pulls")
            ),
            format!(
                "curl -s --cacert ca.pem --cert {0}.pem --key {0}.key $(cat address) > evidence.json",
                scene.puller
            ),
            format!("{} verify evidence.json --anchors ca.pem --crl ca.crl", hub.display()),
        ],
    ));
    for (number, (what, commands)) in steps.iter().enumerate() {
        let _ = writeln!(text, "{}. {what}", number + 1);
        for command in commands {
            let _ = writeln!(text, "   {command}");
        }
    }
    write_readme(demo, &text)?;
    Ok(text)
}

fn write_readme(demo: &DemoDistrict, tour: &str) -> Result<(), DemoError> {
    let mut text = "# Credentials of the demo\n\n`ca.pem` is the anchor, `ca.crl` its revocation \
                    list. Client certificates:\n\n"
        .to_owned();
    for department in departments() {
        let _ = writeln!(
            text,
            "* `{0}.pem`, `{0}.key`: {1} ({2})",
            department.slug, department.name, department.name_en
        );
    }
    text.push_str(
        "\nThe keys with which issuing departments sign licences are in `signing/`; in a real \
         district they never leave the department.\n\n```text",
    );
    text.push_str(tour);
    text.push_str("```\n");
    write(&demo.credentials().join("README.md"), text.as_bytes())
}

/// One enterprise, and what is done with its licences.
struct Scene {
    puller: String,
    identifier: LicenceId,
    pull: Value,
    search: Value,
    issue: Value,
    revoke: Value,
}

impl Scene {
    fn set(demo: &DemoDistrict, now: Timestamp) -> Result<Option<Self>, DemoError> {
        let district = demo.district();
        let Some(market) =
            district::issuing_departments().into_iter().find(|one| one.slug == "market-regulation")
        else {
            return Ok(None);
        };
        // The first licence of an enterprise that the market regulator issued and that one of the
        // consuming departments may pull.
        for index in 0..district.licence_count() {
            let licence = district.licence(index);
            if *licence.issuer.credit_code() != market.code
                || licence.holders.first().is_none_or(|holder| holder.id.kind().is_person())
                || licence.valid_to.is_some_and(|last| last < day_in_china(now))
            {
                continue;
            }
            let pull = district.pull(index);
            let Some(puller) = departments().into_iter().find(|one| one.code == pull.department)
            else {
                continue;
            };
            let Some(signer) = demo.issuer(&market.code) else { return Ok(None) };

            let mut fresh = licence.clone();
            let serial = format!("DEMO{}", now.as_second());
            let Ok(identifier) = LicenceId::build(&fresh.licence_type, &fresh.issuer, &serial, 1)
            else {
                return Ok(None);
            };
            fresh.identifier = identifier.clone();
            fresh.number = format!("{}-{}", fresh.number, now.as_second());
            let document = fresh.to_bytes();
            let signature = certs::sign_detached(signer, &document, now)?;
            let order = StatusOrder {
                identifier: identifier.clone(),
                change: StatusChange::Revoke { cause: RevocationCause::Deregistered },
                reason: "演示：企业申请注销".to_owned(),
                ordered_at: now,
            };
            let order = order.to_bytes();
            let order_signature = certs::sign_detached(signer, &order, now)?;
            let name: String = licence
                .holders
                .first()
                // Without the city's and the district's name, which all have.
                .map(|holder| holder.name.chars().skip(6).take(2).collect())
                .unwrap_or_default();
            return Ok(Some(Self {
                puller: puller.slug.to_owned(),
                identifier,
                pull: json!({
                    "holder": { "kind": pull.holder.kind().code(), "number": pull.holder.number() },
                    "types": pull.types,
                    "matter": pull.matter,
                    "basis": { "kind": "duty", "reference": district::mandate_for(&pull.matter) },
                    "reason": "演示：办理事项核验",
                }),
                search: json!({ "q": name }),
                issue: signed_licence(&document, &signature),
                revoke: json!({
                    "order": STANDARD.encode(&order),
                    "signature": STANDARD.encode(&order_signature),
                }),
            }));
        }
        Ok(None)
    }
}
