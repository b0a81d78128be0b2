//! What HTTP caching (RFC 9111) says of one answer and one request: whether it may be kept, for how long it is fresh, and
//! what may be done with it when it is not. Pure: the time is given.
//!
//! Where the standard leaves a choice, the careful one is taken: nothing is guessed from `Last-Modified`, `private` and
//! `Set-Cookie` keep the whole answer out, and qualified `no-cache` and `private` count as the plain ones.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use isobar_config::Cache as Settings;

/// Longest time that a directive can ask for (RFC 9111 §1.2.2).
const LONGEST: Duration = Duration::from_secs(1 << 31);

/// What a client wants of the cache.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Wishes {
    /// Ask the upstream, whatever is kept.
    pub(crate) no_cache: bool,
    pub(crate) no_store: bool,
    pub(crate) only_if_cached: bool,
    max_age: Option<Duration>,
    min_fresh: Option<Duration>,
    /// Staleness that is accepted; without a number any.
    max_stale: Option<Duration>,
}

/// What an answer that may be kept says of its use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Terms {
    /// Age at the moment it came.
    initial_age: Duration,
    /// When it came.
    received: SystemTime,
    /// Age up to which it is fresh.
    lifetime: Duration,
    stale_if_error: Duration,
    stale_while_revalidate: Duration,
    /// Never to be given when it is stale.
    strict: bool,
    /// To be asked about each time.
    no_cache: bool,
    /// Headers of the request that it depends on.
    pub(crate) vary: Vec<HeaderName>,
    pub(crate) etag: Option<HeaderValue>,
    pub(crate) last_modified: Option<HeaderValue>,
}

/// What may be done with a kept answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    /// Give it.
    Fresh,
    /// Give it though it is stale, because the client takes it so.
    Accepted,
    /// Give it, and fetch a new one meanwhile.
    Refresh,
    /// Ask about it first; the flag says whether it may stand in for a failure.
    Ask { may_stand_in: bool },
}

/// The request side of what decides whether an answer may be kept.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) method: &'a Method,
    pub(crate) wishes: Wishes,
    /// Whether the upstream was sent a credential of the client's own.
    pub(crate) authorised: bool,
    pub(crate) sent: SystemTime,
}

impl Wishes {
    /// What `Cache-Control` (and, without it, `Pragma`) say.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let mut wishes = Self::default();
        if !headers.contains_key(header::CACHE_CONTROL) {
            let pragma = headers.get(header::PRAGMA);
            wishes.no_cache = pragma.is_some_and(|value| {
                let text = value.to_str().unwrap_or_default();
                text.split(',')
                    .any(|word| word.trim().eq_ignore_ascii_case("no-cache"))
            });
            return wishes;
        }
        directives(headers, |name, value| match name {
            "no-cache" => wishes.no_cache = true,
            "no-store" => wishes.no_store = true,
            "only-if-cached" => wishes.only_if_cached = true,
            "max-age" => wishes.max_age = Some(seconds(value)),
            "min-fresh" => wishes.min_fresh = Some(seconds(value)),
            "max-stale" => wishes.max_stale = Some(value.map_or(LONGEST, |_| seconds(value))),
            _ => {}
        });
        wishes
    }
}

impl Terms {
    /// The terms of an answer, or `None` when it must not be kept or cannot be of use.
    pub(crate) fn of(
        asked: Asked<'_>,
        status: StatusCode,
        headers: &HeaderMap,
        received: SystemTime,
        settings: &Settings,
    ) -> Option<Self> {
        let mut said = Said::default();
        directives(headers, |name, value| said.hear(name, value));
        let is_read = matches!(*asked.method, Method::GET | Method::HEAD);
        // An answer to a client's own credential is for that client alone, unless it says otherwise (§3.5).
        let withheld = asked.authorised && !(said.public || said.strict || said.s_maxage.is_some());
        if !is_read
            || asked.wishes.no_store
            || said.no_store
            || said.private
            || withheld
            || !may_be_kept(status)
            || headers.contains_key(header::SET_COOKIE)
            || headers.contains_key(header::CONTENT_RANGE)
        {
            return None;
        }
        let vary = vary(headers)?;
        let date = headers
            .get(header::DATE)
            .and_then(date_of)
            .unwrap_or(received);
        let expires = headers.get_all(header::EXPIRES).iter().map(|value| {
            let until = date_of(value).unwrap_or(date);
            until.duration_since(date).unwrap_or_default()
        });
        let explicit = said.s_maxage.or(said.max_age).or_else(|| expires.min());
        let default = settings.fresh.filter(|_| is_usually_kept(status));
        let etag = headers.get(header::ETAG).cloned();
        let last_modified = headers.get(header::LAST_MODIFIED).cloned();
        let can_be_asked_about = etag.is_some() || last_modified.is_some();
        let lifetime = match explicit.or(default) {
            Some(lifetime) => lifetime.min(LONGEST),
            None if can_be_asked_about && is_usually_kept(status) => Duration::ZERO,
            None => return None,
        };
        let strict = said.strict || said.s_maxage.is_some();
        let stale_if_error = settings.stale_if_error.or(said.stale_if_error);
        let stale_while_revalidate = settings
            .stale_while_revalidate
            .or(said.stale_while_revalidate);
        let terms = Self {
            initial_age: initial_age(headers, date, asked.sent, received),
            received,
            lifetime,
            stale_if_error: stale_if_error.unwrap_or_default(),
            stale_while_revalidate: stale_while_revalidate.unwrap_or_default(),
            strict,
            no_cache: said.no_cache,
            vary,
            etag,
            last_modified,
        };
        let is_of_use = can_be_asked_about || !terms.keeps(received).is_zero();
        is_of_use.then_some(terms)
    }

    /// How old the answer is (§4.2.3).
    pub(crate) fn age(&self, now: SystemTime) -> Duration {
        self.initial_age + now.duration_since(self.received).unwrap_or_default()
    }

    /// For how much longer it is fresh.
    pub(crate) fn left(&self, now: SystemTime) -> Duration {
        self.lifetime.saturating_sub(self.age(now))
    }

    /// For how long it has been stale.
    pub(crate) fn overdue(&self, now: SystemTime) -> Duration {
        self.age(now).saturating_sub(self.lifetime)
    }

    /// For how much longer there is any use for it.
    pub(crate) fn keeps(&self, now: SystemTime) -> Duration {
        /// How long a stale answer is kept to be asked about.
        const ASKABLE: Duration = Duration::from_hours(24);
        let mut after = Duration::ZERO;
        if !self.strict && !self.no_cache {
            after = self.stale_if_error.max(self.stale_while_revalidate);
        }
        if self.etag.is_some() || self.last_modified.is_some() {
            after = after.max(ASKABLE);
        }
        (self.lifetime + after.min(LONGEST)).saturating_sub(self.age(now))
    }

    /// What may be done with it now. One that was `outdated` by a write is always asked about.
    pub(crate) fn now(&self, wishes: Wishes, outdated: bool, now: SystemTime) -> Use {
        let age = self.age(now);
        let stale_for = age.checked_sub(self.lifetime);
        let may_be_stale = !self.strict && !self.no_cache && !outdated;
        let within = |allowed: Duration| {
            may_be_stale && stale_for.is_some_and(|stale_for| stale_for < allowed)
        };
        let may_stand_in = may_be_stale && (stale_for.is_none() || within(self.stale_if_error));
        let too_old = wishes.max_age.is_some_and(|most| age > most);
        let too_stale_soon = wishes.min_fresh.is_some_and(|least| self.left(now) < least);
        if self.no_cache || outdated || wishes.no_cache || too_old || too_stale_soon {
            return Use::Ask { may_stand_in };
        }
        if stale_for.is_none() {
            Use::Fresh
        } else if wishes.max_stale.is_some_and(within) {
            Use::Accepted
        } else if within(self.stale_while_revalidate) {
            Use::Refresh
        } else {
            Use::Ask { may_stand_in }
        }
    }
}

/// Whether a status says that the upstream failed, so that a stale answer may stand in (RFC 5861 §4).
pub(crate) fn is_failure(status: StatusCode) -> bool {
    matches!(status.as_u16(), 500 | 502 | 503 | 504)
}

/// Whether the client, by its conditions, has this answer already (RFC 9110 §13.2.2).
pub(crate) fn has_already(request: &HeaderMap, answer: &HeaderMap) -> bool {
    if request.contains_key(header::IF_NONE_MATCH) {
        let Some(etag) = answer.get(header::ETAG).map(|etag| opaque(etag.as_bytes())) else {
            return false;
        };
        return request
            .get_all(header::IF_NONE_MATCH)
            .iter()
            .flat_map(|value| list(value.to_str().unwrap_or_default()))
            .any(|known| known == "*" || opaque(known.as_bytes()) == etag);
    }
    let since = request.get(header::IF_MODIFIED_SINCE).and_then(date_of);
    let modified = answer.get(header::LAST_MODIFIED).and_then(date_of);
    matches!((since, modified), (Some(since), Some(modified)) if modified <= since)
}

/// Puts the headers of a 304 over those that are kept (§3.2).
pub(crate) fn freshen(kept: &mut HeaderMap, told: &HeaderMap) {
    for name in told.keys() {
        let of_the_body = matches!(
            *name,
            header::CONTENT_LENGTH
                | header::CONTENT_ENCODING
                | header::CONTENT_TYPE
                | header::CONTENT_RANGE
        );
        if of_the_body {
            continue;
        }
        kept.remove(name);
        for value in told.get_all(name) {
            kept.append(name.clone(), value.clone());
        }
    }
}

/// What an answer's `Cache-Control` says.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "directives are there or not")]
struct Said {
    no_store: bool,
    no_cache: bool,
    private: bool,
    public: bool,
    strict: bool,
    max_age: Option<Duration>,
    s_maxage: Option<Duration>,
    stale_if_error: Option<Duration>,
    stale_while_revalidate: Option<Duration>,
}

impl Said {
    fn hear(&mut self, name: &str, value: Option<&str>) {
        // Of a directive that comes twice the smaller one counts.
        let least = |known: &mut Option<Duration>| {
            let told = seconds(value);
            *known = Some(known.map_or(told, |known| known.min(told)));
        };
        match name {
            "no-store" => self.no_store = true,
            "no-cache" => self.no_cache = true,
            "private" => self.private = true,
            "public" => self.public = true,
            "must-revalidate" | "proxy-revalidate" => self.strict = true,
            "max-age" => least(&mut self.max_age),
            "s-maxage" => least(&mut self.s_maxage),
            "stale-if-error" => least(&mut self.stale_if_error),
            "stale-while-revalidate" => least(&mut self.stale_while_revalidate),
            _ => {}
        }
    }
}

/// Calls `hear` with each directive's name, in lower case, and value.
fn directives(headers: &HeaderMap, mut hear: impl FnMut(&str, Option<&str>)) {
    for value in headers.get_all(header::CACHE_CONTROL) {
        // What cannot be read may be a `no-store`.
        let Ok(text) = value.to_str() else {
            hear("no-store", None);
            continue;
        };
        for part in list(text) {
            let (name, value) = match part.split_once('=') {
                Some((name, value)) => (name, Some(value.trim().trim_matches('"'))),
                None => (part, None),
            };
            hear(&name.trim().to_ascii_lowercase(), value);
        }
    }
}

/// The parts of a list, whose commas do not count within quotes.
fn list(text: &str) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    text.split(move |c: char| {
        quoted ^= c == '"';
        c == ',' && !quoted
    })
    .map(str::trim)
    .filter(|part| !part.is_empty())
}

/// Seconds; a number that cannot be read is 0, one that is too large the longest time.
fn seconds(value: Option<&str>) -> Duration {
    let digits = value.unwrap_or_default().trim();
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Duration::ZERO;
    }
    digits
        .parse()
        .map_or(LONGEST, |seconds| Duration::from_secs(seconds).min(LONGEST))
}

/// Names in `Vary`, in order and once each; `None` for what no request can match again.
fn vary(headers: &HeaderMap) -> Option<Vec<HeaderName>> {
    let mut names = Vec::new();
    for value in headers.get_all(header::VARY) {
        for name in value.to_str().ok()?.split(',').map(str::trim) {
            if name == "*" {
                return None;
            }
            if !name.is_empty() {
                names.push(HeaderName::try_from(name).ok()?);
            }
        }
    }
    // One that forgets to say so is encoded as its client wished all the same.
    if headers.contains_key(header::CONTENT_ENCODING) {
        names.push(header::ACCEPT_ENCODING);
    }
    names.sort_by(|one, other| one.as_str().cmp(other.as_str()));
    names.dedup();
    Some(names)
}

fn initial_age(
    headers: &HeaderMap,
    date: SystemTime,
    sent: SystemTime,
    received: SystemTime,
) -> Duration {
    let apparent = received.duration_since(date).unwrap_or_default();
    let told = headers.get_all(header::AGE).iter().next();
    let told = seconds(told.and_then(|value| value.to_str().ok()));
    let delay = received.duration_since(sent).unwrap_or_default();
    apparent.max(told + delay)
}

/// Statuses whose answers are kept at all. A failure never is, whatever it says.
fn may_be_kept(status: StatusCode) -> bool {
    matches!(status.as_u16(), 200..=499 | 501) && !matches!(status.as_u16(), 206 | 304)
}

/// Statuses whose answers are kept though they say nothing of it (RFC 9110 §15.1).
fn is_usually_kept(status: StatusCode) -> bool {
    matches!(
        status.as_u16(),
        200 | 203 | 204 | 300 | 301 | 308 | 404 | 405 | 410 | 414 | 501
    )
}

fn date_of(value: &HeaderValue) -> Option<SystemTime> {
    httpdate::parse_http_date(value.to_str().ok()?).ok()
}

/// An entity tag without its mark of weakness.
fn opaque(etag: &[u8]) -> &[u8] {
    let etag = etag.trim_ascii();
    etag.strip_prefix(b"W/").unwrap_or(etag)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_700_000_000;
    const PLAIN: Settings = Settings {
        shared: false,
        fresh: None,
        stale_if_error: None,
        stale_while_revalidate: None,
        answer: 1,
    };

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(NOW + seconds)
    }

    fn map(fields: &[(&'static str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in fields {
            map.append(*name, HeaderValue::from_str(value).unwrap());
        }
        map
    }

    fn asked(method: &Method) -> Asked<'_> {
        Asked {
            method,
            wishes: Wishes::default(),
            authorised: false,
            sent: at(0),
        }
    }

    fn terms(status: u16, fields: &[(&'static str, &str)]) -> Option<Terms> {
        let status = StatusCode::from_u16(status).unwrap();
        Terms::of(asked(&Method::GET), status, &map(fields), at(0), &PLAIN)
    }

    /// Answers, and for how many seconds each is fresh; `None` is not to be kept.
    #[test]
    fn freshness_is_what_the_answer_says_section_4_2() {
        let date = httpdate::fmt_http_date(at(0));
        let later = httpdate::fmt_http_date(at(90));
        let earlier = httpdate::fmt_http_date(at(0) - Duration::from_secs(20));
        let cc = "cache-control";
        let check = |status: u16, fields: &[(&'static str, &str)], expected: Option<u64>| {
            let found = terms(status, fields).map(|terms| terms.left(at(0)).as_secs());
            assert_eq!(found, expected, "{status} {fields:?}");
        };
        check(200, &[(cc, "max-age=60")], Some(60));
        check(200, &[(cc, "MAX-AGE=\"60\"")], Some(60));
        check(200, &[(cc, "max-age=60, max-age=30")], Some(30));
        check(200, &[(cc, "max-age=60"), (cc, "s-maxage=10")], Some(10));
        check(200, &[(cc, "s-maxage=99999999999999999999")], Some(1 << 31));
        check(200, &[(cc, "max-age=60"), ("age", "20")], Some(40));
        check(200, &[(cc, "max-age=60"), ("date", &earlier)], Some(40));
        check(200, &[("expires", &later), ("date", &date)], Some(90));
        check(200, &[("expires", &later), ("date", &earlier)], Some(90));
        check(200, &[("expires", &later), (cc, "max-age=1")], Some(1));
        check(200, &[("expires", "0"), ("etag", "\"x\"")], Some(0));
        check(200, &[("etag", "\"x\"")], Some(0));
        check(200, &[("last-modified", &earlier)], Some(0));
        check(200, &[(cc, "max-age=-1"), ("etag", "\"x\"")], Some(0));
        check(200, &[(cc, "max-age=6x"), ("etag", "\"x\"")], Some(0));
        // Of no use, or not to be kept.
        check(200, &[], None);
        check(200, &[("expires", "0")], None);
        check(200, &[(cc, "max-age=60"), ("age", "60")], None);
        check(200, &[(cc, "max-age=60, no-store")], None);
        check(200, &[(cc, "max-age=60"), (cc, "private")], None);
        check(200, &[(cc, "max-age=60, private=\"a, b\"")], None);
        check(200, &[(cc, "max-age=60"), ("set-cookie", "a=b")], None);
        check(200, &[(cc, "max-age=60"), ("vary", "accept, *")], None);
        check(200, &[(cc, "max-age=60, ext=\"a, no-store\"")], Some(60));
        // Statuses.
        for kept in [203, 204, 301, 302, 404, 410, 429, 501] {
            check(kept, &[(cc, "max-age=60")], Some(60));
        }
        for never in [101, 206, 304, 500, 502, 503, 504] {
            check(never, &[(cc, "max-age=60")], None);
        }
        check(404, &[("etag", "\"x\"")], Some(0));
        check(302, &[("etag", "\"x\"")], None);
    }

    #[test]
    fn only_reads_are_kept_and_credentials_hold_answers_back_section_3_5() {
        let fresh = map(&[("cache-control", "max-age=60")]);
        let keeps = |asked: Asked<'_>, headers: &HeaderMap| {
            Terms::of(asked, StatusCode::OK, headers, at(0), &PLAIN).is_some()
        };
        for (method, kept) in [
            (Method::GET, true),
            (Method::HEAD, true),
            (Method::POST, false),
            (Method::OPTIONS, false),
        ] {
            assert_eq!(keeps(asked(&method), &fresh), kept, "{method}");
        }
        let own = Asked {
            authorised: true,
            ..asked(&Method::GET)
        };
        for (says, kept) in [
            ("max-age=60", false),
            ("max-age=60, public", true),
            ("max-age=60, must-revalidate", true),
            ("s-maxage=60", true),
            ("public, private, max-age=60", false),
        ] {
            assert_eq!(keeps(own, &map(&[("cache-control", says)])), kept, "{says}");
        }
        let secret = Asked {
            wishes: Wishes::of(&map(&[("cache-control", "no-store")])),
            ..asked(&Method::GET)
        };
        assert!(!keeps(secret, &fresh));
    }

    /// What an answer says, what the client wants, after how many seconds; and what may be done.
    #[test]
    fn the_use_of_an_answer_follows_from_its_age_and_the_wishes_section_5_2() {
        let ask = |may_stand_in| Use::Ask { may_stand_in };
        let check = |says: &str, wants: &str, after: u64, expected: Use| {
            let terms = terms(200, &[("cache-control", says), ("etag", "\"x\"")]).unwrap();
            let wishes = Wishes::of(&map(&[("cache-control", wants)]));
            let found = terms.now(wishes, false, at(after));
            assert_eq!(found, expected, "{says}; {wants}; {after}");
        };
        check("max-age=60", "", 59, Use::Fresh);
        check("max-age=60", "", 60, ask(false));
        check("max-age=60, no-cache", "", 0, ask(false));
        check("max-age=60", "no-cache", 1, ask(true));
        check("max-age=60", "max-age=10", 10, Use::Fresh);
        check("max-age=60", "max-age=10", 11, ask(true));
        check("max-age=60", "max-age=0", 1, ask(true));
        check("max-age=60", "min-fresh=20", 40, Use::Fresh);
        check("max-age=60", "min-fresh=20", 41, ask(true));
        check("max-age=60", "max-stale=10", 69, Use::Accepted);
        check("max-age=60", "max-stale=10", 70, ask(false));
        check("max-age=60", "max-stale", 9_000, Use::Accepted);
        check("max-age=60, must-revalidate", "max-stale", 61, ask(false));
        check("max-age=60, proxy-revalidate", "max-stale", 61, ask(false));
        check("s-maxage=60", "max-stale", 61, ask(false));
        check(
            "max-age=60, stale-while-revalidate=10",
            "",
            69,
            Use::Refresh,
        );
        check("max-age=60, stale-while-revalidate=10", "", 70, ask(false));
        check("max-age=60, stale-if-error=10", "", 69, ask(true));
        check("max-age=60, stale-if-error=10", "", 70, ask(false));
        check("s-maxage=60, stale-if-error=10", "", 61, ask(false));
        check(
            "max-age=60, no-cache, stale-if-error=10",
            "",
            61,
            ask(false),
        );
    }

    #[test]
    fn a_write_leaves_nothing_but_to_ask() {
        let terms = terms(200, &[("cache-control", "max-age=60, stale-if-error=60")]).unwrap();
        let found = terms.now(Wishes::default(), true, at(1));
        assert_eq!(
            found,
            Use::Ask {
                may_stand_in: false
            }
        );
    }

    #[test]
    fn pragma_counts_where_cache_control_is_missing_section_5_4() {
        let pragma = ("pragma", "no-cache");
        assert!(Wishes::of(&map(&[pragma])).no_cache);
        assert!(!Wishes::of(&map(&[pragma, ("cache-control", "max-age=1")])).no_cache);
    }

    #[test]
    fn a_route_may_say_what_answers_do_not() {
        let settings = Settings {
            fresh: Some(Duration::from_secs(30)),
            stale_if_error: Some(Duration::from_secs(5)),
            ..PLAIN
        };
        let of = |status: u16, fields: &[(&'static str, &str)]| {
            let status = StatusCode::from_u16(status).unwrap();
            Terms::of(asked(&Method::GET), status, &map(fields), at(0), &settings)
        };
        let silent = of(200, &[]).unwrap();
        assert_eq!(silent.left(at(0)), Duration::from_secs(30));
        assert_eq!(silent.keeps(at(0)), Duration::from_secs(35));
        let stand_in = silent.now(Wishes::default(), false, at(34));
        assert_eq!(stand_in, Use::Ask { may_stand_in: true });
        let spoken = of(200, &[("cache-control", "max-age=10")]).unwrap();
        assert_eq!(spoken.left(at(0)), Duration::from_secs(10));
        // Not what nobody keeps without being told to.
        assert!(of(302, &[]).is_none() && of(400, &[]).is_none());
        assert!(of(200, &[("cache-control", "no-store")]).is_none());
    }

    #[test]
    fn age_counts_what_it_was_and_what_passed_section_4_2_3() {
        let headers = map(&[("cache-control", "max-age=60"), ("age", "10")]);
        let asked = asked(&Method::GET);
        let terms = Terms::of(asked, StatusCode::OK, &headers, at(4), &PLAIN).unwrap();
        assert_eq!(terms.age(at(4)), Duration::from_secs(14));
        assert_eq!(terms.age(at(20)), Duration::from_secs(30));
    }

    #[test]
    fn a_304_replaces_headers_but_those_of_the_body_section_3_2() {
        let mut kept = map(&[("x", "1"), ("x", "2"), ("content-type", "a/b"), ("y", "1")]);
        freshen(&mut kept, &map(&[("x", "3"), ("content-type", "c/d")]));
        assert_eq!(
            kept,
            map(&[("x", "3"), ("content-type", "a/b"), ("y", "1")])
        );
    }

    #[test]
    fn vary_is_a_set_of_names() {
        let headers = map(&[
            ("vary", "Accept, accept-encoding,"),
            ("vary", "accept"),
            ("content-encoding", "br"),
        ]);
        let names = vary(&headers).unwrap();
        assert_eq!(names, [header::ACCEPT, header::ACCEPT_ENCODING]);
        assert_eq!(vary(&map(&[("vary", "no name")])), None);
    }
}
