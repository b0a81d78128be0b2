//! What browsers may do with answers (CORS, <https://fetch.spec.whatwg.org/#http-cors-protocol>): which pages may ask, with
//! which methods and headers, and which headers of the answer they may read. Questions in advance are answered here, without
//! a key, since browsers send none with them.

use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use isobar_config::{self as config, OriginPattern};

use super::headers::{self, Block};

/// Headers of ours that every page may read.
static OURS: [HeaderName; 10] = [
    headers::VENDOR,
    headers::ATTEMPTS,
    headers::RUN,
    headers::DEGRADED,
    HeaderName::from_static("isobar-cache"),
    headers::CACHE_STATUS,
    headers::SERVER_TIMING,
    headers::RATE_LIMIT,
    headers::RATE_LIMIT_POLICY,
    header::RETRY_AFTER,
];

/// Headers of an answer that are the gateway's to write where a route says who may ask.
static WRITTEN: [HeaderName; 6] = [
    header::ACCESS_CONTROL_ALLOW_ORIGIN,
    header::ACCESS_CONTROL_ALLOW_CREDENTIALS,
    header::ACCESS_CONTROL_ALLOW_METHODS,
    header::ACCESS_CONTROL_ALLOW_HEADERS,
    header::ACCESS_CONTROL_EXPOSE_HEADERS,
    header::ACCESS_CONTROL_MAX_AGE,
];

/// A route's settings, ready to go.
#[derive(Debug)]
pub(crate) struct Cors {
    origins: Vec<OriginPattern>,
    credentials: bool,
    /// `None` allows those that are asked for.
    methods: Option<HeaderValue>,
    allowed: Option<HeaderValue>,
    exposed: HeaderValue,
    max_age: HeaderValue,
}

impl Cors {
    /// `None` when a name in it cannot be sent, which checked settings have none of.
    pub(crate) fn new(settings: &config::Cors) -> Option<Self> {
        let joined = |names: &[String]| {
            let all = !names.is_empty();
            all.then(|| HeaderValue::try_from(names.join(", ")).ok())
        };
        let ours = OURS.iter().map(HeaderName::as_str);
        let exposed = settings.exposed.iter().map(String::as_str).chain(ours);
        Some(Self {
            origins: settings.origins.clone(),
            credentials: settings.credentials,
            methods: joined(&settings.methods).flatten(),
            allowed: joined(&settings.headers).flatten(),
            exposed: HeaderValue::try_from(exposed.collect::<Vec<_>>().join(", ")).ok()?,
            max_age: HeaderValue::from(settings.max_age.as_secs()),
        })
    }

    /// What is answered to a question in advance.
    pub(crate) fn preflight(&self, request: &HeaderMap) -> HeaderMap {
        let mut answer = HeaderMap::new();
        let asked = [
            header::ORIGIN,
            header::ACCESS_CONTROL_REQUEST_METHOD,
            header::ACCESS_CONTROL_REQUEST_HEADERS,
        ];
        for name in asked {
            answer.append(header::VARY, HeaderValue::from(name));
        }
        let Some(origin) = self.allowed_origin(origin(request)) else {
            return answer;
        };
        answer.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        if self.credentials {
            let yes = HeaderValue::from_static("true");
            answer.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, yes);
        }
        let wanted = |name| request.get(name).cloned();
        let methods = self.methods.clone();
        let methods = methods.or_else(|| wanted(header::ACCESS_CONTROL_REQUEST_METHOD));
        let names = self.allowed.clone();
        let names = names.or_else(|| wanted(header::ACCESS_CONTROL_REQUEST_HEADERS));
        let told = [
            (header::ACCESS_CONTROL_ALLOW_METHODS, methods),
            (header::ACCESS_CONTROL_ALLOW_HEADERS, names),
            (header::ACCESS_CONTROL_MAX_AGE, Some(self.max_age.clone())),
        ];
        for (name, value) in told {
            if let Some(value) = value {
                answer.insert(name, value);
            }
        }
        answer
    }

    /// Tells a browser whether the page that asked may read the answer; what an upstream says of that is dropped.
    pub(crate) fn tell(&self, origin: Option<&HeaderValue>, answer: &mut impl Block) {
        for name in &WRITTEN {
            answer.remove(name);
        }
        if !self.is_for_all() {
            answer.append(header::VARY, HeaderValue::from_static("origin"));
        }
        let Some(origin) = self.allowed_origin(origin) else {
            return;
        };
        answer.set(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        answer.set(header::ACCESS_CONTROL_EXPOSE_HEADERS, self.exposed.clone());
        if self.credentials {
            let yes = HeaderValue::from_static("true");
            answer.set(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, yes);
        }
    }

    fn is_for_all(&self) -> bool {
        !self.credentials && self.origins.contains(&OriginPattern::Any)
    }

    /// The value that allows the page that asks, if it may.
    fn allowed_origin(&self, origin: Option<&HeaderValue>) -> Option<HeaderValue> {
        let origin = origin?;
        if self.is_for_all() {
            return Some(HeaderValue::from_static("*"));
        }
        let text = origin.to_str().ok()?;
        let allowed = self.origins.iter().any(|pattern| pattern.takes(text));
        allowed.then(|| origin.clone())
    }
}

/// Where the page that asks is from.
pub(crate) fn origin(request: &HeaderMap) -> Option<&HeaderValue> {
    let mut origins = request.get_all(header::ORIGIN).iter();
    origins.next().filter(|_| origins.next().is_none())
}

/// Whether a request is a browser's question in advance, and for which method it asks.
pub(crate) fn asks_in_advance(method: &Method, headers: &HeaderMap) -> Option<Method> {
    if *method != Method::OPTIONS || !headers.contains_key(header::ORIGIN) {
        return None;
    }
    let wanted = headers.get(header::ACCESS_CONTROL_REQUEST_METHOD)?;
    Method::from_bytes(wanted.as_bytes()).ok()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn cors(origins: &[&str], credentials: bool) -> Cors {
        let settings = config::Cors {
            origins: origins
                .iter()
                .map(|text| OriginPattern::parse(text).unwrap())
                .collect(),
            methods: Vec::new(),
            headers: Vec::new(),
            exposed: vec!["x-total".to_owned()],
            credentials,
            max_age: Duration::from_mins(10),
        };
        Cors::new(&settings).unwrap()
    }

    #[test]
    fn a_page_is_allowed_by_its_whole_origin_or_below_a_domain() {
        let check =
            |origins: &[&str], credentials, origin: &'static str, expected: Option<&str>| {
                let mut answer = HeaderMap::new();
                let page = HeaderValue::from_static(origin);
                cors(origins, credentials).tell(Some(&page), &mut answer);
                let told = answer.get(header::ACCESS_CONTROL_ALLOW_ORIGIN);
                let told = told.map(|value| value.to_str().unwrap());
                assert_eq!(told, expected, "{origins:?} {origin}");
                let with = answer.contains_key(header::ACCESS_CONTROL_ALLOW_CREDENTIALS);
                assert_eq!(with, credentials && expected.is_some(), "{origin}");
            };
        let app = "https://app.example.com";
        check(&["*"], false, app, Some("*"));
        check(&["*"], false, "null", Some("*"));
        check(&[app], true, app, Some(app));
        check(&[app], true, "https://app.example.com:8443", None);
        check(&[app], true, "http://app.example.com", None);
        check(&[app], true, "https://app.example.com.evil.example", None);
        check(&[app], true, "null", None);
        let below = "https://*.example.com";
        check(&[below], true, app, Some(app));
        let deep = "https://a.b.example.com";
        check(&[below], true, deep, Some(deep));
        check(&[below], true, "https://example.com", None);
        check(&[below], true, "https://evilexample.com", None);
        check(&[below], true, "https://.example.com", None);
        check(&[below], true, "https://evil.example/.example.com", None);
        check(&[below], true, "https://evil.example#.example.com", None);
        check(
            &[below],
            true,
            "https://evil.example:80@a.example.com",
            None,
        );
        check(&[below], true, "https://app.example.com:8443", None);
        check(
            &["https://*.example.com:8443"],
            true,
            "https://a.example.com:8443",
            Some("https://a.example.com:8443"),
        );
    }
}
