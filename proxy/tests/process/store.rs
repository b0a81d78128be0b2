//! A shared store behind TLS and a password.

use std::fs;

use isobar_tests::{redis::Server, see};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

use super::binary::{Place, client};

const PASSWORD: &str = "hunter2-0123456789";

#[tokio::test]
async fn a_store_behind_tls_counts_for_those_that_trust_it_and_nobody_else_sends_it_the_password() {
    let rate = "{ requests: 5, per: 1h, shared: true }";
    let rest = format!(
        "routes: [ {{ match: /, respond: {{ body: hi }}, anonymous: true, limits: {{ rate: {{ route: {rate} }} }} }} ]\n"
    );
    let mut place = Place::new(&rest);
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    let leaf = leaf.signed_by(&key, &authority).unwrap();
    for (name, text) in [
        ("ca.pem", authority.pem()),
        ("cert.pem", leaf.pem()),
        ("key.pem", key.serialize_pem()),
    ] {
        fs::write(place.path(name), text).unwrap();
    }
    let (cert, key) = (place.path("cert.pem"), place.path("key.pem"));
    let Some(server) = Server::start_tls(&cert, &key, PASSWORD).await else {
        eprintln!("skipped: there is no `redis-server` here (Debian: redis-server)");
        return;
    };
    place.shared = Some("{ url: \"${STORE}\", timeout: 10s }".to_owned());
    place.write("127.0.0.1:0".parse().unwrap(), &rest);
    let ca = place.path("ca.pem").display().to_string();
    let (right, wrong) = (server.url(), server.url().replace(PASSWORD, "wrong"));
    for (store, trusted, left) in [
        (&right, true, "\"route\";r=4;"),
        (&right, false, ""),
        (&wrong, true, ""),
        (&right, true, "\"route\";r=3;"),
    ] {
        let mut variables = vec![("STORE", store.as_str())];
        if trusted {
            variables.push(("SSL_CERT_FILE", ca.as_str()));
        }
        let running = place.start_with(&variables).await;
        let seen = see(client().get(running.url("/"))).await;
        let told = seen.header("ratelimit");
        assert_eq!(seen.status, 200);
        assert!(
            told.starts_with(left) && told.is_empty() == left.is_empty(),
            "{told:?} is not {left:?}: {}",
            running.said()
        );
        assert!(!running.said().contains(PASSWORD));
        running.signal("-TERM").await;
        assert_eq!(running.left().await, Some(0));
    }
}
