//! Every text of the pages, in both languages, in one place.
//!
//! A text that is missing in one language does not compile; that none is empty, that each is in its
//! language and that the places to fill agree, the tests below check. `{name}` marks a place.

/// A language of the pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Language {
    /// Chinese, the default.
    Chinese,
    /// English.
    English,
}

impl Language {
    /// The word in the address and in the cookie.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Chinese => "zh",
            Self::English => "en",
        }
    }

    /// The language with this word.
    pub(crate) fn from_word(word: &str) -> Option<Self> {
        [Self::Chinese, Self::English].into_iter().find(|language| language.word() == word)
    }

    /// The tag for the `lang` attribute.
    pub(crate) fn tag(self) -> &'static str {
        match self {
            Self::Chinese => "zh-CN",
            Self::English => "en",
        }
    }

    /// The one to switch to.
    pub(crate) fn other(self) -> Self {
        match self {
            Self::Chinese => Self::English,
            Self::English => Self::Chinese,
        }
    }

    /// Its own name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Chinese => "中文",
            Self::English => "English",
        }
    }

    /// The texts.
    pub(crate) fn texts(self) -> &'static Texts {
        Texts::of(self)
    }

    /// One of two.
    pub(crate) fn pick<'a>(self, chinese: &'a str, english: &'a str) -> &'a str {
        match self {
            Self::Chinese => chinese,
            Self::English => english,
        }
    }
}

/// Puts values into the places of a text. A value that looks like a place is left as it is.
pub(crate) fn fill(text: &str, values: &[(&str, &dyn std::fmt::Display)]) -> String {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        filled.push_str(before);
        let (name, behind) = after.split_once('}').unwrap_or((after, ""));
        if let Some((_, value)) = values.iter().find(|(key, _)| *key == name) {
            filled.push_str(&value.to_string());
        }
        rest = behind;
    }
    filled.push_str(rest);
    filled
}

/// The texts of a room of pages: `texts! { RoomTexts; key: "中文", "English"; … }` makes the type, its two values behind
/// `RoomTexts::of(language)`, and the test that both languages are complete.
macro_rules! texts {
    ($name:ident; $($key:ident: $chinese:literal, $english:literal;)*) => {
        /// The texts of one language.
        pub(crate) struct $name {
            $(pub(crate) $key: &'static str,)*
        }

        impl $name {
            /// The texts in a language.
            pub(crate) fn of(language: $crate::pages::texts::Language) -> &'static Self {
                static CHINESE: $name = $name { $($key: $chinese,)* };
                static ENGLISH: $name = $name { $($key: $english,)* };
                match language {
                    $crate::pages::texts::Language::Chinese => &CHINESE,
                    $crate::pages::texts::Language::English => &ENGLISH,
                }
            }
        }

        #[cfg(test)]
        mod complete {
            #[test]
            fn no_text_is_missing_in_either_language() {
                $crate::pages::texts::check(&[$((stringify!($key), $chinese, $english),)*]);
            }
        }
    };
}
pub(crate) use texts;

/// Checks that no text is empty, that each is in its language, and that the places to fill agree.
#[cfg(test)]
pub(crate) fn check(all: &[(&str, &str, &str)]) {
    // What reads the same in both: only places and signs.
    let same = ["position_of", "scanned_by", "size_kb", "size_mb"];
    for (key, chinese, english) in all {
        assert!(!chinese.trim().is_empty() && !english.trim().is_empty(), "{key} is empty");
        assert!(has_chinese(chinese) || same.contains(key), "{key}: not Chinese");
        assert!(!has_chinese(english), "{key}: not English");
        assert_eq!(places(chinese), places(english), "{key}: the places differ");
    }
}

#[cfg(test)]
fn has_chinese(text: &str) -> bool {
    text.chars().any(|c| ('\u{4e00}'..='\u{9fff}').contains(&c))
}

#[cfg(test)]
fn places(text: &str) -> Vec<&str> {
    let mut found: Vec<&str> = text
        .split('{')
        .skip(1)
        .filter_map(|rest| rest.split_once('}').map(|(name, _)| name))
        .collect();
    found.sort_unstable();
    found
}

texts! { Texts;
    // The frame of every page.
    product: "一号证照库", "Yihao licence repository";
    brand: "一号证照库", "Yihao licences";
    skip: "跳到正文", "Skip to content";
    main_navigation: "主导航", "Main navigation";
    home: "首页", "Home";
    search: "证照检索", "Licence search";
    connectors: "推送状态", "Connectors";
    matters: "办事指南", "Services";
    mine: "我的", "My page";
    window: "窗口", "Window";
    log_in: "登录", "Log in";
    log_out: "退出", "Log out";
    logged_in_as: "已登录：", "Logged in: ";
    sessions: "登录记录", "Sessions";
    demo_mode: "演示模式", "Demo mode";
    acting_as: "以{name}的身份操作", "You act as {name}";
    switch_language: "切换语言", "Switch language";
    footer: "材料只交一次，能共享的不再收取。", "Materials are handed in once; what can be shared is not asked for again.";
    footer_demo: "演示模式仅限本机访问，数据均为虚构。", "Demo mode: reachable from this machine only. All data is invented.";

    // Front page.
    home_lead: "颁发部门的电子证照签名入库，办事部门说明事由后取用核验过的证照，共享记录实时推送到省、市系统。", "Issuing departments hand in signed licences, departments use verified ones for a stated purpose, and shared records flow on to the systems of province and city.";
    home_counts: "库中现有", "In the repository";
    home_licences: "可检索的证照", "Licences that can be found";
    home_changes: "登记日志条目", "Entries of the registry log";
    home_uses: "使用日志条目", "Entries of the access log";
    home_counterparts: "推送对象", "Counterparts";
    home_waiting: "等待推送的记录", "Records waiting to be sent";
    unknown_count: "暂不可知", "not known now";
    home_do: "可以做什么", "What you can do";
    home_matters_does: "查事项：怎么办、要什么材料、多久办结；登录后看自己还缺什么。", "Look up a service: how it goes, which materials, how long; after login, what you still have to hand in.";
    home_mine_does: "申请人看自己的证照、材料、办件，谁在什么时候为什么查看过，同意或拒绝用证请求。", "Applicants see their licences, materials and cases, who looked when and why, and say yes or no to requests.";
    home_window_does: "窗口人员输入证件号码和事项，立刻看到还缺哪些材料。", "Clerks type a number and a service and see at once what is still missing.";
    home_search_does: "按名称、编号、持证主体查找证照，打开后逐环节查看核验结论。", "Find licences by name, number or holder; open one to see each link of its verification.";
    home_connectors_does: "查看每个推送对象的进度、延迟、退回记录和最近错误，可暂停、恢复和对账。", "See progress, lag, refused records and the last error of each counterpart; pause, resume and reconcile.";
    home_about: "关于本演示", "About this demo";
    home_about_data: "这里是一个虚构城区的完整证照库：人员、企业、证照、部门均为虚构，签名、核验、日志和推送都是真的。", "This is the complete repository of an invented district: persons, enterprises, licences and departments are made up; signatures, verification, logs and deliveries are real.";
    home_about_login: "办事群众、窗口人员和运维人员都要登录；演示的登录页列有现成账号，页面只在本机可见。", "Applicants, clerks and operators log in; the demo's login page lists ready accounts, and the pages are visible on this machine only.";
    home_about_uses: "每次检索和查阅都先记入使用日志，再显示结果。", "Every search and every view is on the access log before its result is shown.";

    // Search.
    search_lead: "检索词不会出现在网址中；自然人姓名在结果中隐去。", "What you search for never appears in an address; names of persons are masked in the results.";
    search_text: "检索词", "Search for";
    search_text_hint: "证照名称、持证主体、颁发机构或编号的任意部分，两个字即可", "Any part of a licence's name, holder, issuer or number; two characters are enough";
    search_reason: "申请事由", "Reason";
    search_reason_hint: "打开证照时记入使用日志，最多 200 字", "Goes on the access log when you open a licence; at most 200 characters";
    default_reason: "演示：窗口查阅", "Demo: viewed at the window";
    search_button: "检索", "Search";
    more_filters: "更多条件", "More filters";
    filter_type: "证照类型", "Licence type";
    filter_status: "证照状态", "Status";
    filter_kind: "持证主体类型", "Kind of holder";
    filter_from: "颁发日期起", "Issued from";
    filter_to: "颁发日期止", "Issued until";
    any: "不限", "Any";
    results: "检索结果", "Results";
    results_total: "共 {total} 件，显示第 {first}–{last} 件", "{total} found, showing {first}–{last}";
    results_none: "没有找到证照", "No licence found";
    results_none_hint: "换一个词，或去掉一些条件再试。新入库的证照约一秒后可检索。", "Try another word, or fewer filters. A new licence can be found after about a second.";
    results_recorded: "本次检索已记入使用日志第 {seq} 号。", "This search is entry {seq} of the access log.";
    results_deep: "只能翻到第 1000 件，请增加条件缩小范围。", "Paging ends at 1,000: add filters to narrow the search.";
    facets: "缩小范围", "Narrow down";
    facet_all: "全部", "All";
    column_licence: "证照", "Licence";
    column_holder: "持证主体", "Holder";
    column_issuer: "颁发机构", "Issuer";
    column_issued: "颁发日期", "Issued";
    column_status: "状态", "Status";
    pages: "翻页", "Pages";
    previous: "上一页", "Previous page";
    next: "下一页", "Next page";

    // Licence.
    back_to_results: "返回检索结果", "Back to the results";
    new_search: "重新检索", "New search";
    verdict: "核验结论", "Verification";
    checked_at: "核验时间 {at}（北京时间）", "Checked at {at} (China time)";
    trusted: "可信", "Trusted";
    untrusted: "不可信", "Not trusted";
    undetermined: "暂不能确定", "Undetermined";
    trusted_means: "每个环节都成立，现在可以作为办事依据。", "Every link holds: it can be relied on now.";
    untrusted_means: "有环节不成立，不能作为办事依据；照面内容不予显示。", "A link is broken: it cannot be relied on, and its content is not shown.";
    undetermined_means: "没有环节不成立，但有环节现在无法判断；使用前请再核实。", "No link is broken, but one cannot be judged now: check again before relying on it.";
    mark_ok: "成立", "Holds";
    mark_broken: "不成立", "Broken";
    mark_unknown: "无法判断", "Cannot be judged";
    link_signature: "内容与签名", "Content and signature";
    signature_ok: "所存内容与入库时核验过签名的内容逐字节一致。", "The content is, byte for byte, what was verified with its signature at intake.";
    signature_none: "颁发机构没有签名：来自其登记系统的数据，仅供参考，不能作为凭据。", "Its issuer signed nothing: this came from a register and is for orientation only, never proof.";
    signature_damaged: "所存内容与入库时核验过的不一致，签名不再成立。", "The content is not what was verified at intake: the signature no longer holds.";
    link_chain: "证书链", "Certificate chain";
    chain_ok: "签名证书可追溯到受信任的根证书。", "The signer's certificate leads to a trusted root.";
    chain_anchor_withdrawn: "签名证书所依据的根证书已不再受信任。", "The root that the signer's certificate leads to is no longer trusted.";
    chain_anchor_other_time: "签名证书所依据的根证书在签名时不受信任。", "The root that the signer's certificate leads to was not trusted at the time of the signature.";
    chain_none: "没有签名，因此没有证书链。", "There is no signature, so there is no certificate chain.";
    chain_damaged: "证书链记录已损坏，无法读取。", "The record of the certificate chain is damaged.";
    link_time_stamp: "时间戳", "Time-stamp";
    time_stamped: "{by} 证明该签名在 {at} 已经存在。", "{by} vouches that the signature existed at {at}.";
    time_stamp_due: "时间戳稍后补加；不影响证照的效力。", "The signature will be time-stamped; nothing is wrong with the licence.";
    link_revocation: "证书吊销", "Certificate revocation";
    revocation_good: "签名证书未被吊销（依据 {at} 的吊销列表）。", "The signer's certificate is not revoked (list of {at}).";
    revocation_outlived: "签名证书已于 {at} 被吊销，但签名早于吊销：{by}证明签名在 {proven} 已存在。", "The signer's certificate was revoked at {at}, but the signature is older: {by} proves that it was there at {proven}.";
    proven_by_stamp: "可信时间戳", "a trusted time-stamp";
    proven_by_log: "登记日志", "the registry log";
    revocation_revoked: "签名证书已于 {at} 被吊销。", "The signer's certificate was revoked at {at}.";
    revocation_unknown: "颁发者的在线状态查询服务不认识签名证书（{at} 的答复），现在无法判断证书是否被吊销。", "The issuer's OCSP responder does not know the signer's certificate (answer of {at}): whether it is revoked cannot be told now.";
    revocation_stale: "吊销列表已过期（最近一份为 {at}），现在无法判断证书是否被吊销。", "The revocation list is out of date (the last is of {at}): whether the certificate is revoked cannot be told now.";
    revocation_none: "没有签名证书，无从查询吊销。", "There is no certificate that could be revoked.";
    revocation_no_crl: "没有该证书颁发者的吊销列表，无法判断证书是否被吊销。", "There is no revocation list of the certificate's issuer: whether it is revoked cannot be told.";
    link_status: "证照状态", "Licence status";
    status_ok: "颁发机构登记为有效。", "Valid in its issuer's record.";
    status_suspended_means: "颁发机构已暂扣此证照。", "Suspended by its issuer.";
    status_revoked_means: "颁发机构已使此证照失效（{cause}）。", "Ended by its issuer ({cause}).";
    status_superseded_means: "已被另一证照取代。", "Another licence has taken its place.";
    show_successor: "查看取代它的证照", "Show the licence that took its place";
    link_validity: "有效期", "Period of validity";
    validity_ok: "今天在有效期内（{period}）。", "Today lies in its period ({period}).";
    validity_not_yet: "尚未到有效期（{period}）。", "Its period has not begun ({period}).";
    validity_expired: "已过有效期（{period}）。", "Its period is over ({period}).";
    validity_damaged: "有效期无法读取。", "Its period cannot be read.";
    period: "{from} 至 {to}", "{from} to {to}";
    period_open: "{from} 起长期", "from {from}, without end";
    period_until: "至 {to}", "until {to}";
    period_none: "长期", "without end";
    link_log: "登记日志", "Registry log";
    log_ok: "登记日志第 {seq} 号记有此证照，内容摘要一致：", "Entry {seq} of the registry log is this licence, with the same digest:";
    log_differs: "登记日志第 {seq} 号与所存证照不一致：", "Entry {seq} of the registry log does not agree with the licence held:";
    face: "证照内容", "Content";
    public_face: "公开信息", "Public information";
    public_face_hint: "公开信息不含个人数据。查看照面内容须说明事由，并记入使用日志。", "Public information holds no personal data. To see the content, state a reason; it goes on the access log.";
    show_face: "查看照面内容", "Show the content";
    not_permitted_type: "没有策略允许{name}查阅此类证照，只显示公开信息。", "No policy lets {name} view licences of this type: only public information is shown.";
    viewed: "本次查阅已记入使用日志第 {seq} 号，事由：", "This view is entry {seq} of the access log; reason: ";
    viewed_public: "本次查看已记入使用日志第 {seq} 号。", "This look is entry {seq} of the access log.";
    public_view_reason: "查看公开信息", "Public information viewed";
    identifier: "证照标识", "Identifier";
    licence_name: "证照名称", "Name";
    type_name: "证照类型", "Type";
    type_code: "类型代码", "Type code";
    number: "证照编号", "Number";
    issuer: "颁发机构", "Issuer";
    issuer_code: "颁发机构代码", "Issuer's code";
    issued_on: "颁发日期", "Issued on";
    validity_period: "有效期", "Validity";
    status: "状态", "Status";
    holders: "持证主体", "Holders";
    region: "行政区划", "Division";
    project: "投资项目代码", "Project code";
    predecessor: "关联证照", "Earlier licence";
    show_predecessor: "查看", "Show";
    face_fields: "照面内容", "Face fields";
    files: "附件", "Files";
    file_name: "文件名", "Name";
    file_type: "格式", "Format";
    file_size: "大小", "Size";
    digest: "摘要（SHA-256）", "Digest (SHA-256)";
    history: "状态变更记录", "History of its status";
    history_when: "登记时间", "Recorded";
    history_what: "变更", "Change";
    history_why: "事由", "Reason";
    history_entry: "日志序号", "Log entry";
    history_issued: "入库", "Taken in";
    history_unreadable: "变更令无法读取", "The order cannot be read";
    change_suspend: "暂扣", "Suspended";
    change_restore: "恢复", "Restored";
    change_revoke: "失效", "Ended";
    change_supersede: "取代", "Superseded";
    technical: "技术信息", "Technical details";
    proof: "签名方式", "Signed";
    proof_none: "没有签名", "None: nobody signed it";
    proof_own: "单独签名（CMS）", "By a signature of its own (CMS)";
    proof_manifest: "批次清单第 {position} 项，清单摘要 {digest}", "As item {position} of a batch manifest, digest {digest}";
    received_at: "入库时间", "Taken in at";
    certificates: "签名证书序列号", "Signer's certificates, serial numbers";
    anchor: "根证书摘要", "Digest of the root certificate";
    yes: "是", "Yes";
    no: "否", "No";

    // Statuses of licences and causes.
    status_valid: "有效", "Valid";
    status_suspended: "暂扣", "Suspended";
    status_revoked: "失效", "Ended";
    status_superseded: "被取代", "Superseded";
    cause_annulled: "撤销", "annulled";
    cause_withdrawn: "吊销", "withdrawn";
    cause_deregistered: "注销", "deregistered";

    // Connectors.
    connectors_lead: "登记日志的每条变更按顺序推送给每个对象，直到对方收下为止。", "Every change of the registry log goes to every counterpart, in order, until it is taken.";
    sources: "收取来源", "Sources";
    sources_lead: "系统不能直接调用本库的部门，由本库到这些来源收取。", "Rows of departments whose systems cannot call this hub are fetched from here.";
    kind_exchange: "交换库", "Exchange database";
    source_department: "来源部门", "Department";
    source_signatures: "签名", "Signatures";
    signatures_brought: "随数据提供", "come with the rows";
    signatures_key_service: "由部门的签名服务签", "by the department's key service";
    signatures_unsigned: "无签名，不作为可信证照", "none: nothing from here is shown as trusted";
    source_taken: "已收取", "Taken";
    source_refused: "已退回来源", "Refused";
    source_position: "最后一条数据的时间", "Last row is of";
    source_asked: "最近收取", "Last asked";
    source_error_now: "收取受阻", "Fetching is held up";
    connectors_none: "没有配置推送对象", "No counterpart is set up";
    connectors_none_hint: "在配置文件中增加 [[connectors]] 后重新启动。", "Add a [[connectors]] table to the settings and start again.";
    refresh_on: "本页每 2 秒自动更新。", "This page renews itself every 2 seconds.";
    refresh_off: "本页不自动更新。", "This page does not renew itself.";
    refresh_stop: "停止自动更新", "Stop renewing";
    refresh_start: "自动更新", "Renew by itself";
    refresh_now: "立即更新", "Renew now";
    kind_frontdb: "前置库", "Exchange database";
    kind_http: "HTTPS 接口", "HTTPS receiver";
    kind_rest: "省级网关", "Provincial gateway";
    kind_push: "事件推送", "Event push";
    kind_files: "文件交换", "File exchange";
    state_level: "已同步", "Up to date";
    state_fetching: "收取中", "Fetching";
    state_sending: "推送中", "Sending";
    state_paused: "已暂停", "Paused";
    state_failing: "出错，等待重试", "Failing, will retry";
    lag_records: "待推送", "Waiting";
    records: "{n} 条", "{n} records";
    lag_seconds: "延迟", "Lag";
    seconds: "{n} 秒", "{n} s";
    minutes: "{n} 分钟", "{n} min";
    hours: "{n} 小时", "{n} h";
    days: "{n} 天", "{n} d";
    delivered: "已送达", "Delivered";
    set_aside: "退回待处理", "Set aside";
    position: "进度", "Position";
    position_of: "{cursor} / {head}", "{cursor} of {head}";
    last_success: "最近成功", "Last success";
    never: "尚无", "none yet";
    error_now: "推送受阻", "Delivery is held up";
    error_past: "此前的错误（之后已恢复）", "An earlier error (it has worked since)";
    what_to_do: "怎么办", "What to do";
    next_attempt: "下次重试 {at}", "Next attempt at {at}";
    pause: "暂停推送", "Pause";
    resume: "恢复推送", "Resume";
    reconcile: "对账", "Reconcile";
    show_set_aside: "查看退回记录（{n} 条）", "Show what was set aside ({n})";
    set_aside_title: "退回记录：{name}", "Set aside: {name}";
    set_aside_lead: "对方没有收下的记录。请对方说明原因，必要时修改代码映射，然后再次发送；记录不会消失。", "Records that the counterpart did not take. Ask it why, edit the code map if that is the reason, then send them once more; nothing disappears.";
    set_aside_cases_lead: "对方没有收下的办件。请对方说明原因；处理后可重新发送，已收下的不受影响。", "Cases that the counterpart did not take. Ask it why; when that is settled, send them again. What it has taken stays.";
    send_again: "全部重新发送", "Send all of them again";
    set_aside_case: "办件编号", "Case";
    kind_casebase: "办件前置库", "cases, exchange database";
    steps_taken: "收到的办理结果", "Steps received";
    steps_taken_of: "{n} 条，退回 {refused} 条", "{n}, of which {refused} refused";
    cases_of: "{n} 件", "{n} cases";
    serves: "对应部门", "Departments";
    set_aside_none: "没有退回记录", "Nothing is set aside";
    set_aside_first: "只显示前 1000 条。", "Only the first 1,000 are shown.";
    set_aside_seq: "日志序号", "Log entry";
    set_aside_code: "代码", "Code";
    set_aside_remark: "对方说明", "Counterpart's remark";
    set_aside_at: "时间", "Time";
    reconcile_title: "对账结果：{name}", "Reconciliation: {name}";
    reconcile_equal: "两边的有效证照数一致。", "Both sides hold the same number of valid licences.";
    reconcile_differs: "两边的有效证照数不一致。先等待推送完成再对账；仍不一致时查看退回记录，并从序号 0 重新推送。", "The numbers of valid licences differ. Wait until nothing is waiting and reconcile again; if they still differ, look at what was set aside, and replay from number 0.";
    reconcile_equal_marks: "两边的有效证照逐条一致。", "Both sides hold the same records.";
    reconcile_differs_marks: "两边的有效证照不一致。", "The records differ.";
    reconcile_mended: "有差异的记录正在自动补发，发完后请再对账一次。", "Those that this hub can mend are being sent again: reconcile once more when that is done.";
    reconcile_not_ours: "没有日志序号的记录不是本库推送的，请对方删除。", "A record without a log entry was never sent from here: ask the counterpart to remove it.";
    reconcile_explained: "计数时待推送 {lag} 条，退回待处理 {set_aside} 条（{at}）。", "When counted, {lag} records were waiting and {set_aside} were set aside ({at}).";
    reconcile_ours: "本库", "Here";
    reconcile_theirs: "对方", "There";
    reconcile_difference: "差", "Difference";
    reconcile_sum: "合计", "Sum";
    chart_lag: "待推送条数", "Records waiting";
    chart_seconds: "延迟时间", "Time behind";
    chart_delivered: "每分钟送达条数", "Records delivered a minute";
    chart_says: "过去 24 小时最高 {most}，现在 {now}", "at most {most} in 24 hours, now {now}";
    chart_failed: "；红线处有失败，共 {n} 次", "; {n} attempts failed, where the marks are";
    chart_now: "现在", "now";
    chart_none: "尚无数据", "no figures yet";
    throughput: "近一小时送达", "Delivered in the last hour";
    throughput_of: "{n} 条（每分钟最多 {most} 条）", "{n} records (at most {most} a minute)";
    certificate_ends: "本库出示的证书到期", "Our certificate ends";
    resending: "补发中", "Being sent again";
    opens_at: "推送时段开始", "Sends again from";
    operate: "操作与记录", "Operate, figures, trace";
    operate_of: "操作与记录：{name}", "Operate, figures, trace: {name}";
    acts: "操作", "Actions";
    acts_by: "操作人：{who}。每次操作都要写明原因，并留下记录。", "You act as {who}. Each action asks why and leaves a trace.";
    why: "原因（1 至 200 字）", "Why (1 to 200 characters)";
    act_pause: "停止推送，直到恢复；重启后仍停止。", "Stops sending until resumed, also across restarts.";
    act_pause_source: "停止收取，直到恢复；重启后仍停止。数据留在来源处，不会丢失。", "Fetches nothing until resumed, also across restarts. Rows stay where they are; none is lost.";
    act_resume_source: "立即继续收取。", "Goes on fetching at once.";
    act_resume: "立即继续推送。", "Goes on sending at once.";
    act_reconcile: "与对方核对；对不上的记录自动补发。", "Compares with the counterpart; records that differ are sent again.";
    act_replay: "从某个序号或某一天起重新推送，两项填一项。对方已有的会自动忽略。", "Sends everything again from a number or a day on: fill in one. The counterpart drops what it has.";
    act_replay_holder: "重新推送一个持证主体的全部证照。号码不写入记录和网址。", "Sends all licences of one holder again. The number goes into no trace and no address.";
    replay_holder: "重新推送该主体", "Replay this holder";
    holder_number: "证件号码", "Number";
    holder_number_kind: "证件类型", "Kind of number";
    act_preview_hint: "查看某条变更会推送什么内容，不实际推送。会看到证照内容，计入用证日志。", "Shows exactly what would be sent for one change, and sends nothing. It shows a licence: that is recorded as a use.";
    preview_title: "预览：{name}", "Preview: {name}";
    preview_lead: "第 {seq} 条变更将推送的内容；没有实际推送。本次查看已记入用证日志。", "What would be sent for change {seq}; nothing was sent. This look is recorded as a use.";
    preview_nothing: "这条变更不会推送任何内容", "Nothing would be sent for this change";
    preview_refused: "这条变更会被退回", "This change would be set aside";
    seq_field: "日志序号", "Log entry";
    say_not_shared: "按配置，这条变更不推送给该对象。", "By its settings, this change does not go to this counterpart.";
    say_no_change: "没有这个序号的变更。", "There is no change with this number.";
    say_no_preview: "现在不能生成推送内容，请查看代码和日志。", "What would be sent cannot be made now: see the code and the log.";
    say_holder_number: "号码与证件类型不符。没有执行。", "This is no number of that kind. Nothing was done.";
    act_retry: "再次发送全部退回记录。", "Sends everything that is set aside once more.";
    act_send_again: "再次发送对方没有收下的办件。", "Sends the cases again that the counterpart did not take.";
    act_code_map: "修改代码映射", "Edit the code map";
    act_preview: "预览", "Preview";
    replay: "重新推送", "Replay";
    retry: "再次发送", "Send once more";
    retry_chosen: "再次发送选中的", "Send the chosen ones once more";
    retry_all: "再次发送全部", "Send all once more";
    from_seq: "从序号", "From number";
    from_day: "或从日期", "or from day";
    figures: "逐小时数据", "Figures by the hour";
    figure_hour: "时段", "Hour";
    figure_lag: "最多待推送", "Most waiting";
    figure_seconds: "最大延迟", "Longest lag";
    figure_failures: "失败次数", "Failures";
    reports: "对账报告", "Comparisons";
    reports_none: "尚未对账", "None yet";
    report_differs: "有差异", "Differs";
    report_equal: "一致", "Agrees";
    report_says: "缺 {missing}，多 {extra}，不同 {different}，有原因 {explained}，补发 {resent}", "missing {missing}, extra {extra}, different {different}, explained {explained}, sent again {resent}";
    report_records: "有差异的记录", "Records that differ";
    report_missing: "对方缺少", "missing there";
    report_extra: "对方多出", "extra there";
    report_different: "内容不同", "different";
    report_on_its_way: "有原因：推送中或已退回", "explained: on its way, or set aside";
    report_sent_again: "已补发", "sent again";
    report_not_ours: "不是本库推送的", "never sent from here";
    trace: "操作记录", "Trace";
    trace_none: "尚无操作", "Nothing was done yet";
    trace_done: "完成", "done";
    trace_begun: "已开始，未见结果", "begun, no end known";
    settled_title: "已处理的退回记录", "Set aside and settled";
    settled_resent: "单独补发，对方已收下", "sent again by itself, and taken";
    settled_replayed: "重新推送，对方已收下", "taken when everything was sent again";
    code_map_title: "代码映射：{name}", "Code map: {name}";
    code_map_lead: "保存后从下一批起生效；原来的文件保留在旁边。", "Counts from the next batch on; the file before is kept beside it.";
    code_map_text: "代码映射（JSON）", "Code map (JSON)";
    code_map_save: "保存", "Save";
    code_map_wrong: "内容不是有效的代码映射，没有保存。", "This is no code map; nothing was saved.";
    code_map_changed: "其他人刚刚替换了代码映射，没有保存。请把您的修改并入现在的内容，再保存。", "Somebody else has just replaced the code map; nothing was saved. Put your change into what is there now, and save again.";
    code_map_now: "现在的代码映射", "What is there now";
    code_map_typed: "您填写的内容", "What you typed";
    say_why: "请写明原因，1 至 200 字。没有执行。", "Say why, in 1 to 200 characters. Nothing was done.";
    say_replay_from: "没有这个序号，或那一天以后没有变更。没有执行。", "There is no such number, or nothing changed since that day. Nothing was done.";
    say_not_set_aside: "选中的记录已不在退回记录中。没有执行。", "What was chosen is not set aside any more. Nothing was done.";
    say_reconciling: "正在对账，请等报告出来。", "Both sides are being compared already: wait for the report.";
    back_to_connectors: "返回推送状态", "Back to the connectors";

    // Errors.
    error_heading: "出了问题", "Something went wrong";
    error_kept: "没有记录被改动。", "No record was changed.";
    error_code_is: "代码：{code}", "Code: {code}";
    to_home: "回到首页", "To the front page";
    title_bad_request: "请求无法处理", "The request cannot be handled";
    title_login: "请先登录", "Please log in";
    title_forbidden: "不允许", "Not allowed";
    title_not_found: "没有找到", "Not found";
    title_method: "不支持这种访问方式", "This address does not take that";
    title_unavailable: "暂时无法提供服务", "Not available right now";
    say_bad_request: "提交的内容不完整或格式不对。请返回检查后再提交。", "What was sent is incomplete or malformed. Go back, check it and send it again.";
    say_forbidden: "本部门没有做这件事的权限。", "This department has no right to do that.";
    say_not_found: "网址不存在，或已经变动。请从首页重新进入。", "There is no such page, or it has moved. Start from the front page.";
    say_method: "请从页面上的按钮操作。", "Use the buttons on the pages.";
    say_unavailable: "证照库现在不能回答。请稍后再试；如持续出现，请管理员运行 hub doctor。", "The repository cannot answer now. Try again in a moment; if it goes on, have the operator run `hub doctor`.";
    say_unknown_licence: "库中没有这个标识的证照。请核对证照标识。", "No licence is held under this identifier. Check the identifier.";
    say_identifier: "证照标识的格式或校验字符不对。请逐位核对。", "The identifier is malformed or its check character is wrong. Compare it digit by digit.";
    say_unknown_connector: "没有这个名称的推送对象。", "There is no counterpart of this name.";
    say_filter: "有一项条件的格式不对，请检查日期和选项。", "One of the filters is malformed: check dates and choices.";
    say_query_too_long: "检索词最多 200 字。", "At most 200 characters can be searched for.";
    say_reason: "请填写申请事由，最多 200 字。", "State a reason of at most 200 characters.";
    say_not_permitted: "没有策略允许本部门检索此类证照。", "No policy lets this department search licences of this type.";
    say_search_unavailable: "检索索引现在不能回答，请稍后再试。证照本身不受影响。", "The search index cannot answer now: try again in a moment. The licences themselves are not affected.";
    say_operate: "没有策略允许本部门操作推送。", "No policy lets this department operate the connectors.";
    say_connector_failed: "对方现在没有回答，未能完成。推送本身会自动重试。", "The counterpart did not answer, so this was not done. Sending itself is retried.";
    say_form: "提交的表单不完整或过大，没有保存。请返回重试。", "The form was incomplete or too large and was not saved. Go back and try again.";
    say_login: "还没有登录，或者登录已到时失效。没有保存任何内容。", "Nobody has logged in, or the session has ended. Nothing was saved.";
    say_clerks_only: "这一页供窗口和部门的工作人员使用。当前账号没有这项身份。", "This page is for clerks of windows and departments. The account in use is none.";
    say_csrf: "页面已过期：登录状态在打开页面之后变化过。没有保存，请返回、刷新后重试。", "The page is out of date: the login changed after it was opened. Nothing was saved; go back, reload and try again.";
    say_cross_site: "请求来自另一个网站，已拒绝。请从本站页面操作。", "The request came from another site and was refused. Use the pages of this site.";
    say_host: "只能用 localhost 或 127.0.0.1 访问本页。", "These pages answer to localhost and 127.0.0.1 only.";
}

impl Texts {
    /// The name of a licence status word; the word itself if it is new.
    pub(crate) fn status_name<'a>(&'a self, word: &'a str) -> &'a str {
        match word {
            "valid" => self.status_valid,
            "suspended" => self.status_suspended,
            "revoked" => self.status_revoked,
            "superseded" => self.status_superseded,
            other => other,
        }
    }

    /// The name of a kind of connector; the word itself if it is new.
    pub(crate) fn connector_kind<'a>(&'a self, word: &'a str) -> &'a str {
        match word {
            "frontdb" => self.kind_frontdb,
            "http" => self.kind_http,
            "rest" => self.kind_rest,
            "push" => self.kind_push,
            "files" => self.kind_files,
            "casebase" => self.kind_casebase,
            "exchange" => self.kind_exchange,
            other => other,
        }
    }
}

/// English names of the kinds of holders; the Chinese ones are the type's own.
pub(crate) fn holder_kind(language: Language, kind: licence::HolderKind) -> &'static str {
    use licence::HolderKind as K;
    let english = match kind {
        K::Organisation => "Organisation (unified social credit code)",
        K::OtherOrganisation => "Other organisation",
        K::Citizen => "Citizen (citizen number)",
        K::MilitaryOfficer => "Military officer's card",
        K::ArmedPoliceOfficer => "Armed police officer's card",
        K::Soldier => "Soldier's card",
        K::ArmedPoliceSoldier => "Armed police soldier's card",
        K::CivilianStaff120 => "Civilian staff of the army",
        K::CivilianStaff122 => "Civilian staff of the armed police",
        K::DiplomaticPassport => "Diplomatic passport",
        K::ServicePassport => "Service passport",
        K::PublicAffairsPassport => "Passport for public affairs",
        K::OrdinaryPassport => "Passport",
        K::TaiwanTravelPermit => "Mainland travel permit for Taiwan residents",
        K::HongKongMacaoTravelPermit => "Mainland travel permit for Hong Kong and Macao residents",
        K::ForeignResident => "Foreign permanent resident's card",
        K::OtherPerson => "Other person",
    };
    language.pick(kind.name_zh(), english)
}

/// What a connector's error code means and what to do, in Chinese and English.
pub(crate) struct ErrorWords {
    /// What happened.
    pub(crate) what: &'static str,
    /// What to do.
    pub(crate) advice: &'static str,
}

/// The words for an error code of a connector.
pub(crate) fn connector_error(language: Language, code: &str) -> ErrorWords {
    let row = CONNECTOR_ERRORS.iter().find(|row| row.0 == code).unwrap_or(&OTHER_ERROR);
    match language {
        Language::Chinese => ErrorWords { what: row.1, advice: row.2 },
        Language::English => ErrorWords { what: row.3, advice: row.4 },
    }
}

type ErrorRow = (&'static str, &'static str, &'static str, &'static str, &'static str);

static OTHER_ERROR: ErrorRow = (
    "",
    "推送没有成功。",
    "未送达的记录都还在，会自动重试。请管理员查看下面的代码和日志。",
    "The delivery did not succeed.",
    "What was not delivered is kept and tried again. Have the operator look at the code below and at the log.",
);

/// What all defects of the hub's own store are told as.
const STORE: (&str, &str, &str, &str) = (
    "本库存储不能读写。",
    "请管理员运行 hub doctor；恢复后自动续推。",
    "The hub's own store cannot be read or written.",
    "Have the operator run hub doctor; sending goes on by itself when it works again.",
);

/// By code of `connectors::Problem` and of `indexes::StoreError`.
/// What all defects of a code map are told as: the message says which.
const CODE_MAP: (&str, &str, &str, &str) = (
    "代码对照表不可用。",
    "修正对照表；下次重试会重新读取。",
    "The code map cannot be used.",
    "Mend the code map; it is read again at the next attempt.",
);

static CONNECTOR_ERRORS: &[ErrorRow] = &[
    (
        "connect_failed",
        "连不上对方。",
        "检查对方是否在运行，地址、端口和中间的防火墙是否正确。记录不会丢失，恢复后自动续推。",
        "The counterpart cannot be reached.",
        "Check that it runs and that address, port and the firewall between are right. Nothing is lost; sending goes on by itself.",
    ),
    (
        "tls_failed",
        "与对方建立不了安全连接。",
        "把 ca、certificate、key 三个文件与对方的核对：颁发者、名称、有效期。下次重试会重新读取。",
        "No secure connection comes about.",
        "Compare ca, certificate and key with what the counterpart has: issuer, name and dates. The files are read again at the next attempt.",
    ),
    (
        "timed_out",
        "对方没有按时回答。",
        "询问对方是否过载；也可减小 batch 或加大 timeout_ms。",
        "The counterpart did not answer in time.",
        "Ask whether it is overloaded; a smaller batch or a larger timeout_ms may help.",
    ),
    (
        "connection_lost",
        "回答之前连接断开。",
        "多半是对方在重启，会自动续推。",
        "The connection ended before the answer.",
        "Usually a restart over there; sending goes on by itself.",
    ),
    (
        "file_unreadable",
        "配置中指明的文件读不了。",
        "放好文件并让本程序可读；下次重试会重新读取。",
        "A file named in the settings cannot be read.",
        "Put it there and make it readable for the hub; it is read again at the next attempt.",
    ),
    (
        "file_unusable",
        "配置中指明的文件内容不对。",
        "换上正确的文件；下次重试会重新读取。",
        "A file named in the settings does not hold what it should.",
        "Put the right file there; it is read again at the next attempt.",
    ),
    ("code_map_form", CODE_MAP.0, CODE_MAP.1, CODE_MAP.2, CODE_MAP.3),
    ("code_map_format", CODE_MAP.0, CODE_MAP.1, CODE_MAP.2, CODE_MAP.3),
    ("code_map_fields", CODE_MAP.0, CODE_MAP.1, CODE_MAP.2, CODE_MAP.3),
    ("code_map_name", CODE_MAP.0, CODE_MAP.1, CODE_MAP.2, CODE_MAP.3),
    ("code_map_source", CODE_MAP.0, CODE_MAP.1, CODE_MAP.2, CODE_MAP.3),
    ("code_map_separator", CODE_MAP.0, CODE_MAP.1, CODE_MAP.2, CODE_MAP.3),
    (
        "receiver_failing",
        "对方接口暂时不能工作。",
        "通知对方；恢复后自动续推。",
        "The receiver cannot work now.",
        "Tell the counterpart; sending goes on by itself when it works again.",
    ),
    (
        "access_refused",
        "对方不接受我们的身份。",
        "请对方准入本库的客户端证书，或更换证书。",
        "The receiver does not let us in.",
        "Have the counterpart admit the hub's client certificate, or renew it.",
    ),
    (
        "no_interface",
        "这个地址上没有接收接口。",
        "把 url 与对方提供的核对。",
        "There is no receiver at this address.",
        "Compare url with what the counterpart says.",
    ),
    (
        "batch_refused",
        "对方整批退回。",
        "查看退回记录，向对方询问原因。",
        "The receiver refused the whole batch.",
        "See what was set aside, and ask the counterpart why.",
    ),
    (
        "answer_too_large",
        "对方的回答过大，不是约定的内容。",
        "这个地址上可能是别的程序，或对方程序与约定的接口不一致。",
        "The answer is larger than any right answer.",
        "Something else may be answering there, or the counterpart's program differs from the agreed interface.",
    ),
    (
        "answer_malformed",
        "看不懂对方的回答。",
        "这个地址上可能是别的程序，或对方程序与约定的接口不一致。",
        "The answer cannot be understood.",
        "Something else may be answering there, or the counterpart's program differs from the agreed interface.",
    ),
    (
        "answer_does_not_add_up",
        "对方回答的条数与发送的对不上。",
        "对方程序与约定的接口不一致，请对方检查。",
        "The answer speaks of another number of records than were sent.",
        "The counterpart's program differs from the agreed interface: have it checked.",
    ),
    (
        "answer_names_other",
        "对方退回了没有发送过的记录。",
        "对方程序与约定的接口不一致，请对方检查。",
        "The answer refuses a record that was not sent.",
        "The counterpart's program differs from the agreed interface: have it checked.",
    ),
    (
        "table_missing",
        "前置库里没有约定的表。",
        "请对方建表；若允许本库建表，设置 create_tables = true。",
        "The exchange database lacks a table.",
        "Have the tables created, or set create_tables = true if the hub may create them.",
    ),
    (
        "table_differs",
        "前置库的表结构与约定不一致。",
        "请与对方核对表结构。",
        "A table of the exchange database is not as agreed.",
        "Compare the tables with the agreed ones.",
    ),
    (
        "right_missing",
        "前置库没有给予所需权限。",
        "用户需要对 up_lic_data 有 INSERT、SELECT 权限，对 dn_lic_data_error 有 SELECT 权限。",
        "The exchange database gives us no right to do this.",
        "The user needs INSERT and SELECT on up_lic_data and SELECT on dn_lic_data_error.",
    ),
    (
        "login_refused",
        "前置库拒绝登录。",
        "检查 user 和 password_file 的内容，以及对方是否允许本机连接。",
        "The exchange database does not let us in.",
        "Check user and the content of password_file, and whether the server admits this machine.",
    ),
    (
        "login_impossible",
        "前置库要求的登录方式没有配置。",
        "检查 user 和 password_file。",
        "The exchange database wants a login that the settings do not provide for.",
        "Check user and password_file.",
    ),
    (
        "database_missing",
        "服务器上没有这个数据库。",
        "检查 database。",
        "The server has no such database.",
        "Check database.",
    ),
    (
        "value_refused",
        "前置库不接受某个值。",
        "查看退回记录，与对方核对字段。",
        "The exchange database refused a value.",
        "See what was set aside, and compare the columns with the counterpart.",
    ),
    (
        "record_too_large",
        "记录超过前置库一次可接收的大小（max_allowed_packet）。",
        "请对方调大 max_allowed_packet，再重试退回的记录。",
        "A record is larger than the exchange database takes at once (max_allowed_packet).",
        "Have max_allowed_packet raised over there, then retry what was set aside.",
    ),
    (
        "database_failing",
        "前置库暂时不能工作。",
        "通知前置库管理方；恢复后自动续推。",
        "The exchange database cannot work now.",
        "Tell whoever runs it; sending goes on by itself when it works again.",
    ),
    (
        "host_key_unknown",
        "没有这台文件服务器的主机公钥。",
        "向对方索取主机公钥，把 known_hosts 格式的一行写入 host_key 所指文件。",
        "The server's host key is not known.",
        "Ask the counterpart for its host key and put its known_hosts line into the file that host_key names.",
    ),
    (
        "host_key_differs",
        "文件服务器出示的主机公钥与已知的不一致。",
        "向对方确认是否更换了主机密钥：若是，更新 host_key 所指文件；若不是，可能有人冒充。",
        "The server shows another host key than the known one.",
        "Ask the counterpart whether it has a new host key. If not, somebody stands between.",
    ),
    (
        "ssh_failed",
        "与文件服务器无法建立安全连接。",
        "请对方检查 SSH 服务及其算法。",
        "No secure connection to the file server came about.",
        "Ask the counterpart what runs there: it must be an SSH 2 server of this decade.",
    ),
    (
        "server_login_refused",
        "文件服务器拒绝登录。",
        "检查 user、key 或 password_file 的内容，以及对方是否允许本机连接。",
        "The file server does not let us in.",
        "Check user, key or the content of password_file, and whether the server admits this machine.",
    ),
    (
        "sftp_missing",
        "对方没有为此用户开通 SFTP。",
        "请对方为此用户开通 SFTP。",
        "The server has no SFTP for this user.",
        "Have the counterpart allow SFTP for this user.",
    ),
    (
        "folder_missing",
        "文件服务器上没有约定的目录。",
        "请对方建立目录，或更正 folder、answers。",
        "A folder on the file server is missing.",
        "Have the folder made over there, or correct folder and answers.",
    ),
    (
        "folder_full",
        "文件服务器的目录里文件过多。",
        "请对方取走文件，或设置 keep_days。",
        "A folder on the file server has too many files.",
        "Have the counterpart take its files away, or set keep_days.",
    ),
    (
        "file_right_missing",
        "文件服务器没有给予所需权限。",
        "用户需要能在目录中读、写、改名和删除文件。",
        "The file server gives us no right to do this.",
        "The user must read, write, rename and remove files in the folders.",
    ),
    (
        "file_server_failing",
        "文件服务器暂时不能工作，可能磁盘已满。",
        "通知文件服务器管理方检查磁盘；恢复后自动续推。",
        "The file server cannot work now; its disk may be full.",
        "Tell whoever runs it; sending goes on by itself when it works again.",
    ),
    (
        "token_refused",
        "对方网关不发给令牌，或不认已发的令牌。",
        "与对方核对 access_id、口令文件和签名密钥；口令文件下次重试会重新读取。",
        "The gateway gives no token, or does not accept the one it gave.",
        "Check access_id, the secret and the key for signing with the counterpart; the files are read again at the next attempt.",
    ),
    (
        "gateway_failing",
        "对方网关暂时不能处理。",
        "请告知对方；恢复后自动续推。",
        "The gateway cannot work for now.",
        "Tell the counterpart; sending goes on by itself when it works again.",
    ),
    (
        "gateway_refused",
        "对方网关退回了整个请求。",
        "查看退回的记录，询问对方原因。",
        "The gateway refused the whole request.",
        "See what was set aside, and ask the counterpart why.",
    ),
    (
        "gateway_stopped",
        "对方网关答复了一个不能自动继续的代码。",
        "询问对方该代码的含义，多半是权限、签名或事项的问题。",
        "The gateway answered a code after which nothing goes on by itself.",
        "Ask the counterpart what the code means; rights, signature and matter are usual causes.",
    ),
    (
        "clock_differs",
        "对方网关不接受本机的时间。",
        "用时间服务器校准本机时钟，并请对方检查其时钟。",
        "The gateway does not accept this machine's time.",
        "Set the clock by a time server, and have the counterpart look at its own.",
    ),
    (
        "shape_unusable",
        "网关接口描述文件不能用。",
        "改正接口描述或设置；下次重试会重新读取。",
        "The shape of the gateway cannot be used.",
        "Mend the shape or the settings; the file is read again at the next attempt.",
    ),
    (
        "counts_not_offered",
        "对方不能给出持有数量。",
        "请对方提供计数接口；推送不受影响。",
        "The counterpart cannot say how much it holds.",
        "Ask it for a call that counts; sending is not touched by it.",
    ),
    (
        "answer_file_unusable",
        "看不懂对方放入的回执文件。",
        "请对方按 docs/formats/files.md 书写；看不懂的回执已移入回执目录下的 unreadable。",
        "A file that the counterpart dropped cannot be understood.",
        "Ask the counterpart to write it as docs/formats/files.md has it. Such an answer is in the folder unreadable below the answers.",
    ),
    (
        "counts_missing",
        "对方没有放入计数文件。",
        "请对方放入 counts.json，逐条比对还需 holdings.ndjson。",
        "The counterpart drops no counts.",
        "Ask the counterpart to drop counts.json and, to find single records, holdings.ndjson.",
    ),
    (
        "counts_outdated",
        "对方的计数尚未包含最近的变更。",
        "待对方处理完已发送的文件后再对账。",
        "The counterpart's counts lack the latest changes.",
        "Compare again when the counterpart has worked through what was sent.",
    ),
    (
        "unknown_type_counted",
        "对方的计数里有不是证照类型的内容。",
        "对方程序与约定的接口不一致，请对方检查。",
        "The counterpart counts something that is no licence type.",
        "The counterpart's program differs from the agreed interface: have it checked.",
    ),
    (
        "counts_not_told",
        "对方不提供计数。",
        "这类对方只接收记录，不提供计数，属正常情况；请用其他方式核对。",
        "The counterpart does not tell what it holds.",
        "Nothing is wrong: a counterpart of this kind tells no counts. Compare by other means.",
    ),
    (
        "key_service_wrong",
        "部门签名服务返回的签名不成立。",
        "请部门检查签名服务：须用颁发机构的有效证书对收到的原文签名，其根证书须在本平台的信任列表中。数据行原地等候，恢复后自动继续。",
        "What the department's key service signed does not hold.",
        "Ask the department: its service must sign the very bytes it is sent, with the issuer's valid certificate, by an authority whose anchor this hub has. The rows wait, and go on by themselves.",
    ),
    (
        "defect",
        "系统自身的一处缺陷使推送中断。",
        "请把此时的日志交给开发人员；系统会继续尝试。",
        "A defect of the system broke this off.",
        "Report it to the developers with the log of that time; it is tried again.",
    ),
    (
        "every_record_refused",
        "连续多条记录都被退回，没有一条收下。",
        "多半是两个系统之间的问题，而不是记录的问题，请询问对方。在对方收下一条之前，每次只试一条，间隔逐渐加长；原因消除后请点“恢复推送”，再重试退回的记录。",
        "Many records in a row were refused and none was taken.",
        "Something is wrong between the two systems rather than with the records: ask the counterpart. Until one is taken, one record is tried at a time, with pauses that grow; when the cause is gone, resume, and retry what was set aside.",
    ),
    (
        "disk_full",
        "本库的磁盘已满。",
        "请管理员腾出空间；之后自动续推。",
        "The hub's own disk is full.",
        "Have the operator make room; sending goes on by itself.",
    ),
    ("store_locked", STORE.0, STORE.1, STORE.2, STORE.3),
    ("store_corrupt", STORE.0, STORE.1, STORE.2, STORE.3),
    ("store_format", STORE.0, STORE.1, STORE.2, STORE.3),
    ("store_io", STORE.0, STORE.1, STORE.2, STORE.3),
    ("store_closed", STORE.0, STORE.1, STORE.2, STORE.3),
    ("too_long", STORE.0, STORE.1, STORE.2, STORE.3),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_connector_error_has_words_in_both_languages() {
        let other = std::iter::once(&OTHER_ERROR);
        for (code, what, advice, what_en, advice_en) in CONNECTOR_ERRORS.iter().chain(other) {
            assert!(has_chinese(what) && has_chinese(advice), "{code}: not Chinese");
            for english in [what_en, advice_en] {
                assert!(!english.is_empty() && !has_chinese(english), "{code}: not English");
            }
        }
        // The list of codes is read where they are defined, so a new one fails here.
        let sources = [
            include_str!("../../../connectors/src/problem.rs"),
            include_str!("../../../indexes/src/error.rs"),
        ];
        let mut seen = 0;
        for source in sources {
            let texts = source.split("=> \"").skip(1).filter_map(|rest| rest.split_once('"'));
            let is_code = |text: &str| text.chars().all(|c| c.is_ascii_lowercase() || c == '_');
            for (code, _) in texts.filter(|(text, _)| is_code(text)) {
                assert!(CONNECTOR_ERRORS.iter().any(|row| row.0 == code), "no words for {code}");
                seen += 1;
            }
        }
        assert!(seen >= 27, "only {seen} codes were found: has their place moved?");
    }

    #[test]
    fn every_kind_of_holder_has_a_name_in_both_languages() {
        for kind in licence::HolderKind::ALL {
            assert!(has_chinese(holder_kind(Language::Chinese, kind)));
            let english = holder_kind(Language::English, kind);
            assert!(!english.is_empty() && !has_chinese(english));
        }
    }

    #[test]
    fn places_are_filled() {
        assert_eq!(fill("{a} of {b}, {a}.", &[("a", &1), ("b", &"{a}")]), "1 of {a}, 1.");
    }
}
