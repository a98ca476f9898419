//! What `hub keys` does to the book: make a key, take its certificate, let it sign, retire it.

use std::path::PathBuf;

use certs::{
    CertIssuer, Certificate, CertificateTemplate, KeySigner, Profile, Signer, SigningIdentity,
    Suite, certificate_request, issue_certificate,
};
use jiff::{SignedDuration, Timestamp};
use licence::CreditCode;
use ring::rand::{SecureRandom, SystemRandom};

use super::{
    KeysError, Places, SignerUnavailable,
    book::{Act, Key, KeyId, Place, State},
    folder::Folder,
    token::{self, TokenSigner},
};

/// Least characters of a passphrase that new keys are encrypted with.
const LEAST_PASSPHRASE: usize = 12;

/// Most certificates of a key: all of them go into every signature.
const MOST_CERTIFICATES: usize = 6;

/// Whose key it is.
#[derive(Clone, Debug)]
pub struct Owner {
    /// Credit code.
    pub organisation: CreditCode,
    /// Name.
    pub name: String,
}

/// A new key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted<'a> {
    /// In an encrypted file.
    File(Suite),
    /// Made on the token.
    OnToken(Suite),
    /// There on the token already, under this label.
    FoundOnToken(&'a str),
}

/// What came of `new`.
#[derive(Clone, Debug)]
pub struct Made {
    /// The key.
    pub id: KeyId,
    /// Its request for a certificate.
    pub request: PathBuf,
}

impl Places {
    fn keys_folder(&self) -> Result<&Folder, KeysError> {
        self.folder.as_ref().ok_or(KeysError::NotConfigured)
    }

    /// Makes the next key, and a request for its certificate.
    ///
    /// # Errors
    /// See [`KeysError`].
    pub fn make(&self, owner: &Owner, wanted: Wanted<'_>, act: Act) -> Result<Made, KeysError> {
        let folder = self.keys_folder()?;
        let lock = folder.lock()?;
        let mut book = folder.book()?;
        book.may_add()?;
        let id = new_id(act.at)?;
        let (signer, place) = self.make_key(folder, &id, wanted)?;
        let request =
            certificate_request(&owner.name, &owner.name, owner.organisation, signer.as_ref())?;
        let request = folder.write(&id, "csr", pem_of_request(&request).as_bytes())?;
        let public_key = certs::sha256(&signer.spki());
        book.add(id.clone(), signer.suite(), public_key, place, act)?;
        folder.keep(&lock, &book)?;
        Ok(Made { id, request })
    }

    fn make_key(
        &self,
        folder: &Folder,
        id: &KeyId,
        wanted: Wanted<'_>,
    ) -> Result<(Box<dyn Signer>, Place), KeysError> {
        let on_token = |label: &str, generate: Option<Suite>| {
            let token = self.token.clone().ok_or(KeysError::NoToken)?;
            if let Some(suite) = generate {
                token::generate(&token, label, suite).map_err(SignerUnavailable::Token)?;
            }
            let place = Place::Pkcs11 { token: token.label.clone(), label: label.to_owned() };
            let signer = TokenSigner::open(token, label).map_err(SignerUnavailable::Token)?;
            Ok::<_, KeysError>((Box::new(signer) as Box<dyn Signer>, place))
        };
        match wanted {
            Wanted::OnToken(suite) => on_token(id.as_str(), Some(suite)),
            Wanted::FoundOnToken(label) => on_token(label, None),
            Wanted::File(suite) => {
                let missing = || SignerUnavailable::PassphraseMissing(self.passphrase.place());
                let passphrase = self.passphrase.read().ok_or_else(missing)?;
                if passphrase.expose().chars().count() < LEAST_PASSPHRASE {
                    return Err(KeysError::PassphraseShort(LEAST_PASSPHRASE));
                }
                let random = SystemRandom::new();
                let key = KeySigner::generate(suite, &random)?;
                let sealed = key.to_encrypted_pkcs8_pem(passphrase.expose().as_bytes(), &random)?;
                folder.write(id, "key", sealed.as_bytes())?;
                Ok((Box::new(key), Place::File))
            }
        }
    }

    /// Takes the certificate of the next key, its own first, then its issuers': from then on it is published.
    ///
    /// # Errors
    /// `OtherKey`, `CertificateTimes` if it has ended; the book's.
    pub fn certify(
        &self,
        id: &KeyId,
        chain: &[Certificate],
        act: Act,
    ) -> Result<Timestamp, KeysError> {
        let folder = self.keys_folder()?;
        let lock = folder.lock()?;
        let mut book = folder.book()?;
        let own = chain.first().filter(|_| chain.len() <= MOST_CERTIFICATES);
        let own = own.ok_or(certs::SignError::ChainLength)?;
        let known = book.keys().iter().find(|key| key.id == *id);
        if known.is_some_and(|key| certs::sha256(own.spki()) != key.public_key) {
            return Err(KeysError::OtherKey(id.clone()));
        }
        if own.not_after() < act.at {
            let (from, to) = (own.not_before(), own.not_after());
            return Err(KeysError::CertificateTimes { from, to });
        }
        let at = act.at;
        book.certify(id, own.sha256(), act)?;
        let pem: String = chain.iter().map(Certificate::to_pem).collect();
        folder.write(id, "pem", pem.as_bytes())?;
        folder.keep(&lock, &book)?;
        Ok(at + self.publication())
    }

    /// Issues the next key's certificate with an authority whose key is at hand, as in a demo.
    ///
    /// # Errors
    /// See [`KeysError`].
    pub fn issue(
        &self,
        id: &KeyId,
        owner: &Owner,
        authority: &SigningIdentity,
        days: u16,
        act: Act,
    ) -> Result<Timestamp, KeysError> {
        let book = self.keys_folder()?.book()?;
        let key = book.next().filter(|key| key.id == *id);
        let key = key.ok_or_else(|| super::book::BookError::NotNext(id.clone()))?;
        let spki = self.spki_of(key)?;
        let second = |at: Timestamp| Timestamp::from_second(at.as_second()).unwrap_or(at);
        let until = act.at.saturating_add(SignedDuration::from_hours(24 * i64::from(days)));
        let template = CertificateTemplate {
            subject_common_name: owner.name.clone(),
            organisation_name: owner.name.clone(),
            organisation: owner.organisation,
            serial: serial()?,
            not_before: second(act.at - SignedDuration::from_secs(60)),
            not_after: second(until.unwrap_or(Timestamp::MAX)),
            profile: Profile::LicenceIssuer,
        };
        let own = issue_certificate(&template, &spki, CertIssuer::Authority(authority))?;
        let mut chain = vec![own];
        // An authority below another is sent along; an anchor is known.
        chain.extend(
            authority.chain().iter().filter(|one| one.subject_text() != one.issuer_text()).cloned(),
        );
        self.certify(id, &chain, act)
    }

    fn spki_of(&self, key: &Key) -> Result<Vec<u8>, KeysError> {
        match &key.place {
            Place::File => Ok(self.open_file(key)?.spki()),
            Place::Pkcs11 { label, .. } => {
                let token = self.token.clone().ok_or(KeysError::NoToken)?;
                Ok(TokenSigner::open(token, label).map_err(SignerUnavailable::Token)?.spki())
            }
        }
    }

    fn publication(&self) -> SignedDuration {
        SignedDuration::from_hours(i64::from(self.publish_hours))
    }

    /// Lets the next key sign, once it did a trial signature; the current one is retired.
    ///
    /// * `force`: without waiting until it was published for long enough. The first key of all never waits.
    ///
    /// # Errors
    /// See [`KeysError`].
    pub fn rotate(&self, force: bool, act: &Act) -> Result<KeyId, KeysError> {
        let folder = self.keys_folder()?;
        let lock = folder.lock()?;
        let mut book = folder.book()?;
        let first = book.current().is_none() && self.service.is_none();
        let least = (!force && !first).then(|| self.publication());
        let key = book.ready(act.at, least)?;
        let chain = folder.chain(key)?;
        let (from, to) = (chain[0].not_before(), chain[0].not_after());
        if !(from..=to).contains(&act.at) {
            return Err(KeysError::CertificateTimes { from, to });
        }
        self.identity(key, chain)?;
        let id = book.rotate(least, act)?;
        folder.keep(&lock, &book)?;
        Ok(id)
    }

    /// Retires a key.
    ///
    /// # Errors
    /// The book's; `File`.
    pub fn retire(&self, id: &KeyId, force: bool, act: Act) -> Result<State, KeysError> {
        let folder = self.keys_folder()?;
        let lock = folder.lock()?;
        let mut book = folder.book()?;
        let before = book.keys().iter().find(|key| key.id == *id).map(|key| key.state);
        book.retire(id, force, act)?;
        folder.keep(&lock, &book)?;
        Ok(before.unwrap_or(State::Retired))
    }
}

fn pem_of_request(der: &[u8]) -> String {
    use base64::{Engine, engine::general_purpose::STANDARD};
    let mut pem = "-----BEGIN CERTIFICATE REQUEST-----\n".to_owned();
    for line in STANDARD.encode(der).as_bytes().chunks(64) {
        pem.push_str(&String::from_utf8_lossy(line));
        pem.push('\n');
    }
    pem + "-----END CERTIFICATE REQUEST-----\n"
}

/// The day, and four random bytes.
fn new_id(at: Timestamp) -> Result<KeyId, KeysError> {
    let mut random = [0_u8; 4];
    SystemRandom::new().fill(&mut random).map_err(|_| KeysError::Random)?;
    let day = crate::clock::day_in_china(at).strftime("%Y%m%d");
    Ok(format!("k{day}-{}", hex::encode(random)).try_into()?)
}

/// 16 random bytes, positive and never shortened (RFC 5280, 4.1.2.2).
fn serial() -> Result<Vec<u8>, KeysError> {
    let mut serial = [0_u8; 16];
    SystemRandom::new().fill(&mut serial).map_err(|_| KeysError::Random)?;
    serial[0] = serial[0] & 0x7f | 0x40;
    Ok(serial.to_vec())
}
