//! `/me`: what waits for the person, what is being done, what they have, who looked.

use actix_web::{HttpResponse, http::StatusCode};

use super::{
    cases, consents, licences,
    me::Me,
    own, uses,
    views::{self, Part},
};
use crate::pages::{texts::fill, visitor::Failure};

/// Most licences on the overview.
const MOST_LICENCES: usize = 6;
/// Most looks of others on the overview.
const MOST_USES: usize = 3;

/// `GET /me`.
pub(crate) async fn overview(me: Me) -> HttpResponse {
    me.visitor.show(page(&me).await)
}

async fn page(me: &Me) -> Result<(StatusCode, views::Overview), Failure> {
    let m = me.m();
    let own = own::licences(me).await?;
    let (mut page, mine) = me.frame(Part::Overview, m.mine).await?;
    page.title = fill(m.greeting, &[("name", &me.person.account.name)]);
    let mut licences = licences::rows(me, &own).await?;
    licences.truncate(MOST_LICENCES);
    let cases = cases::of_holder(me).await?;
    let mut to_do = consents::waiting(me, &consents::of_holder(me).await?);
    to_do.extend(cases::waiting(me, &cases));
    Ok((
        StatusCode::OK,
        views::Overview {
            page,
            mine,
            to_do,
            licences,
            all_licences: fill(m.all_licences, &[("n", &own.len())]),
            cases: cases::open_rows(me, &cases),
            uses: uses::latest(me, MOST_USES).await?,
            holders: holders(me).await?,
        },
    ))
}

/// Whom the person may act for, if there is a choice.
async fn holders(me: &Me) -> Result<Vec<(usize, String, bool)>, Failure> {
    let m = me.m();
    let count = me.person.account.holders.len();
    let mut all = Vec::new();
    for place in (0..count).filter(|_| count > 1) {
        let name = own::name_of(me, place).await?;
        let said = match (place == me.place, place) {
            (true, _) => name,
            (false, 0) => fill(m.act_for, &[("name", &fill(m.yourself, &[("name", &name)]))]),
            (false, _) => fill(m.act_for, &[("name", &name)]),
        };
        all.push((place, said, place == me.place));
    }
    Ok(all)
}
