//! What the suite expects beyond the validation of a path (RFC 5280, 6): that certificates conform to
//! the profile that their issuers are bound to (RFC 5280, 4 and 5; for the families of the Web PKI also
//! the Baseline Requirements of the CA/Browser Forum), and that the peer has the name looked for.
//!
//! The crate itself does not refuse a signer because its issuer left out, say, a key identifier: who
//! relies on a signature cannot mend that, and it takes nothing from what the signature proves.

use std::net::IpAddr;

use certs::Certificate;
use x509_parser::asn1_rs::{FromDer, Oid, oid};
use x509_parser::extensions::{
    AuthorityKeyIdentifier, ExtendedKeyUsage, GeneralName, KeyUsage, NameConstraints,
    ParsedExtension, X509Extension,
};
use x509_parser::prelude::{CertificateRevocationList, X509Certificate, X509Version};
use x509_parser::public_key::PublicKey;

/// What a certificate is in its case.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Anchor,
    Authority,
    Peer,
}

/// Which rules for issuers a family of cases rests on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// RFC 5280.
    Internet,
    /// The Baseline Requirements, which build on it and differ in places.
    WebPki,
    /// With the rule for common names, which the suite's own certificates break in other families.
    WebPkiCommonName,
    /// None: real certificates (`online`), or cases about the search for a path alone.
    PathOnly,
}

type Verdict = Result<(), String>;

fn rule(holds: bool, otherwise: &str) -> Verdict {
    if holds { Ok(()) } else { Err(otherwise.to_owned()) }
}

impl Profile {
    /// By the first part of a case's id.
    pub fn of(id: &str) -> Self {
        let mut parts = id.split("::");
        match (parts.next(), parts.next()) {
            (Some("webpki"), Some("cn")) => Self::WebPkiCommonName,
            (Some("webpki"), _) => Self::WebPki,
            (Some("online" | "bettertls" | "pathological"), _) => Self::PathOnly,
            _ => Self::Internet,
        }
    }

    fn is_web(self) -> bool {
        matches!(self, Self::WebPki | Self::WebPkiCommonName)
    }

    pub fn check(self, certificate: &Certificate, role: Role) -> Verdict {
        if self == Self::PathOnly {
            return Ok(());
        }
        let read = Read::new(certificate)?;
        read.conforms_to_rfc_5280(role, self)?;
        if self.is_web() {
            read.conforms_to_baseline(role)?;
        }
        if self == Self::WebPkiCommonName && role == Role::Peer {
            read.common_name_is_an_alternative_name()?;
        }
        Ok(())
    }
}

/// A certificate with its extensions; whether each is critical comes first.
struct Read<'a> {
    x509: X509Certificate<'a>,
    self_issued: bool,
}

impl<'a> Read<'a> {
    fn new(certificate: &'a Certificate) -> Result<Self, String> {
        let (_, x509) =
            X509Certificate::from_der(certificate.der()).map_err(|error| error.to_string())?;
        let self_issued = x509.subject().as_raw() == x509.issuer().as_raw();
        Ok(Self { x509, self_issued })
    }

    fn extension(&self, oid: &Oid<'_>) -> Option<&X509Extension<'a>> {
        self.x509.extensions().iter().find(|extension| extension.oid == *oid)
    }

    /// Whether an extension is critical; `None` if it is not there.
    fn critical(&self, oid: &Oid<'_>) -> Option<bool> {
        self.extension(oid).map(|extension| extension.critical)
    }

    fn find<'s, T: 's>(
        &'s self,
        of: impl Fn(&'s ParsedExtension<'a>) -> Option<&'s T>,
    ) -> Option<&'s T> {
        self.x509.extensions().iter().find_map(|extension| of(extension.parsed_extension()))
    }

    fn key_usage(&self) -> Option<&KeyUsage> {
        self.find(|extension| match extension {
            ParsedExtension::KeyUsage(usage) => Some(usage),
            _ => None,
        })
    }

    fn extended_key_usage(&self) -> Option<&ExtendedKeyUsage<'a>> {
        self.find(|extension| match extension {
            ParsedExtension::ExtendedKeyUsage(usage) => Some(usage),
            _ => None,
        })
    }

    fn authority_key_identifier(&self) -> Option<&AuthorityKeyIdentifier<'a>> {
        self.find(|extension| match extension {
            ParsedExtension::AuthorityKeyIdentifier(id) => Some(id),
            _ => None,
        })
    }

    fn name_constraints(&self) -> Option<&NameConstraints<'a>> {
        self.find(|extension| match extension {
            ParsedExtension::NameConstraints(constraints) => Some(constraints),
            _ => None,
        })
    }

    /// RFC 5280, 4.1.2 and 4.2.
    fn conforms_to_rfc_5280(&self, role: Role, profile: Profile) -> Verdict {
        let x509 = &self.x509;
        let is_ca = role != Role::Peer;
        for extension in x509.extensions() {
            if let ParsedExtension::ParseError { .. } = extension.parsed_extension() {
                return Err(format!("extension {} cannot be read", extension.oid));
            }
        }
        rule(x509.version() == X509Version::V3, "4.1.2.1: version 3, since it has extensions")?;
        let serial = x509.raw_serial();
        let positive = serial.first().is_some_and(|first| first & 0x80 == 0)
            && serial.iter().any(|byte| *byte != 0);
        // Roots of old have serial number 0; nobody looks them up in a list.
        rule(
            role == Role::Anchor || (positive && serial.len() <= 20),
            "4.1.2.2: a positive serial number of at most 20 octets",
        )?;
        rule(x509.issuer().iter().next().is_some(), "4.1.2.4: an issuer with a name")?;
        let named = x509.subject().iter().next().is_some();
        rule(named || !is_ca, "4.1.2.6: a CA with a name")?;

        let forbidden = |oid: Oid<'_>| self.critical(&oid) != Some(true);
        rule(forbidden(oid!(2.5.29.35)), "4.2.1.1: the authority key identifier is not critical")?;
        rule(forbidden(oid!(2.5.29.14)), "4.2.1.2: the subject key identifier is not critical")?;
        rule(forbidden(oid!(2.5.29.9)), "4.2.1.8: directory attributes are not critical")?;
        rule(forbidden(oid!(2.5.29.46)), "4.2.1.15: the freshest list is not critical")?;
        rule(forbidden(oid!(1.3.6.1.5.5.7.1.1)), "4.2.2.1: authority access is not critical")?;
        rule(forbidden(oid!(1.3.6.1.5.5.7.1.11)), "4.2.2.2: subject access is not critical")?;
        let required = |oid: Oid<'_>| self.critical(&oid) != Some(false);
        rule(required(oid!(2.5.29.36)), "4.2.1.11: policy constraints are critical")?;
        rule(required(oid!(2.5.29.54)), "4.2.1.14: inhibitAnyPolicy is critical")?;

        let key_id = self.authority_key_identifier().and_then(|id| id.key_identifier.as_ref());
        rule(
            key_id.is_some() || self.self_issued,
            "4.2.1.1: the issuer's key identifier, unless self-signed",
        )?;
        if is_ca {
            rule(self.critical(&oid!(2.5.29.14)).is_some(), "4.2.1.2: a CA has a key identifier")?;
            rule(
                self.critical(&oid!(2.5.29.19)) == Some(true),
                "4.2.1.9: a CA has basic constraints, critical",
            )?;
        }
        self.key_usages()?;
        self.names(profile)
    }

    fn key_usages(&self) -> Verdict {
        let usage = self.key_usage();
        rule(usage.is_none_or(|usage| usage.flags != 0), "4.2.1.3: a key usage has a bit set")?;
        let issues = usage.map(|usage| usage.key_cert_sign());
        let basic = self.x509.basic_constraints().ok().flatten().map(|found| found.value);
        let ca = basic.is_some_and(|basic| basic.ca);
        rule(issues != Some(true) || ca, "4.2.1.9: keyCertSign is a CA's")?;
        rule(
            basic.is_none_or(|basic| basic.path_len_constraint.is_none())
                || (ca && issues == Some(true)),
            "4.2.1.9: a path length is a CA's with keyCertSign",
        )?;
        rule(
            self.extended_key_usage().is_none_or(|usage| {
                let known = usage.any
                    || usage.server_auth
                    || usage.client_auth
                    || usage.code_signing
                    || usage.email_protection
                    || usage.time_stamping
                    || usage.ocsp_signing;
                known || !usage.other.is_empty()
            }),
            "4.2.1.12: an extended key usage names one",
        )
    }

    fn names(&self, profile: Profile) -> Verdict {
        let subject = self.x509.subject().iter().next().is_some();
        let alternative = self.critical(&oid!(2.5.29.17));
        rule(
            subject || alternative == Some(true),
            "4.2.1.6: without a subject, alternative names that are critical",
        )?;
        let names = Names::read(&self.x509)?;
        rule(alternative.is_none() || !names.is_empty(), "4.2.1.6: at least one name")?;
        rule(names.are_well_formed(), "4.2.1.6: names of the preferred syntax")?;

        let Some(constraints) = self.name_constraints() else {
            return Ok(());
        };
        let basic = self.x509.basic_constraints().ok().flatten();
        rule(basic.is_some_and(|basic| basic.value.ca), "4.2.1.10: name constraints are a CA's")?;
        // The Baseline Requirements, 7.1.2.10.8, allow otherwise.
        rule(
            profile.is_web() || self.critical(&oid!(2.5.29.30)) == Some(true),
            "4.2.1.10: name constraints are critical",
        )?;
        let permitted = constraints.permitted_subtrees.as_ref();
        let excluded = constraints.excluded_subtrees.as_ref();
        rule(
            (permitted.is_some() || excluded.is_some())
                && permitted.is_none_or(|trees| !trees.is_empty())
                && excluded.is_none_or(|trees| !trees.is_empty()),
            "4.2.1.10: name constraints constrain something",
        )?;
        let bases = permitted.into_iter().chain(excluded).flatten().map(|tree| &tree.base);
        rule(bases.into_iter().all(is_constraint), "4.2.1.10: constraints of the right syntax")
    }

    /// Baseline Requirements, 6.1.5 and 7.1.
    fn conforms_to_baseline(&self, role: Role) -> Verdict {
        match self.x509.public_key().parsed() {
            Ok(PublicKey::RSA(key)) => {
                let zeros = key.modulus.iter().take_while(|byte| **byte == 0).count();
                let modulus = &key.modulus[zeros..];
                let first = modulus.first().map_or(0, |byte| byte.leading_zeros() as usize);
                let bits = modulus.len() * 8 - first;
                rule(
                    bits >= 2048 && bits % 8 == 0,
                    "6.1.5: RSA of at least 2048 bits, whole octets",
                )?;
            }
            Ok(PublicKey::EC(_)) => {}
            _ => return Err("6.1.5: an RSA or ECDSA key".to_owned()),
        }
        let extended = self.extended_key_usage();
        match role {
            Role::Anchor => {
                rule(extended.is_none(), "7.1.2.1.2: a root has no extended key usage")?;
                let Some(id) = self.authority_key_identifier() else {
                    return Ok(());
                };
                let own = self.find(|extension| match extension {
                    ParsedExtension::SubjectKeyIdentifier(id) => Some(id),
                    _ => None,
                });
                rule(
                    id.authority_cert_issuer.is_none()
                        && id.authority_cert_serial.is_none()
                        && (!self.self_issued || id.key_identifier.as_ref() == own),
                    "7.1.2.1.3: a root's authority key identifier is its own",
                )
            }
            Role::Authority => Ok(()),
            Role::Peer => {
                let basic = self.x509.basic_constraints().ok().flatten();
                rule(
                    !basic.is_some_and(|basic| basic.value.ca),
                    "7.1.2.7.8: a subscriber is no CA",
                )?;
                rule(
                    extended.is_some_and(|usage| {
                        let others = [oid!(1.3.6.1.4.1.11129.2.4.4)];
                        usage.server_auth
                            && !usage.any
                            && !usage.code_signing
                            && !usage.email_protection
                            && !usage.time_stamping
                            && !usage.ocsp_signing
                            && !usage.other.iter().any(|other| others.contains(other))
                    }) && self.critical(&oid!(2.5.29.37)) == Some(false),
                    "7.1.2.7.10: an extended key usage for servers, and what may stand beside it",
                )?;
                let subject = self.x509.subject().iter().next().is_some();
                rule(
                    self.critical(&oid!(2.5.29.17)) == Some(!subject),
                    "7.1.2.7.12: alternative names, critical only without a subject",
                )
            }
        }
    }

    /// Baseline Requirements, 7.1.4.3: a copy of one, character for character.
    fn common_name_is_an_alternative_name(&self) -> Verdict {
        let names = Names::read(&self.x509)?;
        let mut common = self.x509.subject().iter_common_name();
        let Some(name) = common.next() else {
            return Ok(());
        };
        let name = name.as_str().map_err(|error| error.to_string())?;
        let copied = names.hosts.iter().any(|host| *host == name)
            || names.addresses.iter().any(|address| address.to_string() == name);
        rule(copied && common.next().is_none(), "7.1.4.3: the common name is an alternative name")
    }
}

/// The alternative names of a certificate.
#[derive(Default)]
pub struct Names {
    hosts: Vec<String>,
    addresses: Vec<IpAddr>,
    mailboxes: Vec<String>,
    others: usize,
    /// An address of another length than 4 or 16 octets.
    malformed: bool,
}

impl Names {
    pub fn of(certificate: &Certificate) -> Result<Self, String> {
        Read::new(certificate).and_then(|read| Self::read(&read.x509))
    }

    fn read(x509: &X509Certificate<'_>) -> Result<Self, String> {
        let mut names = Self::default();
        let found = x509.subject_alternative_name().map_err(|error| error.to_string())?;
        for name in found.iter().flat_map(|found| &found.value.general_names) {
            match name {
                GeneralName::DNSName(host) => names.hosts.push((*host).to_owned()),
                GeneralName::RFC822Name(mailbox) => names.mailboxes.push((*mailbox).to_owned()),
                GeneralName::IPAddress(octets) => match address(octets) {
                    Some(address) => names.addresses.push(address),
                    None => names.malformed = true,
                },
                _ => names.others += 1,
            }
        }
        Ok(names)
    }

    fn is_empty(&self) -> bool {
        let known = self.hosts.len() + self.addresses.len() + self.mailboxes.len();
        known + self.others == 0 && !self.malformed
    }

    fn are_well_formed(&self) -> bool {
        let host = |name: &String| is_host(name.strip_prefix("*.").unwrap_or(name));
        !self.malformed
            && self.hosts.iter().all(host)
            && self.mailboxes.iter().all(|mailbox| is_mailbox(mailbox))
    }

    /// RFC 9525, 6.3: a wildcard stands for one whole leftmost label, below a domain.
    pub fn has_host(&self, wanted: &str) -> bool {
        self.hosts.iter().any(|host| match host.strip_prefix("*.") {
            Some(parent) => wanted.split_once('.').is_some_and(|(label, rest)| {
                !label.is_empty() && rest.eq_ignore_ascii_case(parent)
            }),
            None => !host.contains('*') && host.eq_ignore_ascii_case(wanted),
        })
    }

    pub fn has_address(&self, wanted: IpAddr) -> bool {
        self.addresses.contains(&wanted)
    }

    /// RFC 5280, 7.5: the domain without regard to case.
    pub fn has_mailbox(&self, wanted: &str) -> bool {
        let split = |text: &str| {
            text.rsplit_once('@').map(|(local, host)| (local.to_owned(), host.to_ascii_lowercase()))
        };
        self.mailboxes.iter().any(|mailbox| split(mailbox) == split(wanted))
    }
}

fn address(octets: &[u8]) -> Option<IpAddr> {
    match octets.len() {
        4 => <[u8; 4]>::try_from(octets).ok().map(IpAddr::from),
        16 => <[u8; 16]>::try_from(octets).ok().map(IpAddr::from),
        _ => None,
    }
}

/// RFC 1034, 3.5 with RFC 1123, 2.1.
fn is_host(name: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.len() <= 253 && name.split('.').all(label)
}

fn is_mailbox(text: &str) -> bool {
    text.split_once('@').is_some_and(|(local, host)| {
        !local.is_empty() && local.bytes().all(|byte| byte.is_ascii_graphic()) && is_host(host)
    })
}

/// RFC 5280, 4.2.1.10: a domain; a mailbox, host or domain with a leading period; a network.
fn is_constraint(base: &GeneralName<'_>) -> bool {
    match base {
        GeneralName::DNSName(name) => name.is_empty() || is_host(name),
        GeneralName::RFC822Name(name) if name.contains('@') => is_mailbox(name),
        GeneralName::RFC822Name(name) | GeneralName::URI(name) => {
            is_host(name.strip_prefix('.').unwrap_or(name))
        }
        GeneralName::IPAddress(octets) => is_network(octets),
        GeneralName::Invalid(..) => false,
        _ => true,
    }
}

/// An address and a mask of ones followed by zeros (RFC 4632, 3.1).
fn is_network(octets: &[u8]) -> bool {
    if octets.len() != 8 && octets.len() != 32 {
        return false;
    }
    let mask = &octets[octets.len() / 2..];
    let ones: u32 = mask.iter().map(|byte| byte.count_ones()).sum();
    let leading = mask
        .iter()
        .position(|byte| *byte != 0xFF)
        .map_or(mask.len() * 8, |full| full * 8 + mask[full].leading_ones() as usize);
    ones as usize == leading
}

/// RFC 5280, 5.2.3: a list has a number, and the extension is not critical; 5.1.2.6: no serial twice.
pub fn check_crl(pem: &[u8]) -> Verdict {
    let (_, pem) = x509_parser::pem::parse_x509_pem(pem).map_err(|error| error.to_string())?;
    let (_, list) =
        CertificateRevocationList::from_der(&pem.contents).map_err(|error| error.to_string())?;
    let mut numbers = list.extensions().iter().filter(|extension| extension.oid == oid!(2.5.29.20));
    rule(numbers.next().is_some_and(|number| !number.critical), "5.2.3: the list has a number")?;
    let mut serials: Vec<_> =
        list.iter_revoked_certificates().map(|entry| entry.raw_serial()).collect();
    let entries = serials.len();
    serials.sort_unstable();
    serials.dedup();
    rule(serials.len() == entries, "5.1.2.6: no certificate is revoked twice")
}

/// What the case itself asks of the peer's usages.
pub fn check_asked(peer: &Certificate, key: &[String], extended: &[String]) -> Verdict {
    let read = Read::new(peer)?;
    let has = |usage: &KeyUsage, word: &str| match word {
        "digitalSignature" => usage.digital_signature(),
        "contentCommitment" => usage.non_repudiation(),
        "keyEncipherment" => usage.key_encipherment(),
        "dataEncipherment" => usage.data_encipherment(),
        "keyAgreement" => usage.key_agreement(),
        "keyCertSign" => usage.key_cert_sign(),
        "cRLSign" => usage.crl_sign(),
        "encipherOnly" => usage.encipher_only(),
        "decipherOnly" => usage.decipher_only(),
        _ => false,
    };
    let usage = read.key_usage();
    rule(
        usage.is_none_or(|usage| key.iter().all(|word| has(usage, word))),
        "the key usage asked for",
    )?;
    let has = |usage: &ExtendedKeyUsage<'_>, word: &str| match word {
        _ if usage.any => true,
        "serverAuth" => usage.server_auth,
        "clientAuth" => usage.client_auth,
        "codeSigning" => usage.code_signing,
        "emailProtection" => usage.email_protection,
        "timeStamping" => usage.time_stamping,
        "OCSPSigning" => usage.ocsp_signing,
        _ => false,
    };
    let usage = read.extended_key_usage();
    rule(
        usage.is_none_or(|usage| extended.iter().all(|word| has(usage, word))),
        "the extended key usage asked for",
    )
}
