//! Conversions between [`jiff::Timestamp`] and the times of X.509 and CMS.

use std::time::Duration;

use der::{DateTime, asn1::GeneralizedTime, asn1::UtcTime};
use jiff::Timestamp;
use x509_cert::time::Time;

/// UTCTime through 2049, GeneralizedTime after (RFC 5280, 4.1.2.5; RFC 5652, 11.3); fractions of a
/// second are cut off. `None` outside 1970 to 9999.
pub(crate) fn to_x509(at: Timestamp) -> Option<Time> {
    let time = to_date_time(at)?;
    Some(if time.year() < 2050 {
        Time::UtcTime(UtcTime::from_date_time(time).ok()?)
    } else {
        Time::GeneralTime(GeneralizedTime::from_date_time(time))
    })
}

pub(crate) fn to_date_time(at: Timestamp) -> Option<DateTime> {
    let seconds = u64::try_from(at.as_second()).ok()?;
    DateTime::from_unix_duration(Duration::from_secs(seconds)).ok()
}

pub(crate) fn from_x509(time: Time) -> Option<Timestamp> {
    from_seconds(i64::try_from(time.to_unix_duration().as_secs()).ok()?)
}

pub(crate) fn from_seconds(seconds: i64) -> Option<Timestamp> {
    Timestamp::from_second(seconds).ok()
}
