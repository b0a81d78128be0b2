//! The clock as the signing schemes write it, always in UTC.

use std::time::SystemTime;

use time::OffsetDateTime;

use super::SignError;

/// A moment, taken apart.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    /// Seconds since 1970.
    pub(super) unix: u64,
    utc: OffsetDateTime,
}

impl Moment {
    /// Takes `now` apart, if it lies in the years 1970 to 9999.
    pub(super) fn of(now: SystemTime) -> Result<Self, SignError> {
        let unix = now
            .duration_since(SystemTime::UNIX_EPOCH)
            .map_err(|_| SignError::Clock)?
            .as_secs();
        let utc = i64::try_from(unix)
            .ok()
            .and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok())
            .filter(|utc| utc.year() <= 9999)
            .ok_or(SignError::Clock)?;
        Ok(Self { unix, utc })
    }

    /// `20150830T123600Z`.
    pub(super) fn compact(self) -> String {
        let (hour, minute, second) = self.utc.to_hms();
        format!("{}T{hour:02}{minute:02}{second:02}Z", self.compact_day())
    }

    /// `20150830`.
    pub(super) fn compact_day(self) -> String {
        let (year, month, day) = self.utc.to_calendar_date();
        format!("{year:04}{:02}{day:02}", u8::from(month))
    }

    /// `2015-08-30`.
    pub(super) fn day(self) -> String {
        let (year, month, day) = self.utc.to_calendar_date();
        format!("{year:04}-{:02}-{day:02}", u8::from(month))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn moments_are_written_in_utc() {
        let leap_day = SystemTime::UNIX_EPOCH + Duration::from_secs(1_709_251_199);
        let moment = Moment::of(leap_day).unwrap();
        assert_eq!(moment.compact(), "20240229T235959Z");
        assert_eq!(moment.compact_day(), "20240229");
        assert_eq!(moment.day(), "2024-02-29");
        assert_eq!(moment.unix, 1_709_251_199);
    }

    #[test]
    fn years_that_the_formats_cannot_hold_are_refused() {
        let year_10000 = SystemTime::UNIX_EPOCH + Duration::from_hours(70_389_528);
        let before_1970 = SystemTime::UNIX_EPOCH - Duration::from_secs(1);
        for now in [year_10000, before_1970] {
            assert_eq!(Moment::of(now).unwrap_err(), SignError::Clock);
        }
        assert!(Moment::of(year_10000 - Duration::from_secs(1)).is_ok());
    }
}
