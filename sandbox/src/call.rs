//! One request to a vendor, read to its end and not yet understood.

use std::time::{SystemTime, UNIX_EPOCH};

use axum::http::{HeaderMap, Method, header};
use bytes::Bytes;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// A request as the vendor's host would have received it.
///
/// Path and query are kept byte for byte, because signatures cover them so.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    /// Running number over all vendors, from 1; seeds the ids in answers.
    pub(crate) number: u64,
    /// When it came.
    pub(crate) now: SystemTime,
    /// Method.
    pub(crate) method: Method,
    /// `http://HOST/VENDOR`, HOST as the caller wrote it: where links in answers point.
    pub(crate) base: String,
    /// Path as received, with the leading `/VENDOR`. What a client pointed here has signed.
    pub(crate) full_path: String,
    /// Path after `/VENDOR`, as received, never empty: what the vendor's own host would see.
    pub(crate) path: String,
    /// Query as received, without the question mark; empty if there is none.
    pub(crate) raw_query: String,
    /// Headers.
    pub(crate) headers: HeaderMap,
    /// Body.
    pub(crate) body: Bytes,
    /// The credential that signed it, as the ledger names it; empty before authentication.
    pub(crate) account: String,
    /// The job that this call submits or asks after is to fail (a scripted fault).
    pub(crate) fail_job: bool,
}

/// One part of a multipart body.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    /// `name` of its content disposition.
    pub(crate) name: String,
    /// `filename` of its content disposition.
    pub(crate) filename: Option<String>,
    /// Content.
    pub(crate) body: Bytes,
}

impl Part {
    /// The content as text, invalid UTF-8 replaced.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Call {
    /// First value of a header, `None` if absent or not visible ASCII.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The media type without parameters, in lower case; empty if absent.
    pub(crate) fn media_type(&self) -> String {
        let whole = self.header("content-type").unwrap_or_default();
        let media = whole.split(';').next().unwrap_or_default();
        media.trim().to_ascii_lowercase()
    }

    /// All parameters of the query, decoded, in order.
    pub(crate) fn query_pairs(&self) -> Vec<(String, String)> {
        pairs(&self.raw_query)
    }

    /// First parameter of that name, decoded.
    pub(crate) fn query(&self, name: &str) -> Option<String> {
        let found = self.query_pairs().into_iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value)
    }

    /// Whether a flag in the query is `true`.
    pub(crate) fn query_flag(&self, name: &str) -> bool {
        self.query(name).is_some_and(|value| value == "true")
    }

    /// Segments of [`Call::path`], each percent-decoded.
    pub(crate) fn segments(&self) -> Vec<String> {
        let segments = self.path.split('/').filter(|segment| !segment.is_empty());
        segments.map(|segment| decode(segment, false)).collect()
    }

    /// The body as JSON, whatever the content type says. The error is a sentence.
    pub(crate) fn json(&self) -> Result<Value, String> {
        serde_json::from_slice(&self.body).map_err(|error| error.to_string())
    }

    /// The body as `application/x-www-form-urlencoded` pairs, in order.
    pub(crate) fn form(&self) -> Vec<(String, String)> {
        pairs(&String::from_utf8_lossy(&self.body))
    }

    /// The body as `multipart/form-data`. The error is a sentence.
    pub(crate) fn multipart(&self) -> Result<Vec<Part>, String> {
        let whole = self.header("content-type").unwrap_or_default();
        if self.media_type() != "multipart/form-data" {
            return Err(format!(
                "expected multipart/form-data, the content type is `{whole}`"
            ));
        }
        let boundary = parameter(whole, "boundary").ok_or("the boundary is missing")?;
        parts(&self.body, &boundary)
    }

    /// Seconds since 1970 when it came.
    pub(crate) fn unix(&self) -> u64 {
        let since = self.now.duration_since(UNIX_EPOCH).unwrap_or_default();
        since.as_secs()
    }

    /// RFC 3339 in UTC with milliseconds, `2026-11-22T06:30:00.000Z`.
    pub(crate) fn timestamp(&self) -> String {
        rfc3339(self.now)
    }

    /// Hexadecimal SHA-256 of the body.
    pub(crate) fn digest(&self) -> String {
        hex(&Sha256::digest(&self.body))
    }

    /// Thirty-two bytes that depend on this call's number and `purpose` alone.
    pub(crate) fn seed(&self, purpose: &str) -> [u8; 32] {
        Sha256::digest(format!("{}:{}", self.number, purpose)).into()
    }

    /// An id in the form of a UUID, version 4, from [`Call::seed`].
    pub(crate) fn uuid(&self, purpose: &str) -> String {
        let text = hex(&self.seed(purpose));
        let part = |from: usize, to: usize| text.get(from..to).unwrap_or_default();
        format!(
            "{}-{}-4{}-8{}-{}",
            part(0, 8),
            part(8, 12),
            part(13, 16),
            part(17, 20),
            part(20, 32)
        )
    }

    /// An id of `length` (at most 64) hexadecimal digits from [`Call::seed`].
    pub(crate) fn hex_id(&self, purpose: &str, length: usize) -> String {
        let mut text = hex(&self.seed(purpose));
        text.truncate(length);
        text
    }
}

/// RFC 3339 in UTC with milliseconds.
pub(crate) fn rfc3339(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = since.as_secs();
    let (year, month, day) = civil(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    let millis = since.subsec_millis();
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

/// Year, month and day of a count of days since 1970-01-01.
pub(crate) fn civil(days: u64) -> (u64, u64, u64) {
    // Years that begin in March, in cycles of 400: leap days then come last.
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let of_era = shifted % 146_097;
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

/// Days since 1970-01-01 of a date; the inverse of [`civil`].
pub(crate) fn days(year: u64, month: u64, day: u64) -> u64 {
    let year = if month <= 2 {
        year.saturating_sub(1)
    } else {
        year
    };
    let shifted_month = if month > 2 { month - 3 } else { month + 9 };
    let of_year = (153 * shifted_month + 2) / 5 + day.saturating_sub(1);
    let (era, of_era_year) = (year / 400, year % 400);
    let of_era = of_era_year * 365 + of_era_year / 4 - of_era_year / 100 + of_year;
    (era * 146_097 + of_era).saturating_sub(719_468)
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        for half in [byte >> 4, byte & 15] {
            text.push(
                DIGITS
                    .get(usize::from(half))
                    .copied()
                    .unwrap_or(b'0')
                    .into(),
            );
        }
    }
    text
}

/// Percent-decodes; with `plus`, a plus sign is a space. Invalid UTF-8 is replaced.
pub(crate) fn decode(text: &str, plus: bool) -> String {
    let spaced = if plus {
        text.replace('+', " ")
    } else {
        text.to_owned()
    };
    percent_encoding::percent_decode_str(&spaced)
        .decode_utf8_lossy()
        .into_owned()
}

fn pairs(text: &str) -> Vec<(String, String)> {
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name, true), decode(value, true))
        })
        .collect()
}

/// A parameter of a header such as `multipart/form-data; boundary="x"`.
fn parameter(header: &str, name: &str) -> Option<String> {
    // A quoted value may hold a semicolon, so the text is walked, not split.
    let mut rest = header.split_once(';')?.1;
    loop {
        let (key, after) = rest.split_once('=')?;
        let key = key.trim().trim_start_matches(';').trim();
        let (value, left) = if let Some(quoted) = after.strip_prefix('"') {
            let end = closing_quote(quoted)?;
            let value = quoted
                .get(..end)?
                .replace("\\\"", "\"")
                .replace("%22", "\"");
            (value, quoted.get(end + 1..)?)
        } else {
            let end = after.find(';').unwrap_or(after.len());
            (after.get(..end)?.trim().to_owned(), after.get(end..)?)
        };
        if key.eq_ignore_ascii_case(name) {
            return Some(value);
        }
        rest = left.trim_start_matches([';', ' ']);
    }
}

fn closing_quote(text: &str) -> Option<usize> {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'"' if !escaped => return Some(at),
            b'\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    None
}

fn parts(body: &Bytes, boundary: &str) -> Result<Vec<Part>, String> {
    let delimiter = format!("--{boundary}");
    let between = format!("\r\n{delimiter}");
    let finder = memchr::memmem::Finder::new(between.as_bytes());
    let start =
        memchr::memmem::find(body, delimiter.as_bytes()).ok_or("the first boundary is missing")?;
    let mut at = start + delimiter.len();
    let mut parts = Vec::new();
    loop {
        let rest = body.get(at..).unwrap_or_default();
        if rest.starts_with(b"--") {
            return Ok(parts);
        }
        let rest = rest
            .strip_prefix(b"\r\n")
            .ok_or("a boundary is not followed by a line end")?;
        let begin = at + 2;
        let length = finder.find(rest).ok_or("the last boundary is missing")?;
        parts.push(part(&body.slice(begin..begin + length))?);
        at = begin + length + between.len();
    }
}

fn part(bytes: &Bytes) -> Result<Part, String> {
    let end = memchr::memmem::find(bytes, b"\r\n\r\n").ok_or("a part has no headers")?;
    let head = String::from_utf8_lossy(bytes.get(..end).unwrap_or_default()).into_owned();
    let header = |wanted: &str| {
        head.split("\r\n").find_map(|line| {
            let (name, value) = line.split_once(':')?;
            let matches = name.trim().eq_ignore_ascii_case(wanted);
            matches.then(|| value.trim().to_owned())
        })
    };
    let disposition = header("content-disposition").ok_or("a part has no disposition")?;
    Ok(Part {
        name: parameter(&disposition, "name").ok_or("a part has no name")?,
        filename: parameter(&disposition, "filename"),
        body: bytes.slice(end + 4..),
    })
}

/// Whether the caller wants the connection turned into a websocket.
pub(crate) fn wants_socket(headers: &HeaderMap) -> bool {
    let upgrade = headers.get(header::UPGRADE);
    upgrade.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

#[cfg(test)]
impl Call {
    /// A call as a test sends it: `target` is the vendor's own path and query.
    pub(crate) fn test(
        method: &str,
        vendor: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Self {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(
                axum::http::HeaderName::from_bytes(name.as_bytes()).unwrap(),
                value.parse().unwrap(),
            );
        }
        Self {
            number: 1,
            now: SystemTime::now(),
            method: method.parse().unwrap(),
            base: format!("http://127.0.0.1:1/{vendor}"),
            full_path: format!("/{vendor}{path}"),
            path: path.to_owned(),
            raw_query: query.to_owned(),
            headers: map,
            body: Bytes::copy_from_slice(body),
            account: String::new(),
            fail_job: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn multipart_parts_are_found_in_any_order_and_with_quotes() {
        let body = b"--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a;b.wav\"\r\nContent-Type: audio/wav\r\n\r\nRI\r\n-FF\r\n--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nwhisper-1\r\n--b--\r\n";
        let call = Call::test(
            "POST",
            "x",
            "/",
            &[("content-type", "multipart/form-data; boundary=b")],
            body,
        );
        let parts = call.multipart().unwrap();
        assert_eq!(parts.len(), 2);
        assert_eq!(parts[0].filename.as_deref(), Some("a;b.wav"));
        assert_eq!(&parts[0].body[..], b"RI\r\n-FF");
        assert_eq!(
            (parts[1].name.as_str(), parts[1].text().as_str()),
            ("model", "whisper-1")
        );
    }

    #[test]
    fn broken_multipart_is_an_error() {
        for (kind, body) in [
            ("multipart/form-data", &b"--b--"[..]),
            ("application/json", b"--b--"),
            ("multipart/form-data; boundary=b", b"--b\r\nno headers"),
            ("multipart/form-data; boundary=b", b"--b\r\n\r\n\r\n--b--"),
            ("multipart/form-data; boundary=b", b""),
        ] {
            let call = Call::test("POST", "x", "/", &[("content-type", kind)], body);
            assert!(call.multipart().is_err(), "{kind}");
        }
    }

    #[test]
    fn dates_go_there_and_back() {
        for (year, month, day, count) in [
            (1970, 1, 1, 0),
            (2000, 2, 29, 11_016),
            (2026, 11, 22, 20_779),
        ] {
            assert_eq!(civil(count), (year, month, day));
            assert_eq!(days(year, month, day), count);
        }
        let time = UNIX_EPOCH + std::time::Duration::from_millis(1_551_113_065_250);
        assert_eq!(rfc3339(time), "2019-02-25T16:44:25.250Z");
    }

    #[test]
    fn uuids_have_their_form() {
        let id = Call::test("GET", "x", "/", &[], b"").uuid("request");
        let lengths: Vec<_> = id.split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12], "{id}");
    }
}
