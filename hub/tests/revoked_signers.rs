//! A signer's certificate is revoked, or its anchor withdrawn: who pulls hears at once, who follows hears by the sweep.

#[path = "support/mod.rs"]
mod support;

use std::sync::Arc;

use certs::Manifest;
use hub::{
    command::demo::authority::{Authority, Subject},
    intake::BatchIntake,
};
use jiff::{SignedDuration, Timestamp};
use licence::{Licence, LicenceId};
use serde_json::{Value, json};
use support::{Actor, TestHub};

/// Before anything was handed in.
const BEFORE: &str = "2026-02-01T00:00:00Z";
/// After the licences of the tests were handed in, which was at [`support::NOW`].
const AFTER: &str = "2026-03-02T07:00:00Z";

/// A hub with a licence that the market regulator handed in, a day later.
struct Town {
    hub: TestHub,
    issuer: Actor,
    licence: Licence,
    pull: district::Pull,
    /// Serial number of the certificate that signed it.
    signer: Vec<u8>,
}

impl Town {
    async fn new() -> Self {
        let hub = TestHub::start().await;
        let (licence, pull) = hub.enterprise_licence();
        let issuer = hub.issuer();
        let taken = issuer.issue(&licence).await;
        assert_eq!(taken.status, 201, "{}", taken.text);
        assert_eq!(taken.json["verdict"]["result"], "trusted");
        hub.hub.clock.advance(SignedDuration::from_hours(24));
        let signer = issuer.identity.as_ref().unwrap().certificate().serial_hex();
        let signer = hex::decode(signer).unwrap();
        Self { hub, issuer, licence, pull, signer }
    }

    /// The settings say otherwise, and the hub starts again.
    async fn set(&mut self, from: &str, to: &str) {
        let path = self.hub.folder.path().join("hub.toml");
        let settings = std::fs::read_to_string(&path).unwrap();
        assert!(settings.contains(from), "{settings}");
        std::fs::write(path, settings.replace(from, to)).unwrap();
        self.hub.restart().await;
        self.hub.hub.clock.advance(SignedDuration::from_hours(24));
        self.issuer = self.hub.issuer();
        self.swept(0).await;
    }

    async fn rule(&mut self, rule: &str) {
        self.set("[trust]\n", &format!("[trust]\nrevoked_signers = \"{rule}\"\n")).await;
    }

    /// The authority's list says since when the signer is revoked; the hub reads it.
    async fn revoke(&self, at: &str) {
        self.publish(&[(self.signer.clone(), at.parse().unwrap())]).await;
    }

    async fn publish(&self, revoked: &[(Vec<u8>, Timestamp)]) {
        self.hub.authority.revocation_list(revoked, self.hub.hub.clock.now()).unwrap();
        self.read_again().await;
    }

    /// Pulls as soon as the lists were read, and again when the sweep went by.
    async fn read_again(&self) {
        let (rounds, before) = (self.rounds(), self.hub.hub.trust());
        self.hub.hub.reload_trust().unwrap();
        if Arc::ptr_eq(&before, &self.hub.hub.trust()) {
            // Nothing changed, or it was noticed already: one more round shows that it writes nothing twice.
            self.hub.hub.sweep().unwrap().again();
        }
        let at_once = self.verification().await;
        self.swept(rounds).await;
        assert_eq!(self.verification().await, at_once, "the sweep changes no verdict");
    }

    fn rounds(&self) -> u64 {
        self.hub.hub.sweep().unwrap().state().rounds
    }

    /// Waits until more than so many rounds came to their end.
    async fn swept(&self, rounds: u64) {
        let mut state = self.hub.hub.sweep().unwrap().watch();
        let over = state.wait_for(|state| !state.running && state.rounds > rounds);
        let over = tokio::time::timeout(std::time::Duration::from_secs(30), over).await;
        over.expect("the sweep comes to its end").unwrap();
        let ready = self.issuer.get("/readyz").await;
        assert_eq!(ready.json["trust_sweep"], "ok");
    }

    /// What a pull says of the licence.
    async fn verification(&self) -> Value {
        let pulled = self.hub.puller(&self.pull).pull(&self.pull).await;
        assert_eq!(pulled.status, 200, "{}", pulled.text);
        let held = &pulled.json["licences"][0];
        let shown = held["verification"]["result"] != "untrusted";
        assert_eq!(held.get("fields").is_some(), shown, "an untrusted licence shows no fields");
        held["verification"].clone()
    }

    /// The changes of trust in the feed: which licence, to what, why.
    async fn feed(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut after = String::new();
        loop {
            let feed = self.issuer.get(&format!("/v1/changes?limit=1000{after}")).await;
            let changes = feed.json["changes"].as_array().unwrap().clone();
            if changes.is_empty() {
                return found;
            }
            for change in changes.iter().filter(|change| change["kind"] == "trust_changed") {
                let keys: Vec<&String> = change.as_object().unwrap().keys().collect();
                let expected = [
                    "seq",
                    "at",
                    "kind",
                    "identifier",
                    "type",
                    "issuer",
                    "status",
                    "trust",
                    "reason",
                ];
                assert_eq!(keys, expected);
                found.push(format!(
                    "{} {}",
                    change["trust"].as_str().unwrap(),
                    change["reason"].as_str().unwrap()
                ));
            }
            after = format!("&after={}", feed.json["next"]);
        }
    }

    async fn is_sound(&self) {
        assert!(self.hub.hub.rocks.check_integrity().unwrap().is_sound());
        self.hub.search_has_caught_up().await;
    }
}

#[actix_web::test]
async fn outliving_one_revocation_does_not_make_up_for_a_list_that_is_missing() {
    let mut town = Town::new().await;
    // Another licence, by a signer whose issuer is a CA without a list.
    let (licence, pull) = town.hub.some_licence(|licence, pull| {
        licence.issuer == town.licence.issuer
            && licence.identifier != town.licence.identifier
            && licence.files.is_empty()
            && pull.types.contains(&licence.licence_type)
    });
    let department = &town.issuer.department;
    let from = Timestamp::from_second(1_735_689_600).unwrap(); // 2025
    let middle = town.hub.signing_identity_from(department, certs::Profile::Ca, from, 1_000);
    let (suite, serial) = (certs::Suite::EcdsaP256Sha256, middle.certificate().serial_hex());
    let key = certs::KeySigner::generate(suite, &ring::rand::SystemRandom::new()).unwrap();
    let template = certs::CertificateTemplate {
        subject_common_name: department.name_en.to_owned(),
        organisation_name: department.name.to_owned(),
        organisation: department.code,
        serial: vec![2],
        not_before: from,
        not_after: middle.certificate().not_after(),
        profile: certs::Profile::LicenceIssuer,
    };
    let spki = certs::Signer::spki(&key);
    let leaf =
        certs::issue_certificate(&template, &spki, certs::CertIssuer::Authority(&middle)).unwrap();
    let chain = vec![leaf, middle.certificate().clone()];
    town.issuer.identity = Some(certs::SigningIdentity::new(chain, Box::new(key)).unwrap());
    let taken = town.issuer.issue(&licence).await;
    assert_eq!(taken.status, 201, "{}", taken.text);
    assert_eq!(taken.json["verdict"]["revocation"]["result"], "no_crl");
    (town.licence, town.pull) = (licence, pull);
    town.hub.hub.clock.advance(SignedDuration::from_hours(24));
    let since = Timestamp::from_second((town.hub.hub.clock.now().as_second()) - 3600).unwrap();
    town.publish(&[(hex::decode(serial).unwrap(), since)]).await;
    let verification = town.verification().await;
    assert_eq!(verification["result"], "undetermined", "{verification}");
    assert_eq!(verification["revocation"], json!({ "result": "no_crl" }));
}

#[actix_web::test]
async fn what_the_log_proves_to_be_older_than_the_revocation_stands() {
    let town = Town::new().await;
    town.revoke(AFTER).await;

    let verification = town.verification().await;
    assert_eq!(verification["result"], "trusted");
    assert_eq!(verification["revocation"], json!({ "result": "outlived", "as_of": AFTER }));
    assert_eq!(verification["proven"], json!({ "at": support::NOW, "by": "registry_log" }));
    let face =
        town.hub.nobody().get(town.hub.url(&format!("/v1/licences/{}", town.licence.identifier)));
    let face: Value =
        serde_json::from_str(&face.send().await.unwrap().text().await.unwrap()).unwrap();
    assert_eq!(
        (&face["result"], &face["proven"]["by"]),
        (&json!("trusted"), &json!("registry_log"))
    );
    assert_eq!(town.feed().await, [""; 0], "nothing changed for those who follow");

    // The signer signs no more, whatever it says of the time.
    let (another, _) = town.hub.some_licence(|licence, _| {
        licence.issuer == town.licence.issuer && licence.identifier != town.licence.identifier
    });
    let refused = town.issuer.issue(&another).await;
    assert_eq!((refused.status, refused.link()), (422, "revocation"), "{}", refused.text);
}

#[actix_web::test]
async fn what_came_in_after_the_revocation_falls_and_stands_again_when_it_is_lifted() {
    let town = Town::new().await;
    town.revoke(BEFORE).await;

    let verification = town.verification().await;
    assert_eq!(verification["result"], "untrusted");
    assert_eq!(verification["revocation"], json!({ "result": "revoked", "as_of": BEFORE }));
    assert!(verification.get("proven").is_none());
    assert_eq!(town.feed().await, ["untrusted certificate_revoked"]);

    // The same list read again is nothing new.
    town.read_again().await;
    assert_eq!(town.feed().await.len(), 1);

    town.publish(&[]).await;
    assert_eq!(town.verification().await["result"], "trusted");
    let expected = ["untrusted certificate_revoked", "trusted revocation_lifted"];
    assert_eq!(town.feed().await, expected);
    town.is_sound().await;
}

#[actix_web::test]
async fn another_signers_licences_are_not_touched() {
    let town = Town::new().await;
    let other = town.hub.signing_identity(&town.issuer.department).certificate().serial_hex();
    town.publish(&[(hex::decode(other).unwrap(), BEFORE.parse().unwrap())]).await;
    assert_eq!(town.verification().await["result"], "trusted");
    assert_eq!(town.feed().await, [""; 0]);
}

#[actix_web::test]
async fn with_the_strict_rule_revoked_is_revoked_and_a_restart_with_another_rule_says_so() {
    let mut town = Town::new().await;
    town.revoke(AFTER).await;
    assert_eq!(town.verification().await["result"], "trusted");

    town.rule("never").await;
    let verification = town.verification().await;
    assert_eq!(verification["result"], "untrusted");
    assert_eq!(verification["revocation"]["result"], "revoked");
    assert_eq!(town.feed().await, ["untrusted certificate_revoked"], "the first round says so");

    town.set("\"never\"", "\"time_stamp_or_log\"").await;
    assert_eq!(town.verification().await["result"], "trusted");
    let expected = ["untrusted certificate_revoked", "trusted revocation_lifted"];
    assert_eq!(town.feed().await, expected);
}

#[actix_web::test]
async fn where_only_time_stamps_count_a_licence_without_one_falls() {
    let mut town = Town::new().await;
    town.rule("time_stamp_only").await;
    assert_eq!(town.verification().await["result"], "trusted");
    town.revoke(AFTER).await;
    assert_eq!(town.verification().await["result"], "untrusted");
    assert_eq!(town.feed().await, ["untrusted certificate_revoked"]);
}

#[actix_web::test]
async fn losing_the_list_lifts_no_revocation() {
    let mut town = Town::new().await;
    town.revoke(BEFORE).await;
    assert_eq!(town.feed().await, ["untrusted certificate_revoked"]);
    town.set("crls = [\"ca.crl\"]", "crls = []").await;
    assert_eq!(town.verification().await["revocation"]["result"], "no_crl");
    assert_eq!(town.feed().await, ["untrusted certificate_revoked"]);
}

#[actix_web::test]
async fn a_late_list_is_no_change_for_those_who_follow() {
    let town = Town::new().await;
    town.hub.hub.clock.advance(SignedDuration::from_hours(24 * 60));
    town.read_again().await;
    assert_eq!(town.verification().await["result"], "undetermined");
    assert_eq!(town.feed().await, [""; 0]);
}

#[actix_web::test]
async fn everything_falls_with_its_anchor_and_returns_with_it() {
    let mut town = Town::new().await;
    let folder = town.hub.folder.path().to_owned();
    std::fs::copy(folder.join("ca.pem"), folder.join("anchors.pem")).unwrap();
    let known = "licence_anchors = [\"anchors.pem\"]\nintermediates = [\"ca.pem\"]";
    town.set("licence_anchors = [\"ca.pem\"]", known).await;
    assert_eq!(town.verification().await["result"], "trusted");

    let elsewhere = tempfile::tempdir().unwrap();
    let department = &town.issuer.department;
    let subject = Subject {
        common_name: "Another Root",
        organisation_name: department.name,
        organisation: department.code,
    };
    let other =
        Authority::open(elsewhere.path(), &subject, "2024-01-01T00:00:00Z".parse().unwrap())
            .unwrap();
    std::fs::write(folder.join("anchors.pem"), other.anchor().to_pem()).unwrap();
    town.read_again().await;
    let verification = town.verification().await;
    assert_eq!(verification["result"], "untrusted");
    assert_eq!(verification["chain"], "anchor_withdrawn");
    assert!(verification.get("proven").is_none(), "time mends no withdrawn anchor");
    assert_eq!(town.feed().await, ["untrusted anchor_withdrawn"]);

    std::fs::copy(folder.join("ca.pem"), folder.join("anchors.pem")).unwrap();
    town.read_again().await;
    assert_eq!(town.verification().await["result"], "trusted");
    let expected = ["untrusted anchor_withdrawn", "trusted anchor_restored"];
    assert_eq!(town.feed().await, expected);
    town.is_sound().await;
}

/// Licences that differ by their serial.
fn many(licence: &Licence, count: usize) -> Vec<Vec<u8>> {
    let of = |serial: usize| {
        let mut one = licence.clone();
        one.number = format!("M{serial:09}");
        one.identifier = LicenceId::build(&one.licence_type, &one.issuer, &one.number, 1)
            .expect("an identifier");
        one.to_bytes()
    };
    (0..count).map(of).collect()
}

/// The manifest of these licences, with its signature.
fn manifest(issuer: &Actor, licences: &[Vec<u8>]) -> (Vec<u8>, Vec<u8>) {
    let digests: Vec<_> = licences.iter().map(|licence| certs::sha256(licence)).collect();
    let manifest = Manifest::write(&issuer.department.code, "b-1", &digests).unwrap();
    let signature = issuer.sign(&manifest);
    (manifest, signature)
}

/// Three pages and a bit, the hub stopped while the sweep is on its way.
#[actix_web::test]
async fn every_licence_of_a_batch_falls_once_also_over_a_restart() {
    const MANY: usize = 800;
    let mut town = Town::new().await;
    let licences = many(&town.licence, MANY);
    let (document, signature) = manifest(&town.issuer, &licences);
    let (answer, _) = town.issuer.hand_in_batch(&document, &signature, &licences).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let revoked = [(town.signer.clone(), BEFORE.parse().unwrap())];
    town.hub.authority.revocation_list(&revoked, town.hub.hub.clock.now()).unwrap();
    town.hub.hub.reload_trust().unwrap();
    let mut state = town.hub.hub.sweep().unwrap().watch();
    state.wait_for(|state| state.written > 0).await.unwrap();
    town.hub.restart().await;
    town.issuer = town.hub.issuer();
    town.swept(0).await;
    assert_eq!(town.feed().await, vec!["untrusted certificate_revoked"; MANY + 1]);
    town.is_sound().await;
}

/// A batch takes minutes, and its manifest was checked at the beginning.
#[actix_web::test]
async fn what_was_checked_by_older_lists_and_came_after_the_sweep_falls_too() {
    let town = Town::new().await;
    let licences = many(&town.licence, 3);
    let (document, signature) = manifest(&town.issuer, &licences);
    let hub = Arc::clone(&*town.hub.hub);
    let department = town.issuer.department.code;
    let batch = BatchIntake::begin(hub, department, document.into(), signature.into()).await;
    let mut batch = batch.unwrap();
    town.revoke(BEFORE).await;
    assert_eq!(town.feed().await.len(), 1);

    let rounds = town.rounds();
    let lines = licences.into_iter().map(|licence| (1, licence.into())).collect();
    for taken in batch.take_in(lines).await.unwrap() {
        assert!(taken.unwrap().appended.new);
    }
    town.swept(rounds).await;
    assert_eq!(town.feed().await, ["untrusted certificate_revoked"; 4]);
}

/// Time passes over an anchor, a list says since when: not every change is one of a file.
#[actix_web::test]
async fn a_round_a_day_goes_by_without_any_change() {
    let town = Town::new().await;
    let rounds = town.rounds();
    town.hub.hub.clock.advance(SignedDuration::from_hours(25));
    town.swept(rounds).await;
    assert_eq!(town.feed().await, [""; 0]);
}

#[actix_web::test]
async fn those_who_follow_by_search_or_by_the_feed_wait_for_nobody() {
    let town = Town::new().await;
    let waiting = town.issuer.get("/v1/changes?after=0&wait=30");
    let (heard, ()) = tokio::join!(waiting, town.revoke(BEFORE));
    assert_eq!(heard.json["changes"][0]["kind"], "trust_changed");
    assert_eq!(heard.json["changes"][0]["identifier"], town.licence.identifier.as_str());
    assert_eq!(heard.json["changes"][0]["status"], "valid");
    town.is_sound().await;
}
