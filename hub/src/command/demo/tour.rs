//! What a visitor of the demo can do: files for five commands, and the commands.

use std::{fmt::Write, net::SocketAddr, path::Path};

use base64::{Engine, engine::general_purpose::STANDARD};
use connectors::local_postgres::LocalPostgres;
use jiff::Timestamp;
use licence::{LicenceId, RevocationCause, StatusChange, StatusOrder};
use serde_json::{Value, json};

use super::{
    DemoError,
    district_files::{DemoDistrict, departments, signed_licence},
    people::People,
    sealed::SENTENCE,
    write,
};
use crate::clock::day_in_china;

/// Prepares the files and says what to do with them.
pub fn prepare(
    demo: &DemoDistrict,
    people: &People,
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

    write_people(demo, people)?;
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
    let samples = demo.samples();
    let _ = writeln!(
        text,
        "\n澜溪区演示 · A demo district\n  pages      http://{pages}/\n  HTTPS      {base}\n  \
         files      {}\n  samples    {}\n",
        credentials.display(),
        samples.display(),
    );
    let _ = writeln!(
        text,
        "登录 Log in: press 登录 on the pages and pick one of these. All are invented.\n"
    );
    for one in people.all() {
        let _ = writeln!(text, "  {:<11}{}  {}", one.subject, one.name, one.about);
    }
    text.push_str(&things_to_try(&samples.display().to_string()));
    let _ = writeln!(
        text,
        "\nWith commands 用命令；all commands run in that folder:  cd {}\n",
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
    steps.push((
        "Verify what others hand you: a sealed OFD, a signature, a case's package",
        others(&hub, &curl),
    ));
    steps.push((
        "Whom this hub believes, and what it signs with (--help has more)",
        ["anchors", "crl", "keys"]
            .map(|room| format!("{} {room} list --config ../hub.toml", hub.display()))
            .to_vec(),
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

/// Files of other kinds, good and changed.
fn others(hub: &Path, curl: &dyn Fn(&str, Option<&str>, &str) -> String) -> Vec<String> {
    let verify =
        |file: &str| format!("{} verify {file} --anchors ca.pem --crl ca.crl", hub.display());
    let other_sentence = SENTENCE.replace('准', "不");
    let read = |expression: &str| format!("python3 -c 'import json,sys; print({expression})'");
    vec![
        verify("../samples/sealed.ofd"),
        format!(
            "python3 -c 'import zipfile as z; a=z.ZipFile(\"../samples/sealed.ofd\"); \
             b=z.ZipFile(\"changed.ofd\",\"w\"); [b.writestr(n, a.read(n).replace(\"{SENTENCE}\".encode(), \
             \"{other_sentence}\".encode())) for n in a.namelist()]; b.close()'"
        ),
        verify("changed.ofd"),
        "openssl cms -sign -binary -in pull.json -signer signing/service.pem -inkey signing/service.key \
         -outform DER -out pull.p7s"
            .to_owned(),
        verify("pull.json --signature pull.p7s"),
        verify("../samples/floor-plan.pdf"),
        format!(
            "{}/$({} | {})/package > package.json",
            curl("government-services", None, "/v1/cases"),
            curl("government-services", None, "/v1/cases"),
            read("[c[\"id\"] for c in json.load(sys.stdin)[\"cases\"] if c[\"state\"]==\"granted\"][0]")
        ),
        verify("package.json"),
        curl("government-services", None, "/v1/verify")
            .replace("curl -s", "curl -s -F file=@pull.json -F signature=@pull.p7s"),
    ]
}

/// What a visitor does in a browser.
fn things_to_try(samples: &str) -> String {
    let things = [
        (
            "shopkeeper：办事指南 → 开办小餐饮店 → 开始办理。八项材料已有七项，只交一份平面图；提交后约 15 秒受理、决定、发证",
            format!(
                "Open a food shop: eight materials, seven are held; hand in {samples}/floor-plan.pdf"
            ),
        ),
        (
            "shopkeeper：再办“户外招牌设置备案”，什么都不用交",
            "The signboard filing asks for nothing: the plan is used again".to_owned(),
        ),
        (
            "shopkeeper：我的 → 授权，只同意一部分；housing：窗口 → 授权，打开；shopkeeper 看谁看过，再撤回",
            "Consent to less than asked; housing opens it; see who looked; withdraw".to_owned(),
        ),
        (
            "window：窗口，输入 people.md 里的号码，看清单、代为办理；village 也可以",
            "At any window: a number in (see people.md), a checklist out, the case taken"
                .to_owned(),
        ),
        (
            "asked：按补正意见重新提交；police：答复 prompt 的异议；late：想再承诺会被拒绝；services：查看全部办件",
            "A supplement round, a disputed field, a promise that was not kept".to_owned(),
        ),
    ];
    let mut text = "\n五件可以试的事 Five things to try\n".to_owned();
    for (number, (chinese, english)) in (1..).zip(things) {
        let _ = writeln!(text, "{number}. {chinese}\n   {english}");
    }
    text
}

/// The people with their numbers, for the windows.
fn write_people(demo: &DemoDistrict, people: &People) -> Result<(), DemoError> {
    let mut text = "# 演示人员 People of the demo\n\n全部为虚构。All are invented.\n\n\
                    | 账号 account | 姓名 name | 类型 kind | 号码 number | 说明 |\n| --- | --- | --- | --- | --- |\n"
        .to_owned();
    for one in people.all() {
        let holders = one.holder.iter().chain(&one.represents);
        let kinds: Vec<&str> = holders.clone().map(|holder| holder.kind().code()).collect();
        let numbers: Vec<&str> = holders.map(licence::HolderId::number).collect();
        let (kinds, numbers) = (kinds.join("<br>"), numbers.join("<br>"));
        let _ = writeln!(
            text,
            "| {} | {} | {kinds} | {numbers} | {} |",
            one.subject, one.name, one.about
        );
    }
    write(&demo.samples().join("people.md"), text.as_bytes())
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
