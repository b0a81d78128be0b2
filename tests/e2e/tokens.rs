//! Tokens of issuers: who they let in, and everything that does not.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use isobar_sandbox::{Fault, Upstream};
use isobar_tests::{Gateway, Seen, eventually, see};
use ring::{
    hmac,
    rand::SystemRandom,
    rsa::{KeyPair as RsaKeyPair, PublicKeyComponents},
    signature::{
        self, ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair,
        Ed25519KeyPair, KeyPair as _,
    },
};
use serde_json::{Value, json};

pub(crate) const ISSUER: &str = "https://login.example/";
const SECRET: &str = "a-secret-that-both-know-and-nobody-else-does";
const SHOP: &str = "shop-key-0123456789abcdef";
const PATIENCE: Duration = Duration::from_secs(10);

fn pem(name: &str) -> Vec<u8> {
    let path = format!("{}/fixtures/auth/{name}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap();
    let inner: String = text.lines().filter(|line| !line.starts_with('-')).collect();
    STANDARD.decode(inner).unwrap()
}

fn rsa() -> RsaKeyPair {
    RsaKeyPair::from_pkcs8(&pem("rsa.pkcs8.pem")).unwrap()
}

fn ec() -> EcdsaKeyPair {
    let der = pem("ec.pkcs8.pem");
    EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &der, &SystemRandom::new()).unwrap()
}

fn ec_384() -> EcdsaKeyPair {
    let der = pem("ec-384.pkcs8.pem");
    EcdsaKeyPair::from_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, &der, &SystemRandom::new()).unwrap()
}

/// A key on P-521 and a token that OpenSSL signed: `jwk` and `token`.
fn ec_521() -> Value {
    serde_json::from_str(include_str!("../fixtures/auth/es512.json")).unwrap()
}

fn ed() -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap()
}

fn encoded(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn sign(algorithm: &str, message: &[u8]) -> Vec<u8> {
    let random = SystemRandom::new();
    let rsa = |padding: &'static dyn signature::RsaEncoding| {
        let key = rsa();
        let mut signature = vec![0; key.public().modulus_len()];
        key.sign(padding, &random, message, &mut signature).unwrap();
        signature
    };
    let shared = |kind| {
        let key = hmac::Key::new(kind, SECRET.as_bytes());
        hmac::sign(&key, message).as_ref().to_vec()
    };
    match algorithm {
        "HS256" => shared(hmac::HMAC_SHA256),
        "HS384" => shared(hmac::HMAC_SHA384),
        "HS512" => shared(hmac::HMAC_SHA512),
        "RS256" => rsa(&signature::RSA_PKCS1_SHA256),
        "RS384" => rsa(&signature::RSA_PKCS1_SHA384),
        "RS512" => rsa(&signature::RSA_PKCS1_SHA512),
        "PS256" => rsa(&signature::RSA_PSS_SHA256),
        "PS384" => rsa(&signature::RSA_PSS_SHA384),
        "PS512" => rsa(&signature::RSA_PSS_SHA512),
        "ES256" => ec().sign(&random, message).unwrap().as_ref().to_vec(),
        "ES384" => ec_384().sign(&random, message).unwrap().as_ref().to_vec(),
        "EdDSA" => ed().sign(message).as_ref().to_vec(),
        other => panic!("{other}"),
    }
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap().as_secs()
}

fn claims() -> Value {
    json!({ "iss": ISSUER, "aud": "isobar", "sub": "ada", "exp": now() + 300, "scope": "read write" })
}

/// `claims` with these instead; null leaves one out.
pub(crate) fn with(changes: Value) -> Value {
    let mut claims = claims();
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(name);
        } else {
            claims[name] = value.clone();
        }
    }
    claims
}

fn kid(algorithm: &str) -> &'static str {
    match algorithm.get(..2) {
        Some("RS" | "PS") => "rsa-1",
        Some("ES") if algorithm == "ES384" => "ec-384",
        Some("ES") => "ec-1",
        _ => "ed-1",
    }
}

fn token_of(algorithm: &str, header: &Value, claims: &Value) -> String {
    let message = format!(
        "{}.{}",
        encoded(header.to_string()),
        encoded(claims.to_string())
    );
    let signature = sign(algorithm, message.as_bytes());
    format!("{message}.{}", encoded(signature))
}

pub(crate) fn token(algorithm: &str, claims: &Value) -> String {
    let mut header = json!({ "alg": algorithm, "typ": "JWT" });
    if !algorithm.starts_with("HS") {
        header["kid"] = kid(algorithm).into();
    }
    token_of(algorithm, &header, claims)
}

fn rsa_jwk(id: &str) -> Value {
    let public = rsa();
    let public = PublicKeyComponents::<Vec<u8>>::from(public.public());
    json!({ "kty": "RSA", "use": "sig", "kid": id, "n": encoded(public.n), "e": encoded(public.e) })
}

pub(crate) fn jwks() -> Value {
    let point = ec().public_key().as_ref().to_vec();
    let longer = ec_384().public_key().as_ref().to_vec();
    json!({ "keys": [
        rsa_jwk("rsa-1"),
        { "kty": "EC", "crv": "P-256", "kid": "ec-1", "x": encoded(&point[1..33]), "y": encoded(&point[33..]) },
        { "kty": "EC", "crv": "P-384", "kid": "ec-384", "x": encoded(&longer[1..49]), "y": encoded(&longer[49..]) },
        ec_521()["jwk"],
        { "kty": "OKP", "crv": "Ed25519", "kid": "ed-1", "alg": "EdDSA", "x": encoded(ed().public_key()) },
        { "kty": "RSA", "use": "enc", "kid": "for-encryption", "n": rsa_jwk("x")["n"], "e": "AQAB" },
        { "kty": "oct", "kid": "shared", "k": encoded("a secret that stands in a set of public keys") },
    ] })
}

/// A gateway whose client `staff` has tokens of these settings, and whose log is in a file.
struct Stand {
    a: Upstream,
    gateway: Gateway,
    folder: tempfile::TempDir,
}

impl Stand {
    async fn start(settings: &str) -> Self {
        let a = Upstream::start("a").await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let gateway = Gateway::start_whole(&format!(
            "isobar: 1\nlisten: [ {{ http: \"127.0.0.1:0\" }} ]\nlog: {{ access: \"file:{}\" }}\n\
             clients:\n  shop: {{ key: \"{}\", scopes: [read] }}\n  \
             staff: {{ token: {{ issuer: \"{ISSUER}\", audience: [isobar, other], {settings} }} }}\n\
             upstreams: {{ a: \"{}\" }}\n\
             routes:\n  - {{ match: \"/shop/*\", forward: [a], clients: [shop] }}\n  \
             - {{ match: \"/admin/*\", forward: [a], scopes: [admin] }}\n  \
             - {{ match: \"/read/*\", forward: [a], scopes: [read] }}\n  \
             - {{ match: \"/few/*\", forward: [a], limits: {{ rate: 1/h }} }}\n  \
             - match: \"/*\"\n    forward: {{ members: [a], request_headers: {{ set: {{ x-user: $.client.subject, x-client: $.client.name }} }} }}\n",
            folder.path().join("access.log").display(),
            isobar_config::hash_key(SHOP),
            a.url(),
        ))
        .await;
        Self { a, gateway, folder }
    }

    async fn any() -> Self {
        let algorithms =
            "algorithms: [RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA]";
        Self::start(&format!("{algorithms}, jwks: '{}', leeway: 5s", jwks())).await
    }

    async fn ask(&self, path: &str, token: &str) -> Seen {
        let value = format!("Bearer {token}");
        see(self
            .gateway
            .request("GET", path)
            .header("authorization", value))
        .await
    }

    async fn log(&self, lines: usize) -> String {
        let file = self.folder.path().join("access.log");
        let read = || std::fs::read_to_string(&file).unwrap_or_default();
        assert!(eventually(PATIENCE, async || read().lines().count() >= lines).await);
        read()
    }
}

#[tokio::test]
async fn every_algorithm_that_is_allowed_lets_its_tokens_in() {
    let stand = Stand::any().await;
    let mut asked = 0;
    for algorithm in [
        "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA",
    ] {
        let seen = stand.ask("/x", &token(algorithm, &claims())).await;
        assert_eq!(seen.status, 200, "{algorithm}: {}", seen.text());
        asked += 1;
    }
    let elsewhere = ec_521()["token"].as_str().unwrap().to_owned();
    let seen = stand.ask("/x", &elsewhere).await;
    assert_eq!(seen.status, 200, "ES512: {}", seen.text());
    asked += 1;
    // What issuers put differently.
    for (header, changes) in [
        (
            json!({ "alg": "RS256", "kid": "rsa-1", "typ": "at+JWT" }),
            json!({}),
        ),
        (
            json!({ "alg": "RS256", "kid": "rsa-1" }),
            json!({ "aud": ["x", "other"] }),
        ),
        (
            json!({ "alg": "RS256" }),
            json!({ "nbf": now() + 3, "exp": now() - 3 }),
        ),
        (json!({ "alg": "RS256" }), json!({ "exp": 4_000_000_000.5 })),
    ] {
        let seen = stand
            .ask("/x", &token_of("RS256", &header, &with(changes.clone())))
            .await;
        assert_eq!(seen.status, 200, "{header} {changes}");
        asked += 1;
    }
    for entry in stand.a.ledger() {
        assert_eq!(
            entry.header("authorization"),
            None,
            "a token reached an upstream"
        );
        assert_eq!(
            (entry.header("x-user"), entry.header("x-client")),
            (Some("ada"), Some("staff"))
        );
    }
    for line in stand.log(asked).await.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        assert_eq!(
            (&line["client"], &line["subject"]),
            (&"staff".into(), &"ada".into())
        );
    }
    let shared = Stand::start(&format!(
        "algorithms: [HS256, HS384, HS512], secret: \"${{X:-{SECRET}}}\""
    ))
    .await;
    for algorithm in ["HS256", "HS384", "HS512"] {
        assert_eq!(
            shared.ask("/x", &token(algorithm, &claims())).await.status,
            200,
            "{algorithm}"
        );
    }
}

/// Each attack is refused with 401, and leaves one line in the log, in which nothing of the token is.
#[tokio::test]
async fn jwt_algorithm_confusion_and_its_like_are_refused() {
    let stand = Stand::any().await;
    let good = token("RS256", &claims());
    let (message, signature) = good.rsplit_once('.').unwrap();
    let (header, _) = message.split_once('.').unwrap();
    let signed = |header: Value| token_of("RS256", &header, &claims());
    let unsigned = |header: Value| {
        format!(
            "{}.{}.",
            encoded(header.to_string()),
            encoded(claims().to_string())
        )
    };
    // The public key as a secret, in every form that it may be had in.
    let confused = |secret: Vec<u8>| {
        let head = json!({ "alg": "HS256", "kid": "rsa-1", "typ": "JWT" });
        let message = format!(
            "{}.{}",
            encoded(head.to_string()),
            encoded(claims().to_string())
        );
        let key = hmac::Key::new(hmac::HMAC_SHA256, &secret);
        let tag = hmac::sign(&key, message.as_bytes());
        format!("{message}.{}", encoded(tag))
    };
    let key = rsa();
    let components = PublicKeyComponents::<Vec<u8>>::from(key.public());
    let own = Ed25519KeyPair::from_seed_unchecked(&[9; 32]).unwrap();
    let own_jwk = json!({ "kty": "OKP", "crv": "Ed25519", "x": encoded(own.public_key()) });
    let of_own_key = |header: Value| {
        let message = format!(
            "{}.{}",
            encoded(header.to_string()),
            encoded(claims().to_string())
        );
        format!("{message}.{}", encoded(own.sign(message.as_bytes())))
    };
    let attacks: BTreeMap<&str, String> = BTreeMap::from([
        ("alg none", unsigned(json!({ "alg": "none" }))),
        (
            "alg None",
            unsigned(json!({ "alg": "NoNe", "kid": "rsa-1" })),
        ),
        ("no alg", signed(json!({ "kid": "rsa-1" }))),
        (
            "alg a list",
            signed(json!({ "alg": ["RS256"], "kid": "rsa-1" })),
        ),
        ("HS256 with the modulus", confused(components.n.clone())),
        (
            "HS256 with the key as DER",
            confused(key.public().as_ref().to_vec()),
        ),
        (
            "HS256 with the set's own secret",
            confused(b"a secret that stands in a set of public keys".to_vec()),
        ),
        ("HS256 with nothing", confused(Vec::new())),
        (
            "alg of another key",
            signed(json!({ "alg": "ES256", "kid": "rsa-1" })),
        ),
        (
            "RS256 called PS256",
            signed(json!({ "alg": "PS256", "kid": "rsa-1" })),
        ),
        (
            "kid traversal",
            signed(json!({ "alg": "RS256", "kid": "../../../../dev/null" })),
        ),
        (
            "kid injection",
            signed(json!({ "alg": "RS256", "kid": "x' UNION SELECT 'secret" })),
        ),
        ("kid a number", signed(json!({ "alg": "RS256", "kid": 1 }))),
        (
            "kid of an encryption key",
            signed(json!({ "alg": "RS256", "kid": "for-encryption" })),
        ),
        (
            "key in the header",
            of_own_key(json!({ "alg": "EdDSA", "jwk": own_jwk })),
        ),
        (
            "jku",
            of_own_key(
                json!({ "alg": "EdDSA", "kid": "own", "jku": format!("{}/jwks.json", stand.a.url()) }),
            ),
        ),
        (
            "x5u",
            of_own_key(
                json!({ "alg": "EdDSA", "kid": "ed-1", "x5u": format!("{}/cert.pem", stand.a.url()) }),
            ),
        ),
        (
            "x5c",
            of_own_key(json!({ "alg": "EdDSA", "kid": "ed-1", "x5c": ["AAAA"] })),
        ),
        (
            "crit",
            signed(json!({ "alg": "RS256", "kid": "rsa-1", "crit": ["exp"] })),
        ),
        (
            "typ of something else",
            signed(json!({ "alg": "RS256", "kid": "rsa-1", "typ": "dpop+jwt" })),
        ),
        ("empty signature", format!("{message}.")),
        ("no signature", message.to_owned()),
        ("five parts", format!("{good}.x.y")),
        ("padded", format!("{message}.{signature}==")),
        (
            "cut signature",
            format!("{message}.{}", &signature[..signature.len() - 4]),
        ),
        (
            "other payload",
            format!(
                "{header}.{}.{signature}",
                encoded(with(json!({ "sub": "root" })).to_string())
            ),
        ),
        ("claim twice", {
            let twice = claims().to_string().replacen('{', "{\"sub\":\"root\",", 1);
            let message = format!("{header}.{}", encoded(twice));
            format!("{message}.{}", encoded(sign("RS256", message.as_bytes())))
        }),
        (
            "not JSON",
            format!("{header}.{}.{signature}", encoded("ada")),
        ),
        (
            "expired",
            token("RS256", &with(json!({ "exp": now() - 6 }))),
        ),
        (
            "never expires",
            token("RS256", &with(json!({ "exp": null }))),
        ),
        (
            "expires in words",
            token("RS256", &with(json!({ "exp": "never" }))),
        ),
        (
            "expires at infinity",
            token("RS256", &with(json!({ "exp": 1e300 }))),
        ),
        (
            "too early",
            token("RS256", &with(json!({ "nbf": now() + 60 }))),
        ),
        (
            "early in words",
            token("RS256", &with(json!({ "nbf": "now" }))),
        ),
        (
            "other issuer",
            token("RS256", &with(json!({ "iss": "https://evil.example/" }))),
        ),
        (
            "issuer a list",
            token("RS256", &with(json!({ "iss": [ISSUER] }))),
        ),
        (
            "other audience",
            token("RS256", &with(json!({ "aud": "payroll" }))),
        ),
        ("no audience", token("RS256", &with(json!({ "aud": null })))),
        (
            "audience in part",
            token("RS256", &with(json!({ "aud": ["isobar-test"] }))),
        ),
        ("no subject", token("RS256", &with(json!({ "sub": null })))),
        (
            "subject an object",
            token("RS256", &with(json!({ "sub": { "a": 1 } }))),
        ),
        ("empty subject", token("RS256", &with(json!({ "sub": "" })))),
        (
            "subject with a line break",
            token("RS256", &with(json!({ "sub": "a\nb" }))),
        ),
        (
            "too long",
            token("RS256", &with(json!({ "x": "x".repeat(16 * 1024) }))),
        ),
    ]);
    // Connections of their own, and addresses' wrong keys are counted: some are answered 429, which lets nobody in either.
    for (index, (name, attack)) in attacks.iter().enumerate() {
        tokio::time::sleep(Duration::from_millis(101)).await;
        let seen = stand.ask("/x", attack).await;
        assert_eq!(
            (seen.status, seen.problem()),
            (401, "unauthenticated".to_owned()),
            "{name}"
        );
        assert!(
            seen.header("www-authenticate").starts_with("Bearer"),
            "{name}"
        );
        let log = stand.log(index + 1).await;
        assert_eq!(log.lines().count(), index + 1, "{name}");
        for part in attack.split('.').filter(|part| part.len() > 8) {
            assert!(!log.contains(part) && !seen.text().contains(part), "{name}");
            assert!(!log.contains(&part[..part.len().min(16)]), "{name}");
        }
        assert!(
            !log.contains("subject"),
            "{name}: nobody is named by a token that is not good"
        );
    }
    // A token is a token only where tokens are.
    let elsewhere = see(stand
        .gateway
        .request("GET", "/x")
        .header("x-api-key", &good))
    .await;
    assert_eq!(elsewhere.status, 401);
    assert!(
        stand.a.ledger().is_empty(),
        "nothing reached an upstream, nor was a key fetched from one"
    );
    assert_eq!(stand.ask("/x", &good).await.status, 200);
}

#[tokio::test]
async fn a_shared_secret_is_no_key_of_another_kind() {
    let stand = Stand::start(&format!(
        "algorithms: [HS256], secret: \"${{X:-{SECRET}}}\""
    ))
    .await;
    for (algorithm, status) in [
        ("HS256", 200),
        ("HS384", 401),
        ("RS256", 401),
        ("EdDSA", 401),
    ] {
        assert_eq!(
            stand.ask("/x", &token(algorithm, &claims())).await.status,
            status,
            "{algorithm}"
        );
    }
    let none = format!(
        "{}.{}.",
        encoded(r#"{"alg":"none"}"#),
        encoded(claims().to_string())
    );
    assert_eq!(stand.ask("/x", &none).await.status, 401);
}

#[tokio::test]
async fn scopes_open_routes_to_those_who_have_them() {
    let stand = Stand::any().await;
    let scoped = |scopes: Value| token("EdDSA", &with(scopes));
    for (path, scopes, status) in [
        ("/read/x", json!({}), 200),
        ("/admin/x", json!({}), 403),
        (
            "/admin/x",
            json!({ "scope": "administrator superadmin" }),
            403,
        ),
        ("/admin/x", json!({ "scope": "read admin" }), 200),
        ("/admin/x", json!({ "scope": null, "scp": ["admin"] }), 200),
        ("/admin/x", json!({ "scope": null }), 403),
        ("/admin/x", json!({ "scope": { "admin": true } }), 403),
        ("/shop/x", json!({ "sub": "shop", "scope": "admin" }), 403),
    ] {
        let seen = stand.ask(path, &scoped(scopes.clone())).await;
        assert_eq!(seen.status, status, "{path} {scopes}: {}", seen.text());
        if status == 403 && path.starts_with("/admin") {
            let challenge = "Bearer error=\"insufficient_scope\", scope=\"admin\"";
            assert_eq!(seen.header("www-authenticate"), challenge);
        }
    }
    // Keys have the scopes that the configuration gives them.
    for (path, status) in [("/read/x", 200), ("/admin/x", 403), ("/shop/x", 200)] {
        let seen = see(stand.gateway.request("GET", path).header("x-api-key", SHOP)).await;
        assert_eq!(seen.status, status, "{path}");
    }
}

#[tokio::test]
async fn each_subject_has_its_own_limits_and_answers() {
    let stand = Stand::any().await;
    let (ada, bob) = (
        token("EdDSA", &claims()),
        token("EdDSA", &with(json!({ "sub": "bob" }))),
    );
    for (who, status) in [(&ada, 200), (&ada, 429), (&bob, 200), (&bob, 429)] {
        assert_eq!(stand.ask("/few/x", who).await.status, status);
    }
    let a = Upstream::start("a").await.unwrap();
    let gateway = Gateway::start(&format!(
        "clients: {{ staff: {{ token: {{ issuer: \"{ISSUER}\", audience: isobar, algorithms: [EdDSA], jwks: '{}' }} }} }}\n\
         upstreams: {{ a: \"{}\" }}\nroutes: [ {{ match: \"/*\", forward: [a], cache: {{ fresh: 1h }} }} ]\n",
        jwks(),
        a.url()
    ))
    .await;
    for (who, asked) in [(&ada, 1), (&ada, 1), (&bob, 2), (&ada, 2)] {
        let value = format!("Bearer {who}");
        see(gateway.request("GET", "/x").header("authorization", value)).await;
        assert_eq!(a.ledger().len(), asked);
    }
}

#[tokio::test]
async fn a_token_that_expires_is_refused_on_a_connection_that_knows_it() {
    let stand = Stand::start(&format!(
        "algorithms: [EdDSA], jwks: '{}', leeway: 0s",
        jwks()
    ))
    .await;
    let short = token("EdDSA", &with(json!({ "exp": now() + 2 })));
    assert_eq!(stand.ask("/x", &short).await.status, 200);
    tokio::time::sleep(Duration::from_millis(2_100)).await;
    assert_eq!(stand.ask("/x", &short).await.status, 401);
}

/// An issuer that serves this set of keys.
fn serves(set: &Value) -> Fault {
    let body = set.to_string();
    Fault::raw(format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    ))
}

#[tokio::test]
async fn keys_are_fetched_once_again_when_they_rotate_and_never_faster_than_the_floor() {
    let issuer = Upstream::start("issuer").await.unwrap();
    issuer.always(serves(&json!({ "keys": [rsa_jwk("old")] })));
    let stand = Stand::start(&format!(
        "algorithms: [RS256], jwks: \"{}/keys\", floor: 1s, refresh: 1h",
        issuer.url()
    ))
    .await;
    let named = |kid: &str| token_of("RS256", &json!({ "alg": "RS256", "kid": kid }), &claims());
    // Many at once, and one question.
    let asking: Vec<_> = (0..10)
        .map(|_| {
            let request = stand
                .gateway
                .request("GET", "/x")
                .header("authorization", format!("Bearer {}", named("old")));
            tokio::spawn(see(request))
        })
        .collect();
    for asked in asking {
        assert_eq!(asked.await.unwrap().status, 200);
    }
    assert_eq!(issuer.ledger().len(), 1);
    assert_eq!(issuer.ledger()[0].target, "/keys");
    // Names that nobody knows cost no question within the floor.
    for number in 0..5 {
        assert_eq!(
            stand
                .ask("/x", &named(&format!("made-up-{number}")))
                .await
                .status,
            401
        );
    }
    assert_eq!(issuer.ledger().len(), 1);
    issuer.always(serves(&json!({ "keys": [rsa_jwk("new")] })));
    assert_eq!(
        stand.ask("/x", &named("new")).await.status,
        401,
        "not within the floor"
    );
    tokio::time::sleep(Duration::from_millis(1_050)).await;
    assert_eq!(stand.ask("/x", &named("new")).await.status, 200);
    assert_eq!(issuer.ledger().len(), 2);
    assert_eq!(
        stand.ask("/x", &named("old")).await.status,
        401,
        "withdrawn"
    );
    // While the issuer is away, what is known stays good.
    issuer.always(Fault::status(500));
    tokio::time::sleep(Duration::from_millis(1_050)).await;
    assert_eq!(stand.ask("/x", &named("newer")).await.status, 401);
    assert_eq!(stand.ask("/x", &named("new")).await.status, 200);
    assert_eq!(issuer.ledger().len(), 3);
}

#[tokio::test]
async fn tokens_of_an_issuer_whose_keys_cannot_be_had_are_not_called_wrong() {
    let issuer = Upstream::start("issuer").await.unwrap();
    issuer.always(Fault::status(503));
    let stand = Stand::start(&format!(
        "algorithms: [RS256], jwks: \"{}/keys\", floor: 1ms",
        issuer.url()
    ))
    .await;
    let good = token_of(
        "RS256",
        &json!({ "alg": "RS256", "kid": "rsa-1" }),
        &claims(),
    );
    let seen = stand.ask("/x", &good).await;
    assert_eq!(
        (seen.status, seen.problem()),
        (503, "keys-unavailable".to_owned())
    );
    // Redirects are not followed, and a set that is none changes nothing.
    for broken in [
        Fault::Status(302, vec![("location", format!("{}/other", stand.a.url()))]),
        serves(&json!({ "keys": [] })),
        serves(&json!([])),
    ] {
        issuer.always(broken);
        tokio::time::sleep(Duration::from_millis(5)).await;
        assert_eq!(stand.ask("/x", &good).await.status, 503);
    }
    assert!(stand.a.ledger().is_empty());
    issuer.always(serves(&jwks()));
    tokio::time::sleep(Duration::from_millis(5)).await;
    assert_eq!(stand.ask("/x", &good).await.status, 200);
}
