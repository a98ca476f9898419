//! The departments of the invented 澜溪区 (Lanxi District) of 汀陵市 (Tingling City).

use licence::{CreditCode, LicenceTypeCode, MatterCode};

use crate::{kinds::Kind, matters::MATTERS, numbers, stories::Story};

/// The division code the district stands under; in force since 1983.
pub const REGION: &str = "450203";
/// The city's name.
pub const CITY: &str = "汀陵市";
/// The district's name.
pub const DISTRICT: &str = "澜溪区";

/// A department of the district.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Department {
    /// Chinese name.
    pub name: &'static str,
    /// English name.
    pub name_en: &'static str,
    /// Credit code, which is also what its client certificate carries.
    pub code: CreditCode,
    /// Short name for files: lowercase letters and hyphens.
    pub slug: &'static str,
}

pub(crate) struct Body {
    pub(crate) name: &'static str,
    name_en: &'static str,
    slug: &'static str,
    body: &'static str,
}

pub(crate) static MARKET: Body = Body {
    name: "澜溪区市场监督管理局",
    name_en: "Lanxi District Administration for Market Regulation",
    slug: "market-regulation",
    body: "MB1A2031",
};
pub(crate) static POLICE: Body = Body {
    name: "汀陵市公安局澜溪分局",
    name_en: "Lanxi Branch of Tingling Public Security Bureau",
    slug: "public-security",
    body: "00731584",
};
pub(crate) static APPROVALS: Body = Body {
    name: "澜溪区行政审批局",
    name_en: "Lanxi District Administrative Approval Bureau",
    slug: "approvals",
    body: "MB1A2074",
};
pub(crate) static SERVICES: Body = Body {
    name: "澜溪区政务服务和数据管理局",
    name_en: "Lanxi District Government Services and Data Bureau",
    slug: "government-services",
    body: "MB1A2103",
};
pub(crate) static HOUSING: Body = Body {
    name: "澜溪区住房和城乡建设局",
    name_en: "Lanxi District Housing and Urban-Rural Development Bureau",
    slug: "housing",
    body: "00731628",
};
pub(crate) static LABOUR: Body = Body {
    name: "澜溪区人力资源和社会保障局",
    name_en: "Lanxi District Human Resources and Social Security Bureau",
    slug: "social-security",
    body: "00731665",
};

impl Body {
    /// Authority 1 (机构编制), kind 1 (机关).
    pub(crate) fn code(&self) -> String {
        numbers::credit("11", REGION, self.body)
    }

    fn department(&self) -> Department {
        Department {
            name: self.name,
            name_en: self.name_en,
            code: crate::known(&self.code()),
            slug: self.slug,
        }
    }
}

/// The three departments that issue licences.
pub fn issuing_departments() -> Vec<Department> {
    [&MARKET, &POLICE, &APPROVALS].map(Body::department).into()
}

/// The three departments that pull licences for matters they handle.
pub fn consuming_departments() -> Vec<Department> {
    [&SERVICES, &HOUSING, &LABOUR].map(Body::department).into()
}

/// The types that a department issues; empty for a consuming department.
pub fn issues(department: &CreditCode) -> Vec<LicenceTypeCode> {
    Kind::catalogue()
        .filter(|kind| kind.issuer().code() == department.as_str())
        .map(|kind| crate::known(kind.code()))
        .collect()
}

/// Who may do what, as Cedar policies.
///
/// Issuing departments issue their own types and change their status. Consuming departments pull
/// the types that a matter of theirs requires, for that matter, on the bases `duty` and `holder`
/// (`consent` too where an applicant's family is involved, and for what is applied for), and search and follow those types. The
/// government services bureau operates the hub's connectors.
pub fn policies() -> String {
    let mut text = format!("// Rights of the departments of {CITY}{DISTRICT}.\n");
    for department in issuing_departments() {
        let types = type_list(issues(&department.code).iter().map(LicenceTypeCode::as_str));
        text.push_str(&format!(
            "\n// {name}\n@id(\"{slug}-issue\")\npermit(\n  principal == Department::\"{code}\",\n  \
             action in [Action::\"issue\", Action::\"status\", Action::\"search\", Action::\"follow\"],\n  \
             resource\n) when {{ resource in [{types}] }};\n",
            name = department.name,
            slug = department.slug,
            code = department.code,
        ));
    }
    for department in consuming_departments() {
        let mut all: Vec<&str> = Vec::new();
        let mut found: Vec<LicenceTypeCode> = Vec::new();
        for (number, matter) in MATTERS.iter().enumerate() {
            if matter.department.code() != department.code.as_str() {
                continue;
            }
            let types = matter.requires.iter().map(|kind| kind.code());
            all.extend(types.clone());
            text.push_str(&pull_policy(
                &department,
                &format!("{}-matter-{:02}", department.slug, number + 1),
                matter.name,
                type_list(types),
                &matter.code(),
                matter.family,
            ));
        }
        for story in Story::ALL
            .into_iter()
            .filter(|story| story.department().code() == department.code.as_str())
        {
            let types = story.requires();
            text.push_str(&pull_policy(
                &department,
                &format!("{}-{}", department.slug, story.slug()),
                story.name(),
                type_list(types.iter().map(LicenceTypeCode::as_str)),
                story.code().as_str(),
                true,
            ));
            found.extend(types.into_iter().chain(story.guide().result));
        }
        all.extend(found.iter().map(LicenceTypeCode::as_str));
        all.sort_unstable();
        all.dedup();
        text.push_str(&format!(
            "\n@id(\"{slug}-find\")\npermit(\n  principal == Department::\"{code}\",\n  \
             action in [Action::\"search\", Action::\"follow\"],\n  resource\n) when {{ resource in [{types}] }};\n",
            slug = department.slug,
            code = department.code,
            types = type_list(all.into_iter()),
        ));
    }
    // A hub next door connects with the office's certificate and hands over what its issuers signed.
    text.push_str(&format!(
        "\n@id(\"{slug}-exchange\")\npermit(\n  principal == Department::\"{code}\",\n  \
         action == Action::\"exchange\",\n  resource\n);\n",
        slug = SERVICES.slug,
        code = SERVICES.code(),
    ));
    text.push_str(&format!(
        "\n@id(\"{slug}-operate\")\npermit(\n  principal == Department::\"{code}\",\n  \
         action == Action::\"operate\",\n  resource == Hub::\"hub\"\n);\n",
        slug = SERVICES.slug,
        code = SERVICES.code(),
    ));
    text
}

/// May pull these types for this matter by duty, at the holder's request, and perhaps with the holder's consent.
fn pull_policy(
    department: &Department,
    id: &str,
    matter_name: &str,
    types: String,
    matter: &str,
    consent: bool,
) -> String {
    let bases = if consent { "\"duty\", \"holder\", \"consent\"" } else { "\"duty\", \"holder\"" };
    format!(
        "\n// {name}：{matter_name}\n@id(\"{id}\")\npermit(\n  \
         principal == Department::\"{code}\",\n  action == Action::\"pull\",\n  resource\n) when {{\n  \
         resource in [{types}] &&\n  context.matter == \"{matter}\" &&\n  \
         [{bases}].contains(context.basis)\n}};\n",
        name = department.name,
        code = department.code,
    )
}

fn type_list<'a>(types: impl Iterator<Item = &'a str>) -> String {
    types.map(|code| format!("LicenceType::\"{code}\"")).collect::<Vec<_>>().join(", ")
}

/// One pull that the policies allow.
#[derive(Clone, Debug, PartialEq)]
pub struct Pull {
    /// Who pulls.
    pub department: CreditCode,
    /// What for.
    pub matter: MatterCode,
    /// Whose licences.
    pub holder: licence::HolderId,
    /// Which types.
    pub types: Vec<LicenceTypeCode>,
}
