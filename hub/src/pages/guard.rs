//! What holds for every page: who may ask, and which headers the answer carries.
//!
//! The host name must be the hub's own: that of `login.address` over HTTPS, one of the loopback's on
//! demo mode's plain listener (a name elsewhere that was made to point here is refused). What changes
//! or records something must come from these pages: the browser's own word on where a request comes
//! from keeps other sites out, beside the token that every form of a session carries.

use actix_web::{
    Error, HttpRequest,
    body::{BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::{
        Method,
        header::{self, HeaderMap, HeaderName, HeaderValue},
    },
    middleware::Next,
    web,
};

use super::visitor::{Failure, Visitor, chosen_language};
use crate::Hub;

/// Headers of every answer.
const HEADERS: [(&str, &str); 6] = [
    (
        "content-security-policy",
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; \
         img-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    ),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-resource-policy", "same-origin"),
    ("cross-origin-opener-policy", "same-origin"),
    ("vary", "cookie"),
];

/// Refuses requests from elsewhere, and adds the headers of every answer.
pub(crate) async fn guard(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let chosen = chosen_language(request.request());
    let secure = request.app_config().secure();
    let refused = match own_address(request.request(), secure) {
        Some(own) => refusal(request.method(), request.headers(), &own),
        None => Some(Failure::forbidden("host_not_local", |t| t.say_host)),
    };
    let mut answer = match refused {
        Some(failure) => {
            let page = Visitor::of(request.request())?.failed(&failure);
            request.into_response(page)
        }
        None => next.call(request).await?.map_into_boxed_body(),
    };
    let headers = answer.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    if secure {
        headers.insert(
            header::STRICT_TRANSPORT_SECURITY,
            HeaderValue::from_static("max-age=31536000"),
        );
    }
    if let Some(language) = chosen {
        let cookie =
            format!("lang={}; Path=/; Max-Age=31536000; SameSite=Lax; HttpOnly", language.word());
        if let Ok(cookie) = HeaderValue::from_str(&cookie) {
            headers.append(header::SET_COOKIE, cookie);
        }
    }
    Ok(answer)
}

/// Under which names these pages are reached.
enum Own {
    /// Any name of the loopback, over plain HTTP.
    Loopback,
    /// This host, and port unless it is 443, over HTTPS.
    Host(String),
}

/// The name under which a listener's pages are reached; `None` if the settings give it none.
fn own_address(request: &HttpRequest, secure: bool) -> Option<Own> {
    if !secure {
        return Some(Own::Loopback);
    }
    let hub = request.app_data::<web::Data<Hub>>()?;
    let address = &hub.settings().login.as_ref()?.address;
    address.strip_prefix("https://").map(|host| Own::Host(host.to_owned()))
}

/// Why a request is not answered, if it is not.
fn refusal(method: &Method, headers: &HeaderMap, own: &Own) -> Option<Failure> {
    let host = text(headers, "host").unwrap_or_default();
    let (is_own, scheme) = match own {
        Own::Loopback => (is_loopback(host), "http"),
        Own::Host(name) => (host.eq_ignore_ascii_case(name), "https"),
    };
    if !is_own {
        return Some(Failure::forbidden("host_not_local", |t| t.say_host));
    }
    let reading = method == Method::GET || method == Method::HEAD;
    let from_here = match text(headers, "sec-fetch-site") {
        // `none`: typed, bookmarked or reloaded; no site can cause it.
        Some("same-origin" | "none") => true,
        // A link on another site may lead here; its pictures, frames and scripts may not.
        Some(_) => reading && text(headers, "sec-fetch-mode") == Some("navigate"),
        // A browser without these headers sends `Origin` with a POST; what is no browser need not.
        None => text(headers, "origin") != Some("null") || reading,
    };
    // `null` beside `same-origin` is what the referrer policy of these pages makes of their own.
    let origin_fits = reading
        || text(headers, "origin")
            .is_none_or(|origin| origin == "null" || origin == format!("{scheme}://{host}"));
    (!from_here || !origin_fits).then(|| Failure::forbidden("cross_site", |t| t.say_cross_site))
}

/// The value of a header that is there once. One that is there twice or is no text counts as there,
/// but as nothing that is accepted.
fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers.get_all(name);
    let value = values.next()?;
    if values.next().is_some() {
        return Some("");
    }
    Some(value.to_str().unwrap_or(""))
}

/// Whether `Host` names the loopback, with any port.
fn is_loopback(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port))
            if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) =>
        {
            name
        }
        _ => host,
    };
    name.eq_ignore_ascii_case("localhost") || name == "127.0.0.1" || name == "[::1]"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(method: Method, said: &[(&'static str, &'static str)]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for (name, value) in said {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        refusal(&method, &headers, &Own::Loopback).map(|failure| failure.code)
    }

    #[test]
    fn over_https_only_the_hubs_own_name_is_answered() {
        let own = Own::Host("hub.example.gov.cn".to_owned());
        let refused = |method: Method, said: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in said {
                headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
            }
            refusal(&method, &headers, &own).is_some()
        };
        const HERE: (&str, &str) = ("host", "hub.example.gov.cn");
        assert!(!refused(Method::GET, &[HERE]));
        assert!(!refused(Method::POST, &[HERE, ("origin", "https://hub.example.gov.cn")]));
        for host in ["localhost", "127.0.0.1", "hub.example.gov.cn:8443", "evil.example", ""] {
            assert!(refused(Method::GET, &[("host", host)]), "{host}");
        }
        for origin in ["http://hub.example.gov.cn", "https://evil.example", "null"] {
            assert!(refused(Method::POST, &[HERE, ("origin", origin)]), "{origin}");
        }
    }

    #[test]
    fn only_names_of_the_loopback_are_answered() {
        for host in ["localhost", "LOCALHOST:8444", "127.0.0.1:8444", "[::1]:8444", "[::1]"] {
            assert_eq!(refused(Method::GET, &[("host", host)]), None, "{host}");
        }
        for host in [
            "",
            "localhost.",
            "localhost.evil.example",
            "evil.example:8444",
            "127.0.0.1.nip.io",
            "127.0.0.2",
            "::1",
            "localhost:",
            "localhost:80:80",
            "user@localhost",
        ] {
            let said = refused(Method::GET, &[("host", host)]);
            assert_eq!(said.as_deref(), Some("host_not_local"), "{host}");
        }
        assert!(refused(Method::GET, &[]).is_some(), "a request without a host");
        assert!(refused(Method::GET, &[("host", "localhost"), ("host", "evil.example")]).is_some());
    }

    #[test]
    fn another_site_can_link_here_and_nothing_else() {
        const HERE: (&str, &str) = ("host", "localhost:8444");
        let site = |site, mode| [HERE, ("sec-fetch-site", site), ("sec-fetch-mode", mode)];
        assert_eq!(refused(Method::GET, &site("cross-site", "navigate")), None);
        for elsewhere in ["cross-site", "same-site"] {
            assert!(refused(Method::GET, &site(elsewhere, "no-cors")).is_some());
            assert!(refused(Method::GET, &site(elsewhere, "cors")).is_some());
            assert!(refused(Method::POST, &site(elsewhere, "navigate")).is_some());
        }
        assert_eq!(refused(Method::POST, &site("same-origin", "navigate")), None);
    }

    #[test]
    fn a_post_must_come_from_these_pages() {
        const HERE: (&str, &str) = ("host", "localhost:8444");
        let from = |origin| [HERE, ("origin", origin)];
        assert_eq!(refused(Method::POST, &[HERE]), None, "no browser");
        assert_eq!(refused(Method::POST, &from("http://localhost:8444")), None);
        for origin in
            ["https://evil.example", "http://localhost:9999", "http://127.0.0.1:8444", "null", ""]
        {
            assert!(refused(Method::POST, &from(origin)).is_some(), "{origin}");
        }
        let own = [HERE, ("sec-fetch-site", "same-origin"), ("origin", "null")];
        assert_eq!(refused(Method::POST, &own), None);
        let forged = [HERE, ("sec-fetch-site", "same-origin"), ("origin", "https://evil.example")];
        assert!(refused(Method::POST, &forged).is_some());
    }
}
