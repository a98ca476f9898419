//! A sealed OFD file to check: one page with a sentence, under a seal of the demo.

use std::collections::BTreeMap;

use certs::{
    SigningIdentity,
    ofd::{SealTemplate, SealVersion, make_seal, pack, seal_ofd},
};
use jiff::{SignedDuration, Timestamp};

use super::DemoError;

/// What stands on the page.
pub const SENTENCE: &str = "准予开办";

const YEAR: SignedDuration = SignedDuration::from_hours(24 * 365);

/// A picture of one point: there is no real seal to show.
const PICTURE: &[u8] =
    b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0\x1f\x15\xc4\x89\
    \0\0\0\rIDATx\xdac\xfc\xcf\xc0P\x0f\0\x04\x85\x01\x80\x84\xa9\x8c!\0\0\0\0IEND\xaeB`\x82";

/// Seals the page (GB/T 38540-2020).
///
/// * `name`: of the department that seals.
pub fn ofd(signer: &SigningIdentity, name: &str, now: Timestamp) -> Result<Vec<u8>, DemoError> {
    let begins = now.saturating_sub(SignedDuration::from_hours(1)).unwrap_or(now);
    let template = SealTemplate {
        version: SealVersion::V4,
        identifier: "DEMO-SEAL-1",
        name,
        signers: &[signer.certificate().clone()],
        lists_digests: false,
        picture: PICTURE,
        created: begins,
        valid_from: begins,
        valid_until: now.saturating_add(YEAR).unwrap_or(now),
    };
    let seal = make_seal(&template, signer, None)?;
    Ok(seal_ofd(&page(), &seal, signer, now, None)?)
}

/// GB/T 33190-2016, 7.
fn page() -> Vec<u8> {
    const HEAD: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";
    const SPACE: &str = "xmlns:ofd=\"http://www.ofdspec.org/2016\"";
    let parts = [
        (
            "OFD.xml",
            format!(
                "<ofd:OFD {SPACE} Version=\"1.0\" DocType=\"OFD\"><ofd:DocBody><ofd:DocInfo><ofd:DocID>\
                 64656d6f0000000000000000000000001</ofd:DocID></ofd:DocInfo><ofd:DocRoot>Doc_0/Document.xml\
                 </ofd:DocRoot></ofd:DocBody></ofd:OFD>"
            ),
        ),
        (
            "Doc_0/Document.xml",
            format!(
                "<ofd:Document {SPACE}><ofd:CommonData><ofd:MaxUnitID>4</ofd:MaxUnitID><ofd:PageArea>\
                 <ofd:PhysicalBox>0 0 210 297</ofd:PhysicalBox></ofd:PageArea><ofd:PublicRes>PublicRes.xml\
                 </ofd:PublicRes></ofd:CommonData><ofd:Pages><ofd:Page ID=\"1\" \
                 BaseLoc=\"Pages/Page_0/Content.xml\"/></ofd:Pages></ofd:Document>"
            ),
        ),
        (
            "Doc_0/PublicRes.xml",
            format!(
                "<ofd:Res {SPACE} BaseLoc=\"Res\"><ofd:Fonts><ofd:Font FontName=\"宋体\" FamilyName=\"宋体\" \
                 ID=\"3\"/></ofd:Fonts></ofd:Res>"
            ),
        ),
        (
            "Doc_0/Pages/Page_0/Content.xml",
            format!(
                "<ofd:Page {SPACE}><ofd:Content><ofd:Layer ID=\"2\"><ofd:TextObject ID=\"4\" \
                 Boundary=\"30 30 100 20\" Font=\"3\" Size=\"10\"><ofd:TextCode X=\"0\" Y=\"10\" \
                 DeltaX=\"10 10 10\">{SENTENCE}</ofd:TextCode></ofd:TextObject></ofd:Layer></ofd:Content>\
                 </ofd:Page>"
            ),
        ),
    ];
    let written = parts.map(|(name, text)| (name.to_owned(), format!("{HEAD}{text}").into_bytes()));
    pack(&BTreeMap::from(written))
}
