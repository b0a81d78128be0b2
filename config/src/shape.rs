//! What a value may be. The table of shapes (`table.rs`) is written once; checking, the JSON Schema and the reference
//! page all follow from it.

use std::net::SocketAddr;

use http::{HeaderName, Method};

use crate::{
    certificate::{self, Authorities},
    model::OriginPattern,
    network::Network,
    read::texts,
    template::{Template, TemplateError},
    units,
};

/// What a value may be.
#[derive(Debug)]
pub(crate) enum Shape {
    /// A text of some kind.
    Text(Kind),
    /// A whole number within bounds.
    Integer(i64, i64),
    /// A number within bounds.
    Number(f64, f64),
    Bool,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A list with at least this many items.
    List(usize, &'static Shape),
    /// A map from names to values.
    Map(&'static Shape),
    /// A map from header names to values.
    Headers(&'static Shape),
    Record(&'static Record),
    /// An account: at an upstream, or at a vendor with that vendor's fields.
    Account(&'static Record, &'static Record),
    /// Exactly one of the record's keys.
    OneOf(&'static Record),
    /// Told apart by the kind of YAML value.
    Either(&'static [Shape]),
    /// Anything, also nothing.
    Nothing,
}

/// What a text must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Plain,
    /// Comes from `${…}` or `file(…)`.
    Secret,
    Key,
    Name,
    Duration,
    /// A duration that is not zero.
    Time,
    Size,
    Rate,
    Address,
    Url,
    Match,
    Path,
    TargetPath,
    Method,
    Host,
    Origin,
    HeaderName,
    Template,
    Condition,
    AccessLog,
    ProbePath,
    VendorBase,
    /// Certificates in PEM.
    Certificate,
    /// A private key in PEM; a secret.
    PrivateKey,
    /// Addresses that begin alike.
    Network,
    /// A store that several gateways share; may have a password in it.
    Store,
}

/// A map with known keys.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) name: &'static str,
    pub(crate) doc: &'static str,
    pub(crate) fields: &'static [Field],
}

/// One key of a record.
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) key: &'static str,
    pub(crate) shape: Shape,
    pub(crate) required: bool,
    /// Default as written, or in words.
    pub(crate) default: &'static str,
    pub(crate) doc: &'static str,
}

impl Field {
    pub(crate) const fn required(key: &'static str, shape: Shape, doc: &'static str) -> Self {
        Self {
            key,
            shape,
            required: true,
            default: "",
            doc,
        }
    }

    pub(crate) const fn optional(
        key: &'static str,
        shape: Shape,
        default: &'static str,
        doc: &'static str,
    ) -> Self {
        Self {
            key,
            shape,
            required: false,
            default,
            doc,
        }
    }
}

/// Code, message and next step for a text that is not of its kind.
pub(crate) type Misfit = (&'static str, String, &'static str);

impl Kind {
    /// Name for messages, the schema and the reference.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Plain => "text",
            Self::Secret => "secret",
            Self::Key => "client key",
            Self::Name => "name",
            Self::Duration | Self::Time => "duration",
            Self::Size => "size",
            Self::Rate => "rate",
            Self::Address => "address",
            Self::Url | Self::VendorBase => "URL",
            Self::Store => "URL of a store",
            Self::Match => "match",
            Self::Path => "path pattern",
            Self::TargetPath => "path with parameters",
            Self::Method => "method",
            Self::Host => "host",
            Self::Origin => "origin",
            Self::HeaderName => "header name",
            Self::Template => "template",
            Self::Condition => "condition",
            Self::AccessLog => "log destination",
            Self::ProbePath => "path",
            Self::Certificate => "certificate",
            Self::PrivateKey => "private key",
            Self::Network => "network",
        }
    }

    /// An example for messages and the reference.
    pub(crate) fn example(self) -> &'static str {
        match self {
            Self::Plain => "text",
            Self::Secret => "${VENDOR_KEY}",
            Self::Key => "sha256:…",
            Self::Name => "main",
            Self::Duration | Self::Time => "2s",
            Self::Size => "64KiB",
            Self::Rate => "100/s burst 200",
            Self::Address => "127.0.0.1:8080",
            Self::Url => "https://api.example.com/v1",
            Self::Match => "GET /v1/*",
            Self::Path => "/users/{id}/*",
            Self::TargetPath => "/v2/{id}/{*}",
            Self::Method => "GET",
            Self::Host => "*.example.com",
            Self::Origin => "https://*.example.com",
            Self::HeaderName => "x-tier",
            Self::Template => "$.request.headers['x-user']",
            Self::Condition => "= request.headers['x-tier'] == 'gold'",
            Self::AccessLog => "file:./access.log",
            Self::ProbePath => "/healthz",
            Self::VendorBase => "https://proxy.example.com",
            Self::Certificate => "file(tls/site.pem)",
            Self::PrivateKey => "file(tls/site.key)",
            Self::Network => "10.0.0.0/8",
            Self::Store => "redis://127.0.0.1:6379",
        }
    }

    /// Checks a text, after expansion.
    pub(crate) fn check(self, text: &str) -> Result<(), Misfit> {
        let misfit = |code, message: String, help| Err((code, message, help));
        match self {
            Self::Plain | Self::Secret | Self::Key => Ok(()),
            Self::Name => {
                let good = !text.is_empty()
                    && text.len() <= 64
                    && text.bytes().all(|byte| {
                        byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')
                    });
                if good {
                    Ok(())
                } else {
                    misfit(
                        "E0412",
                        format!("`{text}` is not a name"),
                        "names have letters, digits, `-`, `_` and `.`, at most 64 of them",
                    )
                }
            }
            Self::Duration | Self::Time => match units::duration(text) {
                Some(time) if self == Self::Time && time.is_zero() => misfit(
                    "E0204",
                    format!("`{text}` is no time at all"),
                    "nothing can be done in it; write `1ms` or more, or leave it out for the default",
                ),
                Some(_) => Ok(()),
                None => misfit(
                    "E0402",
                    format!("`{text}` is not a duration"),
                    "write a number and a unit: `250ms`, `2s`, `1m30s`, `1h`",
                ),
            },
            Self::Size => match units::size(text) {
                Some(_) => Ok(()),
                None => misfit(
                    "E0403",
                    format!("`{text}` is not a size"),
                    "write bytes or a unit: `512`, `10KB`, `64KiB`, `1GiB`",
                ),
            },
            Self::Rate => match units::rate(text) {
                Some(_) => Ok(()),
                None => misfit(
                    "E0404",
                    format!("`{text}` is not a rate"),
                    "write `100/s`, `1000/m` or `100/s burst 200`",
                ),
            },
            Self::Address => match text.parse::<SocketAddr>() {
                Ok(_) => Ok(()),
                Err(_) => misfit(
                    "E0405",
                    format!("`{text}` is not an address"),
                    "write an IP address and a port: `127.0.0.1:8080`, `[::1]:8080`, `0.0.0.0:80`",
                ),
            },
            Self::Url => texts::base_url(text).map(|_| ()).or_else(|why| {
                // What stands before `@` or after `?` is often a secret.
                let shown = if text.contains(['@', '?']) {
                    "this"
                } else {
                    &format!("`{text}`")
                };
                misfit(
                    "E0401",
                    format!("{shown} is not a URL that can be called: {why}"),
                    "write `http://host:port` or `https://host/path`",
                )
            }),
            Self::VendorBase => {
                texts::base_url(&text.replacen("ws", "http", usize::from(text.starts_with("ws"))))
                    .map(|_| ())
                    .or_else(|why| {
                        misfit(
                            "E0401",
                            format!("`{text}` is not a URL that can be called: {why}"),
                            "write `https://host` or `https://host/path`",
                        )
                    })
            }
            Self::Store => texts::store_url(text).or_else(|why| {
                misfit(
                    "E0430",
                    format!("this is not the URL of a store that can be shared: {why}"),
                    "write `redis://host:port`, or take it from `${REDIS_URL}` when it has a password",
                )
            }),
            Self::Match => texts::match_text(text).map(|_| ()),
            Self::Path => texts::path_pattern(text).map(|_| ()),
            Self::TargetPath => texts::path_rewrite(text).map(|_| ()),
            Self::Method => method(text),
            Self::Host => texts::host(text).map(|_| ()),
            Self::Origin => match OriginPattern::parse(text) {
                Some(_) => Ok(()),
                None => misfit(
                    "E0416",
                    format!("`{text}` is not where a page can be from"),
                    "write scheme, host and, if it is not the usual one, port: `https://app.example.com`, `https://*.example.com`, or `*`",
                ),
            },
            Self::HeaderName => match HeaderName::try_from(text) {
                Ok(_) => Ok(()),
                Err(_) => misfit(
                    "E0409",
                    format!("`{text}` is not a header name"),
                    "header names have letters, digits and `-`",
                ),
            },
            Self::Template => Template::parse(text)
                .map(|_| ())
                .or_else(|error| template(&error)),
            Self::Condition => match text.strip_prefix('=') {
                Some(_) => Template::parse(text)
                    .map(|_| ())
                    .or_else(|error| template(&error)),
                None => misfit(
                    "E0702",
                    format!("`{text}` is not a condition"),
                    "conditions are CEL and start with `=`: `= request.method == 'GET'`",
                ),
            },
            Self::AccessLog => {
                let good = matches!(text, "off" | "stdout")
                    || text
                        .strip_prefix("file:")
                        .is_some_and(|path| !path.is_empty());
                if good {
                    Ok(())
                } else {
                    misfit(
                        "E0414",
                        format!("`{text}` is not a place for a log"),
                        "write `stdout`, `off` or `file:./access.log`",
                    )
                }
            }
            Self::Certificate => Authorities::read(text).map(|_| ()).or_else(|why| {
                misfit(
                    "E0421",
                    format!("this is not a certificate: {why}"),
                    "write `file(PATH)` with a PEM file: certificates between `-----BEGIN CERTIFICATE-----` and `-----END CERTIFICATE-----`",
                )
            }),
            Self::PrivateKey => certificate::private_key(text).map(|_| ()).or_else(|why| {
                misfit(
                    "E0422",
                    format!("this is not a private key: {why}"),
                    "write `file(PATH)` with a PEM file; `openssl pkey -in OLD -out NEW` writes one without a passphrase",
                )
            }),
            Self::Network => match Network::parse(text) {
                Some(_) => Ok(()),
                None => misfit(
                    "E0423",
                    format!("`{text}` is not a network"),
                    "write an IP address, or the first of a network and how many bits stay: `10.0.0.0/8`",
                ),
            },
            Self::ProbePath => {
                let good = text.starts_with('/')
                    && text
                        .bytes()
                        .all(|byte| byte.is_ascii_graphic() && byte != b'#');
                if good {
                    Ok(())
                } else {
                    misfit(
                        "E0413",
                        format!("`{text}` is not a path"),
                        "paths start with `/` and escape spaces as `%20`",
                    )
                }
            }
        }
    }
}

fn template(error: &TemplateError) -> Result<(), Misfit> {
    let (code, help) = match error {
        TemplateError::Path { .. } => (
            "E0701",
            "references are JSONPath (RFC 9535), such as `$.request.headers['x-user']`",
        ),
        TemplateError::Expression { .. } => (
            "E0702",
            "expressions are CEL over `request` and `client`, such as `= request.method == 'GET'`",
        ),
    };
    Err((code, error.to_string(), help))
}

pub(crate) fn method(text: &str) -> Result<(), Misfit> {
    const KNOWN: [Method; 7] = [
        Method::GET,
        Method::HEAD,
        Method::POST,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
        Method::OPTIONS,
    ];
    if KNOWN.iter().any(|known| known.as_str() == text) {
        return Ok(());
    }
    Err((
        "E0407",
        format!("`{text}` is not a method that is served"),
        "GET, HEAD, POST, PUT, PATCH, DELETE and OPTIONS are, in capitals",
    ))
}
