//! A licence: the evidence file, or the document with its signature.

use ::licence::Licence;
use certs::{Evidence, EvidenceError, EvidenceVerdict, Link, Revocation, TrustStore};
use jiff::Timestamp;

use super::{Input, Kind, recognise, report::Explained, report::Report};
use crate::judge::{Outcome, revocation_link, status_word, validity_word};

/// The links beyond those of `certs`.
const STATUS: (&str, &str) = ("status", "证照状态");
const VALIDITY: (&str, &str) = ("validity", "有效期");

pub(super) fn check(
    input: &Input<'_>,
    trust: &TrustStore,
    at: Timestamp,
) -> (Report, Option<Licence>) {
    let evidence = match input.signature {
        None => Evidence::parse(input.file),
        Some(signature) => Ok(Evidence {
            licence: input.file.to_vec(),
            signature: recognise::der(signature).unwrap_or_else(|| signature.to_vec()),
            manifest: input.manifest.map(<[u8]>::to_vec),
            orders: Vec::new(),
        }),
    };
    match evidence.and_then(|evidence| evidence.verify(trust, at)) {
        Ok(verdict) => held_up(verdict, at),
        Err(error) => (broken(&error, at), None),
    }
}

fn held_up(verdict: EvidenceVerdict, at: Timestamp) -> (Report, Option<Licence>) {
    let name = |link: Link| (link.word(), link.name_zh());
    let licence_type = verdict.licence.licence_type;
    let mut links = vec![Explained::ok(
        name(Link::Format),
        format!("类型为{licence_type}的证照"),
        format!("a licence of type {licence_type}"),
    )];
    links.push(match verdict.manifest_position {
        None => Explained::ok(
            name(Link::Signature),
            "颁发机构对这些内容的签名，一字未改".to_owned(),
            "the issuer's signature over exactly these bytes".to_owned(),
        ),
        Some(position) => Explained::ok(
            name(Link::Signature),
            format!("颁发机构对批次清单的签名，此证照列在第{}位", position + 1),
            format!(
                "the issuer's signature over the batch manifest that lists these bytes at position {}",
                position + 1
            ),
        ),
    });
    links.push(Explained::ok(
        name(Link::Certificate),
        "可用于签发证照，且属于颁发机构".to_owned(),
        "good for issuing licences, and it is the issuer's".to_owned(),
    ));
    links.push(Explained::ok(
        name(Link::Chain),
        "能到达受信任的根证书，当时全部有效".to_owned(),
        "leads to a trusted anchor, all valid at the time".to_owned(),
    ));
    links.push(revocation(&verdict.judgement.revocation));
    links.push(status(&verdict));
    links.push(validity(&verdict));
    let report = Report {
        identifier: Some(verdict.licence.identifier.clone()),
        digest: Some(verdict.digest),
        signer: Some(verdict.signature.signer.subject_text()),
        revocation: Some(revocation_link(&verdict.judgement.revocation)),
        ..Report::of_explained(Kind::Licence, links, at)
    };
    (report, Some(verdict.licence))
}

fn revocation(revocation: &Revocation) -> Explained {
    let link = (Link::Revocation.word(), Link::Revocation.name_zh());
    let result = revocation_link(revocation).result;
    match revocation {
        Revocation::Good { as_of } => Explained::ok(
            link,
            format!("未被吊销，依据{as_of}的列表"),
            format!("not revoked, by the list of {as_of}"),
        ),
        Revocation::Revoked { at, .. } => Explained::not(
            link,
            Outcome::Untrusted,
            result,
            format!("证书已于{at}被吊销"),
            format!("a certificate was revoked at {at}"),
        )
        .todo(
            "请颁发机构用新证书重新签发",
            "have the issuer sign it again with its new certificate",
        ),
        Revocation::Stale { as_of } => Explained::not(
            link,
            Outcome::Undetermined,
            result,
            format!("{as_of}的吊销列表已过更新时间"),
            format!("the list of {as_of} is past its next update"),
        )
        .todo("请获取新的吊销列表", "fetch a new one"),
        Revocation::Unknown { as_of } => Explained::not(
            link,
            Outcome::Undetermined,
            result,
            format!("{as_of}的在线查询（OCSP）答复：不知道这张证书"),
            format!("the responder did not know the certificate at {as_of}"),
        ),
        Revocation::NoCrl => Explained::not(
            link,
            Outcome::Undetermined,
            result,
            "手头没有吊销列表".to_owned(),
            "no revocation list is at hand".to_owned(),
        )
        .todo(
            "请提供吊销列表（hub verify 用 --crl，证照库用 hub crl add）",
            "give one: `hub verify --crl`, for a hub `hub crl add`",
        ),
    }
}

fn status(verdict: &EvidenceVerdict) -> Explained {
    let count = verdict.orders.len();
    let word = status_word(&verdict.status);
    let zh = match verdict.status.word() {
        "valid" => "有效",
        "suspended" => "暂扣",
        "revoked" => "已撤销、吊销或注销",
        _ => "已被新证照取代",
    };
    let (by_zh, by) = match count {
        0 => ("文件中没有状态变更单".to_owned(), "the file has no status orders".to_owned()),
        1 => ("依据文件中的1份状态变更单".to_owned(), "by the order in the file".to_owned()),
        _ => (
            format!("依据文件中的{count}份状态变更单"),
            format!("by the {count} orders in the file"),
        ),
    };
    let said_zh = format!("{zh}（{by_zh}；此后的变更请向证照库查询）");
    let said = format!("{}: {by}; ask the hub for later ones", verdict.status.word());
    if word == "ok" {
        Explained::ok(STATUS, said_zh, said)
    } else {
        Explained::not(STATUS, Outcome::Untrusted, word, said_zh, said)
    }
}

fn validity(verdict: &EvidenceVerdict) -> Explained {
    let word = validity_word(verdict.validity);
    let (zh, en) = match word {
        "ok" => ("当日在有效期内", "valid on the day"),
        "expired" => ("有效期已过", "its time is over"),
        _ => ("有效期尚未开始", "its time has not begun"),
    };
    if word == "ok" {
        Explained::ok(VALIDITY, zh.to_owned(), en.to_owned())
    } else {
        Explained::not(VALIDITY, Outcome::Untrusted, word, zh.to_owned(), en.to_owned())
    }
}

/// A report that ends with the link that is broken.
fn broken(error: &EvidenceError, at: Timestamp) -> Report {
    let link = (error.link().word(), error.link().name_zh());
    let mut said = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        said = format!("{said}: {cause}");
        source = cause.source();
    }
    let words = certs::words(error.code());
    let said_zh =
        words.map_or_else(|| format!("{}未通过检查", link.1), |words| words.zh.to_owned());
    let (todo_zh, todo) = words.map_or(("", ""), |words| (words.todo_zh, words.todo_en));
    let broken = Explained::not(link, Outcome::Untrusted, error.code(), said_zh, said);
    Report::of_explained(Kind::Licence, vec![broken.todo(todo_zh, todo)], at)
}
