//! The checked configuration: what the gateway runs, every name resolved and every default filled in.
//!
//! A value of these types is known to be right; only `check` makes one. Names that were looked up are ids, texts that
//! were parsed stay parsed, and each limit remembers where it came from so that `isobar explain` can say so.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use serde::Serialize;

use crate::{
    Authorities, CertificateName, Expression, Identity, Location, Network, Secret, Template,
};

/// Everything the gateway needs to start.
#[derive(Debug, Clone, Serialize)]
pub struct Config {
    /// Sockets that serve clients, at least one.
    pub listen: Vec<Listen>,
    /// Socket of the admin port, if one is wanted.
    pub admin: Option<SocketAddr>,
    /// Folder for spool files and the embedded store.
    pub state: PathBuf,
    /// Store that several gateways share.
    pub shared: Option<SharedState>,
    /// Folder of further vendors' manifests.
    pub adapters: Option<PathBuf>,
    /// Where compositions are.
    pub compositions: Vec<Compositions>,
    /// Where the access log goes.
    pub log: Log,
    /// Where traces and metrics are sent.
    pub otlp: Option<Otlp>,
    /// Who may call. `None` when the section is missing: then only loopback listeners are allowed and any key passes.
    pub clients: Option<Vec<Client>>,
    /// Which pages may ask on routes that do not say it themselves.
    pub cors: Option<Cors>,
    /// Every account and every plain upstream, in the order written (upstreams first).
    pub accounts: Vec<Account>,
    /// Every pool, named ones first, then one for each list written in place in a route.
    pub pools: Vec<Pool>,
    /// Every route, in the order written; then those that vendors' accounts bring along.
    pub routes: Vec<Route>,
    /// Limits of the whole process.
    pub limits: Limits,
    /// Limits of a route that has none of its own.
    pub route_limits: RouteLimits,
}

/// A store that several gateways share.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SharedState {
    /// Where it is; may have a password in it.
    pub url: Secret,
    /// Longest time that a request waits for it.
    pub timeout: Duration,
    /// What becomes of requests that it cannot count.
    pub when_down: WhenDown,
    /// What its keys begin with.
    pub prefix: String,
}

/// What becomes of requests that a shared store cannot count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WhenDown {
    /// They pass uncounted.
    Admit,
    /// They are answered with 503.
    Refuse,
}

/// Where compositions are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Compositions {
    /// Those that come with the program.
    Library,
    /// A file, or a folder of them.
    Path(PathBuf),
}

/// One socket that serves clients.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Listen {
    /// Address; port 0 lets the system choose.
    pub address: SocketAddr,
    /// Certificates, where clients are served over TLS.
    pub tls: Option<ServerTls>,
    /// Who may connect and must say in the PROXY protocol who the client is. Nobody in particular, where the list is empty.
    pub proxy_protocol: Option<Vec<Network>>,
}

impl Listen {
    /// Whether both are the same socket, used in the same way; certificates may differ.
    pub fn is_like(&self, other: &Self) -> bool {
        self.address == other.address
            && self.tls.is_some() == other.tls.is_some()
            && self.proxy_protocol == other.proxy_protocol
    }
}

/// Who the gateway is to clients, and whom it asks who they are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ServerTls {
    /// At least one; the first is for clients that name no server, or one that no certificate has.
    pub certificates: Vec<Identity>,
    /// Whose certificates clients are asked for.
    pub client_ca: Option<Authorities>,
    /// Whether a client without a certificate is served all the same.
    pub client_optional: bool,
}

/// Access log settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Log {
    /// Destination of the JSON access log.
    pub access: AccessLog,
}

/// Destination of the access log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AccessLog {
    /// No access log.
    Off,
    /// One JSON object a line on standard output.
    Stdout,
    /// One JSON object a line, appended to this file.
    File(PathBuf),
}

/// A collector of traces and metrics.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Otlp {
    /// Where it is, without `/v1/traces`.
    pub endpoint: BaseUrl,
    /// Headers to send along, names in lower case.
    pub headers: Vec<(String, Secret)>,
    /// Share of the requests that are traced where the client does not decide, from 0 to 1.
    pub sample: f64,
    /// Whether traces are sent.
    pub traces: bool,
    /// Whether metrics are sent.
    pub metrics: bool,
    /// Time between two messages with metrics.
    pub every: Duration,
    /// Name of this service.
    pub service: String,
}

/// One caller of the gateway.
#[derive(Debug, Clone, Serialize)]
pub struct Client {
    /// Name, as in logs and metrics.
    pub name: String,
    /// SHA-256 digests of the keys that this client may present; several while keys rotate.
    pub keys: Vec<KeyDigest>,
    /// Tokens that are good instead.
    pub token: Option<Token>,
    /// Names in certificates that are good instead.
    pub certificate: Vec<CertificateName>,
    /// What its keys and certificates open.
    pub scopes: Vec<String>,
    /// Requests allowed over all routes; of tokens and certificates, for each subject.
    pub rate: Option<Setting<Rate>>,
}

/// Which tokens are good.
#[derive(Debug, Clone, Serialize)]
pub struct Token {
    /// The claim `iss`.
    pub issuer: String,
    /// The claim `aud` names one of these.
    pub audiences: Vec<String>,
    /// How it may be signed.
    pub algorithms: Vec<Algorithm>,
    /// What signatures are checked with.
    pub keys: TokenKeys,
    /// How far the issuer's clock may be off.
    pub leeway: Duration,
    /// Claim that names the caller.
    pub subject: String,
    /// Claim with the scopes; `None` is `scope`, or `scp`.
    pub scopes: Option<String>,
}

/// What tokens' signatures are checked with.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenKeys {
    /// A secret that is shared with the issuer.
    Secret(Secret),
    /// A JSON Web Key Set, as text.
    Set(String),
    /// A JSON Web Key Set that is fetched.
    Fetched {
        /// Where from.
        url: String,
        /// Age at which it is fetched again.
        refresh: Duration,
        /// Least time between two fetches.
        floor: Duration,
    },
}

/// How a token is signed (RFC 7518, 8037).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Algorithm {
    /// HMAC with SHA-256.
    #[serde(rename = "HS256")]
    Hs256,
    /// HMAC with SHA-384.
    #[serde(rename = "HS384")]
    Hs384,
    /// HMAC with SHA-512.
    #[serde(rename = "HS512")]
    Hs512,
    /// RSA, PKCS #1 v1.5, with SHA-256.
    #[serde(rename = "RS256")]
    Rs256,
    /// RSA, PKCS #1 v1.5, with SHA-384.
    #[serde(rename = "RS384")]
    Rs384,
    /// RSA, PKCS #1 v1.5, with SHA-512.
    #[serde(rename = "RS512")]
    Rs512,
    /// RSA, PSS, with SHA-256.
    #[serde(rename = "PS256")]
    Ps256,
    /// RSA, PSS, with SHA-384.
    #[serde(rename = "PS384")]
    Ps384,
    /// RSA, PSS, with SHA-512.
    #[serde(rename = "PS512")]
    Ps512,
    /// ECDSA on P-256 with SHA-256.
    #[serde(rename = "ES256")]
    Es256,
    /// ECDSA on P-384 with SHA-384.
    #[serde(rename = "ES384")]
    Es384,
    /// ECDSA on P-521 with SHA-512.
    #[serde(rename = "ES512")]
    Es512,
    /// Ed25519.
    #[serde(rename = "EdDSA")]
    EdDsa,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::Hs256,
        Self::Hs384,
        Self::Hs512,
        Self::Rs256,
        Self::Rs384,
        Self::Rs512,
        Self::Ps256,
        Self::Ps384,
        Self::Ps512,
        Self::Es256,
        Self::Es384,
        Self::Es512,
        Self::EdDsa,
    ];

    /// As tokens name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hs256 => "HS256",
            Self::Hs384 => "HS384",
            Self::Hs512 => "HS512",
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::Es512 => "ES512",
            Self::EdDsa => "EdDSA",
        }
    }

    /// Whether issuer and gateway share a secret for it.
    pub fn is_shared(self) -> bool {
        matches!(self, Self::Hs256 | Self::Hs384 | Self::Hs512)
    }

    /// Whether its keys are RSA keys.
    pub fn is_rsa(self) -> bool {
        matches!(
            self,
            Self::Rs256 | Self::Rs384 | Self::Rs512 | Self::Ps256 | Self::Ps384 | Self::Ps512
        )
    }
}

/// SHA-256 of a client's key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyDigest(pub [u8; 32]);

impl Serialize for KeyDigest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("sha256:[redacted]")
    }
}

/// Index into [`Config::accounts`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct AccountId(pub usize);

/// Index into [`Config::pools`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct PoolId(pub usize);

/// Somewhere a request can be sent, with the credential to send along.
#[derive(Debug, Clone, Serialize)]
pub struct Account {
    /// Name, unique among accounts and upstreams.
    pub name: String,
    /// Where requests go.
    pub url: BaseUrl,
    /// Credential added to every request.
    pub auth: Auth,
    /// TLS that is not the usual.
    pub tls: Option<ClientTls>,
    /// What is spoken there.
    pub protocol: Protocol,
    /// Time to resolve, connect and, for https, shake hands.
    pub connect_timeout: Duration,
    /// How long an idle connection is kept for reuse.
    pub keep_alive: Duration,
    /// Requests in flight at once; more wait for none and go to the next account.
    pub permits: u32,
    /// When to stop sending to this account for a while.
    pub breaker: Breaker,
    /// Health requests sent while nobody asks, if any.
    pub probe: Option<Probe>,
    /// US dollars for one request, for `cheapest`; capabilities have their vendors' prices.
    pub price: Option<f64>,
    /// What makes it an account at a vendor, which only adapters call.
    pub vendor: Option<VendorAccount>,
}

/// An account at a vendor.
#[derive(Debug, Clone, Serialize)]
pub struct VendorAccount {
    /// Name of the vendor.
    pub vendor: String,
    /// Where the vendor's services are instead of its own hosts.
    pub base: Option<String>,
    /// The vendor's fields: keys, regions and the like.
    pub fields: Vec<(String, Secret)>,
    /// Calls allowed.
    pub quota: Option<Rate>,
    /// Estimated cost allowed.
    pub spend: Option<Spend>,
}

/// So much money in so much time, by the vendors' list prices.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spend {
    /// US dollars.
    pub usd: f64,
    /// Window.
    pub per: Duration,
}

/// How a service is known over TLS, and who we are to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ClientTls {
    /// Authorities that are believed instead of the system's.
    pub ca: Option<Authorities>,
    /// Our own certificate.
    pub identity: Option<Identity>,
    /// Name that the service's certificate must have, instead of the URL's host.
    pub server_name: Option<String>,
}

/// Version of HTTP that is spoken to an upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// Over TLS HTTP/2 where it is offered, otherwise HTTP/1.1.
    #[default]
    Auto,
    /// HTTP/1.1.
    Http1,
    /// HTTP/2, without TLS by prior knowledge.
    Http2,
}

/// The parts of an upstream's URL.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BaseUrl {
    /// TLS or not.
    pub tls: bool,
    /// Host name or address, without brackets.
    pub host: String,
    /// Port, explicit or the scheme's.
    pub port: u16,
    /// Path put before the request's, without a trailing slash; often empty.
    pub path: String,
}

/// How a request proves who we are.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Auth {
    /// Nothing is added; the client's credential is removed all the same.
    None,
    /// `Authorization: Bearer …`.
    Bearer(Secret),
    /// `Authorization: Basic …`.
    Basic {
        /// User name.
        user: String,
        /// Password.
        password: Secret,
    },
    /// A header of this name, lower case.
    Header {
        /// Header name.
        name: String,
        /// Header value.
        value: Secret,
    },
    /// A query parameter of this name.
    Query {
        /// Parameter name.
        name: String,
        /// Parameter value.
        value: Secret,
    },
    /// A signature over the whole request.
    Sigv4(RequestSignature),
}

impl Auth {
    /// Whether a request can only be sent when its whole body is known.
    pub fn signs_bodies(&self) -> bool {
        matches!(self, Self::Sigv4(signature) if !signature.may_leave_out_bodies())
    }
}

/// Who signs requests, and for what (Signature Version 4).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RequestSignature {
    /// Names the key.
    pub access_key_id: String,
    /// The key.
    pub secret_access_key: Secret,
    /// Goes with temporary keys.
    pub session_token: Option<Secret>,
    /// Region of the service.
    pub region: String,
    /// Signing name of the service.
    pub service: String,
}

impl RequestSignature {
    /// Whether the service takes a body that is not signed.
    pub fn may_leave_out_bodies(&self) -> bool {
        self.service == "s3"
    }
}

/// Circuit breaker, one for each account and operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Breaker {
    /// Consecutive failures that open it.
    pub failures: u32,
    /// How long it stays open before a trial request.
    pub open_for: Duration,
    /// Trial requests that must succeed to close it.
    pub trials: u32,
}

/// Active health check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Probe {
    /// Path asked for with GET; an answer below 400 is healthy.
    pub path: String,
    /// Time between probes.
    pub every: Duration,
    /// Time a probe may take.
    pub timeout: Duration,
    /// Consecutive failures that make the account unhealthy.
    pub unhealthy_after: u32,
    /// Consecutive successes that make it healthy again.
    pub healthy_after: u32,
}

/// Equal accounts and the policy that picks among them.
#[derive(Debug, Clone, Serialize)]
pub struct Pool {
    /// Name; a list written in a route gets the route's.
    pub name: String,
    /// Accounts in the order written, at least one.
    pub members: Vec<Member>,
    /// How the order of attempts is chosen.
    pub policy: Policy,
    /// Tried in order; the first whose condition holds replaces the members.
    pub rules: Vec<Rule>,
    /// How often and how fast to try again.
    pub retry: Retry,
    /// Start a second attempt after this long, for reads only.
    pub hedge: Option<Duration>,
    /// Passive ejection of accounts that do worse than the others.
    pub outlier: Outlier,
}

/// One account of a pool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Member {
    /// Which account.
    pub account: AccountId,
    /// Share under `weighted` and `sticky`; at least 1.
    pub weight: u32,
}

/// How a pool orders its accounts for one request.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Policy {
    /// As written.
    Order,
    /// At random, in proportion to the weights.
    Weighted,
    /// Lower of two random picks by peak-EWMA latency times requests in flight.
    Fastest,
    /// By the price of the request, lowest first; equal ones as written.
    Cheapest,
    /// By consistent hash of a value of the request.
    Sticky {
        /// The value, over the request document.
        by: Template,
    },
}

/// A condition on the request and the members to use when it holds.
#[derive(Debug, Clone, Serialize)]
pub struct Rule {
    /// CEL over `request` and `client`.
    pub when: Expression,
    /// Members to use, in this order.
    pub members: Vec<Member>,
}

/// Limits on trying again.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Retry {
    /// Attempts for one request, the first included.
    pub attempts: u32,
    /// Further attempts allowed for each request, averaged over ten seconds, that did reach a vendor.
    pub budget: f64,
    /// Further attempts a second that are allowed in any case.
    pub reserve: u32,
}

/// Passive ejection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Outlier {
    /// Share of failures over the last requests that ejects an account, in percent.
    pub failure_percent: u32,
    /// Requests to see before judging.
    pub min_requests: u32,
    /// How long an account is left out.
    pub eject_for: Duration,
    /// Share of a pool that may be ejected, in percent; never all of it.
    pub max_ejected_percent: u32,
}

/// One entry of the routing table.
#[derive(Debug, Clone, Serialize)]
pub struct Route {
    /// Given name, or the `match` as written.
    pub name: String,
    /// Which requests it takes.
    pub matcher: Matcher,
    /// What happens to them.
    pub action: Action,
    /// Whether a request without a key is served.
    pub anonymous: bool,
    /// Names of the clients allowed; `None` is all.
    pub clients: Option<Vec<String>>,
    /// Scopes that a caller must have, all of them.
    pub scopes: Vec<String>,
    /// Which pages of other sites may ask; `None` leaves it to the upstream.
    pub cors: Option<Cors>,
    /// How answers are kept, if they are; only where requests are forwarded.
    pub cache: Option<Cache>,
    /// Limits of this route, each from the route, the `limits` section or the default.
    pub limits: RouteLimits,
    /// Where the route stands.
    #[serde(skip)]
    pub at: Arc<Location>,
}

/// Which pages a browser lets use a route's answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Cors {
    /// Where they are from.
    pub origins: Vec<OriginPattern>,
    /// Methods that they may use; empty is those that are asked for.
    pub methods: Vec<String>,
    /// Headers that they may send; empty is those that are asked for.
    pub headers: Vec<String>,
    /// Further headers of answers that they may read.
    pub exposed: Vec<String>,
    /// Whether cookies may come along.
    pub credentials: bool,
    /// How long a browser may remember what it was told.
    pub max_age: Duration,
}

/// Where a page may be from: an origin (RFC 6454), or several.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OriginPattern {
    /// Anywhere.
    Any,
    /// There, to the letter.
    Exact(String),
    /// From a host below a domain.
    Below {
        /// `https://`.
        scheme: String,
        /// `.example.com`, and the port where there is one.
        end: String,
    },
}

impl OriginPattern {
    /// `*`, `https://app.example.com` or `https://*.example.com`.
    pub fn parse(text: &str) -> Option<Self> {
        if text == "*" {
            return Some(Self::Any);
        }
        let text = text.to_ascii_lowercase();
        let (scheme, rest) = text.split_once("://")?;
        let is_scheme = matches!(scheme, "http" | "https");
        let (host, port) = match rest.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
            _ => (rest, None),
        };
        let usual = if scheme == "https" { "443" } else { "80" };
        let is_port = port.is_none_or(|port| {
            port != usual && !port.starts_with('0') && port.parse::<u16>().is_ok()
        });
        let name = host.strip_prefix("*.").unwrap_or(host);
        let is_address = name
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
            .is_some_and(|inner| inner.parse::<std::net::Ipv6Addr>().is_ok());
        let is_label = |label: &str| {
            let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
            !label.is_empty() && label.bytes().all(is_inner)
        };
        let is_name = is_address && name == host || name.split('.').all(is_label);
        if !is_scheme || !is_port || !is_name {
            return None;
        }
        Some(match rest.strip_prefix('*') {
            Some(end) => Self::Below {
                scheme: format!("{scheme}://"),
                end: end.to_owned(),
            },
            None => Self::Exact(text),
        })
    }

    /// Whether a page of this origin, as browsers write it, is meant.
    pub fn takes(&self, origin: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(exact) => exact == origin,
            Self::Below { scheme, end } => {
                let labels = origin
                    .strip_prefix(scheme.as_str())
                    .and_then(|rest| rest.strip_suffix(end.as_str()));
                let is_label = |label: &str| {
                    let is_inner =
                        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
                    !label.is_empty() && label.bytes().all(is_inner)
                };
                labels.is_some_and(|labels| labels.split('.').all(is_label))
            }
        }
    }
}

/// How a route keeps answers and gives them again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Cache {
    /// Whether all clients share answers.
    pub shared: bool,
    /// How long answers are fresh that do not say so themselves.
    pub fresh: Option<Duration>,
    /// How long after that an answer may stand in for a failure; `None` is as the answer says.
    pub stale_if_error: Option<Duration>,
    /// How long after that an answer is given while a new one is fetched; `None` is as the answer says.
    pub stale_while_revalidate: Option<Duration>,
    /// Largest body that is kept, in bytes.
    pub answer: u64,
}

/// Which requests a route takes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct Matcher {
    /// Hosts, lower case; `*.example.com` for any one or more labels before; empty is any host.
    pub hosts: Vec<String>,
    /// Path pattern.
    pub path: PathPattern,
    /// Methods, upper case; empty is any.
    pub methods: Vec<String>,
    /// Headers that must be there, name in lower case; `None` is any value.
    pub headers: Vec<(String, Option<String>)>,
}

/// A path, segment by segment.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct PathPattern {
    /// The pattern as written: `/users/{id}`, `/files/*`.
    pub text: String,
    /// Segments between slashes; `/` alone is one empty literal.
    pub segments: Vec<Segment>,
    /// Whether any further segments (or none) may follow: the pattern ended in `/*`.
    pub rest: bool,
}

/// One segment of a path pattern.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Segment {
    /// Exactly this text.
    Literal(String),
    /// Any one non-empty segment, under this name.
    Parameter(String),
}

/// What a route does.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Send the request to a pool.
    Forward(Forward),
    /// Answer at once.
    Respond(Respond),
    /// Serve an operation of a capability.
    Serve(Serve),
    /// Run the composition of this name.
    Compose(String),
}

/// Serving an operation by the accounts that offer it.
#[derive(Debug, Clone, Serialize)]
pub struct Serve {
    /// `speech.transcribe`.
    pub operation: String,
    /// Accounts to choose from.
    pub pool: PoolId,
    /// How long an answer may be given again to an equal request.
    pub cache: Option<Duration>,
}

/// Forwarding to a pool.
#[derive(Debug, Clone, Serialize)]
pub struct Forward {
    /// Where to.
    pub pool: PoolId,
    /// New path, if it changes.
    pub path: Option<PathRewrite>,
    /// Changes of the request's headers.
    pub request_headers: HeaderEdits,
    /// Changes of the answer's headers.
    pub response_headers: HeaderEdits,
    /// What repeating a request does; `None` follows the method.
    pub effect: Option<Effect>,
    /// Which of the two paths to use.
    pub mode: Mode,
}

/// A path built from pieces: text, parameters of the match, and the rest of the path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PathRewrite(pub Vec<PathPiece>);

/// A piece of a rewritten path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PathPiece {
    /// This text.
    Text(String),
    /// The parameter of this name, as the client sent it.
    Parameter(String),
    /// What `/*` matched, without its leading slash (written `*`).
    Rest,
}

/// Headers to set and remove.
#[derive(Debug, Clone, Default, Serialize)]
pub struct HeaderEdits {
    /// Set, replacing what was there; names in lower case.
    pub set: Vec<(String, Template)>,
    /// Removed; names in lower case.
    pub remove: Vec<String>,
}

/// What repeating an operation does (DESIGN, words).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// Changes nothing.
    Read,
    /// Twice is as good as once.
    Idempotent,
    /// Safe to repeat with the same key at the same vendor.
    Keyed,
    /// Repeating may do it twice.
    Unsafe,
}

/// Which of the two paths a forwarded request takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Exchange when the body's length is known and within `replay`, stream otherwise.
    Auto,
    /// Always the streaming pipeline.
    Stream,
    /// Always read the body first; larger than `replay` is 413.
    Exchange,
}

/// A fixed answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Respond {
    /// Status code.
    pub status: u16,
    /// Headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: String,
}

/// So many requests in so much time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Rate {
    /// Requests.
    pub requests: u32,
    /// Window.
    pub per: Duration,
    /// Requests that may come at once; at least 1, by default `requests`.
    pub burst: u32,
    /// Whether several gateways count together.
    pub shared: bool,
}

/// A value and where it came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Setting<T> {
    /// The value.
    pub value: T,
    /// Its origin.
    pub origin: Origin,
}

/// Where a setting came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// Nothing was written.
    Default,
    /// Written here.
    Written(Arc<Location>),
}

/// Limits of one route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RouteLimits {
    /// Largest request body, in bytes.
    pub body: Setting<u64>,
    /// Largest body kept for replay on the exchange path, in bytes.
    pub replay: Setting<u64>,
    /// Time from the request's head to the answer's head, over all attempts.
    pub deadline: Setting<Duration>,
    /// Time of one attempt; `None` shares what is left of the deadline among the attempts still possible.
    pub attempt: Setting<Option<Duration>>,
    /// Longest silence between two pieces of a body, either way.
    pub idle: Setting<Duration>,
    /// Requests allowed per client.
    pub rate_client: Setting<Option<Rate>>,
    /// Requests allowed per client address.
    pub rate_ip: Setting<Option<Rate>>,
    /// Requests allowed on the route in all.
    pub rate_route: Setting<Option<Rate>>,
}

/// Limits of the whole process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Limits {
    /// Client connections at once.
    pub connections: Setting<u32>,
    /// Client connections at once from one address.
    pub connections_per_ip: Setting<u32>,
    /// Bytes of a request's head.
    pub header_bytes: Setting<u64>,
    /// Headers of a request.
    pub headers: Setting<u32>,
    /// Time to send a request's head.
    pub header_timeout: Setting<Duration>,
    /// How long an idle client connection is kept.
    pub keep_alive: Setting<Duration>,
    /// Memory for request bodies held for replay, over all requests; beyond it they spill to files.
    pub body_memory: Setting<u64>,
    /// Memory for answers that are kept to be given again.
    pub cache_memory: Setting<u64>,
    /// Space for spilled bodies, over all requests.
    pub spool: Setting<u64>,
    /// Time to finish requests on shutdown.
    pub drain: Setting<Duration>,
}
