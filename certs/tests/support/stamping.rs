//! A time-stamp authority: `openssl ts -reply` in a temporary folder, with certificates made by `openssl`.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::path::Path;

use super::run;

/// Prepares a folder: `ca.pem`, and `NAME.pem` with `NAME.key` of each authority.
///
/// * `authorities`: name, extended key usage, and start and days of validity, as in `-not_before` words.
pub fn prepare(folder: &Path) {
    let put = |name: &str, text: &str| std::fs::write(folder.join(name), text).unwrap();
    put(
        "ca.ext",
        "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n\
         subjectKeyIdentifier=hash\n",
    );
    put(
        "ts.cnf",
        "oid_section = oids\n[oids]\n[tsa]\ndefault_tsa = one\n[one]\ndir = .\nserial = ./serial\n\
         crypto_device = builtin\nsigner_digest = sha256\ndefault_policy = 1.2.3.4.1\n\
         other_policies = 1.2.3.4.5.6\ndigests = sha256, sha384, sha512, sm3\n\
         accuracy = secs:1, millisecs:500, microsecs:100\nordering = yes\ntsa_name = yes\n\
         ess_cert_id_chain = no\ness_cert_id_alg = sha256\n",
    );
    put("serial", "01\n");
    // Serial numbers and the days of `openssl ca`, which alone can write any validity.
    put("ca.cnf", CA);
    put("index.txt", "");
    for line in [
        "openssl ecparam -name prime256v1 -genkey -noout -out ca.key",
        "openssl req -new -key ca.key -subj /C=CN/O=root/CN=stamps -out ca.csr",
        "openssl x509 -req -in ca.csr -signkey ca.key -days 3650 -extfile ca.ext -out ca.pem",
    ] {
        run(folder, line).unwrap();
    }
}

const CA: &str = "[ca]\ndefault_ca = d\n[d]\ndatabase = index.txt\nserial = ca.srl\nnew_certs_dir = .\n\
    certificate = ca.pem\nprivate_key = ca.key\ndefault_md = sha256\npolicy = p\n\
    unique_subject = no\ndefault_crl_days = 30\nrand_serial = yes\n[p]\ncommonName = supplied\n\
    countryName = optional\norganizationName = optional\n";

/// Makes an authority `NAME.pem`, `NAME.key`; the times as `YYMMDDHHMMSSZ`.
pub fn authority(folder: &Path, name: &str, algorithm: &str, usage: &str, from: &str, until: &str) {
    let extensions = format!(
        "basicConstraints=CA:FALSE\nkeyUsage=critical,digitalSignature\n\
         extendedKeyUsage={usage}\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n"
    );
    std::fs::write(folder.join(format!("{name}.ext")), extensions).unwrap();
    for line in [
        format!("openssl genpkey {algorithm} -out {name}.key"),
        format!("openssl req -new -key {name}.key -subj /C=CN/O=tsa/CN={name} -out {name}.csr"),
        format!(
            "openssl ca -batch -notext -config ca.cnf -in {name}.csr -extfile {name}.ext -startdate {from} \
             -enddate {until} -out {name}.pem"
        ),
    ] {
        run(folder, &line).unwrap();
    }
}

/// The authority's answer to a request.
pub fn answer(folder: &Path, name: &str, request: &[u8]) -> Vec<u8> {
    std::fs::write(folder.join("request.tsq"), request).unwrap();
    let line = format!(
        "openssl ts -reply -config ts.cnf -section one -queryfile request.tsq -signer {name}.pem -inkey \
         {name}.key -out answer.tsr"
    );
    run(folder, &line).unwrap();
    std::fs::read(folder.join("answer.tsr")).unwrap()
}
