//! What has happened in the demo's district before the visitor comes: cases finished, asked to be completed, promised and
//! kept or not; a consent that waits, a correction that is open. Done once, through the same use cases as everything
//! else, with the clock standing in the past.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use district::{District, Story};
use futures_util::stream;
use jiff::{SignedDuration, Timestamp, civil::Date};
use licence::CreditCode;

use super::people::{Listed, People};
use crate::{
    Hub,
    reuse::{
        Clerk, Who,
        case::SupplementItem,
        cases::{self, CaseError, DepartmentStep},
        consents::{self, Asked, ConsentError},
        corrections::{self, CorrectionError, NewDispute},
        materials::{MaterialError, NewMaterial},
        upload,
    },
};

/// How many days before the visitor the first of it happened.
pub const DAYS: i64 = 30;

/// Why the past could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SeedError {
    /// A case.
    #[error(transparent)]
    Case(#[from] CaseError),
    /// A file.
    #[error(transparent)]
    Material(#[from] MaterialError),
    /// A consent.
    #[error(transparent)]
    Consent(#[from] ConsentError),
    /// A correction.
    #[error(transparent)]
    Correction(#[from] CorrectionError),
    /// The district lacks somebody or something that it should have.
    #[error("the district has no {0}")]
    Lacking(&'static str),
}

/// Makes the past. The hub's clock stands [`DAYS`] before the present, and is moved.
pub async fn sow(hub: &Hub, district: &District, people: &People) -> Result<(), SeedError> {
    let past = Past { hub, district };
    let start = hub.clock.now();

    // Day 0: promised, granted against the promise, never brought.
    let late = past.stall(&people.late, "青溪街道夜市", "米粉、凉茶").await?;
    past.promises(&people.late, &late).await?;
    past.decided(&late).await?;

    past.on_day(start, 2);
    let prompt = past.stall(&people.prompt, "白石街道早市", "豆浆、油条").await?;
    past.promises(&people.prompt, &prompt).await?;
    past.decided(&prompt).await?;
    past.on_day(start, 6);
    past.brings(&people.prompt, &prompt, "健康证明.pdf").await?;

    past.on_day(start, 8);
    let finished = past.stall(&people.shopkeeper, "和平村市集", "糍粑").await?;
    past.brings(&people.shopkeeper, &finished, "健康证明.pdf").await?;
    past.submits(&people.shopkeeper, &finished).await?;
    past.decided(&finished).await?;

    past.on_day(start, DAYS - 3);
    let asked = past.stall(&people.asked, "青溪街道夜市", "烧烤").await?;
    past.brings(&people.asked, &asked, "健康证明（照片）.pdf").await?;
    past.submits(&people.asked, &asked).await?;
    let items = vec![
        SupplementItem {
            requirement: "health".to_owned(),
            why: "健康证明看不清编号和日期，请重新拍照或扫描".to_owned(),
        },
        SupplementItem {
            requirement: "pitch".to_owned(),
            why: "请写明具体点位，例如“夜市东段12号”".to_owned(),
        },
    ];
    past.step(&asked, DepartmentStep::Supplement { items }).await?;

    past.on_day(start, DAYS - 2);
    past.asks_for_consent(people).await?;
    past.on_day(start, DAYS - 1);
    past.disputes(&people.prompt).await
}

struct Past<'a> {
    hub: &'a Hub,
    district: &'a District,
}

impl Past<'_> {
    fn on_day(&self, start: Timestamp, day: i64) {
        let then = start.checked_add(SignedDuration::from_hours(24 * day)).unwrap_or(start);
        self.hub.clock.advance(then.duration_since(self.hub.clock.now()));
    }

    /// A little later on the same day.
    fn later(&self) {
        self.hub.clock.advance(SignedDuration::from_mins(20));
    }

    /// Opens a case of a food stall and fills in its form.
    async fn stall(&self, who: &Listed, pitch: &str, goods: &str) -> Result<String, SeedError> {
        let (who, holder) = applicant(who)?;
        let case = cases::open(self.hub, &who, &holder, &Story::FoodStall.code()).await?;
        let form = [("pitch", pitch), ("goods", goods)]
            .map(|(field, text)| (field.to_owned(), text.to_owned()));
        cases::fill(self.hub, &who, &case.id, &BTreeMap::from(form)).await?;
        self.later();
        Ok(case.id)
    }

    async fn promises(&self, who: &Listed, case: &str) -> Result<(), SeedError> {
        let (applicant, _) = applicant(who)?;
        cases::promise(self.hub, &applicant, case, &["health".to_owned()]).await?;
        self.submits(who, case).await
    }

    async fn brings(&self, who: &Listed, case: &str, name: &str) -> Result<(), SeedError> {
        let (who, holder) = applicant(who)?;
        let what = NewMaterial {
            kind: district::HEALTH_CERTIFICATE.to_owned(),
            name: name.to_owned(),
            size: 0,
            case: Some(case.to_owned()),
            valid_until: None,
        };
        let file = stream::iter([Ok::<_, std::io::Error>(Bytes::from(pdf("Health certificate")))]);
        let material = upload::take(self.hub, &who, &holder, &what, file).await?;
        cases::provide(self.hub, &who, case, "health", &material.id).await?;
        self.later();
        Ok(())
    }

    async fn submits(&self, who: &Listed, case: &str) -> Result<(), SeedError> {
        let (who, _) = applicant(who)?;
        cases::submit(self.hub, &who, case).await?;
        self.carried().await;
        self.later();
        Ok(())
    }

    /// Accepted, and granted two hours later.
    async fn decided(&self, case: &str) -> Result<(), SeedError> {
        self.step(case, DepartmentStep::Accept).await?;
        self.hub.clock.advance(SignedDuration::from_hours(2));
        self.step(case, DepartmentStep::Decide { granted: true, reason: String::new() }).await
    }

    /// A step of a clerk of the department that decides.
    async fn step(&self, case: &str, step: DepartmentStep) -> Result<(), SeedError> {
        let clerk = self.clerk("government-services", "services")?;
        cases::step(self.hub, &clerk, case, step, None).await?;
        self.carried().await;
        self.later();
        Ok(())
    }

    fn clerk(&self, node: &'static str, subject: &str) -> Result<Who, SeedError> {
        let clerk = Listed {
            subject: subject.to_owned(),
            name: String::new(),
            holder: None,
            represents: Vec::new(),
            role: crate::login::Role::Clerk,
            node: Some(node),
            about: "",
        };
        let clerk = Clerk::of(self.hub, &clerk.person());
        clerk.map(Who::Clerk).ok_or(SeedError::Lacking("such clerk"))
    }

    /// Until the province has what was handed in, so that it happens then and not now. It is not waited for long: what
    /// waits arrives later.
    async fn carried(&self) {
        for _ in 0..200 {
            // A state is a round old: one more round has to pass.
            tokio::time::sleep(Duration::from_millis(60)).await;
            let couriers = self.hub.couriers().values();
            if couriers.map(|courier| courier.state()).all(|state| state.waiting == 0) {
                return;
            }
        }
    }

    /// The housing bureau asks the shopkeeper for parts of two licences.
    async fn asks_for_consent(&self, people: &People) -> Result<(), SeedError> {
        let (_, holder) = applicant(&people.shopkeeper)?;
        let clerk = self.clerk("housing", "housing")?;
        let matter = self
            .hub
            .matters
            .all()
            .find(|matter| matter.name == "公共租赁住房保障资格确认")
            .ok_or(SeedError::Lacking("matter of public housing"))?;
        let of_name = |name: &str, fields: &[&str]| {
            let entry = self.hub.catalogue.entries().find(|entry| entry.name == name)?;
            Some((entry.code, fields.iter().map(|field| (*field).to_owned()).collect()))
        };
        let licences = [
            of_name("居民身份证", &["address"]),
            of_name("不动产权证书", &["location", "area_m2"]),
        ];
        let today = self.hub.clock.today();
        let until = today.checked_add(jiff::Span::new().days(30)).unwrap_or(today);
        let asked = Asked {
            holder,
            licences: licences.into_iter().flatten().collect(),
            matter: matter.code.clone(),
            case: None,
            reason: "核实申请家庭的住房情况".to_owned(),
            until,
        };
        consents::ask(self.hub, &clerk, &asked).await?;
        Ok(())
    }

    /// A new address that the identity card does not have yet.
    async fn disputes(&self, who: &Listed) -> Result<(), SeedError> {
        let (who, holder) = applicant(who)?;
        let card = self
            .district
            .licences()
            .find(|one| one.name == "居民身份证" && one.holders.iter().any(|h| h.id == holder))
            .ok_or(SeedError::Lacking("identity card of an applicant"))?;
        let new = NewDispute {
            licence: card.identifier,
            field: "address".to_owned(),
            says: "汀陵市澜溪区柳荫路28号2栋".to_owned(),
            why: "门牌号去年重新编过，证上还是旧的".to_owned(),
            materials: Vec::new(),
        };
        corrections::dispute(self.hub, &who, &new).await?;
        Ok(())
    }
}

fn applicant(who: &Listed) -> Result<(Who, licence::HolderId), SeedError> {
    let lacking = SeedError::Lacking("number of an applicant");
    match (who.applies(), &who.holder) {
        (Some(who), Some(holder)) => Ok((who, holder.clone())),
        _ => Err(lacking),
    }
}

/// The departments whose cases go to the province.
pub fn departments() -> Vec<CreditCode> {
    let mut all = district::consuming_departments();
    all.retain(|one| one.slug != "housing");
    all.into_iter().map(|one| one.code).collect()
}

/// The day on which [`sow`] begins, for a visitor who comes at `now`.
pub fn first_day(now: Timestamp) -> Timestamp {
    now.checked_sub(SignedDuration::from_hours(24 * DAYS)).unwrap_or(now)
}

/// The day in China.
pub fn day(at: Timestamp) -> Date {
    crate::clock::day_in_china(at)
}

/// A file of one page with a title, as small as PDF 1.4 allows.
pub fn pdf(title: &str) -> Vec<u8> {
    let text = format!("BT /F1 24 Tf 72 760 Td ({title} - sample) Tj ET");
    let objects = [
        "<< /Type /Catalog /Pages 2 0 R >>".to_owned(),
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>".to_owned(),
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R \
         /Resources << /Font << /F1 5 0 R >> >> >>"
            .to_owned(),
        format!("<< /Length {} >>\nstream\n{text}\nendstream", text.len()),
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>".to_owned(),
    ];
    let mut file = b"%PDF-1.4\n".to_vec();
    let mut offsets = Vec::new();
    for (number, object) in (1..).zip(&objects) {
        offsets.push(file.len());
        file.extend_from_slice(format!("{number} 0 obj\n{object}\nendobj\n").as_bytes());
    }
    let table = file.len();
    file.extend_from_slice(
        format!("xref\n0 {}\n0000000000 65535 f \n", offsets.len() + 1).as_bytes(),
    );
    for offset in offsets {
        file.extend_from_slice(format!("{offset:010} 00000 n \n").as_bytes());
    }
    let trailer = format!(
        "trailer\n<< /Size {} /Root 1 0 R >>\nstartxref\n{table}\n%%EOF\n",
        objects.len() + 1
    );
    file.extend_from_slice(trailer.as_bytes());
    file
}
