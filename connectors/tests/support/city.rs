//! A city's receiver: a real HTTPS server that checks client certificates.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use async_trait::async_trait;
use connectors::{
    Connector, ConnectorSettings, Shared,
    city_receiver::{CityReceiver, CitySettings},
    rules::{Counterpart, samples},
};
use licence::Seq;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use tempfile::TempDir;

/// An authority of the tests' own.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub pem: String,
}

/// A certificate and its key, PEM.
pub struct Identity {
    pub certificate: String,
    pub key: String,
}

impl Authority {
    pub fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    pub fn server(&self, name: &str) -> Identity {
        self.issue(name, ExtendedKeyUsagePurpose::ServerAuth, (2020, 2099))
    }

    pub fn expired_server(&self, name: &str) -> Identity {
        self.issue(name, ExtendedKeyUsagePurpose::ServerAuth, (2020, 2021))
    }

    pub fn client(&self) -> Identity {
        self.issue("hub", ExtendedKeyUsagePurpose::ClientAuth, (2020, 2099))
    }

    pub fn expired_client(&self) -> Identity {
        self.issue("hub", ExtendedKeyUsagePurpose::ClientAuth, (2020, 2021))
    }

    fn issue(&self, name: &str, usage: ExtendedKeyUsagePurpose, years: (i32, i32)) -> Identity {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![usage];
        params.not_before = date_time_ymd(years.0, 1, 1);
        params.not_after = date_time_ymd(years.1, 1, 1);
        let certificate = params.signed_by(&key, &self.issuer).unwrap().pem();
        Identity { certificate, key: key.serialize_pem() }
    }
}

/// A receiver with the files that a connector to it needs.
pub struct City {
    pub folder: TempDir,
    pub authority: Authority,
    server: Identity,
    pub address: SocketAddr,
    pub receiver: Option<CityReceiver>,
}

impl City {
    pub async fn start() -> Self {
        let authority = Authority::new("city");
        let folder = TempDir::new().unwrap();
        let server = authority.server("127.0.0.1");
        let client = authority.client();
        write(&folder, "ca.pem", &authority.pem);
        write(&folder, "client.pem", &client.certificate);
        write(&folder, "client.key", &client.key);
        let mut city =
            Self { folder, authority, server, address: ([127, 0, 0, 1], 0).into(), receiver: None };
        city.run().await;
        city
    }

    pub async fn run(&mut self) {
        let receiver = CityReceiver::start(CitySettings {
            listen: self.address,
            certificate: self.server.certificate.clone(),
            key: self.server.key.clone(),
            client_anchors: self.authority.pem.clone(),
            capacity: 100_000,
            types: Some(BTreeSet::from(samples::types())),
        })
        .await
        .unwrap();
        self.address = receiver.address();
        self.receiver = Some(receiver);
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, content: &str) {
        write(&self.folder, name, content);
    }

    pub fn settings(&self) -> ConnectorSettings {
        settings(self.folder.path(), self.address)
    }

    pub fn receiver(&self) -> &CityReceiver {
        self.receiver.as_ref().expect("the receiver runs")
    }
}

/// Settings of a connector to this address with the files in this folder.
pub fn settings(folder: &Path, address: SocketAddr) -> ConnectorSettings {
    ConnectorSettings {
        name: "city".to_owned(),
        kind: "http".to_owned(),
        url: Some(format!("https://{address}")),
        ca: Some(folder.join("ca.pem")),
        certificate: Some(folder.join("client.pem")),
        key: Some(folder.join("client.key")),
        connect_timeout_ms: Some(2_000),
        timeout_ms: Some(10_000),
        ..ConnectorSettings::default()
    }
}

fn write(folder: &TempDir, name: &str, content: &str) {
    std::fs::write(folder.path().join(name), content).unwrap();
}

#[async_trait]
impl Counterpart for City {
    fn connector(&self) -> Box<dyn Connector> {
        super::province::open(&self.settings())
    }

    async fn held(&self) -> Vec<Seq> {
        self.receiver().taken()
    }

    fn spoil(&self, record: Shared) -> Shared {
        samples::issued_of(record.seq().0, "11100000000013338W777".parse().unwrap())
    }

    async fn go_down(&mut self) {
        self.receiver.take().expect("the receiver runs").stop().await;
    }

    async fn come_up(&mut self) {
        self.run().await;
    }
}
