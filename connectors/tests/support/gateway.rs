//! A provincial gateway: a real HTTPS server that checks tokens and signatures.

use std::{collections::BTreeSet, net::SocketAddr, path::PathBuf, time::Duration};

use async_trait::async_trait;
use connectors::{
    Connector, ConnectorSettings, Shared,
    provincial_gateway::{GatewaySettings, GatewayShape, GatewaySignatures, ProvincialGateway},
    rules::{Counterpart, samples},
};
use licence::{Licence, Seq};
use serde_json::{Map, Value, json};
use tempfile::TempDir;

use super::city::{Authority, Identity};

/// The application's secret.
pub const SECRET: &str = "样本口令-not-a-secret";

/// A gateway with the files that a connector to it needs.
pub struct Gateway {
    pub folder: TempDir,
    pub authority: Authority,
    pub server: Identity,
    pub shape: GatewayShape,
    pub signatures: GatewaySignatures,
    pub token_lifetime: Duration,
    pub client_anchors: Option<String>,
    pub address: SocketAddr,
    pub gateway: Option<ProvincialGateway>,
}

impl Gateway {
    pub async fn start(shape: GatewayShape) -> Self {
        let authority = Authority::new("province");
        let folder = TempDir::new().unwrap();
        let server = authority.server("127.0.0.1");
        let mut gateway = Self {
            folder,
            server,
            shape,
            signatures: GatewaySignatures::HmacSm3,
            token_lifetime: Duration::from_secs(600),
            client_anchors: None,
            address: ([127, 0, 0, 1], 0).into(),
            gateway: None,
            authority,
        };
        gateway.write("ca.pem", &gateway.authority.pem);
        gateway.write("secret", &format!("{SECRET}\n"));
        gateway.run().await;
        gateway
    }

    pub async fn run(&mut self) {
        let gateway = ProvincialGateway::start(GatewaySettings {
            listen: self.address,
            certificate: self.server.certificate.clone(),
            key: self.server.key.clone(),
            client_anchors: self.client_anchors.clone(),
            shape: self.shape,
            access_id: "hub".to_owned(),
            secret: SECRET.to_owned(),
            signatures: self.signatures.clone(),
            token_lifetime: self.token_lifetime,
            types: Some(BTreeSet::from(samples::types())),
            journal: Some(self.file("journal")),
        })
        .await
        .unwrap();
        self.address = gateway.address();
        self.gateway = Some(gateway);
    }

    /// Ends it and starts it again, with what has changed.
    pub async fn run_again(&mut self) {
        if let Some(gateway) = self.gateway.take() {
            gateway.stop().await;
        }
        self.run().await;
    }

    pub fn gateway(&self) -> &ProvincialGateway {
        self.gateway.as_ref().expect("the gateway runs")
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, content: &str) {
        std::fs::write(self.file(name), content).unwrap();
    }

    pub fn settings(&self) -> ConnectorSettings {
        self.settings_to(self.address)
    }

    /// Settings of a connector that reaches it at another address.
    pub fn settings_to(&self, address: SocketAddr) -> ConnectorSettings {
        let (shape, values, paths) = match self.shape {
            GatewayShape::Guangdong => (
                "guangdong",
                json!({
                    "matter_code": "11370800MB285591843370117002011",
                    "matter_name": "电子证照归集",
                    "operator_account": "yihao",
                    "operator_name": "样本操作员",
                    "operator_organisation": "样本市政务服务局",
                    "operator_organisation_code": samples::ISSUER
                }),
                json!({ "tallies": "/v1/license/tallies", "holdings": "/v1/license/holdings" }),
            ),
            GatewayShape::Gbt36906 => (
                "gbt36906",
                json!({}),
                json!({ "tallies": "/tallyCertInfo", "holdings": "/listCertInfo" }),
            ),
        };
        let more = json!({
            "shape": shape, "access_id": "hub", "secret_file": self.file("secret"),
            "values": values, "paths": paths
        });
        let Value::Object(more) = more else { panic!("an object") };
        ConnectorSettings {
            name: "gateway".to_owned(),
            kind: "rest".to_owned(),
            url: Some(format!("https://{address}")),
            ca: Some(self.file("ca.pem")),
            connect_timeout_ms: Some(2_000),
            timeout_ms: Some(10_000),
            more,
            ..ConnectorSettings::default()
        }
    }
}

/// The settings with this in place of what they say.
pub fn with(mut settings: ConnectorSettings, name: &str, value: Value) -> ConnectorSettings {
    settings.more.insert(name.to_owned(), value);
    settings
}

/// The settings without this.
pub fn without(mut settings: ConnectorSettings, name: &str) -> ConnectorSettings {
    let more: Map<String, Value> =
        settings.more.into_iter().filter(|(known, _)| known != name).collect();
    settings.more = more;
    settings
}

#[async_trait]
impl Counterpart for Gateway {
    fn connector(&self) -> Box<dyn Connector> {
        super::province::open(&self.settings())
    }

    async fn held(&self) -> Vec<Seq> {
        self.gateway().taken()
    }

    fn spoil(&self, record: Shared) -> Shared {
        let licence: Licence =
            samples::licence(record.seq().0, "11100000000013338W777".parse().unwrap());
        samples::of_licence(record.seq().0, licence)
    }

    async fn go_down(&mut self) {
        self.gateway.take().expect("the gateway runs").stop().await;
    }

    async fn come_up(&mut self) {
        self.run().await;
    }
}
