//! What the pages show, as plain text in the reader's language. Templates add structure only.
//!
//! Nothing here knows the hub: [`super::home`], [`super::search`], [`super::licence`] and
//! [`super::connectors`] fill these in.

use askama::Template;

use super::{
    assets::{ASSETS, Assets},
    texts::{Language, Texts},
};

/// Part of the site, for the navigation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Section {
    Home,
    Search,
    Connectors,
    Window,
    Matters,
    Mine,
    None,
}

impl Section {
    pub(crate) fn is_home(self) -> bool {
        self == Self::Home
    }

    pub(crate) fn is_search(self) -> bool {
        self == Self::Search
    }

    pub(crate) fn is_connectors(self) -> bool {
        self == Self::Connectors
    }

    pub(crate) fn is_window(self) -> bool {
        self == Self::Window
    }

    pub(crate) fn is_matters(self) -> bool {
        self == Self::Matters
    }

    pub(crate) fn is_mine(self) -> bool {
        self == Self::Mine
    }
}

/// Parts of the site that are there for this reader only.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Nav {
    /// The personal pages.
    pub(crate) mine: bool,
    /// The window and the search.
    pub(crate) window: bool,
    /// The connectors.
    pub(crate) operate: bool,
}

/// Hidden members of a form: what a later request must say again.
pub(crate) type Hidden = Vec<(&'static str, String)>;

/// What surrounds every page.
pub(crate) struct Frame {
    pub(crate) language: Language,
    pub(crate) t: &'static Texts,
    pub(crate) title: String,
    pub(crate) section: Section,
    /// `以…的身份操作`, around the name of the department: before, name, after.
    pub(crate) acting: Option<(&'static str, String, &'static str)>,
    /// The page answers a form: switching the language sends these members again. `None`: a link does.
    pub(crate) again: Option<Hidden>,
    /// Kept in the address when the language is switched.
    pub(crate) keep: &'static str,
    pub(crate) assets: &'static Assets,
    /// The token that every form of a session carries; empty without one.
    pub(crate) csrf: String,
    /// The name of who has logged in.
    pub(crate) person: Option<String>,
    /// Where to log in, for those who have not.
    pub(crate) login: Option<String>,
    /// Parts of the site for this reader.
    pub(crate) nav: Nav,
    /// All of this is a demonstration.
    pub(crate) demo: bool,
}

impl Frame {
    pub(crate) fn new(language: Language, section: Section, title: impl Into<String>) -> Self {
        Self {
            language,
            t: language.texts(),
            title: title.into(),
            section,
            acting: None,
            again: None,
            keep: "",
            assets: &ASSETS,
            csrf: String::new(),
            person: None,
            login: None,
            nav: Nav::default(),
            demo: false,
        }
    }
}

/// How much a message matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    Plain,
    Good,
    Warning,
    Bad,
}

impl Tone {
    /// The class in the style sheet.
    pub(crate) fn class(&self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Good => "good",
            Self::Warning => "warning",
            Self::Bad => "bad",
        }
    }
}

/// A short word with a sign, so that it does not speak by colour alone.
pub(crate) struct Badge {
    pub(crate) tone: Tone,
    pub(crate) sign: &'static str,
    pub(crate) word: String,
}

/// A message above the content.
pub(crate) struct Notice {
    pub(crate) tone: Tone,
    pub(crate) title: String,
    pub(crate) says: Vec<String>,
}

impl Notice {
    /// Whether a screen reader interrupts for it: refusals are an alert, results a status.
    pub(crate) fn role(&self) -> &'static str {
        match self.tone {
            Tone::Bad => "alert",
            Tone::Plain | Tone::Good | Tone::Warning => "status",
        }
    }
}

/// One label and its value.
pub(crate) struct Fact {
    pub(crate) label: String,
    pub(crate) value: String,
    /// The label is Chinese whatever the page's language: it comes from the catalogue.
    pub(crate) chinese_label: Option<String>,
    /// The value is Chinese whatever the page's language: it comes from the licence.
    pub(crate) data: bool,
    /// Digits and codes, set in equal widths.
    pub(crate) code: bool,
    /// Said about the value, in the page's language.
    pub(crate) note: Option<String>,
    /// Where more of it stands.
    pub(crate) link: Option<(String, String)>,
}

impl Fact {
    /// In the page's language.
    pub(crate) fn new(label: impl Into<String>, value: impl Into<String>) -> Self {
        Self {
            label: label.into(),
            value: value.into(),
            chinese_label: None,
            data: false,
            code: false,
            note: None,
            link: None,
        }
    }

    /// A value that stands on the licence.
    pub(crate) fn data(label: impl Into<String>, value: impl Into<String>) -> Self {
        Self { data: true, ..Self::new(label, value) }
    }

    /// A code or number.
    pub(crate) fn code(label: impl Into<String>, value: impl Into<String>) -> Self {
        Self { code: true, ..Self::new(label, value) }
    }
}

/// The front page.
#[derive(Template)]
#[template(path = "home.html")]
pub(crate) struct Home {
    pub(crate) page: Frame,
    pub(crate) counts: Vec<(&'static str, String)>,
}

/// A choice in a form.
pub(crate) struct Choice {
    pub(crate) value: String,
    pub(crate) label: String,
    pub(crate) selected: bool,
}

/// Search form and results.
#[derive(Template)]
#[template(path = "search.html")]
pub(crate) struct Search {
    pub(crate) page: Frame,
    pub(crate) text: String,
    pub(crate) reason: String,
    pub(crate) types: Vec<Choice>,
    pub(crate) statuses: Vec<Choice>,
    pub(crate) kinds: Vec<Choice>,
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) filtered: bool,
    pub(crate) notice: Option<Notice>,
    pub(crate) results: Option<Results>,
}

/// One page of hits.
pub(crate) struct Results {
    pub(crate) summary: String,
    pub(crate) recorded: String,
    pub(crate) hits: Vec<Hit>,
    pub(crate) facets: Vec<Facet>,
    /// Sent along when a licence is opened.
    pub(crate) carried: Hidden,
    pub(crate) previous: Option<Hidden>,
    pub(crate) next: Option<Hidden>,
    /// There are more than can be paged to.
    pub(crate) deep: bool,
}

/// One licence found.
pub(crate) struct Hit {
    pub(crate) identifier: String,
    pub(crate) name: Vec<Piece>,
    pub(crate) plain_name: String,
    /// The name of its type, for readers who do not read the licence's own.
    pub(crate) type_name: Option<String>,
    pub(crate) holders: Vec<Vec<Piece>>,
    pub(crate) first_holder: String,
    pub(crate) issuer: Vec<Piece>,
    pub(crate) issued_on: String,
    pub(crate) status: Badge,
    pub(crate) highlights: Vec<Vec<Piece>>,
}

/// A piece of text that matches the search, or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) text: String,
    pub(crate) marked: bool,
}

/// One way to narrow the results.
pub(crate) struct Facet {
    pub(crate) title: &'static str,
    /// The form member that the buttons set.
    pub(crate) member: &'static str,
    pub(crate) hidden: Hidden,
    pub(crate) options: Vec<FacetOption>,
}

/// One button of a facet.
pub(crate) struct FacetOption {
    pub(crate) value: String,
    pub(crate) label: String,
    pub(crate) count: Option<String>,
    pub(crate) selected: bool,
}

/// A licence.
#[derive(Template)]
#[template(path = "licence.html")]
pub(crate) struct Licence {
    pub(crate) page: Frame,
    pub(crate) identifier: String,
    pub(crate) back: Option<Hidden>,
    pub(crate) recorded: (String, String),
    pub(crate) notice: Option<Notice>,
    pub(crate) badge: Badge,
    pub(crate) means: &'static str,
    pub(crate) checked_at: String,
    pub(crate) links: Vec<Link>,
    pub(crate) face_title: &'static str,
    pub(crate) facts: Vec<Fact>,
    pub(crate) fields: Vec<Fact>,
    pub(crate) files: Vec<File>,
    pub(crate) history: Vec<Event>,
    pub(crate) with_reasons: bool,
    pub(crate) technical: Vec<Fact>,
    /// Asks for a reason before the content is shown; holds the one to start with.
    pub(crate) ask: Option<String>,
}

/// One link of the verification.
pub(crate) struct Link {
    pub(crate) badge: Badge,
    pub(crate) title: &'static str,
    pub(crate) says: String,
    pub(crate) code: Option<String>,
    pub(crate) link: Option<(String, String)>,
}

/// A file of a licence.
pub(crate) struct File {
    pub(crate) name: String,
    pub(crate) media_type: String,
    pub(crate) size: String,
    pub(crate) digest: String,
}

/// One change of a licence's status.
pub(crate) struct Event {
    pub(crate) at: String,
    pub(crate) what: String,
    pub(crate) why: String,
    pub(crate) seq: String,
}

/// All counterparts.
#[derive(Template)]
#[template(path = "connectors.html")]
pub(crate) struct Connectors {
    pub(crate) page: Frame,
    pub(crate) renew: bool,
    /// Who would do something.
    pub(crate) who: String,
    pub(crate) connectors: Vec<Connector>,
    /// Where rows are fetched from.
    pub(crate) sources: Vec<Connector>,
}

/// One counterpart.
pub(crate) struct Connector {
    /// Tells it apart from the others of a page.
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) badge: Badge,
    pub(crate) facts: Vec<Fact>,
    pub(crate) error: Option<ConnectorError>,
    pub(crate) set_aside: Option<String>,
    pub(crate) charts: Vec<Chart>,
    pub(crate) operate_label: String,
    /// What can be done at once, with its button: the one that changes least first, which Enter does.
    pub(crate) acts: Vec<(&'static str, &'static str)>,
    /// Whether one of them asks from where on.
    pub(crate) replays: bool,
}

/// A line over the last 24 hours.
pub(crate) struct Chart {
    pub(crate) title: String,
    /// What it shows, in words.
    pub(crate) says: String,
    /// An SVG path in 600 by 100.
    pub(crate) path: String,
    /// The minutes in which an attempt failed, as another.
    pub(crate) failures: String,
    /// What the top of it stands for.
    pub(crate) most: String,
    /// Five times of day, from left to right.
    pub(crate) times: Vec<String>,
}

/// One counterpart, and what can be done with it.
#[derive(Template)]
#[template(path = "connector.html")]
pub(crate) struct ConnectorPage {
    pub(crate) page: Frame,
    pub(crate) connector: Connector,
    /// Who would do it.
    pub(crate) who: String,
    pub(crate) forms: Vec<ActionForm>,
    /// Kinds of holders, for the form that asks whose.
    pub(crate) kinds: Vec<Choice>,
    pub(crate) code_map: Option<String>,
    pub(crate) hours: Vec<HourRow>,
    /// Whether there is something to compare with.
    pub(crate) compares: bool,
    pub(crate) reports: Vec<ReportRow>,
    pub(crate) actions: Vec<ActionRow>,
}

/// Something that can be done, for a reason.
pub(crate) struct ActionForm {
    pub(crate) act: &'static str,
    pub(crate) button: &'static str,
    pub(crate) hint: &'static str,
    /// Tells its fields apart from those of the others.
    pub(crate) id: &'static str,
    /// What it asks beside the reason.
    pub(crate) asks: Asks,
}

/// What a form asks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asks {
    /// Only why.
    Why,
    /// From where on.
    From,
    /// Whose.
    Holder,
    /// Which change.
    Change,
}

/// What would be sent for one change.
#[derive(Template)]
#[template(path = "preview.html")]
pub(crate) struct Preview {
    pub(crate) page: Frame,
    pub(crate) name: String,
    /// Which change.
    pub(crate) lead: String,
    /// Title and text of each piece.
    pub(crate) parts: Vec<(String, String)>,
    /// Code and remark of what would be set aside.
    pub(crate) refused: Vec<(String, String)>,
}

/// One hour.
pub(crate) struct HourRow {
    pub(crate) hour: String,
    pub(crate) lag: String,
    pub(crate) seconds: String,
    pub(crate) delivered: String,
    pub(crate) failures: String,
}

/// One comparison of both sides.
pub(crate) struct ReportRow {
    pub(crate) href: String,
    pub(crate) at: String,
    pub(crate) badge: Badge,
    pub(crate) says: String,
}

/// What somebody did.
pub(crate) struct ActionRow {
    pub(crate) at: String,
    pub(crate) who: String,
    pub(crate) what: String,
    pub(crate) why: String,
    pub(crate) outcome: String,
}

/// The code map of a counterpart.
#[derive(Template)]
#[template(path = "code_map.html")]
pub(crate) struct CodeMap {
    pub(crate) page: Frame,
    pub(crate) name: String,
    pub(crate) notice: Option<Notice>,
    pub(crate) text: String,
    pub(crate) sha256: String,
    /// What is there by now, where somebody else was faster.
    pub(crate) now: Option<String>,
    pub(crate) why: String,
}

/// The last error of a counterpart.
pub(crate) struct ConnectorError {
    pub(crate) title: &'static str,
    pub(crate) tone: Tone,
    pub(crate) at: String,
    pub(crate) what: &'static str,
    pub(crate) advice: &'static str,
    pub(crate) code: String,
    pub(crate) said: String,
    pub(crate) next: Option<String>,
}

/// What a counterpart refused.
#[derive(Template)]
#[template(path = "set_aside.html")]
pub(crate) struct SetAside {
    pub(crate) page: Frame,
    pub(crate) lead: &'static str,
    /// What the last column shows.
    pub(crate) about: &'static str,
    pub(crate) rows: Vec<SetAsideRow>,
    pub(crate) more: bool,
    pub(crate) name: String,
    /// Single ones can be sent once more.
    pub(crate) single: bool,
    /// Where the form goes.
    pub(crate) send_again: String,
    pub(crate) settled: Vec<SettledRow>,
}

/// One that came to its end.
pub(crate) struct SettledRow {
    pub(crate) seq: String,
    pub(crate) code: String,
    pub(crate) how: &'static str,
    pub(crate) at: String,
}

/// One refused record.
pub(crate) struct SetAsideRow {
    pub(crate) seq: String,
    pub(crate) code: String,
    pub(crate) remark: String,
    pub(crate) at: String,
}

/// Counts on both sides.
#[derive(Template)]
#[template(path = "reconciliation.html")]
pub(crate) struct Reconciliation {
    pub(crate) page: Frame,
    pub(crate) name: String,
    pub(crate) notice: Notice,
    pub(crate) records: Vec<DifferenceRow>,
    pub(crate) rows: Vec<CountRow>,
    pub(crate) sum: CountRow,
}

/// One record that differs.
pub(crate) struct DifferenceRow {
    pub(crate) identifier: String,
    pub(crate) what: &'static str,
    pub(crate) seq: String,
    pub(crate) explained: &'static str,
}

/// The counts of one licence type.
pub(crate) struct CountRow {
    pub(crate) name: String,
    pub(crate) ours: String,
    pub(crate) theirs: String,
    pub(crate) difference: String,
    pub(crate) differs: bool,
}

/// Something went wrong.
#[derive(Template)]
#[template(path = "error.html")]
pub(crate) struct Error {
    pub(crate) page: Frame,
    pub(crate) says: &'static str,
    pub(crate) kept: Option<&'static str>,
    pub(crate) code: String,
    pub(crate) status: u16,
    /// Where to log in, if that is what is missing.
    pub(crate) to_login: Option<String>,
}
