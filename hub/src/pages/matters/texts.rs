//! The texts of the guides, in both languages.

use crate::pages::texts::texts;

texts! { MattersTexts;
    // The list.
    matters: "办事指南", "Services";
    lead: "每个事项要什么材料、多少天办好、在哪里办。库里已有的证照不用交。", "For each matter: what it takes, how long it takes, where it is taken. Licences that the repository holds need not be handed in.";
    search: "查找事项", "Find a matter";
    search_hint: "输入事项名称中的字，多个词用空格分开，例如：餐饮 备案", "Words of its name, with blanks between them, such as: food stall";
    find: "查找", "Find";
    show_all: "显示全部事项", "Show all matters";
    found: "找到 {n} 个事项。", "{n} matters found.";
    found_one: "找到 1 个事项。", "One matter found.";
    found_none: "没有找到。换一个说法，或查看全部事项。", "Nothing found. Try other words, or see all matters.";
    found_more: "只显示前 {n} 个，请多输入几个字。", "Only the first {n} are shown: type more words.";
    no_matters: "还没有事项", "There are no matters yet";
    no_matters_hint: "请管理员在配置的事项清单中增加。", "Have the operator add some to the list of matters.";
    others: "以下事项由部门自己的系统办理，这里没有办事指南", "These are handled by the departments' own systems; there is no guide here";
    summary: "{materials} 项材料 · 承诺 {days} 个工作日", "{materials} materials · {days} working days promised";
    for_persons: "个人", "Persons";
    for_organisations: "单位", "Organisations";
    for_both: "个人和单位", "Persons and organisations";

    // A guide.
    back: "全部办事指南", "All services";
    basics: "基本信息", "In short";
    department: "办理部门", "Department";
    applicants: "谁可以办", "Who may apply";
    time_limit: "办理时限", "Time limit";
    time_limit_is: "承诺 {promised} 个工作日（法定 {legal} 个）", "{promised} working days promised ({legal} by law)";
    time_limit_promised: "承诺 {promised} 个工作日", "{promised} working days promised";
    time_limit_none: "当场或按部门规定", "At once, or as the department says";
    taken_at: "在哪里办", "Where";
    online: "网上", "Online";
    at_district: "区政务服务大厅任一窗口", "any window of the district's service hall";
    at_street: "任一街道（镇）便民服务中心", "any street or town service centre";
    at_village: "任一社区（村）便民服务站", "any community or village service point";
    anywhere: "任一窗口", "any window";
    basis: "办理依据", "Legal basis";
    result: "办理结果", "Result";
    result_is: "《{name}》（电子证照）", "{name} (electronic licence)";
    code: "实施编码", "Code";
    version: "版本", "Version";
    version_is: "第 {n} 版", "No. {n}";
    version_from: "第 {n} 版，{from} 起施行", "No. {n}, in force from {from}";
    version_until: "第 {n} 版，施行到 {until}", "No. {n}, in force until {until}";
    version_between: "第 {n} 版，{from} 至 {until} 施行", "No. {n}, in force from {from} to {until}";
    version_now: "现行", "in force";
    versions: "版本", "Versions";
    versions_hint: "已经开始的办件按当时的版本办完。", "A case that was begun goes on under the version of its day.";
    not_in_force: "今天不办理这个事项", "This matter is not taken today";
    not_in_force_hint: "各版本的施行日期见本页下方。", "See below on which days its versions are in force.";
    no_guide: "这个事项在这里还不能申请", "This matter cannot be applied for here yet";
    no_guide_hint: "它由部门自己的系统办理。请直接联系办理部门。", "The department's own system handles it: turn to the department.";

    // Starting.
    start: "开始办理", "Start";
    start_hint: "材料可以现在交，也可以以后交。提交之前随时可以修改。", "Materials may be handed in now or later; all can be changed until it is submitted.";
    log_in_to_start: "登录后办理", "Log in to start";
    log_in_hint: "登录后马上知道：哪些材料库里已有，哪些还要交。", "Once logged in you see at once what is held already and what is left to hand in.";
    print: "打印张贴版（A4，带二维码）", "Sheet to put up (A4, with QR code)";

    // The personal checklist.
    yours: "您的材料清单", "Your checklist";
    yours_for: "为{name}", "For {name}";
    yours_other: "换成{name}", "For {name} instead";
    needed: "共 {all} 项：已有 {held} 项，还要交 {missing} 项。", "{all} materials: {held} are here, {missing} to hand in.";
    needed_nothing: "共 {all} 项，全部已有，什么也不用交。", "{all} materials, all here: nothing to hand in.";
    recorded: "本次查看已记入您的使用记录。", "This look is on the record of uses of your licences.";
    not_for_you: "这个事项不是为您这类申请人办理的，见上面的“谁可以办”。", "This matter is not for your kind of applicant: see who may apply, above.";
    state_held: "库里已有", "Held";
    state_reusable: "以前交过", "Handed in before";
    state_to_hand_in: "要交", "To hand in";
    says_held: "《{name}》在库中，今天有效。", "{name} is held and valid today.";
    says_fact: "从《{name}》取得。", "Taken from: {name}.";
    says_reusable: "{at} 交过，还能用。", "Handed in on {at}, still good.";
    says_only_file: "请准备文件。", "Have the file ready.";
    says_none_held: "库里没有您的对应证照，请准备文件。", "No such licence of yours is held: have a file ready.";
    says_not_trusted: "库里的证照今天不能用，请准备文件。", "The licence held cannot be used today: have a file ready.";
    says_outdated: "以前交的已过期，请重新准备。", "What was handed in before is out of date: have it ready again.";
    says_fact_missing: "证照上写的不符合要求，请准备文件。", "The licence does not say what is needed: have a file ready.";
    says_may_follow: "可以承诺在 {until} 前补交。", "It may follow until {until}, against a promise.";
    says_may_not_follow: "有到期未补的承诺，不能后补。", "It may not follow: an earlier promise was not kept.";

    // Materials.
    materials: "申请材料", "Materials";
    materials_hint: "一项材料有几种来源的，有一种就行。", "Where there are several ways, one is enough.";
    material: "材料", "Material";
    ways: "怎样取得", "How it is had";
    way_licence: "库里有《{name}》就不用交", "nothing to hand in if {name} is held";
    way_fact: "从《{name}》的“{field}”取得，不用交", "taken from “{field}” of {name}: nothing to hand in";
    way_fact_is: "《{name}》的“{field}”写着“{value}”就不用交", "nothing to hand in if “{field}” of {name} says “{value}”";
    way_file: "交一份文件，{days} 天内办其他事项可再用", "a file, which serves other matters too for {days} days";
    way_file_once: "交一份文件，只用于这一次", "a file, for this case only";
    way_else: "没有的，{way}", "otherwise {way}";
    may_follow: "可以后补：先受理，{days} 个工作日内补齐", "May follow: taken without it, to be handed in within {days} working days";
    sample: "样式", "What it looks like";
    requirement_basis: "依据", "Basis";

    // Flow and forms.
    flow: "办理流程", "Steps";
    forms: "表单", "Forms";
    forms_hint: "有来源的内容自动填好，可以修改。", "What has a source is filled in for you and may be changed.";
    field: "填写内容", "Field";
    filled_from: "自动填写自", "Filled in from";
    filled_by_you: "由您填写", "you fill it in";
    filled_by_you_optional: "由您填写，可以不填", "you fill it in, or leave it out";
    field_of: "《{name}》的“{field}”", "“{field}” of {name}";
    or: " 或 ", " or ";

    // The sheet.
    sheet_scan: "扫码看指南，登录后查自己的材料清单", "Scan for the guide; log in for your own checklist";
    sheet_print: "按 Ctrl+P 打印（Mac 为 ⌘P），纸张选 A4。", "Print with Ctrl+P (⌘P on a Mac), on A4.";
    sheet_qr: "本指南的二维码", "QR code of this guide";
    sheet_back: "返回办事指南", "Back to the guide";
    sheet_made: "第 {n} 版 · {day} 打印", "Version {n} · printed {day}";

    say_unknown: "目录里没有这个事项。目录里没有的事项不能办理。", "This matter is not in the catalogue. What is not in the catalogue cannot be run.";
    say_query: "查找内容最多 100 字。", "At most 100 characters can be looked for.";
    say_unavailable: "证照库现在不能回答，清单没有列出。请稍后再试。", "The repository cannot answer now, so the checklist is not shown. Try again in a moment.";
}
