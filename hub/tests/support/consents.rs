//! Persons of the district with an identity card, and what a department asks them for.

use licence::Licence;
use serde_json::{Value, json};

use super::TestHub;

/// The identity card's type.
pub const IDENTITY_CARD: &str = "11100000000013127D001";

impl TestHub {
    /// Person number `index` of the district has an identity card in the repository: that card.
    pub async fn holds_identity_card(&self, index: u64) -> Licence {
        let card = self.identity_card(index);
        let answer = self.issuing("public-security").issue(&card).await;
        assert_eq!(answer.status, 201, "{}", answer.text);
        card
    }

    /// The identity card of a person of the district, valid for years.
    pub fn identity_card(&self, index: u64) -> Licence {
        let (holder, _) = self.person(index);
        let mut card = self
            .licences()
            .find(|card| {
                card.licence_type.as_str() == IDENTITY_CARD && card.holders[0].id == holder
            })
            .expect("every person has an identity card");
        card.valid_to = None;
        card
    }

    /// The code of a matter, by its name.
    pub fn matter(&self, name: &str) -> String {
        let matter = self.hub.matters.all().find(|matter| matter.name == name);
        matter.expect("the district has this matter").code.to_string()
    }

    /// What the government services bureau asks a person for: the identity card, for a sale of a flat.
    pub fn ask_of(&self, index: u64, fields: &[&str]) -> Value {
        json!({
            "holder": self.person(index).0,
            "licences": [ { "type": IDENTITY_CARD, "fields": fields } ],
            "matter": self.matter("二手房转移登记一件事"),
            "case": "2026-17",
            "reason": "核验出卖人身份",
            "until": "2026-03-31",
        })
    }

    /// A pull on a consent.
    pub fn pull_on_consent(&self, index: u64, consent: &str) -> Value {
        json!({
            "holder": self.person(index).0,
            "types": [IDENTITY_CARD],
            "matter": self.matter("二手房转移登记一件事"),
            "basis": { "kind": "consent", "reference": consent },
            "reason": "核验出卖人身份",
        })
    }
}
