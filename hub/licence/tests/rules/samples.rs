//! Licences and codes that the other modules start from. All numbers are made up or published samples.

use licence::{CreditCode, Licence, LicenceTypeCode, check};

/// 市场监管总局: business licence.
pub const BUSINESS_LICENCE: &str = "11100000MB0143028R001";
/// An issuer that occurs in a published identifier.
pub const ISSUER: &str = "11330105002500287C";
/// The sample number of GB 11643.
pub const CITIZEN: &str = "11010519491231002X";

/// A credit code from its first 17 characters.
pub fn credit_code(body: &str) -> CreditCode {
    let check = check::credit_code(body.as_bytes().try_into().unwrap()).unwrap();
    format!("{body}{}", char::from(check)).parse().unwrap()
}

/// An identifier from its parts, however wrong; only the check character is computed.
pub fn identifier(licence_type: &str, issuer: &str, serial: &str, version: &str) -> String {
    let body = format!("{licence_type}.{issuer}.{serial}.{version}");
    let check = check::mod_37_36(body.bytes().filter(|&byte| byte != b'.')).unwrap();
    format!("1.2.156.3005.2.{body}.{}", char::from(check))
}

/// A business licence with every element.
pub fn document() -> serde_json::Value {
    let type_code: LicenceTypeCode = BUSINESS_LICENCE.parse().unwrap();
    serde_json::json!({
        "format": "yihao-licence-1",
        "ZZBS": identifier(type_code.as_str(), ISSUER, "2024000123", "002"),
        "ZZMC": "营业执照",
        "ZZLXDM": BUSINESS_LICENCE,
        "ZZBH": "330105000012345",
        "ZZBFJG": "杭州市拱墅区市场监督管理局",
        "ZZBFJGDM": ISSUER,
        "ZZBFRQ": "2024-02-29",
        "holders": [
            { "CZZT": "示例科技（杭州）有限公司", "CZZTDM": credit_code("91330105MA0000000").as_str(), "CZZTDMLXDM": "001" },
            { "CZZT": "张三", "CZZTDM": CITIZEN, "CZZTDMLXDM": "111" },
        ],
        "ZZYXQQSRQ": "2024-02-29",
        "ZZYXQJZRQ": "2034-02-28",
        "XZQHDM": "330105",
        "XMDM": "2603-141124-89-05-346948",
        "GLZZBS": identifier(type_code.as_str(), ISSUER, "2024000123", "001"),
        "fields": { "经营范围": "软件开发；\"引号\"\n换行", "注册资本": 1000000.5, "人数": 12, "a": { "b": [null, true] } },
        "files": [ { "name": "营业执照.pdf", "media_type": "application/pdf", "sha256": "00".repeat(32), "size": 12345 } ],
    })
}

/// [`document`] with one change.
pub fn document_with(
    change: impl FnOnce(&mut serde_json::Map<String, serde_json::Value>),
) -> Vec<u8> {
    let mut document = document();
    change(document.as_object_mut().unwrap());
    serde_json::to_vec(&document).unwrap()
}

/// [`document`], parsed.
pub fn licence() -> Licence {
    Licence::parse(&document_with(|_| ())).unwrap()
}
