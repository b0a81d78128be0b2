//! Every key of the configuration file, once.

use crate::shape::{
    Field, Kind, Record,
    Shape::{
        self, Bool, Choice, Either, Headers, Integer, List, Map, Nothing, Number, OneOf, Text,
    },
};

const fn text(kind: Kind) -> Shape {
    Text(kind)
}

/// The file.
pub(crate) static FILE: Record = Record {
    name: "file",
    doc: "A configuration file, or a folder of them that are merged: maps by key, lists one after the other.",
    fields: &[
        Field::required(
            "isobar",
            Integer(i64::MIN, i64::MAX),
            "Version of the format: 1.",
        ),
        Field::required(
            "listen",
            List(1, &Shape::Record(&LISTEN)),
            "Sockets that serve clients.",
        ),
        Field::optional(
            "admin",
            text(Kind::Address),
            "none",
            "Address of the admin port: health, metrics, status, reload.",
        ),
        Field::optional(
            "state",
            Either(&[text(Kind::Plain), Shape::Record(&STATE)]),
            "./state",
            "Folder for spool files and stored state, relative to the configuration's; or a map.",
        ),
        Field::optional("log", Shape::Record(&LOG), "", "Logs."),
        Field::optional(
            "otlp",
            Shape::Record(&OTLP),
            "none",
            "Where traces and metrics are sent, as OTLP over HTTP.",
        ),
        Field::optional(
            "clients",
            Map(&Shape::Record(&CLIENT)),
            "any key is accepted, on loopback only",
            "Who may call, by name.",
        ),
        Field::optional(
            "upstreams",
            Map(&Either(&[text(Kind::Url), Shape::Record(&UPSTREAM)])),
            "",
            "HTTP services by name: a URL, or a map.",
        ),
        Field::optional(
            "accounts",
            Map(&Shape::Account(&ACCOUNT, &VENDOR_ACCOUNT)),
            "",
            "Credentials by name: at a vendor, or at an upstream, whose settings are inherited and may be overridden.",
        ),
        Field::optional(
            "pools",
            Map(&Either(&[List(1, &MEMBER), Shape::Record(&POOL)])),
            "",
            "Equal accounts by name: a list, or a map.",
        ),
        Field::optional(
            "adapters",
            text(Kind::Plain),
            "none",
            "Folder with further vendors' manifests, relative to the configuration's.",
        ),
        Field::optional(
            "compositions",
            Either(&[text(Kind::Plain), List(1, &text(Kind::Plain))]),
            "none",
            "Composition files: a file, a folder of them, or `library` for those that come with the program; one or a list.",
        ),
        Field::optional(
            "capabilities",
            Map(&Either(&[List(1, &MEMBER), Shape::Record(&CAPABILITY)])),
            "every operation that an account offers, by all accounts that offer it, in the order written",
            "How operations are served, by capability (`speech`) or operation (`speech.transcribe`).",
        ),
        Field::optional(
            "cors",
            Shape::Record(&CORS),
            "none: upstreams say it themselves",
            "Pages of other sites that may ask, on every route that does not say it itself.",
        ),
        Field::optional(
            "routes",
            List(1, &Shape::Record(&ROUTE)),
            "those of the capabilities",
            "What is served. The most specific path wins; among equals, the first written.",
        ),
        Field::optional(
            "limits",
            Shape::Record(&LIMITS),
            "",
            "Limits of the process, and defaults for every route.",
        ),
    ],
};

static LISTEN: Record = Record {
    name: "listen",
    doc: "One socket: `http` or `https`.",
    fields: &[
        Field::optional("http", text(Kind::Address), "", "Address for plain HTTP."),
        Field::optional(
            "https",
            text(Kind::Address),
            "",
            "Address for HTTP over TLS 1.2 and 1.3; needs `certificates`.",
        ),
        Field::optional(
            "certificates",
            List(1, &Shape::Record(&CERTIFICATE)),
            "",
            "Who the gateway is. The client's server name chooses; the first is for clients that send none, or one that no certificate has.",
        ),
        Field::optional(
            "client_ca",
            text(Kind::Certificate),
            "none",
            "Authorities, in PEM, that clients' certificates come from. Clients are then asked for one.",
        ),
        Field::optional(
            "client_certificate",
            Choice(&["required", "optional"]),
            "required",
            "Whether a client without a certificate is served, where `client_ca` is set. One that does not verify never is.",
        ),
        Field::optional(
            "proxy_protocol",
            Either(&[Bool, List(1, &Text(Kind::Network))]),
            "false",
            "Whether each connection begins with the PROXY protocol (version 1 or 2), which says who the client is: `true`, or the networks of the load balancers, from which alone connections are then taken.",
        ),
    ],
};

static CERTIFICATE: Record = Record {
    name: "certificate",
    doc: "A certificate and its private key, in PEM. Read again on reload and when a file changes; connections stay.",
    fields: &[
        Field::required(
            "cert",
            text(Kind::Certificate),
            "The certificate, followed by those that vouch for it.",
        ),
        Field::required(
            "key",
            text(Kind::PrivateKey),
            "Its private key, without a passphrase.",
        ),
    ],
};

static STATE: Record = Record {
    name: "state",
    doc: "What outlives a request, and where it is.",
    fields: &[
        Field::optional(
            "folder",
            text(Kind::Plain),
            "./state",
            "Folder for spool files and stored state, relative to the configuration's.",
        ),
        Field::optional(
            "shared",
            Either(&[text(Kind::Store), Shape::Record(&SHARED)]),
            "none",
            "Store that several gateways count shared rates in: its URL, or a map.",
        ),
    ],
};

static SHARED: Record = Record {
    name: "shared state",
    doc: "A Redis server that several gateways share. Only rates with `shared: true` ask it.",
    fields: &[
        Field::required(
            "url",
            text(Kind::Store),
            "Where it is, with the password if it asks for one: `redis://:password@host:port/database`.",
        ),
        Field::optional(
            "timeout",
            text(Kind::Time),
            "50ms",
            "Longest time that a request waits for it.",
        ),
        Field::optional(
            "when_down",
            Choice(&["admit", "refuse"]),
            "admit",
            "What becomes of requests that it cannot count: `admit` lets them pass, `refuse` answers 503.",
        ),
        Field::optional(
            "prefix",
            text(Kind::Name),
            "isobar",
            "What its keys begin with; gateways that count together have the same.",
        ),
    ],
};

static LOG: Record = Record {
    name: "log",
    doc: "Logs.",
    fields: &[Field::optional(
        "access",
        text(Kind::AccessLog),
        "stdout",
        "Where the access log goes, one JSON object a line: `stdout`, `off` or `file:PATH`.",
    )],
};

static OTLP: Record = Record {
    name: "otlp",
    doc: "A collector that takes traces and metrics by OTLP over HTTP, as protobuf.",
    fields: &[
        Field::required(
            "endpoint",
            text(Kind::Url),
            "Where it is; `/v1/traces` and `/v1/metrics` are put behind it. Such as `http://127.0.0.1:4318`.",
        ),
        Field::optional(
            "headers",
            Headers(&Text(Kind::Secret)),
            "none",
            "Headers to send along, such as a credential.",
        ),
        Field::optional(
            "sample",
            Number(0.0, 1.0),
            "0.1",
            "Share of the requests that are traced. A client that sends `traceparent` decides for its own.",
        ),
        Field::optional("traces", Bool, "true", "Send traces."),
        Field::optional("metrics", Bool, "true", "Send metrics."),
        Field::optional(
            "every",
            text(Kind::Time),
            "30s",
            "Time between two messages with metrics.",
        ),
        Field::optional(
            "service",
            text(Kind::Name),
            "isobar",
            "Name of this service in traces and metrics.",
        ),
    ],
};

static CLIENT: Record = Record {
    name: "client",
    doc: "A caller with keys, or everyone with a token of an issuer. Keys are sent as `Authorization: Bearer KEY`, `x-api-key`, `api-key` or `x-goog-api-key`, tokens as `Authorization: Bearer TOKEN`.",
    fields: &[
        Field::optional(
            "key",
            text(Kind::Key),
            "",
            "The key: its `sha256:` digest (`isobar key` makes both), or `${VARIABLE}` or `file(PATH)` with the key itself.",
        ),
        Field::optional(
            "keys",
            List(1, &Text(Kind::Key)),
            "",
            "Several keys, while they are rotated.",
        ),
        Field::optional(
            "token",
            Shape::Record(&TOKEN),
            "none",
            "Tokens (JSON Web Tokens) that are good instead of a key.",
        ),
        Field::optional(
            "certificate",
            Shape::Record(&CLIENT_CERTIFICATE),
            "none",
            "Certificates of clients (mutual TLS) that are good instead of a key.",
        ),
        Field::optional(
            "scopes",
            List(1, &Text(Kind::Plain)),
            "none",
            "What its keys and certificates open, for routes with `scopes`. Tokens say it themselves.",
        ),
        Field::optional(
            "rate",
            RATE,
            "none",
            "Requests over all routes; of tokens and certificates, for each subject.",
        ),
    ],
};

static CLIENT_CERTIFICATE: Record = Record {
    name: "certificate",
    doc: "Which certificates are good: those of a listener's `client_ca` that have one of these names.",
    fields: &[
        Field::optional(
            "dns",
            Either(&[text(Kind::Plain), List(1, &text(Kind::Plain))]),
            "none",
            "DNS names (SAN): `shop.example.com`, or `*.example.com` for each one label below.",
        ),
        Field::optional(
            "uri",
            Either(&[text(Kind::Plain), List(1, &text(Kind::Plain))]),
            "none",
            "URIs (SAN), such as SPIFFE IDs: `spiffe://mesh/shop`, or `spiffe://mesh/shops/*` for each below.",
        ),
        Field::optional(
            "email",
            Either(&[text(Kind::Plain), List(1, &text(Kind::Plain))]),
            "none",
            "Mail addresses (SAN).",
        ),
        Field::optional(
            "cn",
            Either(&[text(Kind::Plain), List(1, &text(Kind::Plain))]),
            "none",
            "Common names of the subject, to the letter.",
        ),
    ],
};

static TOKEN: Record = Record {
    name: "token",
    doc: "Which tokens are good. A token must expire, and be by this issuer, for this audience, and signed by an algorithm that is listed.",
    fields: &[
        Field::required(
            "issuer",
            text(Kind::Plain),
            "The claim `iss`, to the letter.",
        ),
        Field::required(
            "audience",
            Either(&[text(Kind::Plain), List(1, &text(Kind::Plain))]),
            "The claim `aud`: one of these.",
        ),
        Field::required(
            "algorithms",
            List(
                1,
                &Choice(&[
                    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384",
                    "ES512", "EdDSA", "HS256", "HS384", "HS512",
                ]),
            ),
            "How it may be signed; nothing else is tried, whatever a token says.",
        ),
        Field::optional(
            "jwks",
            text(Kind::Plain),
            "",
            "The issuer's public keys (a JSON Web Key Set): where to fetch them, or `file(PATH)`.",
        ),
        Field::optional(
            "secret",
            text(Kind::Secret),
            "",
            "The secret that is shared with the issuer, for HS256, HS384 and HS512; 32 bytes or more.",
        ),
        Field::optional(
            "leeway",
            text(Kind::Duration),
            "30s",
            "How far the issuer's clock may be off.",
        ),
        Field::optional(
            "subject",
            text(Kind::Plain),
            "sub",
            "Claim that names the caller in limits, logs and policies.",
        ),
        Field::optional(
            "scopes",
            text(Kind::Plain),
            "scope, or scp",
            "Claim with what the token opens: words, or a list.",
        ),
        Field::optional(
            "refresh",
            text(Kind::Time),
            "10m",
            "Age at which fetched keys are fetched again.",
        ),
        Field::optional(
            "floor",
            text(Kind::Time),
            "10s",
            "Least time between two fetches. A token that names a key that is not known asks for one.",
        ),
    ],
};

const RATE: Shape = Either(&[Text(Kind::Rate), Shape::Record(&RATE_RECORD)]);

static RATE_RECORD: Record = Record {
    name: "rate",
    doc: "So many requests in so much time.",
    fields: &[
        Field::required("requests", Integer(1, 1_000_000_000), "Requests."),
        Field::required("per", text(Kind::Time), "Window."),
        Field::optional(
            "burst",
            Integer(1, 1_000_000_000),
            "`requests`",
            "Requests that may come at once.",
        ),
        Field::optional(
            "shared",
            Bool,
            "false",
            "Count together with the other gateways, in `state.shared`.",
        ),
    ],
};

static UPSTREAM: Record = Record {
    name: "upstream",
    doc: "An HTTP service.",
    fields: &[
        Field::required(
            "url",
            text(Kind::Url),
            "Where it is. A path is put before the request's.",
        ),
        AUTH_FIELD,
        TLS_FIELD,
        PROTOCOL,
        CONNECT_TIMEOUT,
        KEEP_ALIVE,
        PERMITS,
        BREAKER_FIELD,
        PROBE_FIELD,
        PRICE,
    ],
};

static ACCOUNT: Record = Record {
    name: "account",
    doc: "A credential at an upstream.",
    fields: &[
        Field::required("upstream", text(Kind::Plain), "Name of the upstream."),
        AUTH_FIELD,
        TLS_FIELD,
        PROTOCOL,
        CONNECT_TIMEOUT,
        KEEP_ALIVE,
        PERMITS,
        BREAKER_FIELD,
        PROBE_FIELD,
        PRICE,
    ],
};

/// What every vendor's account may have beside the vendor's own fields.
pub(crate) static VENDOR_ACCOUNT: Record = Record {
    name: "vendor account",
    doc: "A credential at a vendor. The vendor's own fields (such as `key`) come beside these; `isobar vendors` lists them.",
    fields: &[
        Field::required("vendor", text(Kind::Plain), "Name of the vendor."),
        Field::optional(
            "base",
            text(Kind::VendorBase),
            "the vendor's own hosts",
            "Where the vendor's services are instead.",
        ),
        TLS_FIELD,
        Field::optional("quota", Text(Kind::Rate), "none", "Calls allowed."),
        Field::optional(
            "spend",
            Shape::Record(&SPEND),
            "none",
            "Cost allowed, estimated by the vendor's list prices.",
        ),
        CONNECT_TIMEOUT,
        PERMITS,
        BREAKER_FIELD,
    ],
};

static SPEND: Record = Record {
    name: "spend",
    doc: "So much money in so much time.",
    fields: &[
        Field::required("usd", Number(0.0, 1e9), "US dollars."),
        Field::required("per", text(Kind::Time), "Window."),
    ],
};

const PRICE: Field = Field::optional(
    "price",
    Number(0.0, 1e9),
    "unknown",
    "US dollars for one request, for the policy `cheapest`.",
);
const AUTH_FIELD: Field = Field::optional(
    "auth",
    OneOf(&AUTH),
    "none",
    "Credential that is added to every request. The client's own never passes where one is set.",
);
const TLS_FIELD: Field = Field::optional(
    "tls",
    Shape::Record(&CLIENT_TLS),
    "the system's authorities, no certificate of our own",
    "How the service is known, and who we are to it. The service is verified in any case.",
);
const PROTOCOL: Field = Field::optional(
    "protocol",
    Choice(&["auto", "http1", "http2"]),
    "auto",
    "`auto`: over TLS HTTP/2 where the service offers it, else HTTP/1.1. `http2`: always, at `http://` without asking (h2c).",
);
const CONNECT_TIMEOUT: Field = Field::optional(
    "connect_timeout",
    Text(Kind::Time),
    "2s",
    "Time to resolve and connect.",
);
const KEEP_ALIVE: Field = Field::optional(
    "keep_alive",
    Text(Kind::Duration),
    "30s",
    "How long an idle connection is kept; shorter than the upstream's own.",
);
const PERMITS: Field = Field::optional(
    "permits",
    Integer(1, 1_000_000),
    "1024",
    "Requests in flight at once; one more goes to the next account.",
);
const BREAKER_FIELD: Field = Field::optional(
    "breaker",
    Shape::Record(&BREAKER),
    "",
    "Circuit breaker, one for each route.",
);
const PROBE_FIELD: Field = Field::optional(
    "probe",
    Shape::Record(&PROBE),
    "none",
    "Active health check.",
);

static CLIENT_TLS: Record = Record {
    name: "tls",
    doc: "TLS to a service.",
    fields: &[
        Field::optional(
            "ca",
            text(Kind::Certificate),
            "the system's",
            "Authorities, in PEM, that the service's certificate comes from; no others are believed.",
        ),
        Field::optional(
            "cert",
            text(Kind::Certificate),
            "none",
            "Our own certificate, followed by those that vouch for it, for a service that asks for one.",
        ),
        Field::optional(
            "key",
            text(Kind::PrivateKey),
            "",
            "The private key of `cert`.",
        ),
        Field::optional(
            "server_name",
            text(Kind::Host),
            "the host of the URL",
            "Name that the service's certificate must have.",
        ),
    ],
};

static AUTH: Record = Record {
    name: "auth",
    doc: "How a request proves who we are: exactly one of these.",
    fields: &[
        Field::optional(
            "bearer",
            text(Kind::Secret),
            "",
            "`Authorization: Bearer …`.",
        ),
        Field::optional(
            "basic",
            Shape::Record(&BASIC),
            "",
            "`Authorization: Basic …`.",
        ),
        Field::optional("header", Shape::Record(&AUTH_HEADER), "", "A header."),
        Field::optional(
            "query",
            Shape::Record(&AUTH_QUERY),
            "",
            "A query parameter.",
        ),
        Field::optional(
            "sigv4",
            Shape::Record(&SIGV4),
            "",
            "A signature over the whole request (Signature Version 4).",
        ),
    ],
};

static SIGV4: Record = Record {
    name: "sigv4",
    doc: "Signs each request, its body too. Bodies are therefore read first; only the storage service takes an unsigned one, on the way `stream`.",
    fields: &[
        Field::required("access_key_id", text(Kind::Plain), "Names the key."),
        Field::required("secret_access_key", text(Kind::Secret), "The key."),
        Field::optional(
            "session_token",
            text(Kind::Secret),
            "none",
            "Goes with temporary keys.",
        ),
        Field::required("region", text(Kind::Plain), "Such as `eu-central-1`."),
        Field::required(
            "service",
            text(Kind::Plain),
            "Signing name of the service, such as `s3`.",
        ),
    ],
};

static BASIC: Record = Record {
    name: "basic",
    doc: "User and password.",
    fields: &[
        Field::required("user", text(Kind::Plain), "User."),
        Field::required("password", text(Kind::Secret), "Password."),
    ],
};

static AUTH_HEADER: Record = Record {
    name: "auth header",
    doc: "A header with a secret.",
    fields: &[
        Field::required("name", text(Kind::HeaderName), "Name."),
        Field::required("value", text(Kind::Secret), "Value."),
    ],
};

static AUTH_QUERY: Record = Record {
    name: "auth query",
    doc: "A query parameter with a secret.",
    fields: &[
        Field::required("name", text(Kind::Plain), "Name."),
        Field::required("value", text(Kind::Secret), "Value."),
    ],
};

static BREAKER: Record = Record {
    name: "breaker",
    doc: "Stops sending to an account that keeps failing.",
    fields: &[
        Field::optional(
            "failures",
            Integer(1, 1_000_000),
            "5",
            "Consecutive failures that open it.",
        ),
        Field::optional(
            "open_for",
            text(Kind::Duration),
            "10s",
            "How long it stays open before a trial.",
        ),
        Field::optional(
            "trials",
            Integer(1, 1_000),
            "1",
            "Trial requests that must succeed to close it.",
        ),
    ],
};

static PROBE: Record = Record {
    name: "probe",
    doc: "Asks with GET whether an account is well; an answer below 400 says so.",
    fields: &[
        Field::required("path", text(Kind::ProbePath), "Path to ask for."),
        Field::optional("every", text(Kind::Time), "5s", "Time between probes."),
        Field::optional("timeout", text(Kind::Time), "1s", "Time a probe may take."),
        Field::optional(
            "unhealthy_after",
            Integer(1, 1_000),
            "3",
            "Consecutive failures that take the account out.",
        ),
        Field::optional(
            "healthy_after",
            Integer(1, 1_000),
            "2",
            "Consecutive successes that bring it back.",
        ),
    ],
};

static MEMBER: Shape = Either(&[Text(Kind::Plain), Shape::Record(&MEMBER_RECORD)]);

static MEMBER_RECORD: Record = Record {
    name: "member",
    doc: "One account of a pool.",
    fields: &[
        Field::required("use", text(Kind::Plain), "Name of an account or upstream."),
        Field::optional(
            "weight",
            Integer(1, 1_000_000),
            "1",
            "Share under `weighted` and `sticky`.",
        ),
    ],
};

const POLICY: Shape = Either(&[
    Choice(&["order", "weighted", "fastest", "cheapest"]),
    Shape::Record(&STICKY),
]);

static STICKY: Record = Record {
    name: "sticky policy",
    doc: "Ties equal values to the same account while it lasts.",
    fields: &[Field::required(
        "sticky",
        text(Kind::Template),
        "Value that is hashed, from the request.",
    )],
};

macro_rules! pool_fields {
    ($($first:expr),*) => {
        &[
            $($first,)*
            Field::optional("policy", POLICY, "order", "`order`: as written. `weighted`: at random by weight. `fastest`: the better of two by latency and load. `cheapest`: the lowest price first. `{ sticky: … }`: by consistent hash."),
            Field::optional("rules", List(0, &Shape::Record(&RULE)), "none", "The first rule whose condition holds replaces the members."),
            Field::optional("retry", Shape::Record(&RETRY), "", "How often to try again."),
            Field::optional("hedge", Text(Kind::Duration), "none", "Start a second attempt after this long; for reads only."),
            Field::optional("outlier", Shape::Record(&OUTLIER), "", "Leaves out an account that fails more than the others; never the last one."),
        ]
    };
}

static POOL: Record = Record {
    name: "pool",
    doc: "Equal accounts, and how one is picked.",
    fields: pool_fields![Field::required(
        "members",
        List(1, &MEMBER),
        "Accounts and upstreams, in order."
    )],
};

static RULE: Record = Record {
    name: "rule",
    doc: "Other members for some requests.",
    fields: &[
        Field::required(
            "when",
            text(Kind::Condition),
            "Condition in CEL over `request` (method, host, path, ip, headers, query, params) and `client` (name).",
        ),
        Field::required(
            "members",
            List(1, &MEMBER),
            "Members of the pool to use instead, in order.",
        ),
    ],
};

static RETRY: Record = Record {
    name: "retry",
    doc: "Limits on trying again. What may be tried again at all is decided by the verdict and the effect.",
    fields: &[
        Field::optional(
            "attempts",
            Integer(1, 64),
            "3, or the number of members if that is less",
            "Attempts that reach a vendor, for one request. Attempts that were never sent are not counted.",
        ),
        Field::optional(
            "budget",
            Number(0.0, 10.0),
            "0.2",
            "Further attempts for each request, on average.",
        ),
        Field::optional(
            "reserve",
            Integer(0, 1_000_000),
            "10",
            "Further attempts a second that are allowed in any case.",
        ),
    ],
};

static OUTLIER: Record = Record {
    name: "outlier",
    doc: "Passive ejection.",
    fields: &[
        Field::optional(
            "failure_percent",
            Integer(1, 100),
            "50",
            "Share of failures that ejects.",
        ),
        Field::optional(
            "min_requests",
            Integer(1, 1_000_000),
            "20",
            "Requests to see before judging, over ten to twenty seconds.",
        ),
        Field::optional(
            "eject_for",
            text(Kind::Duration),
            "30s",
            "How long an account is left out.",
        ),
        Field::optional(
            "max_ejected_percent",
            Integer(0, 100),
            "50",
            "Share of the pool that may be left out at once.",
        ),
    ],
};

static ROUTE: Record = Record {
    name: "route",
    doc: "Which requests, and what happens to them: `forward` or `respond`.",
    fields: &[
        Field::required(
            "match",
            Either(&[Text(Kind::Match), Shape::Record(&MATCH)]),
            "`/path`, `GET /path`, or a map.",
        ),
        Field::optional(
            "name",
            text(Kind::Name),
            "the match as written",
            "Name in metrics and logs.",
        ),
        Field::optional(
            "forward",
            Either(&[Text(Kind::Plain), List(1, &MEMBER), Shape::Record(&FORWARD)]),
            "",
            "A pool's name, a list of accounts and upstreams, or a map.",
        ),
        Field::optional("respond", Shape::Record(&RESPOND), "", "A fixed answer."),
        Field::optional(
            "serve",
            Either(&[Text(Kind::Plain), Shape::Record(&SERVE)]),
            "",
            "An operation of a capability: `speech.transcribe`, or a map.",
        ),
        Field::optional("anonymous", Bool, "false", "Serve requests without a key."),
        Field::optional(
            "clients",
            List(1, &Text(Kind::Plain)),
            "all",
            "Clients that may use it.",
        ),
        Field::optional(
            "scopes",
            List(1, &Text(Kind::Plain)),
            "none",
            "Scopes that a caller must have, all of them.",
        ),
        Field::optional(
            "cors",
            Either(&[Choice(&["off"]), Shape::Record(&CORS)]),
            "the file's",
            "Pages of other sites that may ask; `off` leaves it to the upstream.",
        ),
        Field::optional(
            "cache",
            Shape::Record(&CACHE),
            "none",
            "Keeps answers to GET and HEAD and gives them again, for as long as they say (RFC 9111). For `forward`.",
        ),
        Field::optional(
            "limits",
            Shape::Record(&ROUTE_LIMITS),
            "",
            "Limits of this route.",
        ),
    ],
};

static CORS: Record = Record {
    name: "cors",
    doc: "Which pages a browser lets use the answers (CORS). Questions in advance are answered here, without a key; what an upstream says of it is replaced.",
    fields: &[
        Field::required(
            "origins",
            List(1, &Text(Kind::Origin)),
            "Where the pages are from: an origin, all below a domain, or `*`.",
        ),
        Field::optional(
            "methods",
            List(1, &Text(Kind::Method)),
            "those that are asked for and routed",
            "Methods that they may use.",
        ),
        Field::optional(
            "headers",
            List(1, &Text(Kind::HeaderName)),
            "those that are asked for",
            "Headers that they may send.",
        ),
        Field::optional(
            "exposed",
            List(1, &Text(Kind::HeaderName)),
            "none",
            "Headers of answers that they may read, beside those that Isobar adds.",
        ),
        Field::optional(
            "credentials",
            Bool,
            "false",
            "Whether cookies may come along; not with `*`.",
        ),
        Field::optional(
            "max_age",
            text(Kind::Duration),
            "10m",
            "How long a browser may remember the answer to a question in advance.",
        ),
    ],
};

static CACHE: Record = Record {
    name: "cache",
    doc: "How answers are kept; `{}` is all defaults.",
    fields: &[
        Field::optional(
            "shared",
            Bool,
            "false",
            "One answer for all clients. Otherwise each client has its own.",
        ),
        Field::optional(
            "fresh",
            text(Kind::Time),
            "none: they are asked about each time, or not kept",
            "How long answers are fresh that do not say so themselves.",
        ),
        Field::optional(
            "stale_if_error",
            text(Kind::Time),
            "as the answer says",
            "How long after that an answer may stand in for a failure.",
        ),
        Field::optional(
            "stale_while_revalidate",
            text(Kind::Time),
            "as the answer says",
            "How long after that an answer is given while a new one is fetched.",
        ),
        Field::optional(
            "answer",
            text(Kind::Size),
            "1MiB",
            "Largest body that is kept.",
        ),
    ],
};

static SERVE: Record = Record {
    name: "serve",
    doc: "Serves an operation of a capability by the accounts that offer it.",
    fields: pool_fields![
        Field::required(
            "operation",
            Text(Kind::Plain),
            "Such as `speech.transcribe`."
        ),
        Field::optional("pool", Text(Kind::Plain), "", "Name of a pool."),
        Field::optional(
            "members",
            List(1, &MEMBER),
            "every account that offers it",
            "Accounts, in order."
        ),
        Field::optional(
            "cache",
            Text(Kind::Time),
            "none",
            "How long an answer may be given again to an equal request."
        )
    ],
};

static CAPABILITY: Record = Record {
    name: "capability",
    doc: "How the operations of a capability are served.",
    fields: pool_fields![
        Field::optional("pool", Text(Kind::Plain), "", "Name of a pool."),
        Field::optional(
            "members",
            List(1, &MEMBER),
            "every account that offers it",
            "Accounts, in order."
        ),
        Field::optional(
            "cache",
            Text(Kind::Time),
            "none",
            "How long an answer may be given again to an equal request."
        ),
        Field::optional("anonymous", Bool, "false", "Serve requests without a key."),
        Field::optional(
            "clients",
            List(1, &Text(Kind::Plain)),
            "all",
            "Clients that may use it."
        ),
        Field::optional(
            "scopes",
            List(1, &Text(Kind::Plain)),
            "none",
            "Scopes that a caller must have, all of them."
        ),
        Field::optional(
            "limits",
            Shape::Record(&ROUTE_LIMITS),
            "",
            "Limits of its routes; the deadline is 2m and `replay` as large as `body` by default, at most 25 MB."
        )
    ],
};

static MATCH: Record = Record {
    name: "match",
    doc: "Everything given must fit.",
    fields: &[
        Field::required(
            "path",
            text(Kind::Path),
            "`/exact`, `/users/{id}`, `/files/*`.",
        ),
        Field::optional(
            "host",
            Either(&[Text(Kind::Host), List(1, &Text(Kind::Host))]),
            "any",
            "Host, or `*.example.com` for any below it.",
        ),
        Field::optional(
            "method",
            Either(&[Text(Kind::Method), List(1, &Text(Kind::Method))]),
            "any",
            "Methods.",
        ),
        Field::optional(
            "header",
            Headers(&Either(&[Text(Kind::Plain), Nothing])),
            "any",
            "Headers that must be there, with this value or (empty) any.",
        ),
    ],
};

static FORWARD: Record = Record {
    name: "forward",
    doc: "Sends the request to a pool: `pool`, or `members` with the pool's settings in place.",
    fields: pool_fields![
        Field::optional("pool", Text(Kind::Plain), "", "Name of a pool."),
        Field::optional(
            "members",
            List(1, &MEMBER),
            "",
            "Accounts and upstreams, in order."
        ),
        Field::optional(
            "path",
            Text(Kind::TargetPath),
            "the client's",
            "New path; `{name}` is a parameter of the match, `{*}` what `/*` matched."
        ),
        Field::optional(
            "request_headers",
            Shape::Record(&EDITS),
            "",
            "Changes of the request's headers."
        ),
        Field::optional(
            "response_headers",
            Shape::Record(&EDITS),
            "",
            "Changes of the answer's headers."
        ),
        Field::optional(
            "effect",
            Choice(&["read", "idempotent", "keyed", "unsafe"]),
            "by method: GET, HEAD, OPTIONS read; PUT, DELETE idempotent; others unsafe",
            "What repeating a request does. `keyed`: safe to repeat at the same account with the client's `Idempotency-Key`."
        ),
        Field::optional(
            "mode",
            Choice(&["auto", "stream", "exchange"]),
            "auto",
            "`exchange` reads the body first and can send it again. `stream` passes any size through. `auto`: exchange when the length is known and within `replay`."
        )
    ],
};

static EDITS: Record = Record {
    name: "header edits",
    doc: "Headers to set and to remove.",
    fields: &[
        Field::optional(
            "set",
            Headers(&Text(Kind::Template)),
            "",
            "Values to set: texts, or templates over the request.",
        ),
        Field::optional(
            "remove",
            List(1, &Text(Kind::HeaderName)),
            "",
            "Names to remove.",
        ),
    ],
};

static RESPOND: Record = Record {
    name: "respond",
    doc: "A fixed answer.",
    fields: &[
        Field::optional("status", Integer(200, 599), "200", "Status."),
        Field::optional("headers", Headers(&Text(Kind::Plain)), "", "Headers."),
        Field::optional("body", text(Kind::Plain), "empty", "Body."),
    ],
};

macro_rules! route_limits {
    ($($more:expr),*) => {
        &[
            Field::optional("body", Text(Kind::Size), "100MiB", "Largest request body."),
            Field::optional("replay", Text(Kind::Size), "1MiB", "Largest body that is kept to be sent again."),
            Field::optional("deadline", Text(Kind::Time), "30s", "Time to the answer's head, over all attempts. A client may shorten it with `isobar-deadline`."),
            Field::optional("attempt", Text(Kind::Time), "an even share of the deadline", "Time of one attempt."),
            Field::optional("idle", Text(Kind::Time), "60s", "Longest silence within a body, either way."),
            Field::optional("rate", Either(&[Text(Kind::Rate), Shape::Record(&RATES)]), "none", "Requests per client (a text), or per client, address and route (a map)."),
            $($more),*
        ]
    };
}

static ROUTE_LIMITS: Record = Record {
    name: "route limits",
    doc: "Limits of one route.",
    fields: route_limits![],
};

static RATES: Record = Record {
    name: "rates",
    doc: "Rate limits by scope.",
    fields: &[
        Field::optional(
            "client",
            RATE,
            "none",
            "Per client; anonymous callers count by address.",
        ),
        Field::optional("ip", RATE, "none", "Per client address."),
        Field::optional("route", RATE, "none", "Over all callers."),
    ],
};

/// Limits of the process and defaults of the routes.
pub(crate) static LIMITS: Record = Record {
    name: "limits",
    doc: "Limits of the process, and the defaults of every route's.",
    fields: route_limits![
        Field::optional(
            "connections",
            Integer(1, 10_000_000),
            "10000",
            "Client connections at once."
        ),
        Field::optional(
            "connections_per_ip",
            Integer(1, 10_000_000),
            "1000",
            "Client connections at once from one address."
        ),
        Field::optional(
            "header_bytes",
            Text(Kind::Size),
            "64KiB",
            "Largest request head."
        ),
        Field::optional("headers", Integer(1, 256), "100", "Headers of a request."),
        Field::optional(
            "header_timeout",
            Text(Kind::Time),
            "10s",
            "Time to send a request's head."
        ),
        Field::optional(
            "keep_alive",
            Text(Kind::Duration),
            "75s",
            "How long an idle client connection is kept."
        ),
        Field::optional(
            "body_memory",
            Text(Kind::Size),
            "256MiB",
            "Memory for kept bodies, over all requests; beyond it they go to files."
        ),
        Field::optional(
            "cache_memory",
            Text(Kind::Size),
            "64MiB",
            "Memory for answers that routes with `cache` keep; beyond it the least used go."
        ),
        Field::optional(
            "spool",
            Text(Kind::Size),
            "4GiB",
            "Disk space for kept bodies."
        ),
        Field::optional(
            "drain",
            Text(Kind::Duration),
            "30s",
            "Time that running requests get on shutdown."
        )
    ],
};
