//! Persons who have logged in, and what they do on the pages and on the interface.

use std::collections::BTreeSet;

use hub::login::{Account, Role, sessions};
use licence::HolderId;
use reqwest::{Method, RequestBuilder, header::HeaderMap};
use serde_json::Value;

use super::{Answer, TestHub};

/// A person with a session, in a browser without scripts.
pub struct PageClient {
    /// Who.
    pub account: Account,
    /// The secret in the cookie.
    pub secret: String,
    /// What forms of the session carry.
    pub csrf: String,
    client: reqwest::Client,
    pages: String,
    interface: String,
}

/// A page that came back.
#[derive(Debug)]
pub struct Page {
    /// HTTP status.
    pub status: u16,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its text.
    pub html: String,
}

impl Page {
    /// Where a redirect leads.
    pub fn location(&self) -> &str {
        self.headers.get("location").and_then(|to| to.to_str().ok()).unwrap_or("")
    }

    /// The text without markup, with blanks as they are read.
    pub fn text(&self) -> String {
        let mut text = String::new();
        let mut within = false;
        for character in self.html.chars() {
            match character {
                '<' => within = true,
                '>' => {
                    within = false;
                    text.push(' ');
                }
                _ if !within => text.push(character),
                _ => {}
            }
        }
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        text.replace("&#60;", "<").replace("&#62;", ">").replace("&#38;", "&")
    }
}

impl TestHub {
    /// A person who logs in, without the way through a provider.
    pub async fn log_in(&self, account: Account) -> PageClient {
        let begun = sessions::begin(&*self.hub.store, account.clone(), self.hub.clock.now()).await;
        let (secret, session) = begun.unwrap();
        let client = self.client_builder().redirect(reqwest::redirect::Policy::none());
        PageClient {
            account,
            secret,
            csrf: session.csrf,
            client: client.build().unwrap(),
            pages: self.pages(),
            interface: self.url(""),
        }
    }

    /// The holder behind a person of the district.
    pub fn person(&self, index: u64) -> (HolderId, String) {
        let person = self.district.person(index);
        (person.id, person.name)
    }

    /// A person of the district as an applicant.
    pub async fn applicant(&self, index: u64) -> PageClient {
        let (holder, name) = self.person(index);
        self.log_in(account(
            &format!("person-{index}"),
            &name,
            vec![holder],
            &[Role::Applicant],
            None,
        ))
        .await
    }

    /// The person who represents an enterprise of the district, and both as holders.
    pub async fn representative(&self, person: u64, enterprise: u64) -> PageClient {
        let (holder, name) = self.person(person);
        let enterprise = self.district.enterprise(enterprise).id;
        let holders = vec![holder, enterprise];
        self.log_in(account(&format!("person-{person}"), &name, holders, &[Role::Applicant], None))
            .await
    }

    /// A case as it is kept.
    pub async fn case(&self, id: &str) -> hub::reuse::case::Case {
        let held = hub::records::read(&*self.hub.store, id.as_bytes()).await.unwrap();
        held.expect("there is such a case").value
    }

    /// A clerk at a node of the tree (see `district::organisations_json`).
    pub async fn clerk(&self, node: &str) -> PageClient {
        self.log_in(account(
            &format!("clerk-{node}"),
            "周敏",
            Vec::new(),
            &[Role::Clerk],
            Some(node),
        ))
        .await
    }

    /// A clerk at window 1 of the service hall.
    pub async fn window_clerk(&self) -> PageClient {
        self.clerk("hall-1").await
    }

    /// A clerk in a department, by its slug.
    pub async fn department_clerk(&self, slug: &str) -> PageClient {
        self.clerk(slug).await
    }

    /// Who looks after the hub.
    pub async fn operator(&self) -> PageClient {
        let node = Some("government-services");
        self.log_in(account("operator", "吴刚", Vec::new(), &[Role::Operator], node)).await
    }

    /// Who reads and changes nothing.
    pub async fn auditor(&self) -> PageClient {
        let node = Some("government-services");
        self.log_in(account("auditor", "郑洁", Vec::new(), &[Role::Auditor], node)).await
    }
}

/// An account.
pub fn account(
    subject: &str,
    name: &str,
    holders: Vec<HolderId>,
    roles: &[Role],
    node: Option<&str>,
) -> Account {
    Account {
        subject: format!("https://provider.example {subject}"),
        name: name.to_owned(),
        holders,
        roles: roles.iter().copied().collect::<BTreeSet<_>>(),
        node: node.map(str::to_owned),
    }
}

impl PageClient {
    /// Whom the person acts for first.
    pub fn holder(&self) -> &HolderId {
        &self.account.holders[0]
    }

    /// Reads a page.
    pub async fn get(&self, path: &str) -> Page {
        self.send(self.page(Method::GET, path)).await
    }

    /// Sends a form of a page, with the session's token.
    pub async fn post(&self, path: &str, form: &[(&str, &str)]) -> Page {
        let form = [form, &[("csrf", self.csrf.as_str())]].concat();
        self.post_as_is(path, &form).await
    }

    /// Sends a form without adding the token.
    pub async fn post_as_is(&self, path: &str, form: &[(&str, &str)]) -> Page {
        let body: Vec<String> = form
            .iter()
            .map(|(name, value)| format!("{}={}", encoded(name), encoded(value)))
            .collect();
        let request = self
            .page(Method::POST, path)
            .header("Content-Type", "application/x-www-form-urlencoded")
            .body(body.join("&"));
        self.send(request).await
    }

    /// A request to a page, with the session's cookie and what a browser says of its own pages.
    pub fn page(&self, method: Method, path: &str) -> RequestBuilder {
        self.client
            .request(method, format!("{}{path}", self.pages))
            .header("Cookie", format!("{}={}", sessions::COOKIE, self.secret))
            .header("Sec-Fetch-Site", "same-origin")
            .header("Sec-Fetch-Mode", "navigate")
    }

    /// Sends a request to a page.
    pub async fn send(&self, request: RequestBuilder) -> Page {
        let answer = request.send().await.unwrap();
        Page {
            status: answer.status().as_u16(),
            headers: answer.headers().clone(),
            html: answer.text().await.unwrap(),
        }
    }

    /// Calls the interface with the session and its token.
    pub async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Answer {
        let mut request = self.api(method, path).header("X-Yihao-Csrf", &self.csrf);
        if let Some(body) = body {
            request = request.json(body);
        }
        Answer::read(request.send().await.unwrap()).await
    }

    /// A call of the interface with the session, without its token.
    pub fn api(&self, method: Method, path: &str) -> RequestBuilder {
        self.client
            .request(method, format!("{}{path}", self.interface))
            .header("Cookie", format!("{}={}", sessions::COOKIE, self.secret))
    }
}

/// A text as it stands in a form.
fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}
