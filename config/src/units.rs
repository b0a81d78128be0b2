//! Texts with units: durations, sizes, rates.

use std::time::Duration;

use crate::model::Rate;

/// `250ms`, `2s`, `1m30s`, `1h`.
pub fn duration(text: &str) -> Option<Duration> {
    let mut total = Duration::ZERO;
    let mut rest = text.trim();
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit())
            .filter(|at| *at > 0)?;
        let (number, after) = rest.split_at(digits);
        let letters = after
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(after.len());
        let (unit, after) = after.split_at(letters);
        let number: u64 = number.parse().ok()?;
        let part = match unit {
            "ms" => Duration::from_millis(number),
            "s" => Duration::from_secs(number),
            "m" => Duration::from_secs(number.checked_mul(60)?),
            "h" => Duration::from_secs(number.checked_mul(3_600)?),
            "d" => Duration::from_secs(number.checked_mul(86_400)?),
            _ => return None,
        };
        total = total.checked_add(part)?;
        rest = after;
    }
    // A year is more than any timer here is for, and far from overflowing one.
    (total <= Duration::from_hours(366 * 24)).then_some(total)
}

/// `512`, `10KB`, `64KiB`, `1MB`, `1GiB`; in bytes.
pub fn size(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor: u64 = match unit.trim() {
        "" | "B" => 1,
        "KB" | "kB" => 1_000,
        "KiB" => 1 << 10,
        "MB" => 1_000_000,
        "MiB" => 1 << 20,
        "GB" => 1_000_000_000,
        "GiB" => 1 << 30,
        _ => return None,
    };
    number
        .parse::<u64>()
        .ok()?
        .checked_mul(factor)
        .filter(|bytes| *bytes <= 1 << 50)
}

/// `100/s`, `1000/m`, `10/h`, `100/s burst 200`.
pub(crate) fn rate(text: &str) -> Option<Rate> {
    let (rate, burst) = match text.split_once("burst") {
        Some((rate, burst)) => (rate, Some(burst.trim().parse::<u32>().ok()?)),
        None => (text, None),
    };
    let (requests, per) = rate.trim().split_once('/')?;
    let requests: u32 = requests.trim().parse().ok()?;
    let per = match per.trim() {
        "s" => Duration::from_secs(1),
        "m" => Duration::from_mins(1),
        "h" => Duration::from_hours(1),
        "d" => Duration::from_hours(24),
        other => duration(other)?,
    };
    let burst = burst.unwrap_or(requests);
    (requests > 0 && burst > 0 && !per.is_zero()).then_some(Rate {
        requests,
        per,
        burst,
        shared: false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units() {
        let check = |text: &str, expected: Option<u64>| {
            assert_eq!(
                duration(text),
                expected.map(Duration::from_millis),
                "{text}"
            );
        };
        check("250ms", Some(250));
        check("2s", Some(2_000));
        check("1m30s", Some(90_000));
        check("1h", Some(3_600_000));
        for bad in [
            "",
            "2",
            "s",
            "2 s",
            "-1s",
            "1.5s",
            "2x",
            "99999999999999999999s",
            "99999h9999999999d",
        ] {
            check(bad, None);
        }
    }

    #[test]
    fn sizes_have_units() {
        let check = |text: &str, expected: Option<u64>| assert_eq!(size(text), expected, "{text}");
        check("512", Some(512));
        check("10KB", Some(10_000));
        check("64KiB", Some(65_536));
        check("1 GiB", Some(1 << 30));
        for bad in [
            "",
            "KB",
            "1.5MB",
            "-1",
            "1TB",
            "99999999999999999999",
            "99999999999999GiB",
        ] {
            check(bad, None);
        }
    }

    #[test]
    fn rates_have_a_window_and_perhaps_a_burst() {
        let check = |text: &str, expected: Option<(u32, u64, u32)>| {
            let expected = expected.map(|(requests, per, burst)| Rate {
                requests,
                per: Duration::from_secs(per),
                burst,
                shared: false,
            });
            assert_eq!(rate(text), expected, "{text}");
        };
        check("100/s", Some((100, 1, 100)));
        check("1000/m", Some((1_000, 60, 1_000)));
        check("5/10s burst 20", Some((5, 10, 20)));
        for bad in [
            "",
            "100",
            "/s",
            "0/s",
            "1/0s",
            "1/s burst 0",
            "1/s burst",
            "x/s",
        ] {
            check(bad, None);
        }
    }
}
