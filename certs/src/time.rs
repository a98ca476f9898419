//! Conversions between [`jiff::Timestamp`] and the times of X.509 and CMS.
