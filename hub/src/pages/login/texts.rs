//! Texts of logging in and of sessions.

use crate::pages::texts::texts;

texts! { LoginTexts;
    sessions: "登录记录", "Sessions";
    sessions_lead: "这个账号现在有效的登录。不认识的，请结束。", "Where this account is logged in now. End what you do not recognise.";
    since: "登录时间", "Logged in at";
    seen: "最近使用", "Last used";
    which: "登录", "Session";
    this_one: "当前登录", "This one";
    another: "其他登录", "Another one";
    action: "操作", "Action";
    end: "结束", "End";
    end_of: "结束 {at} 的登录", "End the session of {at}";
    end_all: "全部结束并退出", "End all and log out";
    limits: "{idle} 分钟不操作，或登录满 {hours} 小时，登录自动失效。", "A session ends after {idle} minutes without use, and after {hours} hours in any case.";
    say_not_set_up: "这个证照库没有设置登录。请联系管理员。", "This repository has no login set up. Please tell its administrator.";
    say_provider: "统一身份认证现在没有回答。没有登录，请稍后再试。", "The identity provider does not answer now. You are not logged in; please try again later.";
    say_state: "这次登录没有完成：时间过长，或者不是在这个浏览器里开始的。请重新登录。", "The login did not come to its end: it took too long, or was begun in another browser. Please log in again.";
    say_denied: "统一身份认证没有放行，或者登录被取消。请重新登录。", "The identity provider did not let you in, or the login was cancelled. Please log in again.";
    say_token: "统一身份认证的答复没有通过核验，没有登录。请重试；仍不行请联系管理员。", "What the identity provider said does not hold, so you are not logged in. Try again; if it stays so, tell the administrator.";
    say_claim: "账号信息不完整或格式不对，没有登录。请联系账号管理员核对姓名、证件号码和单位。", "The account's data are incomplete or malformed, so you are not logged in. Ask its administrator to check name, number and unit.";
    say_no_role: "这个账号在证照库里没有任何身份，没有登录。请联系账号管理员。", "The account has no role in this repository, so you are not logged in. Ask its administrator.";
    say_no_place: "账号所在单位不在机构目录中，没有登录。请联系账号管理员。", "The account's unit is not in the tree of organisations, so you are not logged in. Ask its administrator.";
    say_no_session: "没有这条登录记录，可能已经结束。", "There is no such session; it may have ended already.";
}
