//! The front page: what is held, what can be done, what this is.

use actix_web::{HttpResponse, http::StatusCode, web};
use indexes::SearchQuery;

use super::{
    views::{self, Section},
    visitor::{Failure, Visitor},
};

/// `GET /`.
pub(crate) async fn home(visitor: Visitor) -> HttpResponse {
    visitor.show(page(&visitor).await)
}

async fn page(visitor: &Visitor) -> Result<(StatusCode, views::Home), Failure> {
    let (hub, t) = (&visitor.hub, visitor.t());
    let index = hub.search.clone();
    let licences = web::block(move || {
        index.search(&SearchQuery { limit: 1, ..SearchQuery::default() }).map(|page| page.total)
    })
    .await;
    // The index may be away while it is rebuilt; the page is there all the same.
    let licences = match licences {
        Ok(Ok(total)) => number(total),
        _ => t.unknown_count.to_owned(),
    };
    let waiting: u64 = hub.connectors.values().map(|runner| runner.state().lag).sum();
    let counts = vec![
        (t.home_licences, licences),
        (t.home_changes, number(hub.store.head().await?.0)),
        (t.home_uses, number(hub.store.use_head().await?.0)),
        (t.home_counterparts, number(hub.connectors.len() as u64)),
        (t.home_waiting, number(waiting)),
    ];
    let page = visitor.frame(Section::Home, t.home);
    Ok((StatusCode::OK, views::Home { page, counts }))
}

/// A number with its thousands apart.
pub(crate) fn number(value: u64) -> String {
    let digits = value.to_string();
    let mut apart = String::with_capacity(digits.len() + digits.len() / 3);
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            apart.push(',');
        }
        apart.push(digit);
    }
    apart
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn thousands_stand_apart() {
        let shown: Vec<_> = [0, 12, 999, 1_000, 200_000, 1_234_567].map(number).into();
        assert_eq!(shown, ["0", "12", "999", "1,000", "200,000", "1,234,567"]);
    }
}
