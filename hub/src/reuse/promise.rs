//! 容缺承诺: a minor material may follow, against a signed promise with a list and a last day. Whoever did not keep one
//! gets no other until it is made good.

use indexes::{Collection, StoreError};
use jiff::civil::Date;
use licence::HolderId;

use crate::{Hub, records};

/// Promises that are not kept yet: holder token 16 · last day as `YYYY-MM-DD` · case id.
pub const PROMISES_OF_HOLDER: Collection = Collection::new("promises_of_holder");

/// The key of an open promise.
pub(super) fn key(hub: &Hub, holder: &HolderId, until: Date, case: &str) -> Vec<u8> {
    let token = hub.index_key.token(holder);
    [token.as_bytes().as_slice(), until.to_string().as_bytes(), case.as_bytes()].concat()
}

/// The case of the holder's oldest promise whose last day has passed.
pub(super) async fn unkept(hub: &Hub, holder: &HolderId) -> Result<Option<String>, StoreError> {
    let token = hub.index_key.token(holder);
    let oldest = records::keys(&*hub.store, PROMISES_OF_HOLDER, token.as_bytes(), None, 1).await?;
    Ok(oldest.into_iter().next().and_then(|key| {
        let key = String::from_utf8(key).ok()?;
        let (day, case) = key.split_at_checked(10)?;
        let until: Date = day.parse().ok()?;
        (until < hub.clock.today()).then(|| case.to_owned())
    }))
}

/// The last day of a term of so many working days that starts on the day after `from`.
pub(super) fn working_day(_hub: &Hub, from: Date, days: u16) -> Date {
    let mut day = from;
    let mut left = days;
    while left > 0 {
        let Ok(next) = day.tomorrow() else { return day };
        day = next;
        let weekend =
            matches!(day.weekday(), jiff::civil::Weekday::Saturday | jiff::civil::Weekday::Sunday);
        left -= u16::from(!weekend);
    }
    day
}
