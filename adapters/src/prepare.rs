//! A step and a scope → a request, rendered and signed.

use std::{borrow::Cow, time::SystemTime};

use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header, uri::PathAndQuery};

use crate::{
    failure::{Failure, Kind},
    protocols::auth::{
        self, SignError, key_file, oauth, signed_query, sigv4, tc3,
        token::{Token, parse_token_answer},
    },
    request::{Body, Piece, Request, Response, Talk},
    template::{Scope, Text, Writer, encode},
    vendor::{Account, Auth, BodyTemplate, PartTemplate, Service, Step, Target},
};

const TOKEN_GRANT: &str = "application/x-www-form-urlencoded";

/// What a request is made from.
pub(crate) struct Preparing<'a> {
    pub(crate) account: &'a Account,
    pub(crate) step: &'a Step,
}

/// A request, and how it is to be signed.
pub(crate) struct Prepared<'a> {
    pub(crate) request: Request,
    pub(crate) signer: Signer<'a>,
}

impl<'a> Preparing<'a> {
    fn service(&self) -> Result<&'a Service, Failure> {
        self.account
            .vendor
            .services
            .get(self.step.service)
            .ok_or_else(|| Failure::new(Kind::Unsupported, "the vendor's service is gone"))
    }

    /// The call that exchanges the account's key for a token, where the service wants one.
    pub(crate) fn token_call(&self) -> Option<Result<TokenCall, Failure>> {
        if !self.step.auth {
            return None;
        }
        let service = match self.service() {
            Ok(service) => service,
            Err(failure) => return Some(Err(failure)),
        };
        let account = self.account;
        match &service.auth {
            Auth::KeyOrFile { scope, .. } => {
                let has_key = account.field("key").is_some_and(|key| !key.is_empty());
                let file = account.field("service_account").filter(|_| !has_key)?;
                Some(
                    key_file::ServiceAccount::parse(file)
                        .map_err(unsigned)
                        .map(|file| TokenCall::KeyFile {
                            file,
                            scope: scope.clone(),
                        }),
                )
            }
            Auth::Oauth {
                url,
                id,
                secret,
                scope,
                in_query,
                ..
            } => {
                let render = |text: &Text| plain(text, &bare(account));
                let made = || {
                    let url = match &account.base {
                        None => render(url)?,
                        Some(base) => rebased(base, &render(url)?),
                    };
                    Ok(TokenCall::Client {
                        url,
                        id: render(id)?,
                        secret: render(secret)?,
                        scope: scope.clone(),
                        in_query: *in_query,
                    })
                };
                Some(made())
            }
            _ => None,
        }
    }

    /// Renders the request.
    pub(crate) fn request(&self, scope: &Scope<'_>) -> Result<Prepared<'a>, Failure> {
        let service = self.service()?;
        let mut address = self.address(service, scope)?;
        let mut separator = if address.contains('?') { '&' } else { '?' };
        let mut add = |name: &str, value: &str| {
            address.push(separator);
            separator = '&';
            address.push_str(&encode(name));
            address.push('=');
            address.push_str(&encode(value));
        };
        for (name, template) in &self.step.query {
            for value in template.texts(scope)? {
                add(name, &value);
            }
        }
        if let (Auth::Query(pairs), true) = (&service.auth, self.step.auth) {
            for (name, text) in pairs {
                add(name, &plain(text, scope)?);
            }
        }
        if let (
            Auth::Oauth {
                param: Some(param), ..
            },
            true,
            Some(token),
        ) = (&service.auth, self.step.auth, scope.token)
        {
            add(param, token);
        }
        let uri: Uri = address
            .parse()
            .map_err(|_| Failure::new(Kind::Unsupported, "the vendor's address cannot be made"))?;
        let mut headers = HeaderMap::with_capacity(8);
        let authority = uri
            .authority()
            .ok_or_else(|| Failure::new(Kind::Unsupported, "the vendor's address has no host"))?;
        headers.insert(header::HOST, value(authority.as_str())?);
        let (body, media_type) = self.body(scope)?;
        if let Some(media_type) = media_type {
            headers.insert(header::CONTENT_TYPE, value(&media_type)?);
        }
        for (name, template) in service.headers.iter().chain(&self.step.headers) {
            if let Some(text) = template.texts(scope)?.first() {
                headers.insert(name.clone(), value(text)?);
            }
        }
        let mut request = Request {
            method: self.step.method.clone(),
            uri,
            headers,
            body,
            talk: self.talk(scope)?,
        };
        let signer = if self.step.auth {
            self.authenticate(service, scope, &mut request)?
        } else {
            Signer::None
        };
        Ok(Prepared { request, signer })
    }

    /// The absolute address, without the query.
    fn address(&self, service: &Service, scope: &Scope<'_>) -> Result<String, Failure> {
        let base = self.base(service, scope)?;
        match &self.step.target {
            Target::Path(path) => {
                let escaped = path
                    .render(scope, |text| Cow::Owned(encode_path(text)))?
                    .unwrap_or_default();
                Ok(format!("{base}{escaped}"))
            }
            Target::Address(reference) => {
                let address = reference
                    .value(scope)?
                    .and_then(crate::tree::Tree::text)
                    .unwrap_or_default()
                    .into_owned();
                if self.is_vendors(&address, &base) {
                    Ok(address)
                } else {
                    Err(Failure::new(
                        Kind::Misread,
                        "the vendor's answer points to a host that is not the vendor's",
                    ))
                }
            }
        }
    }

    fn base(&self, service: &Service, scope: &Scope<'_>) -> Result<String, Failure> {
        let mut own = plain(&service.base, scope)?;
        // An account's address may end so.
        own.truncate(own.trim_end_matches('/').len());
        Ok(match &self.account.base {
            None => own,
            Some(base) => rebased(base, &own),
        })
    }

    /// Whether an address that an answer gave is at the service's own host or at one that the manifest lists.
    fn is_vendors(&self, address: &str, base: &str) -> bool {
        let (Ok(address), Ok(base)) = (address.parse::<Uri>(), base.parse::<Uri>()) else {
            return false;
        };
        let (Some(there), Some(own)) = (address.authority(), base.authority()) else {
            return false;
        };
        if there.as_str().contains('@') {
            return false;
        }
        if there == own && address.scheme() == base.scheme() {
            return true;
        }
        let host = there.host().to_ascii_lowercase();
        let listed = |suffix: &String| {
            host == *suffix
                || host
                    .strip_suffix(suffix.as_str())
                    .is_some_and(|rest| rest.ends_with('.'))
        };
        address.scheme_str() == Some("https") && self.account.vendor.hosts.iter().any(listed)
    }

    fn body(&self, scope: &Scope<'_>) -> Result<(Body, Option<String>), Failure> {
        Ok(match &self.step.body {
            BodyTemplate::None => (Body::default(), None),
            BodyTemplate::Json(template) => {
                (template.body(scope)?, Some("application/json".to_owned()))
            }
            BodyTemplate::Raw(name) => {
                let blob = scope.blob(name).ok_or_else(|| {
                    Failure::new(Kind::Unsupported, "the vendor needs the recording")
                })?;
                (
                    Body(vec![Piece::Blob(blob.clone())]),
                    Some(blob.media_type().to_owned()),
                )
            }
            BodyTemplate::Text(pieces, media_type) => {
                let mut text = String::new();
                for piece in pieces {
                    text.extend(piece.texts(scope)?);
                }
                (Body::of(text), Some(media_type.clone()))
            }
            BodyTemplate::Form(pairs) => {
                let mut form = String::new();
                for (name, template) in pairs {
                    for text in template.texts(scope)? {
                        if !form.is_empty() {
                            form.push('&');
                        }
                        form.push_str(&encode(name));
                        form.push('=');
                        form.push_str(&encode(&text));
                    }
                }
                (Body::of(form), Some(TOKEN_GRANT.to_owned()))
            }
            BodyTemplate::Multipart(parts) => {
                let boundary = format!("isobar-{}", scope.id);
                (
                    multipart(parts, scope, &boundary)?,
                    Some(format!("multipart/form-data; boundary={boundary}")),
                )
            }
        })
    }

    fn talk(&self, scope: &Scope<'_>) -> Result<Talk, Failure> {
        let Some(socket) = &self.step.socket else {
            return Ok(Talk::Http);
        };
        use base64::{Engine as _, engine::general_purpose::STANDARD};
        let blob = scope
            .blob(socket.blob)
            .ok_or_else(|| Failure::new(Kind::Unsupported, "the vendor needs the recording"))?;
        let bytes = blob
            .to_bytes()
            .map_err(|_| Failure::new(Kind::Internal, "the recording cannot be read"))?;
        let mut messages = Vec::new();
        for (number, piece) in bytes.chunks(socket.bytes).enumerate() {
            let chunk = STANDARD.encode(piece);
            let scope = Scope {
                chunk: Some(&chunk),
                ..*scope
            };
            let template = if number == 0 {
                &socket.first
            } else {
                &socket.next
            };
            messages.push(template.body(&scope)?.to_bytes().unwrap_or_default());
        }
        messages.push(
            socket
                .last
                .body(&Scope {
                    chunk: Some(""),
                    ..*scope
                })?
                .to_bytes()
                .unwrap_or_default(),
        );
        let pace = u64::try_from(socket.pace.as_millis()).unwrap_or_default();
        Ok(Talk::Socket {
            messages,
            pace,
            until: socket.until.clone(),
        })
    }

    /// Adds what can be added before the body is known, and says what is left to do.
    fn authenticate(
        &self,
        service: &'a Service,
        scope: &Scope<'_>,
        request: &mut Request,
    ) -> Result<Signer<'a>, Failure> {
        let account = self.account;
        let field = |name: &str| account.field(name).unwrap_or_default();
        match &service.auth {
            Auth::None | Auth::Query(_) => {}
            Auth::Headers(pairs) => {
                for (name, text) in pairs {
                    secret_header(request, name, &plain(text, scope)?)?;
                }
            }
            Auth::Basic { user, password } => {
                let value = auth::basic(&plain(user, scope)?, &plain(password, scope)?)
                    .map_err(unsigned)?;
                request.headers.insert(header::AUTHORIZATION, value);
            }
            Auth::KeyOrFile { header: name, .. } => match scope.token {
                Some(token) => {
                    secret_header(request, &header::AUTHORIZATION, &format!("Bearer {token}"))?
                }
                None if field("key").is_empty() => {
                    return Err(Failure::new(
                        Kind::Auth,
                        "the account has neither `key` nor `service_account`",
                    ));
                }
                None => secret_header(request, name, field("key"))?,
            },
            // In the query, or where a template puts it.
            Auth::Oauth { header: false, .. } => {}
            Auth::Oauth { .. } => secret_header(
                request,
                &header::AUTHORIZATION,
                &format!("Bearer {}", scope.token.unwrap_or_default()),
            )?,
            Auth::SigV4 { service } => {
                return Ok(Signer::SigV4 { account, service });
            }
            Auth::Tc3 { service } => return Ok(Signer::Tc3 { account, service }),
            Auth::SignedQuery => return Ok(Signer::SignedQuery { account }),
        }
        Ok(Signer::None)
    }
}

/// What is signed when the whole request is known.
pub(crate) enum Signer<'a> {
    None,
    SigV4 {
        account: &'a Account,
        service: &'a str,
    },
    Tc3 {
        account: &'a Account,
        service: &'a str,
    },
    SignedQuery {
        account: &'a Account,
    },
}

impl Signer<'_> {
    /// Whether the whole body must be read to sign it.
    pub(crate) fn wants_digest(&self) -> bool {
        match self {
            Self::SigV4 { service, .. } => *service != "s3",
            Self::Tc3 { .. } => true,
            Self::None | Self::SignedQuery { .. } => false,
        }
    }

    /// Signs; the clock is the caller's.
    pub(crate) fn sign(&self, request: &mut Request, now: SystemTime) -> Result<(), Failure> {
        let field =
            |account: &'_ Account, name: &str| account.field(name).unwrap_or_default().to_owned();
        match self {
            Self::None => Ok(()),
            Self::SigV4 { account, service } => {
                // The digest of a blob is known already; of anything else that is not in memory it would mean reading it twice.
                let digest = request
                    .body
                    .digest()
                    .map_err(|_| Failure::new(Kind::Internal, "the body cannot be read"))?;
                let (id, secret, region) = (
                    field(account, "access_key_id"),
                    field(account, "secret_access_key"),
                    field(account, "region"),
                );
                let credentials = sigv4::Credentials {
                    access_key_id: &id,
                    secret_access_key: &secret,
                    session_token: account.field("session_token"),
                };
                let scope = sigv4::Scope {
                    region: &region,
                    service,
                };
                with_parts(request, |parts| {
                    sigv4::sign(parts, Some(digest), &credentials, &scope, now).map_err(unsigned)
                })
            }
            Self::Tc3 { account, service } => {
                let digest = request
                    .body
                    .digest()
                    .map_err(|_| Failure::new(Kind::Internal, "the body cannot be read"))?;
                let (id, secret) = (field(account, "secret_id"), field(account, "secret_key"));
                with_parts(request, |parts| {
                    tc3::sign(parts, digest, &id, &secret, service, now).map_err(unsigned)
                })
            }
            Self::SignedQuery { account } => {
                let host = request
                    .uri
                    .authority()
                    .map(ToString::to_string)
                    .unwrap_or_default();
                let query = signed_query::sign_url(
                    &host,
                    request.uri.path(),
                    &field(account, "api_key"),
                    &field(account, "api_secret"),
                    now,
                )
                .map_err(unsigned)?;
                let mut parts = request.uri.clone().into_parts();
                let target = format!("{}?{query}", request.uri.path());
                parts.path_and_query = PathAndQuery::try_from(target).ok();
                request.uri = Uri::from_parts(parts)
                    .map_err(|_| Failure::new(Kind::Unsupported, "the address cannot be signed"))?;
                Ok(())
            }
        }
    }
}

fn with_parts(
    request: &mut Request,
    sign: impl FnOnce(&mut http::request::Parts) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let (mut parts, ()) = http::Request::new(()).into_parts();
    parts.method = request.method.clone();
    parts.uri = request.uri.clone();
    parts.headers = std::mem::take(&mut request.headers);
    let signed = sign(&mut parts);
    request.headers = parts.headers;
    request.uri = parts.uri;
    signed
}

/// A call for a token.
pub(crate) enum TokenCall {
    KeyFile {
        file: key_file::ServiceAccount,
        scope: String,
    },
    Client {
        url: String,
        id: String,
        secret: String,
        scope: Option<String>,
        in_query: bool,
    },
}

impl TokenCall {
    /// What tells its token from others.
    pub(crate) fn key(&self, account: &Account) -> String {
        match self {
            Self::KeyFile { scope, .. } => format!("{} {scope}", account.name),
            Self::Client { url, scope, .. } => format!(
                "{} {url} {}",
                account.name,
                scope.as_deref().unwrap_or_default()
            ),
        }
    }

    pub(crate) fn request(&self, now: SystemTime) -> Result<Request, Failure> {
        let (url, form) = match self {
            Self::KeyFile { file, scope } => {
                let assertion = key_file::assertion(file, scope, now).map_err(unsigned)?;
                (file.token_uri.clone(), key_file::token_form(&assertion))
            }
            Self::Client {
                url,
                id,
                secret,
                in_query: true,
                ..
            } => (
                format!("{url}?{}", oauth::client_credentials_form(id, secret, None)),
                String::new(),
            ),
            Self::Client {
                url,
                id,
                secret,
                scope,
                ..
            } => (
                url.clone(),
                oauth::client_credentials_form(id, secret, scope.as_deref()),
            ),
        };
        let uri: Uri = url.parse().map_err(|_| {
            Failure::new(Kind::Unsupported, "the address for tokens cannot be used")
        })?;
        let mut headers = HeaderMap::new();
        headers.insert(
            header::HOST,
            value(uri.authority().map_or("", |authority| authority.as_str()))?,
        );
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(TOKEN_GRANT));
        Ok(Request {
            method: Method::POST,
            uri,
            headers,
            body: Body::of(form),
            talk: Talk::Http,
        })
    }

    pub(crate) fn read(&self, response: &Response, now: SystemTime) -> Result<Token, Failure> {
        use auth::token::TokenError;
        parse_token_answer(&response.body, now).map_err(|error| {
            let kind = match &error {
                TokenError::Refused { .. } => Kind::Auth,
                TokenError::Unavailable { .. } => Kind::Unavailable,
                TokenError::Unreadable(_) if !response.status.is_success() => {
                    Kind::of_status(response.status.as_u16())
                }
                TokenError::Unreadable(_) => Kind::Misread,
            };
            Failure {
                status: Some(response.status.as_u16()),
                ..Failure::new(kind, error.to_string())
            }
        })
    }
}

fn multipart(
    parts: &[(String, PartTemplate)],
    scope: &Scope<'_>,
    boundary: &str,
) -> Result<Body, Failure> {
    let mut out = Writer::default();
    let head = |out: &mut Writer, name: &str| {
        out.text(&format!(
            "--{boundary}\r\ncontent-disposition: form-data; name=\"{}\"",
            quoted(name)
        ));
    };
    for (name, part) in parts {
        match part {
            PartTemplate::Field(template) => {
                for text in template.texts(scope)? {
                    head(&mut out, name);
                    out.text(&format!("\r\n\r\n{text}\r\n"));
                }
            }
            PartTemplate::Json(template) => {
                if let Some(value) = template.value(scope)? {
                    head(&mut out, name);
                    out.text("\r\ncontent-type: application/json\r\n\r\n");
                    out.json(&value);
                    out.text("\r\n");
                }
            }
            PartTemplate::File(name_of_blob) => {
                let blob = scope.blob(name_of_blob).ok_or_else(|| {
                    Failure::new(Kind::Unsupported, "the vendor needs the recording")
                })?;
                head(&mut out, name);
                out.text(&format!(
                    "; filename=\"{}\"\r\ncontent-type: {}\r\n\r\n",
                    quoted(blob.name()),
                    quoted(blob.media_type())
                ));
                out.piece(Piece::Blob(blob.clone()));
                out.text("\r\n");
            }
        }
    }
    out.text(&format!("--{boundary}--\r\n"));
    Ok(out.done())
}

/// A name within quotes of a part's head.
fn quoted(text: &str) -> String {
    text.chars()
        .filter(|c| !c.is_control())
        .collect::<String>()
        .replace('\\', "\\\\")
        .replace('"', "%22")
}

fn plain(text: &Text, scope: &Scope<'_>) -> Result<String, Failure> {
    Ok(text
        .render(scope, |text| Cow::Owned(text.to_owned()))?
        .unwrap_or_default())
}

/// A scope with nothing but the account.
fn bare(account: &Account) -> Scope<'_> {
    static EMPTY: std::sync::LazyLock<serde_json::Map<String, serde_json::Value>> =
        std::sync::LazyLock::new(serde_json::Map::new);
    Scope {
        input: &EMPTY,
        documents: None,
        blobs: &[],
        account: account.fields(),
        kept: &[],
        id: "",
        token: None,
        chunk: None,
        item: None,
    }
}

/// An address at another base: the base, and the address' own path.
fn rebased(base: &str, address: &str) -> String {
    let path = address
        .split_once("://")
        .and_then(|(_, rest)| rest.find('/').and_then(|at| rest.get(at..)))
        .unwrap_or_default();
    format!("{base}{path}")
}

/// A value as segments of a path: slashes stay, dot segments cannot arise.
fn encode_path(text: &str) -> String {
    let segments = text.split('/').map(|segment| match segment {
        "." => "%2E".to_owned(),
        ".." => "%2E%2E".to_owned(),
        segment => encode(segment),
    });
    segments.collect::<Vec<_>>().join("/")
}

fn value(text: &str) -> Result<HeaderValue, Failure> {
    HeaderValue::from_str(text)
        .map_err(|_| Failure::new(Kind::Invalid, "a value cannot stand in a header"))
}

fn secret_header(request: &mut Request, name: &HeaderName, text: &str) -> Result<(), Failure> {
    let mut value = HeaderValue::from_str(text)
        .map_err(|_| Failure::new(Kind::Auth, "the account's key cannot stand in a header"))?;
    value.set_sensitive(true);
    request.headers.insert(name.clone(), value);
    Ok(())
}

fn unsigned(error: SignError) -> Failure {
    Failure::new(Kind::Auth, format!("the request cannot be signed: {error}"))
}
