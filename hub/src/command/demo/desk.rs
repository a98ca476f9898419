//! The departments' desk of the demo: plays the system of the departments that decide, over the province's database.
//! It accepts what comes, grants it, issues the licence it results in and reports that. `--desk off` leaves all of it to
//! the clerks.

use std::{collections::BTreeSet, error::Error, time::Duration};

use certs::{SigningIdentity, sign_detached};
use connectors::department_desk::{DepartmentDesk, DeskStep, OnDesk};
use district::Story;
use jiff::Timestamp;
use licence::{Holder, HolderId, HolderKind, LicenceId};
use serde_json::{Map, Value};

use super::{district_files::signed_licence, seeds};
use crate::{clock::day_in_china, reuse::package::SignedFile};

/// How long the desk takes for each step.
const EACH: Duration = Duration::from_secs(4);

/// What the desk needs.
pub struct Desk {
    /// The province's database.
    pub connection: String,
    /// What was handed over before this, Beijing time, is left to the clerks.
    pub since: String,
    /// `https://localhost:N`.
    pub hub: String,
    /// Per issuing department: its credit code, its client, its signing key.
    pub issuers: Vec<(licence::CreditCode, reqwest::Client, SigningIdentity)>,
}

type Failure = Box<dyn Error + Send + Sync>;

impl Desk {
    /// Works until the task is aborted.
    pub fn open(self) -> tokio::task::JoinHandle<()> {
        tokio::spawn(async move {
            // Cases that result in nothing, or in what could not be issued.
            let mut through = BTreeSet::new();
            loop {
                tokio::time::sleep(EACH).await;
                if let Err(error) = self.work(&mut through).await {
                    tracing::warn!(error, "the department's desk could not work");
                }
            }
        })
    }

    async fn work(&self, through: &mut BTreeSet<String>) -> Result<(), String> {
        let said = |error: &dyn std::fmt::Display| error.to_string();
        let desk = DepartmentDesk::connect(&self.connection).await.map_err(|error| said(&error))?;
        for department in seeds::departments() {
            let waiting = desk.waiting(department.as_str(), &self.since).await;
            for on_desk in waiting.map_err(|error| said(&error))? {
                if through.contains(&on_desk.row) {
                    continue;
                }
                let licence = match on_desk.next {
                    DeskStep::Accept | DeskStep::Grant => None,
                    DeskStep::Result => match self.issue(&desk, &on_desk).await {
                        Ok(Some(licence)) => Some(licence.to_string()),
                        Ok(None) => {
                            through.insert(on_desk.row);
                            continue;
                        }
                        Err(error) => {
                            through.insert(on_desk.row);
                            return Err(said(&error));
                        }
                    },
                };
                desk.report(&on_desk, "", licence.as_deref())
                    .await
                    .map_err(|error| said(&error))?;
            }
        }
        Ok(())
    }

    /// Issues the licence that a case results in; `None` if its matter results in none.
    async fn issue(
        &self,
        desk: &DepartmentDesk,
        on_desk: &OnDesk,
    ) -> Result<Option<LicenceId>, Failure> {
        let Some(story) = Story::ALL.into_iter().find(|one| one.code().as_str() == on_desk.matter)
        else {
            return Ok(None);
        };
        let package = SignedFile::parse(&desk.package(&on_desk.row).await?)?.package()?;
        let kind = HolderKind::from_code(&package.holder.kind)?;
        let holder = Holder {
            name: package.holder.name.clone().unwrap_or_default(),
            id: HolderId::parse(kind, &package.holder.number)?,
        };
        let fields: Map<String, Value> = package
            .form
            .iter()
            .filter_map(|one| {
                let field = match one.field.as_str() {
                    "shop-name" => "shop_name",
                    field @ ("premises" | "items" | "location" | "wording" | "size") => field,
                    _ => return None,
                };
                let wanted = match story {
                    Story::FoodShop => ["shop_name", "premises", "items"],
                    _ => ["location", "wording", "size"],
                };
                wanted.contains(&field).then(|| (field.to_owned(), one.text.clone().into()))
            })
            .collect();
        let now = Timestamp::now();
        let serial = u64::try_from(now.as_millisecond()).unwrap_or_default();
        let licence = district::result(story, holder, fields, day_in_china(now), serial);
        let Some(licence) = licence else { return Ok(None) };
        let issuer = licence.issuer.credit_code();
        let (_, client, signer) = self
            .issuers
            .iter()
            .find(|(code, ..)| code == issuer)
            .ok_or("no key of the issuing department")?;
        let document = licence.to_bytes();
        let signature = sign_detached(signer, &document, now)?;
        let to = format!("{}/v1/licences", self.hub);
        let answer = client.post(to).json(&signed_licence(&document, &signature)).send().await?;
        answer.error_for_status()?;
        Ok(Some(licence.identifier))
    }
}
