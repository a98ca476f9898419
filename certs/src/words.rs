//! What the codes of this crate mean, in the words of people who have a file in front of them and must decide.

/// A verdict in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Words {
    /// What was found, in Chinese.
    pub zh: &'static str,
    /// What was found, in English.
    pub en: &'static str,
    /// What to do, in Chinese; empty if nothing is to be done.
    pub todo_zh: &'static str,
    /// What to do, in English.
    pub todo_en: &'static str,
}

/// The words for a code of this crate.
pub fn words(code: &str) -> Option<Words> {
    TABLE.iter().find(|row| row.0 == code).map(|row| Words {
        zh: row.1,
        en: row.2,
        todo_zh: row.3,
        todo_en: row.4,
    })
}

type Row = (&'static str, &'static str, &'static str, &'static str, &'static str);

const ASK_ISSUER: (&str, &str) = ("请签发部门重新签发", "have the issuer sign it again");
const FETCH_AGAIN: (&str, &str) = ("请重新获取原文件", "get the original file again");
const ADD_ISSUER: (&str, &str) = (
    "如确属可信机构，请运维人员把其根证书加入信任库",
    "if this authority is to be trusted, have the operator add its root certificate",
);

/// Code, what was found (zh, en), what to do (zh, en).
const TABLE: &[Row] = &[
    // ---- signatures (CMS)
    (
        "signature_too_large",
        "签名数据过大",
        "the signature is larger than allowed",
        ASK_ISSUER.0,
        ASK_ISSUER.1,
    ),
    (
        "signature_malformed",
        "签名数据格式不对",
        "the signature is not well-formed CMS",
        FETCH_AGAIN.0,
        FETCH_AGAIN.1,
    ),
    (
        "signature_not_signed_data",
        "这是CMS文件，但不是签名",
        "CMS, but not a signature",
        FETCH_AGAIN.0,
        FETCH_AGAIN.1,
    ),
    (
        "signature_content_type",
        "签名的对象不是文件内容",
        "the signature is over another kind of content than a file's bytes",
        ASK_ISSUER.0,
        ASK_ISSUER.1,
    ),
    ("signature_no_signer", "签名数据中没有签名人", "nobody signed", ASK_ISSUER.0, ASK_ISSUER.1),
    (
        "signature_several_signers",
        "签名人多于一个，此处只允许一个",
        "more than one signer where one is expected",
        ASK_ISSUER.0,
        ASK_ISSUER.1,
    ),
    (
        "signature_too_many_certificates",
        "签名中所带证书过多",
        "more certificates in the signature than allowed",
        ASK_ISSUER.0,
        ASK_ISSUER.1,
    ),
    (
        "signature_signer_certificate_missing",
        "签名中没有签名人的证书",
        "the signer's certificate is not in the signature",
        ASK_ISSUER.0,
        ASK_ISSUER.1,
    ),
    (
        "signature_algorithm_mismatch",
        "签名算法与签名人的密钥不符，或不在支持之列",
        "the algorithms named do not fit the signer's key, or are not accepted",
        ASK_ISSUER.0,
        ASK_ISSUER.1,
    ),
    (
        "signature_embedded_content_differs",
        "签名中所带内容与此文件不同",
        "the content inside the signature is not this file",
        FETCH_AGAIN.0,
        FETCH_AGAIN.1,
    ),
    (
        "signature_signed_attributes",
        "签名属性不完整或前后矛盾",
        "the signed attributes are incomplete or contradict the content",
        ASK_ISSUER.0,
        ASK_ISSUER.1,
    ),
    (
        "signature_digest_mismatch",
        "内容在签名之后被改动",
        "the content was changed after it was signed",
        FETCH_AGAIN.0,
        FETCH_AGAIN.1,
    ),
    (
        "signature_wrong",
        "签名值不正确：不是此人对此内容的签名",
        "the signature value is wrong: this signer did not sign this",
        FETCH_AGAIN.0,
        FETCH_AGAIN.1,
    ),
    (
        "signature_ambiguous_content",
        "内容可能是另一个签名的签名属性，不能证明什么",
        "the content could be the signed attributes of another signature, which proves nothing",
        ASK_ISSUER.0,
        ASK_ISSUER.1,
    ),
    // ---- certificates and paths
    (
        "certificate_malformed",
        "证书格式不对",
        "a certificate is damaged",
        FETCH_AGAIN.0,
        FETCH_AGAIN.1,
    ),
    (
        "certificate_too_large",
        "证书过大",
        "a certificate is larger than allowed",
        ASK_ISSUER.0,
        ASK_ISSUER.1,
    ),
    ("certificate_pem", "证书文件（PEM）已损坏", "damaged PEM", FETCH_AGAIN.0, FETCH_AGAIN.1),
    ("certificate_missing", "文件中没有证书", "no certificate found", FETCH_AGAIN.0, FETCH_AGAIN.1),
    (
        "certificate_key_unsupported",
        "证书公钥的算法不支持",
        "the certificate's key is of an unsupported kind",
        ASK_ISSUER.0,
        ASK_ISSUER.1,
    ),
    (
        "certificate_expired",
        "证书在所判断的时刻已经过期",
        "a certificate had ended at the time judged",
        "若签名早于证书到期，请提供时间戳，或用 --at 指定当时",
        "if it was signed before that, give the time-stamp, or the time with --at",
    ),
    (
        "certificate_not_yet_valid",
        "证书在所判断的时刻尚未生效",
        "a certificate had not begun at the time judged",
        "请核对时钟",
        "compare the clocks",
    ),
    (
        "certificate_unknown_issuer",
        "证书链不能到达任何受信任的根证书",
        "no path leads to a trust anchor",
        ADD_ISSUER.0,
        ADD_ISSUER.1,
    ),
    (
        "certificate_wrong_usage",
        "证书不能用于此目的",
        "the certificate may not be used for this",
        ASK_ISSUER.0,
        ASK_ISSUER.1,
    ),
    (
        "certificate_bad_signature",
        "链上一张证书的签名不正确",
        "the signature on a certificate of the path is wrong",
        ASK_ISSUER.0,
        ASK_ISSUER.1,
    ),
    ("certificate_path_too_long", "证书链过长", "the path is too long", ASK_ISSUER.0, ASK_ISSUER.1),
    (
        "certificate_issuer_not_ca",
        "链上一张签发证书不是CA证书",
        "a certificate in the middle of the path is not a CA's",
        ASK_ISSUER.0,
        ASK_ISSUER.1,
    ),
    (
        "certificate_name_constraints",
        "上级CA的名称限制不允许此证书",
        "a CA's name constraints exclude the certificate",
        ASK_ISSUER.0,
        ASK_ISSUER.1,
    ),
    (
        "certificate_policy",
        "证书策略不允许",
        "the certificate policies of the path do not allow it",
        ASK_ISSUER.0,
        ASK_ISSUER.1,
    ),
    (
        "certificate_critical_extension",
        "证书含有不认识的关键扩展",
        "a certificate carries a critical extension that is not understood",
        ASK_ISSUER.0,
        ASK_ISSUER.1,
    ),
    (
        "certificate_algorithm_unsupported",
        "证书的签名算法不支持",
        "a certificate is signed with an unsupported algorithm",
        ASK_ISSUER.0,
        ASK_ISSUER.1,
    ),
    (
        "certificate_path_not_conforming",
        "证书链不符合标准（RFC 5280）",
        "the path does not conform to RFC 5280",
        ASK_ISSUER.0,
        ASK_ISSUER.1,
    ),
    (
        "certificate_revoked",
        "证书已被吊销",
        "a certificate was revoked",
        ASK_ISSUER.0,
        ASK_ISSUER.1,
    ),
    // ---- revocation
    (
        "crl_stale",
        "吊销列表已过更新时间，无法确定",
        "the revocation list is past its next update",
        "请获取新的吊销列表",
        "fetch a new list",
    ),
    (
        "crl_missing",
        "手头没有该机构的吊销列表，无法确定",
        "no revocation list of the certificate's issuer is at hand",
        "请提供吊销列表（--crl）",
        "give one (--crl)",
    ),
    ("ocsp_unknown", "在线查询（OCSP）不知道这张证书，无法确定", "the OCSP responder does not know the certificate", "请向证书签发机构核实", "ask the certificate's issuer"),
    // ---- evidence files, manifests, orders
    (
        "evidence_malformed",
        "不是核验文件，或已损坏",
        "not a well-formed evidence file",
        FETCH_AGAIN.0,
        FETCH_AGAIN.1,
    ),
    (
        "evidence_licence",
        "核验文件中的证照无法读取",
        "the licence in the evidence file cannot be read",
        FETCH_AGAIN.0,
        FETCH_AGAIN.1,
    ),
    (
        "not_in_manifest",
        "批次清单中没有这份证照",
        "the batch manifest does not list this licence",
        FETCH_AGAIN.0,
        FETCH_AGAIN.1,
    ),
    (
        "signer_not_issuer",
        "签名人不是证照上的颁发机构",
        "the signer is not the issuer named in the licence",
        ASK_ISSUER.0,
        ASK_ISSUER.1,
    ),
    (
        "order_malformed",
        "状态变更单格式不对",
        "a status order cannot be read",
        FETCH_AGAIN.0,
        FETCH_AGAIN.1,
    ),
    (
        "order_other_licence",
        "状态变更单是另一份证照的",
        "a status order is about another licence",
        FETCH_AGAIN.0,
        FETCH_AGAIN.1,
    ),
    (
        "order_transition",
        "状态变更单与先前状态不衔接",
        "a status order cannot follow the ones before it",
        FETCH_AGAIN.0,
        FETCH_AGAIN.1,
    ),
    // ---- more about signatures
    ("signature_too_many_signers", "签名人过多", "more signers than are checked", ASK_ISSUER.0, ASK_ISSUER.1),
    ("signature_content_missing", "这是独立签名，没有给出被签的文件", "a detached signature, without the file it is over", "请同时给出被签的文件：hub verify 文件 --signature 签名", "give the file too: hub verify FILE --signature THIS"),
    ("signature_digest_weak", "签名使用MD5或SHA-1，已不安全", "signed with MD5 or SHA-1, which are broken", ASK_ISSUER.0, ASK_ISSUER.1),
    ("signature_signing_certificate", "签名中指明的签名证书不是所带的这张", "the signature names another signing certificate than the one it carries", ASK_ISSUER.0, ASK_ISSUER.1),
    ("certificate_digest_weak", "链上一张证书使用MD5或SHA-1签名，已不安全", "a certificate is signed with MD5 or SHA-1", ASK_ISSUER.0, ASK_ISSUER.1),
    ("certificate_rsa_too_short", "RSA密钥短于2048位", "an RSA key under 2048 bits", ASK_ISSUER.0, ASK_ISSUER.1),
    ("certificate_budget", "证书链过于复杂，超出核验限度", "finding a path would take more checks than allowed", ASK_ISSUER.0, ASK_ISSUER.1),
    ("certificate_anchor_not_yet_valid", "该根证书当时尚未被信任", "the anchor was not yet trusted at that time", ADD_ISSUER.0, ADD_ISSUER.1),
    ("certificate_anchor_ended", "该根证书已停止信任", "the anchor is no longer trusted", ADD_ISSUER.0, ADD_ISSUER.1),
    ("certificate_anchor_withdrawn", "该根证书已被撤销信任", "the anchor's trust was withdrawn", ADD_ISSUER.0, ADD_ISSUER.1),
    // ---- files of other kinds
    ("file_not_recognised", "不是可核验的文件（证照、CMS、OFD、PDF）", "neither a licence, CMS, OFD nor PDF", "独立签名请用 --signature 给出", "give a detached signature with --signature"),
    ("package_malformed", "材料包格式不对", "the package cannot be read", FETCH_AGAIN.0, FETCH_AGAIN.1),
    ("package_too_many_parts", "材料包中的文件过多", "the package has more files than are checked", FETCH_AGAIN.0, FETCH_AGAIN.1),
    ("package_part_changed", "材料包中的一份文件与摘要不符", "a file in the package is not the one its digest names", FETCH_AGAIN.0, FETCH_AGAIN.1),
    ("package_part_not_named", "材料包中有一份清单之外的文件", "a file in the package is not named by the signed document", FETCH_AGAIN.0, FETCH_AGAIN.1),
    ("package_part_missing", "清单上的一份文件不在材料包中", "a file that the signed document names is missing", FETCH_AGAIN.0, FETCH_AGAIN.1),
    // ---- sealed OFD (GB/T 33190, GB/T 38540)
    ("ofd_too_large", "OFD文件过大", "the file is larger than allowed", "", ""),
    ("ofd_not_a_package", "不是完整的OFD文件包", "not a well-formed OFD package", FETCH_AGAIN.0, FETCH_AGAIN.1),
    ("ofd_surrounding_bytes", "OFD文件包前后夹带其他内容", "the file holds more than the OFD package", FETCH_AGAIN.0, FETCH_AGAIN.1),
    ("ofd_too_many_parts", "文件包中的部件过多", "the package has more parts than allowed", FETCH_AGAIN.0, FETCH_AGAIN.1),
    ("ofd_part_encrypted", "文件包中有加密的部件", "a part of the package is encrypted", FETCH_AGAIN.0, FETCH_AGAIN.1),
    ("ofd_part_storage", "部件的存储方式不合规", "a part is stored in a way that OFD does not know", FETCH_AGAIN.0, FETCH_AGAIN.1),
    ("ofd_part_name", "部件名称不合规，可能指向包外", "the name of a part leads out of the package or is none", FETCH_AGAIN.0, FETCH_AGAIN.1),
    ("ofd_part_twice", "文件包中有同名部件", "two parts have the same name", FETCH_AGAIN.0, FETCH_AGAIN.1),
    ("ofd_parts_overlap", "文件包中的部件互相重叠", "parts of the package overlap", FETCH_AGAIN.0, FETCH_AGAIN.1),
    ("ofd_package_inconsistent", "文件包目录与内容不一致", "the package's directory and its parts contradict each other", FETCH_AGAIN.0, FETCH_AGAIN.1),
    ("ofd_unpacked_too_large", "解压后超出限度，疑似压缩炸弹", "larger than allowed when unpacked: perhaps a zip bomb", FETCH_AGAIN.0, FETCH_AGAIN.1),
    ("ofd_part_damaged", "一个部件已损坏", "a part is damaged", FETCH_AGAIN.0, FETCH_AGAIN.1),
    ("ofd_part_missing", "缺少一个应有的部件", "a part that is named is missing", FETCH_AGAIN.0, FETCH_AGAIN.1),
    ("ofd_location_outside", "部件路径指向包外", "a location leads out of the package", FETCH_AGAIN.0, FETCH_AGAIN.1),
    ("ofd_xml_malformed", "部件的XML格式不对", "a part is not well-formed XML", FETCH_AGAIN.0, FETCH_AGAIN.1),
    ("ofd_xml_doctype", "部件含有文档类型声明，不予接受", "a part has a document type declaration", FETCH_AGAIN.0, FETCH_AGAIN.1),
    ("ofd_xml_entity", "部件含有XML实体，不予接受", "a part uses an XML entity", FETCH_AGAIN.0, FETCH_AGAIN.1),
    ("ofd_xml_encoding", "部件不是UTF-8编码", "a part is in another encoding than UTF-8", FETCH_AGAIN.0, FETCH_AGAIN.1),
    ("ofd_xml_limit", "部件的XML超出限度", "a part is XML beyond the limits", FETCH_AGAIN.0, FETCH_AGAIN.1),
    ("ofd_structure", "部件不符合GB/T 33190", "a part lacks or repeats what GB/T 33190 requires", FETCH_AGAIN.0, FETCH_AGAIN.1),
    ("ofd_unsigned", "文件没有签名或签章", "nobody signed or sealed the file", "请向出具单位索取带签章的文件", "ask for the sealed file"),
    ("ofd_seal_without_signature", "只有印章图样，没有签名", "it shows a seal, but nobody signed it", "印章图样不能证明什么，请索取带签章的文件", "a picture of a seal proves nothing: ask for the sealed file"),
    ("ofd_too_many_signatures", "签章过多", "more signatures than are checked", "", ""),
    ("ofd_digest_weak", "部件用MD5或SHA-1保护，已不安全", "the parts are protected by MD5 or SHA-1", ASK_ISSUER.0, ASK_ISSUER.1),
    ("ofd_digest_unknown", "部件的摘要算法不认识", "the parts are protected by an unknown digest", ASK_ISSUER.0, ASK_ISSUER.1),
    ("ofd_part_changed", "签章后有部件被改动", "a part was changed after signing", FETCH_AGAIN.0, FETCH_AGAIN.1),
    ("ofd_part_not_covered", "有部件不在签章保护范围内", "a part is outside the signature", FETCH_AGAIN.0, FETCH_AGAIN.1),
    ("ofd_signature_xml_changed", "签章描述文件在签章后被改动", "the description of the signature was changed after signing", FETCH_AGAIN.0, FETCH_AGAIN.1),
    ("ofd_signed_value_malformed", "签章值格式不对", "the signed value is of no known form", FETCH_AGAIN.0, FETCH_AGAIN.1),
    ("ofd_signature_wrong", "签章值不正确", "the signature value is wrong", FETCH_AGAIN.0, FETCH_AGAIN.1),
    ("ofd_signature_algorithm", "签章算法与密钥不符", "the algorithm named does not fit the key", ASK_ISSUER.0, ASK_ISSUER.1),
    ("ofd_certificate_missing", "文件中没有签章人的证书", "the signer's certificate is not in the file", ASK_ISSUER.0, ASK_ISSUER.1),
    ("seal_missing", "声明为签章，却没有印章", "it says that it is sealed, and has no seal", ASK_ISSUER.0, ASK_ISSUER.1),
    ("seal_malformed", "印章数据格式不对", "the seal is not well-formed", ASK_ISSUER.0, ASK_ISSUER.1),
    ("seal_signature_wrong", "印章不是制章单位所制（制章签名不正确）", "the seal maker's signature is wrong: the seal is forged", ASK_ISSUER.0, ASK_ISSUER.1),
    ("seal_not_the_signed_one", "显示的印章不是签章所用的印章", "the seal shown is not the seal that signed", FETCH_AGAIN.0, FETCH_AGAIN.1),
    ("seal_signer_not_listed", "签章人不是印章的持有人", "the seal does not belong to the signer", ASK_ISSUER.0, ASK_ISSUER.1),
    ("seal_not_yet_valid", "签章时印章尚未生效", "the seal was not yet valid", ASK_ISSUER.0, ASK_ISSUER.1),
    ("seal_expired", "签章时印章已过期", "the seal had expired", ASK_ISSUER.0, ASK_ISSUER.1),
    ("seal_time_in_future", "签章时间在将来", "the sealing time lies in the future", "请核对时钟", "compare the clocks"),
    ("seal_time_outside_certificate", "签章时签章人证书不在有效期内", "the signer's certificate was not valid at the sealing time", ASK_ISSUER.0, ASK_ISSUER.1),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_code_has_two_rows_and_every_row_is_complete() {
        for (place, row) in TABLE.iter().enumerate() {
            assert!(TABLE[..place].iter().all(|other| other.0 != row.0), "{} twice", row.0);
            assert!(!row.1.is_empty() && !row.2.is_empty(), "{} has no words", row.0);
            assert_eq!(row.3.is_empty(), row.4.is_empty(), "{}: one language is missing", row.0);
        }
    }
}
