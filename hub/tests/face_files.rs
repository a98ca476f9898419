//! Face files that are sealed or signed by themselves: checked when the licence comes in, judged when it is shown.

mod support;

use certs::{
    SigningIdentity,
    ofd::{SealTemplate, SealVersion, make_seal, seal_ofd},
    sha256,
};
use district::Pull;
use jiff::SignedDuration;
use licence::{FileRef, Licence};
use serde_json::Value;
use support::{Actor, Answer, TestHub};

const PLAIN: &[u8] = include_bytes!("../../certs/tests/data/ofd/unsigned.ofd");
const SEALED_BY_NOBODY_WE_KNOW: &[u8] =
    include_bytes!("../../certs/tests/data/ofd/sealed-v4-all-protected.ofd");

/// An issuer whose department has an electronic seal.
struct Office {
    hub: TestHub,
    issuer: Actor,
    licence: Licence,
    pull: Pull,
}

impl Office {
    async fn new() -> Self {
        Self::of(TestHub::start().await)
    }

    /// An office of a hub that lets files in whose signer is not trusted.
    async fn lenient() -> Self {
        let mut hub = TestHub::start().await;
        hub.stop().await;
        let path = hub.folder.path().join("hub.toml");
        let settings = std::fs::read_to_string(&path).unwrap();
        let lenient = settings.replace("[trust]\n", "[trust]\nface_files = \"record\"\n");
        std::fs::write(&path, lenient).unwrap();
        hub.restart().await;
        Self::of(hub)
    }

    fn of(hub: TestHub) -> Self {
        let (licence, pull) = hub.enterprise_licence();
        Self { issuer: hub.issuer(), hub, licence, pull }
    }

    fn signer(&self) -> &SigningIdentity {
        self.issuer.identity.as_ref().unwrap()
    }

    /// The plain document, sealed by the department.
    fn sealed(&self) -> Vec<u8> {
        let now = self.hub.hub.clock.now();
        let template = SealTemplate {
            version: SealVersion::V4,
            identifier: "SAMPLE-SEAL-1",
            name: "澜溪区市场监督管理局",
            signers: &[self.signer().certificate().clone()],
            lists_digests: false,
            picture: b"\x89PNG\r\n\x1a\n",
            created: now - SignedDuration::from_hours(24),
            valid_from: now - SignedDuration::from_hours(24),
            valid_until: now + SignedDuration::from_hours(24 * 365),
        };
        let seal = make_seal(&template, self.signer(), None).unwrap();
        seal_ofd(PLAIN, &seal, self.signer(), now, None).unwrap()
    }

    /// Hands the licence in, with this file as its face.
    async fn hand_in(&self, file: &[u8], name: &str) -> Answer {
        let mut licence = self.licence.clone();
        licence.files = vec![FileRef {
            name: name.to_owned(),
            media_type: if name.ends_with("pdf") { "application/pdf" } else { "application/ofd" }
                .to_owned(),
            sha256: sha256(file),
            size: file.len() as u64,
        }];
        let document = licence.to_bytes();
        let base64 = |bytes: &[u8]| {
            use base64::{Engine, engine::general_purpose::STANDARD};
            STANDARD.encode(bytes)
        };
        let body = serde_json::json!({
            "licence": base64(&document),
            "signature": base64(&self.issuer.sign(&document)),
            "files": [{ "name": name, "media_type": "", "content": base64(file) }],
        });
        self.issuer.post("/v1/licences", &body).await
    }

    /// What a department that pulls the licence is told of its file.
    async fn shown(&self) -> Value {
        let pulled = self.hub.puller(&self.pull).pull(&self.pull).await;
        assert_eq!(pulled.status, 200, "{pulled:?}");
        pulled.json["licences"][0]["files"][0]["signed"].clone()
    }
}

#[actix_web::test]
async fn a_sealed_file_comes_in_and_is_shown_with_the_verdict_on_its_seal() {
    let office = Office::new().await;
    let taken = office.hand_in(&office.sealed(), "face.ofd").await;
    assert_eq!(taken.status, 201, "{taken:?}");
    let shown = office.shown().await;
    assert_eq!(shown["result"], "trusted", "{shown}");
    assert_eq!(shown["signers"].as_array().unwrap().len(), 1, "{shown}");
}

#[actix_web::test]
async fn a_sealed_file_that_was_changed_is_refused_and_nothing_is_kept() {
    let office = Office::lenient().await;
    // The document's own text, as it stands in the archive, with another letter.
    let sealed = office.sealed();
    let mut parts = unpacked(&sealed);
    let page = parts.get_mut("Doc_0/Pages/Page_0/Content.xml").unwrap();
    let end = page.iter().rposition(|byte| *byte == b'>').unwrap();
    page.insert(end + 1, b'\n');
    let changed = certs::ofd::pack(&parts);

    let refused = office.hand_in(&changed, "face.ofd").await;
    assert_eq!(
        (refused.status, refused.code(), refused.link()),
        (422, "face_file_broken", "files")
    );
    assert!(refused.text.contains("ofd_part_changed"), "{refused:?}");
    assert_eq!(office.hub.registry_entries().await, 0);
}

/// Made unreadable for us, it would be taken for a file that nobody signed, and others show it as signed.
#[actix_web::test]
async fn a_signed_file_that_cannot_be_read_is_refused() {
    let office = Office::lenient().await;
    let mut parts = unpacked(&office.sealed());
    parts.insert("Doc_0/../Doc_0/Document.xml".to_owned(), b"another".to_vec());
    let refused = office.hand_in(&certs::ofd::pack(&parts), "face.ofd").await;
    assert_eq!((refused.status, refused.code()), (422, "face_file_broken"), "{refused:?}");
    assert!(refused.text.contains("ofd_part_name"), "{refused:?}");

    let signed = include_bytes!("../../certs/tests/data/pdf/minimal-two-fields-signed-twice.pdf");
    let moved = [b"% a comment\n".as_slice(), signed].concat();
    let refused = office.hand_in(&moved, "face.pdf").await;
    assert_eq!((refused.status, refused.code()), (422, "face_file_broken"), "{refused:?}");
    assert!(refused.text.contains("pdf_malformed"), "{refused:?}");
    assert_eq!(office.hub.registry_entries().await, 0);
}

#[actix_web::test]
async fn a_seal_of_nobody_we_trust_is_refused_unless_the_settings_let_it_in() {
    let office = Office::new().await;
    let refused = office.hand_in(SEALED_BY_NOBODY_WE_KNOW, "face.ofd").await;
    assert_eq!((refused.status, refused.code()), (422, "face_file_not_trusted"), "{refused:?}");
    assert!(refused.text.contains("certificate_unknown_issuer"), "{refused:?}");

    let lenient = Office::lenient().await;
    let taken = lenient.hand_in(SEALED_BY_NOBODY_WE_KNOW, "face.ofd").await;
    assert_eq!(taken.status, 201, "{taken:?}");
    let shown = lenient.shown().await;
    assert_eq!(shown["result"], "untrusted", "{shown}");
    assert_eq!(shown["reason"], "certificate_unknown_issuer", "{shown}");
}

#[actix_web::test]
async fn a_file_that_nobody_signed_claims_nothing() {
    for (file, name) in [(PLAIN, "face.ofd"), (b"%PDF-1.7 not much of one".as_slice(), "face.pdf")]
    {
        let office = Office::new().await;
        let taken = office.hand_in(file, name).await;
        assert_eq!(taken.status, 201, "{taken:?}");
        assert!(office.shown().await.is_null());
    }
}

#[actix_web::test]
async fn a_picture_of_a_seal_without_a_signature_is_refused() {
    let office = Office::new().await;
    let mut parts = unpacked(&office.sealed());
    parts.retain(|name, _| !name.ends_with("SignedValue.dat"));
    let refused = office.hand_in(&certs::ofd::pack(&parts), "face.ofd").await;
    assert_eq!((refused.status, refused.code()), (422, "face_file_broken"), "{refused:?}");
}

fn unpacked(file: &[u8]) -> std::collections::BTreeMap<String, Vec<u8>> {
    use std::io::Read;
    let mut archive = zip::ZipArchive::new(std::io::Cursor::new(file)).unwrap();
    let mut parts = std::collections::BTreeMap::new();
    for index in 0..archive.len() {
        let mut part = archive.by_index(index).unwrap();
        let name = part.name().unwrap().into_owned();
        let mut content = Vec::new();
        part.read_to_end(&mut content).unwrap();
        if !name.ends_with('/') {
            parts.insert(name, content);
        }
    }
    parts
}
