//! Licences and batches that are signed well, and still not acceptable.

use certs::{Manifest, sha256};
use district::Pull;
use licence::{Licence, LicenceId};
use serde_json::{Value, json};

use crate::{
    assert_nothing_stored, assert_problem, assert_refused,
    support::{Actor, Answer, TestHub},
    with,
};

/// A business licence, and a pull that is allowed to find it.
fn business_licence(hub: &TestHub) -> (Licence, Pull) {
    let issuer = hub.issuer().department.code;
    hub.some_licence(|licence, pull| {
        licence.licence_type.as_str() == "11100000MB0143028R001"
            && licence.issuer.credit_code() == &issuer
            && licence.valid_to.is_none()
            && pull.types.contains(&licence.licence_type)
    })
}

/// Signs a document as it is, and hands it in.
async fn issue_text(issuer: &Actor, document: &[u8]) -> Answer {
    issuer.hand_in(document, &issuer.sign(document)).await
}

/// The licence again, under another serial number.
fn numbered(licence: &Licence, serial: u32) -> Licence {
    let mut other = licence.clone();
    let serial = format!("T{serial:09}");
    other.identifier = LicenceId::build(&other.licence_type, &other.issuer, &serial, 1).unwrap();
    other
}

/// Another last character from the alphabet of the code.
fn with_wrong_check_character(code: &str) -> String {
    let last = code.chars().last().unwrap();
    let other = if last == '7' { '8' } else { '7' };
    format!("{}{other}", &code[..code.len() - last.len_utf8()])
}

#[tokio::test]
async fn a_wrong_check_character_of_the_identifier_is_named() {
    let hub = TestHub::start().await;
    let issuer = hub.issuer();
    let (licence, _) = business_licence(&hub);
    let wrong = with_wrong_check_character(licence.identifier.as_str());

    let answer = issue_text(&issuer, &with(&licence, "ZZBS", json!(wrong))).await;

    assert_refused(&answer, &[400, 422], &["format", "identifier"]);
    assert!(answer.text.contains("ZZBS"), "{answer:?}");
    assert_nothing_stored(&hub, &licence.identifier).await;
}

#[tokio::test]
async fn a_wrong_check_character_of_a_holder_is_named_without_the_number() {
    let hub = TestHub::start().await;
    let issuer = hub.issuer();
    let (licence, _) = business_licence(&hub);
    let holder = &licence.holders[0];
    let wrong = with_wrong_check_character(holder.id.number());
    let holders = json!([{ "CZZT": holder.name, "CZZTDM": wrong, "CZZTDMLXDM": "001" }]);

    let answer = issue_text(&issuer, &with(&licence, "holders", holders)).await;

    assert_refused(&answer, &[400, 422], &["format", "identifier"]);
    assert!(answer.text.contains("CZZTDM"), "{answer:?}");
    assert!(!answer.text.contains(&wrong), "the number is repeated: {answer:?}");
    assert!(!answer.text.contains(&holder.name), "the name is repeated: {answer:?}");
    assert_nothing_stored(&hub, &licence.identifier).await;
}

#[tokio::test]
async fn wrong_codes_of_issuer_type_region_and_project_are_named() {
    let hub = TestHub::start().await;
    let issuer = hub.issuer();
    let (licence, _) = business_licence(&hub);
    for (element, wrong) in [
        ("ZZBFJGDM", with_wrong_check_character(licence.issuer.as_str())),
        ("ZZLXDM", "11100000MB0143029R001".to_owned()),
        ("XZQHDM", "45020X".to_owned()),
        ("XMDM", "2603-141124-89-05-346947".to_owned()),
        ("ZZBFRQ", "2025-02-30".to_owned()),
    ] {
        let answer = issue_text(&issuer, &with(&licence, element, json!(wrong))).await;
        assert_refused(&answer, &[400, 422], &["format", "identifier"]);
        assert!(answer.text.contains(element), "{element}: {answer:?}");
    }
    assert_nothing_stored(&hub, &licence.identifier).await;
}

#[tokio::test]
async fn a_licence_type_that_the_catalogue_does_not_have_is_refused() {
    let hub = TestHub::start().await;
    let issuer = hub.issuer();
    let (mut licence, _) = business_licence(&hub);
    licence.licence_type = "11100000MB0143028R999".parse().unwrap();
    let licence = numbered(&licence, 1);

    let answer = issuer.issue(&licence).await;

    assert_refused(&answer, &[403, 422], &["catalogue"]);
    assert_nothing_stored(&hub, &licence.identifier).await;
}

#[tokio::test]
async fn an_identifier_of_another_type_or_issuer_than_the_licence_is_refused() {
    let hub = TestHub::start().await;
    let issuer = hub.issuer();
    let (licence, _) = business_licence(&hub);
    let other_type =
        LicenceId::build(&"11100000MB0143028R014".parse().unwrap(), &licence.issuer, "A1", 1);
    let other_issuer = LicenceId::build(
        &licence.licence_type,
        &hub.office().department.code.into(),
        "A000000001",
        1,
    );
    for wrong in [other_type.unwrap(), other_issuer.unwrap()] {
        let document = with(&licence, "ZZBS", json!(wrong.as_str()));
        let answer = issue_text(&issuer, &document).await;
        assert_refused(&answer, &[400, 422], &["format", "identifier"]);
        assert_nothing_stored(&hub, &wrong).await;
    }
}

#[tokio::test]
async fn face_fields_are_held_against_the_schema_and_their_values_stay_unsaid() {
    let hub = TestHub::start().await;
    let issuer = hub.issuer();
    let (licence, _) = business_licence(&hub);
    let fields = Value::Object(licence.fields.clone());
    let name = fields.as_object().unwrap().keys().next().unwrap().clone();
    let secret = "不该出现在错误里的内容";
    let mut cases = Vec::new();
    let mut change = |edit: &dyn Fn(&mut serde_json::Map<String, Value>)| {
        let mut fields = licence.fields.clone();
        edit(&mut fields);
        cases.push(Value::Object(fields));
    };
    change(&|fields| fields.clear());
    change(&|fields| drop(fields.insert("no_such_field".into(), json!(secret))));
    change(&|fields| drop(fields.insert(name.clone(), json!([secret]))));
    change(&|fields| drop(fields.insert(name.clone(), json!({ "a": secret }))));
    change(&|fields| drop(fields.insert(name.clone(), Value::Null)));
    change(&|fields| drop(fields.insert(name.clone(), json!(true))));
    change(&|fields| drop(fields.insert(name.clone(), json!(secret.repeat(2_000)))));
    for fields in cases {
        let answer = issue_text(&issuer, &with(&licence, "fields", fields.clone())).await;
        assert_refused(&answer, &[422], &["catalogue"]);
        let defects = answer.json["defects"].as_array().map_or(0, Vec::len);
        assert!(defects > 0, "no defect is named: {answer:?}");
        assert!(!answer.text.contains(secret), "a value is repeated: {answer:?}");
    }
    assert_nothing_stored(&hub, &licence.identifier).await;
}

#[tokio::test]
async fn all_defects_of_the_face_fields_are_told_at_once() {
    let hub = TestHub::start().await;
    let issuer = hub.issuer();
    let (licence, _) = business_licence(&hub);
    let fields = json!({ "established_on": "yesterday", "unheard_of": 1, "address": 5 });

    let answer = issue_text(&issuer, &with(&licence, "fields", fields)).await;

    assert_refused(&answer, &[422], &["catalogue"]);
    let defects = answer.json["defects"].as_array().unwrap();
    // business_scope is missing, two values are wrong, one name is unknown.
    assert!(defects.len() >= 4, "{answer:?}");
    assert_nothing_stored(&hub, &licence.identifier).await;
}

#[tokio::test]
async fn a_kind_of_holder_that_the_type_does_not_have_is_refused() {
    let hub = TestHub::start().await;
    let issuer = hub.issuer();
    let (licence, _) = business_licence(&hub);
    let holders = json!([{ "CZZT": "某人", "CZZTDM": "11010519491231002X", "CZZTDMLXDM": "111" }]);

    let answer = issue_text(&issuer, &with(&licence, "holders", holders)).await;

    assert_refused(&answer, &[422], &["catalogue"]);
    assert!(!answer.text.contains("11010519491231002X"), "{answer:?}");
    assert_nothing_stored(&hub, &licence.identifier).await;
}

#[tokio::test]
async fn missing_unknown_and_doubled_elements_are_refused() {
    let hub = TestHub::start().await;
    let issuer = hub.issuer();
    let (licence, _) = business_licence(&hub);
    let whole: Value = serde_json::from_slice(&licence.to_bytes()).unwrap();
    let mut documents = Vec::new();
    for element in
        ["format", "ZZBS", "ZZMC", "ZZLXDM", "ZZBH", "ZZBFJG", "ZZBFRQ", "holders", "fields"]
    {
        let mut without = whole.clone();
        without.as_object_mut().unwrap().remove(element).expect("the element is there");
        documents.push(serde_json::to_vec(&without).unwrap());
        documents.push(with(&licence, element, Value::Null));
        documents.push(with(&licence, element, json!(7)));
    }
    documents.push(with(&licence, "unheard_of", json!("x")));
    documents.push(with(&licence, "format", json!("yihao-licence-2")));
    documents.push(with(&licence, "holders", json!([])));
    documents.push(with(&licence, "ZZMC", json!("")));
    documents.push(with(&licence, "ZZMC", json!("a\nb")));
    documents.push(with(&licence, "ZZMC", json!("名".repeat(100_000))));
    let text = String::from_utf8(licence.to_bytes()).unwrap();
    documents.push(format!("{{\"ZZMC\":\"另一个\",{}", &text[1..]).into_bytes());
    documents.push(format!("{text}{text}").into_bytes());
    documents.push(format!("\u{feff}{text}").into_bytes());
    for document in documents {
        let answer = issue_text(&issuer, &document).await;
        assert_refused(&answer, &[400, 413, 422], &["format", "identifier", "request"]);
    }
    assert_nothing_stored(&hub, &licence.identifier).await;
}

#[tokio::test]
async fn a_validity_that_ends_before_it_begins_is_refused() {
    let hub = TestHub::start().await;
    let issuer = hub.issuer();
    let (licence, _) = business_licence(&hub);
    let mut document: Value = serde_json::from_slice(&licence.to_bytes()).unwrap();
    document["ZZYXQQSRQ"] = json!("2026-01-02");
    document["ZZYXQJZRQ"] = json!("2026-01-01");

    let answer = issue_text(&issuer, document.to_string().as_bytes()).await;

    assert_refused(&answer, &[422], &["format", "catalogue"]);
    assert_nothing_stored(&hub, &licence.identifier).await;
}

#[tokio::test]
async fn the_same_identifier_with_other_bytes_is_a_conflict_and_the_first_stays() {
    let hub = TestHub::start().await;
    let issuer = hub.issuer();
    let (licence, pull) = business_licence(&hub);
    assert_eq!(issuer.issue(&licence).await.status, 201);
    let mut other = licence.clone();
    other.fields.insert("business_scope".into(), json!("别的经营范围"));

    let answer = issuer.issue(&other).await;

    assert_refused(&answer, &[409], &["identifier", "store"]);
    assert_eq!(hub.registry_entries().await, 1);
    let pulled = hub.puller(&pull).pull(&pull).await;
    let shown = &pulled.json["licences"][0];
    assert_eq!(shown["fields"], Value::Object(licence.fields), "{pulled:?}");
    assert_eq!(shown["verification"]["result"], "trusted", "{pulled:?}");
}

#[tokio::test]
async fn the_same_bytes_again_are_answered_with_the_first_number() {
    let hub = TestHub::start().await;
    let issuer = hub.issuer();
    let (licence, _) = business_licence(&hub);
    let first = issuer.issue(&licence).await;
    assert_eq!(first.status, 201, "{first:?}");

    // Signed once more: ECDSA gives other signature bytes, the licence is the same.
    let again = issuer.issue(&licence).await;

    assert_eq!(again.status, 200, "{again:?}");
    assert_eq!(again.json["seq"], first.json["seq"]);
    assert_eq!(hub.registry_entries().await, 1);
}

#[tokio::test]
async fn of_many_at_the_same_time_under_one_identifier_one_is_stored() {
    let hub = TestHub::start().await;
    let issuer = hub.issuer();
    let (licence, _) = business_licence(&hub);
    let rivals: Vec<Licence> = (0..16)
        .map(|number| {
            let mut rival = licence.clone();
            rival.fields.insert("business_scope".into(), json!(format!("范围{number}")));
            rival
        })
        .collect();

    let answers = futures_util::future::join_all(rivals.iter().map(|one| issuer.issue(one))).await;

    let stored = answers.iter().filter(|answer| answer.status == 201).count();
    assert_eq!(stored, 1, "{answers:?}");
    for answer in answers.iter().filter(|answer| answer.status != 201) {
        assert_refused(answer, &[409], &["identifier", "store"]);
    }
    assert_eq!(hub.registry_entries().await, 1);
}

// ---- batches ------------------------------------------------------------------------------------

/// Five different licences.
fn five(hub: &TestHub) -> Vec<Licence> {
    let (licence, _) = business_licence(hub);
    (0..5).map(|number| numbered(&licence, number)).collect()
}

fn documents(licences: &[Licence]) -> Vec<Vec<u8>> {
    licences.iter().map(Licence::to_bytes).collect()
}

fn manifest_of(issuer: &Actor, documents: &[Vec<u8>]) -> Vec<u8> {
    let digests: Vec<_> = documents.iter().map(|one| sha256(one)).collect();
    Manifest::write(&issuer.department.code, "batch-1", &digests).unwrap()
}

fn outcomes(lines: &[Value]) -> Vec<&str> {
    lines.iter().filter_map(|line| line["outcome"].as_str()).collect()
}

/// A whole batch was refused: with a problem as the answer, or with one for each licence.
#[track_caller]
fn assert_batch_refused(answer: &Answer, lines: &[Value], links: &[&str]) {
    if answer.status >= 400 {
        return assert_refused(answer, &[400, 403, 409, 413, 422], links);
    }
    assert!(!lines.is_empty());
    for line in lines.iter().filter(|line| line.get("summary").is_none()) {
        assert_eq!(line["outcome"], "refused", "{answer:?}");
        assert_problem(&line["problem"], links);
    }
}

#[tokio::test]
async fn a_licence_twice_in_one_batch_is_stored_once_and_said_to_be_there_twice() {
    let hub = TestHub::start().await;
    let issuer = hub.issuer();
    let mut documents = documents(&five(&hub));
    let manifest = manifest_of(&issuer, &documents);
    documents.push(documents[2].clone());

    let (answer, lines) =
        issuer.hand_in_batch(&manifest, &issuer.sign(&manifest), &documents).await;

    let mut expected = vec!["stored"; 5];
    expected.push("refused");
    assert_eq!(outcomes(&lines), expected, "{answer:?}");
    assert_problem(&lines[5]["problem"], &["manifest", "request"]);
    assert!(lines[5]["problem"]["code"].as_str().unwrap().contains("duplicate"), "{answer:?}");
    assert_eq!(hub.registry_entries().await, 5);
}

#[tokio::test]
async fn one_identifier_twice_in_one_batch_with_other_bytes_is_a_conflict() {
    let hub = TestHub::start().await;
    let issuer = hub.issuer();
    let mut licences = five(&hub);
    let mut rival = licences[0].clone();
    rival.fields.insert("business_scope".into(), json!("别的经营范围"));
    licences.push(rival);
    let documents = documents(&licences);
    let manifest = manifest_of(&issuer, &documents);

    let (answer, lines) =
        issuer.hand_in_batch(&manifest, &issuer.sign(&manifest), &documents).await;

    let mut expected = vec!["stored"; 5];
    expected.push("refused");
    assert_eq!(outcomes(&lines), expected, "{answer:?}");
    assert_problem(&lines[5]["problem"], &["identifier", "store", "manifest"]);
    assert_eq!(hub.registry_entries().await, 5);
}

#[tokio::test]
async fn a_manifest_that_lists_a_digest_twice_is_refused() {
    let hub = TestHub::start().await;
    let issuer = hub.issuer();
    let documents = documents(&five(&hub)[..1]);
    let digest = hex::encode(sha256(&documents[0]).as_bytes());
    let manifest = format!(
        "yihao-manifest-1\nissuer {}\nbatch one\nalgorithm sha256\ncount 2\n{digest}\n{digest}\n",
        issuer.department.code,
    );

    let (answer, lines) = issuer
        .hand_in_batch(manifest.as_bytes(), &issuer.sign(manifest.as_bytes()), &documents)
        .await;

    assert_batch_refused(&answer, &lines, &["manifest", "format"]);
    assert_eq!(hub.registry_entries().await, 0);
}

#[tokio::test]
async fn a_licence_that_the_manifest_does_not_list_is_refused_and_the_others_are_not() {
    let hub = TestHub::start().await;
    let issuer = hub.issuer();
    let licences = five(&hub);
    let manifest = manifest_of(&issuer, &documents(&licences[..4]));

    let (answer, lines) =
        issuer.hand_in_batch(&manifest, &issuer.sign(&manifest), &documents(&licences)).await;

    let mut expected = vec!["stored"; 4];
    expected.push("refused");
    assert_eq!(outcomes(&lines), expected, "{answer:?}");
    assert_problem(&lines[4]["problem"], &["manifest"]);
    assert_eq!(hub.registry_entries().await, 4);
}

#[tokio::test]
async fn licences_that_the_manifest_lists_and_the_batch_lacks_are_counted() {
    let hub = TestHub::start().await;
    let issuer = hub.issuer();
    let licences = five(&hub);
    let manifest = manifest_of(&issuer, &documents(&licences));

    let (answer, lines) =
        issuer.hand_in_batch(&manifest, &issuer.sign(&manifest), &documents(&licences[..3])).await;

    assert_eq!(outcomes(&lines), ["stored"; 3], "{answer:?}");
    assert_eq!(lines[3]["summary"]["missing"], 2, "{answer:?}");
    assert_eq!(lines[3]["summary"]["stored"], 3, "{answer:?}");
}

#[tokio::test]
async fn a_manifest_that_is_not_the_signed_one_is_refused() {
    let hub = TestHub::start().await;
    let issuer = hub.issuer();
    let documents = documents(&five(&hub));
    let manifest = manifest_of(&issuer, &documents);
    let other = manifest_of(&issuer, &documents[..4]);

    let (answer, lines) = issuer.hand_in_batch(&manifest, &issuer.sign(&other), &documents).await;

    assert_batch_refused(&answer, &lines, &["signature", "manifest"]);
    assert_eq!(hub.registry_entries().await, 0);
}

#[tokio::test]
async fn a_manifest_in_the_name_of_another_department_is_refused() {
    let hub = TestHub::start().await;
    let issuer = hub.issuer();
    let police = hub.issuing("public-security");
    let documents = documents(&five(&hub));
    // The market regulator's licences and manifest, signed by the police …
    let manifest = manifest_of(&issuer, &documents);
    let (answer, lines) =
        police.hand_in_batch(&manifest, &police.sign(&manifest), &documents).await;
    assert_batch_refused(&answer, &lines, &["policy", "manifest", "signature", "certificate"]);
    // … and in a manifest of the police's own.
    let manifest = manifest_of(&police, &documents);
    let (answer, lines) =
        police.hand_in_batch(&manifest, &police.sign(&manifest), &documents).await;
    assert_batch_refused(&answer, &lines, &["policy", "manifest", "signature", "certificate"]);
    assert_eq!(hub.registry_entries().await, 0);
}

#[tokio::test]
async fn manifests_of_another_form_are_refused() {
    let hub = TestHub::start().await;
    let issuer = hub.issuer();
    let documents = documents(&five(&hub));
    let good = String::from_utf8(manifest_of(&issuer, &documents)).unwrap();
    let wrong = [
        String::new(),
        "yihao-manifest-1\n".to_owned(),
        good.replace("yihao-manifest-1", "yihao-manifest-2"),
        good.replace("count 5", "count 4"),
        good.replace("count 5", "count 6"),
        good.replace("count 5", "count 05"),
        good.replace("count 5", "count -5"),
        good.replace("count 5", "count 99999999999999999999999999"),
        good.replace("algorithm sha256", "algorithm md5"),
        good.replace('\n', "\r\n"),
        good.to_uppercase(),
        good.trim_end().to_owned(),
        format!("{good}\n"),
        format!("\u{feff}{good}"),
        good.replace("batch batch-1", "batch ../../etc"),
        good.replace("batch batch-1", "batch "),
        good.replace("issuer 1", "issuer  1"),
    ];
    for manifest in wrong {
        assert_ne!(manifest, good, "a case that changes nothing");
        let signature = issuer.sign(manifest.as_bytes());
        let (answer, lines) =
            issuer.hand_in_batch(manifest.as_bytes(), &signature, &documents).await;
        assert_batch_refused(&answer, &lines, &["manifest", "format"]);
    }
    assert_eq!(hub.registry_entries().await, 0);
}

#[tokio::test]
async fn bad_licences_in_a_batch_are_refused_one_by_one() {
    let hub = TestHub::start().await;
    let issuer = hub.issuer();
    let licences = five(&hub);
    let mut documents = documents(&licences);
    documents[1] = with(
        &licences[1],
        "ZZBS",
        json!(with_wrong_check_character(licences[1].identifier.as_str(),)),
    );
    documents[2] = with(&licences[2], "fields", json!({}));
    documents[3] = b"{".to_vec();
    let manifest = manifest_of(&issuer, &documents);

    let (answer, lines) =
        issuer.hand_in_batch(&manifest, &issuer.sign(&manifest), &documents).await;

    assert_eq!(
        outcomes(&lines),
        ["stored", "refused", "refused", "refused", "stored"],
        "{answer:?}"
    );
    assert_problem(&lines[1]["problem"], &["format", "identifier"]);
    assert_problem(&lines[2]["problem"], &["catalogue"]);
    assert_problem(&lines[3]["problem"], &["format"]);
    // The answer's line numbers count the request's lines, the manifest being the first.
    let numbers: Vec<u64> = lines[..5].iter().filter_map(|line| line["line"].as_u64()).collect();
    assert_eq!(numbers, [2, 3, 4, 5, 6]);
    assert_eq!(hub.registry_entries().await, 2);
}
