//! The texts of the personal pages, Chinese and English.

use crate::pages::texts::{Language, texts};

texts! { MeTexts;
    // What all of these pages share.
    mine: "我的", "My page";
    part_navigation: "我的各项内容", "Parts of my page";
    back_to_mine: "返回我的主页", "Back to my page";
    licences: "我的证照", "My licences";
    cases: "我的办件", "My cases";
    materials: "我的材料", "My files";
    uses: "谁看过", "Who looked";
    consents: "授权", "Consents";
    corrections: "更正", "Corrections";
    acting_for: "正在为{name}办事", "You act for {name}";
    change_holder: "换成别人", "Change";
    at: "时间", "When";
    status: "状态", "Status";

    // Overview.
    greeting: "{name}，您好", "Hello, {name}";
    overview_lead: "您的证照、办件和授权都在这里。谁看过您的证照，也在这里。", "Your licences, cases and consents are here, and so is who looked at them.";
    do_something: "办一件事", "Apply for something";
    do_hint: "已经在库里的证照，不用再交。", "What the repository already holds, you need not hand in.";
    to_do: "等您处理", "Waiting for you";
    nothing_to_do: "现在没有需要您处理的事。", "Nothing is waiting for you.";
    all_licences: "查看全部证照（{n} 件）", "Show all licences ({n})";
    no_licences: "库里还没有您的证照", "No licence of yours is here yet";
    no_licences_hint: "颁发部门交来之后就会出现在这里。如果您已经领到证照，请联系颁发部门。", "A licence appears here once its issuer has handed it in. If you hold one already, ask its issuer.";
    for_whom: "为谁办事", "For whom you act";
    for_whom_hint: "您可以为自己办事，也可以为您代表的单位办事。", "You may act for yourself and for the organisations you represent.";
    act_for: "为{name}办事", "Act for {name}";
    acting_now: "现在", "now";
    yourself: "{name}（本人）", "{name} (yourself)";

    // Licences.
    licences_lead: "库里登记在您名下的全部证照。", "All licences that are registered for you here.";
    column_licence: "证照", "Licence";
    column_number: "编号", "Number";
    column_valid: "有效期", "Validity";
    only_newest: "只显示最近的 {n} 件。", "Only the newest {n} are shown.";
    licence_current: "有效", "Valid";
    licence_ends_soon: "快到期", "Ends soon";
    licence_expired: "已过期", "Expired";
    licence_not_yet: "未到有效期", "Not valid yet";
    licence_damaged: "内容受损", "Damaged";
    licence_unsigned: "未签名", "Not signed";
    licence_says_current: "这件证照现在有效，办事时不用再交。", "This licence is valid: you need not hand it in when you apply for something.";
    licence_says_ends_soon: "这件证照现在有效，{day} 到期。请提前向颁发机构申请换证。", "This licence is valid until {day}. Ask its issuer for a new one in good time.";
    licence_says_expired: "这件证照已过有效期，办事时不能再用。请向颁发机构申请换证。", "This licence has expired and can no longer be used. Ask its issuer for a new one.";
    licence_says_not_yet: "这件证照还没有到生效的日子。", "The first day of this licence has not come yet.";
    licence_says_suspended: "颁发机构暂扣了这件证照，现在不能用。请向颁发机构询问原因。", "Its issuer has suspended this licence: it cannot be used now. Ask the issuer why.";
    licence_says_revoked: "颁发机构已使这件证照失效（{cause}）。如有疑问，请联系颁发机构。", "Its issuer has ended this licence ({cause}). If you have questions, ask the issuer.";
    licence_says_superseded: "这件证照已被新的一件取代，请看新的那件。", "A newer licence has taken the place of this one: look at that one.";
    licence_says_undetermined: "这件证照现在暂时无法核验，不是您的问题。请稍后再看。", "This licence cannot be verified at the moment; that is no fault of yours. Look again later.";
    licence_says_untrusted: "这件证照没有通过核验，暂时不能用。请把下面的代码告诉颁发机构。", "This licence did not pass verification and cannot be used now. Tell its issuer the code below.";
    licence_says_unsigned: "这是颁发机构登记系统里的记录，颁发机构还没有签名，只供您参考，办事时不能代替证照。需要用时，请向颁发机构申请签发电子证照。", "This is a record from its issuer's register that the issuer has not signed. It is for your information and cannot stand in for the licence when you apply for something. If you need it, ask the issuer to issue the electronic licence.";
    licence_says_damaged: "库里保存的内容与颁发时不一致，所以不显示。请告诉颁发机构，由其重新入库。", "What is kept here is not what its issuer signed, so it is not shown. Tell the issuer, who can hand it in again.";
    verification_code: "核验代码：{code}", "Verification code: {code}";
    licence_content: "证照内容", "What it says";
    name_on_it: "姓名或名称", "Name";
    issued_by: "颁发机构", "Issued by";
    issued_on: "颁发日期", "Issued on";
    identifier: "证照标识", "Identifier";
    files: "附件", "Files";
    look_recorded: "您自己查看也会留下记录，您可以在“谁看过”里看到。", "Your own look is recorded too; you find it under “Who looked”.";
    newer_licence: "看新的证照", "Show the newer licence";

    // Cases.
    cases_lead: "您申请过的事项，都在这里。", "Everything you have applied for.";
    no_cases: "您还没有办件", "You have applied for nothing yet";
    open_cases: "正在办的事", "What is being done";
    all_cases: "查看全部办件", "Show all cases";
    column_matter: "事项", "Matter";
    column_next: "接下来", "What comes next";
    column_opened: "开始时间", "Begun";
    choose_for_whom: "这件事为谁办？", "For whom do you apply?";
    state_draft: "准备中", "In preparation";
    state_submitted: "已提交", "Handed over";
    state_supplement: "请补正", "More is needed";
    state_accepted: "已受理", "Accepted";
    state_declined: "不予受理", "Not accepted";
    state_granted: "已办成", "Granted";
    state_refused: "未通过", "Refused";
    state_withdrawn: "已撤回", "Withdrawn";
    next_draft: "材料齐了就可以提交。随时可以离开，已保存的内容都在。", "Hand it over when everything is there. You may leave at any time: what was saved is kept.";
    next_submitted: "部门正在看，{day} 前会有结果。您现在不用做什么。", "The department is looking at it and decides by {day}. There is nothing for you to do now.";
    next_submitted_open: "部门正在看。您现在不用做什么。", "The department is looking at it. There is nothing for you to do now.";
    next_supplement: "部门请您补一些东西，办件里写明了补什么、为什么；补齐后再提交一次。", "The department needs something more; the case says what and why. Add it, then hand it over again.";
    next_accepted: "部门已受理，{day} 前办结。您现在不用做什么。", "The department has accepted it and decides by {day}. There is nothing for you to do now.";
    next_accepted_open: "部门已受理。您现在不用做什么。", "The department has accepted it. There is nothing for you to do now.";
    next_late: "部门应在 {day} 前办结，现在还没有结果。可以拿办件编号到任一窗口询问。", "The department was to decide by {day} and has not yet. Ask at any window with the case number.";
    next_declined: "部门没有受理，办件里写明了原因。改好之后可以重新申请。", "The department did not accept it; the case says why. You may apply anew when that is mended.";
    next_granted: "办成了。结果证照入库后，会在这里出现。", "Granted. The licence appears here once its issuer has handed it in.";
    next_resulted: "办成了，结果证照已经在您名下。", "Granted. The licence is now yours, and here.";
    next_refused: "申请没有通过，办件里写明了原因。如有异议，可以依法申请行政复议或者提起行政诉讼。", "It was refused; the case says why. If you disagree, you may ask for an administrative review or go to court.";
    next_withdrawn: "您撤回了这次申请。需要时可以重新申请。", "You withdrew it. You may apply anew at any time.";
    case_number: "办件编号", "Case number";
    department: "办理部门", "Department";
    opened_at_window: "收件窗口", "Opened at";
    due: "办结期限", "Decided by";
    result_licence: "查看结果证照", "Show the resulting licence";
    reason_given: "部门的理由", "The department's reason";
    asked_for: "部门请您补正（一次说全）", "What the department asks for, all at once";
    part_materials: "材料", "What is needed";
    summary_complete: "共 {all} 项，其中 {spared} 项不用您交，材料已齐。", "{all} items, {spared} of which you need not hand in: all is there.";
    summary_promised: "共 {all} 项，其中 {spared} 项不用您交，{promised} 项以后补交。", "{all} items, {spared} of which you need not hand in; {promised} promised to follow.";
    summary_left: "共 {all} 项，其中 {spared} 项不用您交，还差 {left} 项。", "{all} items, {spared} of which you need not hand in; {left} still missing.";
    item_held: "不用交", "Not needed";
    item_held_says: "证照库里已有：", "The repository holds it:";
    item_fact_says: "证照上已写明：", "A licence says it:";
    item_reusable: "不用再交", "Not needed again";
    item_reusable_says: "您 {day} 交过，这次接着用：", "You handed it in on {day}; it is used again:";
    item_handed_in: "已交", "Handed in";
    item_handed_in_says: "您交了：", "You handed in:";
    item_reused_says: "用您以前交的：", "Used again from before:";
    item_promised: "以后补交", "Promised";
    item_promised_says: "您承诺在 {day} 前补交。现在也可以交。", "You promised it by {day}. You may hand it in now, too.";
    item_to_hand_in: "请交", "To hand in";
    item_may_follow: "可以先办后补：在下面打勾承诺，{day} 前补交。", "It may follow: tick it below and promise it by {day}.";
    item_may_not_follow: "您有一份承诺过期没有补交，所以这次不能先办后补。补上那份之后就可以。", "You did not keep an earlier promise, so nothing may follow this time. Make that good first.";
    to_that_case: "去补交", "Go there";
    why_only_a_file: "这一项需要您交一份文件。", "This one has to be handed in as a file.";
    why_none_held_file: "库里没有您的这件证照，请交一份文件。", "The repository holds no such licence of yours: hand in a file.";
    why_none_held: "库里没有您的这件证照。请先向颁发部门办理，办好后这里会自动变为“不用交”。", "The repository holds no such licence of yours. Get it from its issuer first; it then counts here by itself.";
    why_not_trusted_file: "您有这件证照，但现在不能用，请交一份文件。", "You have such a licence, but it cannot be used now: hand in a file.";
    why_not_trusted: "您有这件证照，但现在不能用。请先向颁发部门办好，这里会自动变为“不用交”。", "You have such a licence, but it cannot be used now. Have its issuer put it right; it then counts here by itself.";
    why_fact_missing: "您的证照上没有写明这一项。", "Your licence does not say this.";
    why_outdated: "您以前交过，但已过了可以再用的期限，请重新交一份。", "You handed it in before, but too long ago: hand in a new one.";
    show_licence: "看这件证照", "Show the licence";
    sample: "样子：", "How it should look: ";
    choose_file: "选择文件", "Choose a file";
    file_hint: "PDF、OFD、JPEG、PNG，最大 500 MB。用手机拍清楚也可以。", "PDF, OFD, JPEG or PNG, at most 500 MB. A clear photograph will do.";
    hand_in: "交这份文件", "Hand in this file";
    letters: "文书", "Letters";
    confirm_field: "已经核对，不用改", "Checked: nothing to change";
    form_hint: "已经从您的证照上填好，请看一看对不对。", "Filled in from your licences: see whether it is right.";
    taken_from: "取自", "Taken from";
    optional: "（可以不填）", "(may stay empty)";
    not_filled_in: "未填", "not filled in";
    part_follow: "先办后补（容缺办理）", "What may follow";
    follow_promise: "打勾就是承诺：在写明的日期前补交。过期不补的，以后办事不能再先办后补。", "A tick is a promise to hand it in by the day named. Who does not keep it may not promise again.";
    follow_by: "{day} 前补交", "by {day}";
    still_missing: "还不能提交，还差：", "It cannot be handed over yet. Still missing:";
    part_submit: "提交", "Hand over";
    submit_means: "提交后，办理部门可以查看上面列出的证照和文件，只用于这件事。", "When you hand it over, the department may see the licences and files listed above, for this case only.";
    submit: "提交给部门", "Hand over to the department";
    submit_again: "补好了，再提交", "Hand over again";
    save: "先保存，以后再交", "Save for later";
    withdraw: "撤回这次申请", "Withdraw this application";
    withdraw_means: "撤回后部门不再办理，也不能再看您的证照。交过的文件会保留，下次还能用。", "The department stops working on it and can no longer see your licences. Files you handed in are kept and can be used again.";
    withdraw_yes: "确定撤回", "Yes, withdraw";
    part_steps: "办理经过", "What happened";
    step_opened: "开始申请", "Begun";
    step_provided: "交了材料", "File handed in";
    step_promised: "承诺 {day} 前补交", "Promised by {day}";
    step_promise_kept: "承诺的材料都补齐了", "All that was promised has come";
    step_submitted: "提交给部门", "Handed over";
    step_delivered: "部门已收到", "The department has it";
    step_supplement: "部门请您补正", "The department asked for more";
    step_accepted: "部门受理", "Accepted";
    step_declined: "部门不予受理", "Not accepted";
    step_granted: "部门准予", "Granted";
    step_refused: "部门不予许可", "Refused";
    step_resulted: "结果证照已入库", "The licence is here";
    step_withdrawn: "撤回申请", "Withdrawn";
    promise_open_word: "有待补交", "Something is to follow";
    promise_open: "您承诺 {day} 前补交材料，请在办件里“以后补交”的那一项交。", "You promised something by {day}. Hand it in with the case, at the item marked as promised.";
    promise_overdue_word: "补交过期", "Overdue";
    promise_overdue: "您承诺 {day} 前补交的材料还没有交。请尽快补交；补齐之前，别的事不能先办后补。", "What you promised by {day} has not come. Hand it in soon: until then nothing else may follow later.";
    by_you: "您", "You";
    by_window: "窗口", "Window";
    by_hub: "证照库", "The repository";
    column_what: "事情", "What";
    column_by: "谁", "Who";
    done_saved: "已保存。", "Saved.";
    done_file: "文件已收到。", "The file was taken.";
    done_promised: "承诺已记下。", "The promise is on record.";
    done_submitted: "已提交给部门，请等待。", "Handed over to the department.";
    done_withdrawn: "已撤回。", "Withdrawn.";
    not_done: "没有办成", "That was not done";
    what_was_kept: "您填写的内容和交过的文件都保留着。", "What you filled in and handed in is kept.";

    // Disputes and corrections.
    licence_disputed: "有异议", "Disputed";
    licence_says_disputed: "您在 {day} 说这里不对：{fields}。颁发机构还没有答复；在此期间，查询这件证照的部门都会看到“有异议”。", "On {day} you said that this is wrong: {fields}. Its issuer has not answered yet; meanwhile every department that looks is told.";
    dispute_title: "有内容不对？", "Is something wrong?";
    dispute_lead: "告诉颁发机构哪一项不对。它必须在规定的工作日内答复，您会在“更正”里看到结果。", "Tell the issuer what is wrong. It has to answer within a set number of working days; the outcome appears under “Corrections”.";
    dispute_field: "哪一项不对", "What is wrong";
    dispute_choose: "请选择", "Choose";
    dispute_says: "应该是什么", "What it should say";
    dispute_why: "为什么", "Why";
    dispute_why_hint: "例如：改过名字、录入时写错了。", "For example: the name was changed, or it was mistyped.";
    dispute_materials: "附上您交过的文件（可以不附）", "Add files you handed in before (need not be)";
    dispute_send: "请颁发机构更正", "Ask the issuer to correct it";
    what_was_typed_kept: "您填写的内容还在下面。", "What you typed is still below.";
    corrections_title: "更正", "Corrections";
    corrections_lead: "您提出的更正，和颁发机构的答复。要提出新的，请打开那件证照。", "What you asked to have corrected, and what the issuers answered. To ask for more, open the licence.";
    no_corrections: "您没有提出过更正", "You have not asked for any correction";
    correction_title: "更正申请", "Correction";
    correction_field: "哪一项", "What";
    correction_shown: "证照上写的", "What the licence says";
    correction_says: "您说应该是", "What you say it should be";
    correction_why: "您的理由", "Your reason";
    correction_disputed_at: "提出时间", "Asked at";
    correction_due: "答复期限", "Answer due";
    correction_due_uncertain: "那一年的放假安排还没有公布，期限可能顺延。", "The holidays of that year are not announced yet: the day may move.";
    correction_answered_at: "答复时间", "Answered at";
    correction_waiting: "等待答复", "Waiting";
    correction_overdue: "逾期未答复", "Overdue";
    correction_corrected: "已更正", "Corrected";
    correction_kept: "维持原样", "Kept";
    correction_says_waiting: "颁发机构要在 {day} 前答复。您现在不用做什么。", "The issuer has to answer by {day}. There is nothing for you to do now.";
    correction_says_overdue: "颁发机构应在 {day} 前答复，已经过期。您可以打 12345 热线催办，并报上这一页的内容。", "The issuer should have answered by {day}. You may call the hotline 12345 and tell it what stands here.";
    correction_says_corrected: "颁发机构同意更正，并颁发了新的证照。", "The issuer agreed and issued a new licence.";
    correction_says_kept: "颁发机构认为证照没有错，理由写在下面。如不同意，可申请行政复议。", "The issuer keeps the licence as it is; the reason stands below. If you disagree, you may ask for an administrative review.";
    issuer_reason: "颁发机构的理由", "The issuer's reason";
    done_disputed: "已发给颁发机构。", "Sent to the issuer.";

    // Who looked.
    uses_lead: "谁看过您的证照、什么时候、为什么，一次不落都在这里。法律规定要晚些告知的，到日子就会出现。", "Who looked at your licences, when and why: every time. What the law lets you know later appears when its day has come.";
    uses_latest: "最近谁看过", "Who looked last";
    all_uses: "查看全部记录", "Show all";
    no_uses: "还没有人看过您的证照", "Nobody has looked at your licences yet";
    uses_show_own: "也显示我自己的查看", "Show my own looks too";
    uses_hide_own: "不显示我自己的查看", "Hide my own looks";
    uses_later: "← 较近的", "← Later";
    uses_earlier: "更早的 →", "Earlier →";
    column_who: "谁", "Who";
    column_why: "为什么", "Why";
    column_saw: "看了什么", "What they saw";
    column_allowed: "凭什么", "Allowed by";
    act_pull: "调取证照", "Pulled";
    act_open: "打开内容", "Opened";
    act_search: "检索", "Searched";
    act_view: "查阅", "Viewed";
    act_own: "自己查看", "Own look";
    basis_holder: "您申请办事", "your application";
    basis_consent: "您的授权", "your consent";
    basis_duty: "法定职责", "a duty by law";
    see_consent: "看这份授权，可以收回", "See the consent; you may withdraw it";
    see_case: "看这件办件", "See the case";
    grant: "用证授权编号", "Grant";
    entry: "记录序号", "Entry";
    nothing_found: "没有查到证照", "nothing was found";
    if_you_wonder: "觉得不该有人看？请打 12345 热线，报上记录序号。", "Do you think somebody should not have looked? Call the hotline 12345 and name the entry.";

    // Consents.
    consents_title: "授权", "Consents";
    consents_lead: "部门要用您的证照，要先问您。同意、只同意一部分、不同意，都由您定；同意了也可以收回。", "A department that wants to use your licences has to ask you. Yes, less, or no: that is up to you, and a yes can be withdrawn.";
    no_consents: "没有部门向您请求过授权", "No department has asked you for anything";
    consent_title: "部门请求使用您的证照", "A department asks to use your licences";
    consent_waits: "请求使用您的证照，等您答复。", "asks to use your licences and waits for your answer.";
    consent_waiting: "等您答复", "Waiting for you";
    consent_granted: "已同意", "Given";
    consent_refused: "已拒绝", "Refused";
    consent_withdrawn: "已收回", "Withdrawn";
    consent_lapsed: "已过期", "Lapsed";
    consent_ended: "已到期", "Ended";
    consent_says_waiting: "您还没有答复。不答复，部门就看不到。", "You have not answered. Without an answer the department sees nothing.";
    consent_says_granted: "您同意了，部门在期限内可以查看下面列出的内容。您随时可以收回。", "You agreed: until the last day the department may see what is listed below. You may withdraw this at any time.";
    consent_says_refused: "您没有同意，部门看不到。", "You said no: the department sees nothing.";
    consent_says_withdrawn: "授权已收回，部门不能再看。", "This was withdrawn: the department can no longer look.";
    consent_says_lapsed: "请求过了期限没有答复，部门看不到。", "The time for an answer has passed: the department sees nothing.";
    consent_says_ended: "授权到期了，部门不能再看。", "Its time is over: the department can no longer look.";
    consent_who: "谁请求", "Who asks";
    consent_matter: "为了办理", "For";
    consent_why: "事由", "Why";
    consent_until: "用到哪天", "Until";
    consent_asked: "请求时间", "Asked at";
    consent_decided: "答复时间", "Answered at";
    consent_withdrawn_at: "收回时间", "Withdrawn at";
    consent_given_until: "您同意用到", "You gave it until";
    consent_what: "请求查看的内容", "What it asks to see";
    consent_given: "您同意的内容", "What you gave";
    consent_whole: "整件证照，连同附件", "the whole licence with its files";
    consent_original: "签名原件和附件（去掉下面任何一项，原件就不给）", "signed original and files (not given if any other tick is taken away)";
    column_licences: "证照", "Licences";
    column_asked: "请求日期", "Asked on";
    consent_answer: "您的答复", "Your answer";
    consent_yes: "同意", "Yes, allow it";
    consent_no: "不同意", "No";
    consent_less: "只同意一部分", "Allow less";
    consent_less_hint: "留下您愿意给的，去掉不愿意给的；期限也可以改短。", "Leave ticked what you are willing to give; you may also choose an earlier last day.";
    consent_less_until: "用到哪天为止", "Last day";
    consent_less_yes: "只同意勾选的", "Allow only what is ticked";
    consent_withdraw: "收回这份授权", "Withdraw this consent";
    consent_withdraw_means: "收回后，部门马上就不能再看。已经看过的，会留在“谁看过”里。", "From then on the department can no longer look. What it saw before stays on record under “Who looked”.";
    done_consent_yes: "您的同意已记下。", "Your consent is on record.";
    done_consent_no: "您的拒绝已记下，部门看不到。", "Your no is on record: the department sees nothing.";
    done_consent_withdrawn: "已收回，部门不能再看。", "Withdrawn: the department can no longer look.";

    // Failures.
    say_unknown_consent: "您名下没有这份授权请求。请从“授权”进入。", "You have no such consent. Start from “Consents”.";
    say_consent_answer: "没有选好答复。请按“同意”“只同意勾选的”或“不同意”。", "No answer was chosen. Press one of the three buttons.";
    say_consent_until: "期限要在今天之后、部门请求的日期之前。请重新选择日期。", "The last day is today or later, and not after the one asked for. Choose again.";
    say_more_than_asked: "答复里有部门没有请求的内容，或者期限太晚。请重新选择。", "The answer holds more than was asked for, or a later day. Choose again.";
    say_nothing_given: "一项也没有勾选。如果都不愿意给，请按“不同意”。", "Nothing is ticked. If you want to give nothing, press “No”.";
    say_consent_decided: "这份请求您已经答复过了。下面是现在的状态。", "You have answered this already. Below stands how it is now.";
    say_consent_lapsed: "这份请求已经过了期限，不用答复了。", "The time for an answer has passed.";
    say_consent_withdrawn: "部门已经撤回了这份请求，不用答复了。", "The department has taken this back: no answer is needed.";
    say_consent_not_in_force: "这份授权现在没有生效，不需要收回。", "This is not in force: there is nothing to withdraw.";
    say_unknown_correction: "您名下没有这份更正申请。请从“更正”进入。", "You have no such correction. Start from “Corrections”.";
    say_unknown_face_field: "没有选好哪一项不对。请从列表里选一项。", "It was not clear what is wrong. Choose from the list.";
    say_correction_text: "“应该是什么”和“为什么”都要填写，最多 1000 字。", "Say what it should be, and why; at most 1,000 characters each.";
    say_correction_materials: "附上的文件里有一份找不到，或者超过 10 份。", "One of the files is not there, or there are more than 10.";
    say_already_disputed: "这一项您已经提过更正了，请等颁发机构答复。", "You disputed this already: wait for the answer.";
    say_unknown_case: "您名下没有这件办件。请从“我的办件”进入。", "You have no such case. Start from “My cases”.";
    say_unknown_matter: "没有这个事项，或者它已经改版。请从办事指南重新进入。", "There is no such matter, or it has changed. Start again from the guides.";
    say_matter_not_run: "这个事项现在不能在网上办理。请看办事指南，或到窗口询问。", "This matter cannot be applied for here now. See its guide, or ask at a window.";
    say_many_drafts: "您已有 50 件办件尚未提交，不能再开新件。请先提交或撤回。", "You have 50 cases that are not submitted. Submit or withdraw some first.";
    say_applicant_kind: "这个事项不是给您这类申请人办的。请看办事指南里的“谁可以申请”。", "This matter is not for this kind of applicant. Its guide says who may apply.";
    say_case_state: "这件办件已经往前走了，现在不能做这一步。请看下面的最新状态。", "The case has moved on, and this step cannot be taken now. See below where it stands.";
    say_form_unconfirmed: "部门问到的内容还没有改，也没有勾选。请改好，或勾选“已经核对，不用改”。", "What the department asked about was neither changed nor ticked. Change it, or tick “Checked: nothing to change”.";
    say_no_such_file: "这份证照里没有这个文件。", "The licence has no such file.";
    say_form_incomplete: "表格还有必填的地方空着。请填好标为必填的每一项。", "Something in the form is still empty. Fill in every field that is required.";
    say_form_field_too_long: "有一项填写得太长了，请缩短。", "One of the fields is too long: shorten it.";
    say_form_field_characters: "有一项里有不能识别的符号，请重新输入那一项。", "One of the fields holds characters that cannot be used: type it again.";
    say_held_already: "这一项证照库里已经有了，不用您交，所以没有收下这份文件。", "The repository holds this already: you need not hand it in, and the file was not taken.";
    say_not_a_file: "这一项不能用文件代替，需要证照本身。", "A file will not do here: the licence itself is needed.";
    say_materials_missing: "还有材料没有交齐。请看下面标着“请交”的每一项。", "Not everything is there. See each item below that is still to be handed in.";
    say_may_not_follow: "有一项不能以后补交，请现在交。", "One of the items may not follow later: hand it in now.";
    say_promise_unkept: "您有一份承诺过期没有补交。先补上那份，才能再先办后补。", "You did not keep an earlier promise. Make that good before you promise again.";
    say_promise_over: "承诺的日期已经过了。请重新打勾承诺，或者现在就交。", "The day you promised has passed. Promise again, or hand it in now.";
    say_nothing_ticked: "没有打勾。请在要以后补交的每一项前打勾。", "Nothing was ticked. Tick each item that is to follow.";
    say_not_an_applicant: "这些页面只给申请人使用，您登录的账号不是申请人。请退出后用本人账号登录。", "These pages are for applicants, and the account you logged in with is none. Log out and use your own account.";
    say_holder_choice: "没有选好为谁办事。请返回重新选择。", "It was not clear for whom you act. Go back and choose again.";
    say_unknown_licence: "您名下没有这件证照。请从“我的证照”进入。", "You have no such licence. Start from “My licences”.";
    say_service_missing: "证照库还没有设置好运行单位的签名，现在不能显示您的证照。请告诉管理员；您的证照不受影响。", "The repository has no signing key of its own yet, so your licences cannot be shown now. Tell the operator; your licences are not affected.";
    say_try_again: "别人正在改动同一件东西，您的操作没有保存，原来的内容还在。请再试一次。", "Somebody else is changing the same thing: what you did was not saved, what was there is kept. Try again.";
}

impl MeTexts {
    /// What a stable code is told as, if these pages have better words than all pages.
    pub(crate) fn of_code(code: &str) -> Option<fn(Language) -> &'static str> {
        Some(match code {
            "service_missing" => |language| Self::of(language).say_service_missing,
            "case_busy" => |language| Self::of(language).say_try_again,
            "unknown_licence" => |language| Self::of(language).say_unknown_licence,
            "unknown_consent" => |language| Self::of(language).say_unknown_consent,
            "consent_answer" => |language| Self::of(language).say_consent_answer,
            "consent_until" => |language| Self::of(language).say_consent_until,
            "more_than_asked" => |language| Self::of(language).say_more_than_asked,
            "nothing_given" => |language| Self::of(language).say_nothing_given,
            "consent_decided" => |language| Self::of(language).say_consent_decided,
            "consent_lapsed" => |language| Self::of(language).say_consent_lapsed,
            "consent_withdrawn" => |language| Self::of(language).say_consent_withdrawn,
            "consent_not_in_force" => |language| Self::of(language).say_consent_not_in_force,
            "consent_busy" | "correction_busy" => |language| Self::of(language).say_try_again,
            "unknown_correction" => |language| Self::of(language).say_unknown_correction,
            "unknown_face_field" => |language| Self::of(language).say_unknown_face_field,
            "correction_text" => |language| Self::of(language).say_correction_text,
            "correction_materials" => |language| Self::of(language).say_correction_materials,
            "already_disputed" => |language| Self::of(language).say_already_disputed,
            "unknown_case" => |language| Self::of(language).say_unknown_case,
            "unknown_matter" => |language| Self::of(language).say_unknown_matter,
            "matter_not_run" => |language| Self::of(language).say_matter_not_run,
            "too_many_drafts" => |language| Self::of(language).say_many_drafts,
            "applicant_kind" => |language| Self::of(language).say_applicant_kind,
            "case_state" => |language| Self::of(language).say_case_state,
            "form_unconfirmed" => |language| Self::of(language).say_form_unconfirmed,
            "no_such_file" => |language| Self::of(language).say_no_such_file,
            "form_incomplete" => |language| Self::of(language).say_form_incomplete,
            "form_field_too_long" => |language| Self::of(language).say_form_field_too_long,
            "form_field_characters" => |language| Self::of(language).say_form_field_characters,
            "held_already" => |language| Self::of(language).say_held_already,
            "not_a_file" => |language| Self::of(language).say_not_a_file,
            "materials_missing" => |language| Self::of(language).say_materials_missing,
            "may_not_follow" => |language| Self::of(language).say_may_not_follow,
            "promise_unkept" => |language| Self::of(language).say_promise_unkept,
            "promise_over" => |language| Self::of(language).say_promise_over,
            "requirements_required" => |language| Self::of(language).say_nothing_ticked,
            other => return crate::pages::materials::say_of_code(other),
        })
    }
}
