//! The people of the demo: who they are, what they may do, where they work. All invented.

use std::collections::BTreeSet;

use district::{District, Story};
use jiff::civil::Date;
use licence::HolderId;
use serde_json::{Value, json};

use crate::{
    login::{Account, Person, Role},
    reuse::Who,
};

/// An account of the demo's provider.
#[derive(Clone)]
pub struct Listed {
    /// The provider's name for it.
    pub subject: String,
    /// What the person is called.
    pub name: String,
    /// The person's own number; `None` for those who only work here.
    pub holder: Option<HolderId>,
    /// The organisations the person represents.
    pub represents: Vec<HolderId>,
    /// What the person may be.
    pub role: Role,
    /// Where the person works.
    pub node: Option<&'static str>,
    /// Who this is, for the visitor.
    pub about: &'static str,
}

/// Everybody.
pub struct People {
    /// Opens a food shop; has a finished case and is asked for consent.
    pub shopkeeper: Listed,
    /// Promised a health certificate and did not bring it.
    pub late: Listed,
    /// Promised one and brought it; disputes an address.
    pub prompt: Listed,
    /// Was asked for a better copy.
    pub asked: Listed,
    /// Clerks, operator, auditor.
    pub staff: Vec<Listed>,
}

impl People {
    /// The people of a district on a day. `None` if the district is too small.
    pub fn of(district: &District, on: Date) -> Option<Self> {
        let owner = district.applicant(Story::FoodShop, on)?;
        let enterprise = district.applicant(Story::JobRefund, on)?.holder.id;
        let owner_id = owner.holder.id.clone();
        let mut others = district
            .licences()
            .filter(|licence| licence.name == "居民身份证")
            .filter(|licence| licence.valid_to.is_none_or(|last| last >= on))
            .filter_map(|licence| licence.holders.into_iter().next())
            .filter(|holder| holder.id != owner_id && is_adult(&holder.id, on));
        let mut other = |subject: &str, about| {
            let holder = others.next()?;
            Some(applicant(subject, holder.name, holder.id, about))
        };
        let mut shopkeeper = applicant(
            "shopkeeper",
            owner.holder.name,
            owner.holder.id,
            "开店的人，也代表一家企业：有一件已办结，有一次授权待答复",
        );
        shopkeeper.represents = vec![enterprise];
        Some(Self {
            shopkeeper,
            late: other("late", "承诺后补的健康证明到期未补，不能再承诺")?,
            prompt: other("prompt", "承诺的材料已按时补交；对身份证上的住址提出了异议")?,
            asked: other("asked", "有一件待补正")?,
            staff: staff(),
        })
    }

    /// All of them, in the order in which they are listed.
    pub fn all(&self) -> impl Iterator<Item = &Listed> {
        [&self.shopkeeper, &self.late, &self.prompt, &self.asked].into_iter().chain(&self.staff)
    }

    /// The accounts' file: `yihao-accounts-1`.
    pub fn accounts(&self) -> String {
        let accounts: Vec<Value> = self.all().map(Listed::account).collect();
        format!("{:#}\n", json!({ "format": "yihao-accounts-1", "accounts": accounts }))
    }
}

impl Listed {
    fn account(&self) -> Value {
        let role = serde_json::to_value(self.role).unwrap_or_default();
        let mut account = json!({
            "subject": self.subject, "name": self.name, "roles": [role], "about": self.about,
        });
        if let Some(holder) = &self.holder {
            account["holder_kind"] = json!(holder.kind().code());
            account["holder_number"] = json!(holder.number());
        }
        if !self.represents.is_empty() {
            let codes: Vec<&str> = self.represents.iter().map(HolderId::number).collect();
            account["represents"] = json!(codes);
        }
        if let Some(node) = self.node {
            account["organisation"] = json!(node);
        }
        account
    }

    /// The person, as if logged in.
    pub fn person(&self) -> Person {
        let holders = self.holder.iter().chain(&self.represents).cloned().collect();
        let account = Account {
            subject: format!("demo {}", self.subject),
            name: self.name.clone(),
            holders,
            roles: BTreeSet::from([self.role]),
            node: self.node.map(str::to_owned),
        };
        Person { account, session: "demo".to_owned(), csrf: "demo".to_owned() }
    }

    /// The person, applying for themself. `None` for those who only work here.
    pub fn applies(&self) -> Option<Who> {
        Some(Who::Holder { person: self.person(), holder: self.holder.clone()? })
    }
}

fn applicant(subject: &str, name: String, holder: HolderId, about: &'static str) -> Listed {
    Listed {
        subject: subject.to_owned(),
        name,
        holder: Some(holder),
        represents: Vec::new(),
        role: Role::Applicant,
        node: None,
        about,
    }
}

fn staff() -> Vec<Listed> {
    let works = |subject: &str, name: &str, role, node, about| Listed {
        subject: subject.to_owned(),
        name: name.to_owned(),
        holder: None,
        represents: Vec::new(),
        role,
        node: Some(node),
        about,
    };
    let clerk = |subject, name, node, about| works(subject, name, Role::Clerk, node, about);
    vec![
        clerk("window", "周敏", "hall-1", "政务服务中心1号窗口"),
        clerk("village", "韦秀英", "heping-1", "和平村便民服务点"),
        clerk("services", "陈立", "government-services", "政务服务和数据管理局：审批办件"),
        clerk("housing", "黄海燕", "housing", "住房和城乡建设局：请求授权用证"),
        clerk("labour", "覃勇", "social-security", "人力资源和社会保障局"),
        clerk("market", "李春梅", "market-regulation", "市场监督管理局"),
        clerk("police", "蒙志强", "public-security", "公安分局：答复身份证异议"),
        clerk("approvals", "罗芳", "approvals", "行政审批局"),
        works("operator", "吴刚", Role::Operator, "government-services", "运维：推送状态"),
        works("auditor", "郑洁", Role::Auditor, "government-services", "审计：只看不改"),
    ]
}

/// 18 or older, as far as a citizen number says.
fn is_adult(holder: &HolderId, on: Date) -> bool {
    let year = holder.number().get(6..10).and_then(|year| year.parse::<i16>().ok());
    year.is_some_and(|year| (18..70).contains(&(on.year() - year)))
}

#[cfg(test)]
mod tests {
    use district::DistrictSize;

    use super::*;

    #[test]
    fn everybody_is_listed_once_and_works_at_a_place_of_the_tree() {
        let size = DistrictSize { persons: 200, enterprises: 60, projects: 6, licences: 0 };
        let natural = District::new(7, size).natural_licences();
        let district = District::new(7, DistrictSize { licences: natural, ..size });
        let people = People::of(&district, jiff::civil::date(2026, 11, 24)).unwrap();
        let subjects: BTreeSet<&str> = people.all().map(|one| one.subject.as_str()).collect();
        assert_eq!(subjects.len(), people.all().count());
        let holders: BTreeSet<&str> =
            people.all().filter_map(|one| Some(one.holder.as_ref()?.number())).collect();
        assert_eq!(holders.len(), 4, "four applicants");
        let tree = district::organisations_json();
        let tree = crate::login::Organisations::parse(tree.as_bytes()).unwrap();
        for one in &people.staff {
            assert!(tree.node(one.node.unwrap()).is_some(), "{}", one.subject);
        }
        assert!(people.accounts().contains("\"format\": \"yihao-accounts-1\""));
    }
}
