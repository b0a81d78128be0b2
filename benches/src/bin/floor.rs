//! The floor: a bare Pingora proxy. One upstream, no features; whatever Isobar adds to this is Isobar's own cost.

use std::{env, net::SocketAddr, sync::Arc};

use async_trait::async_trait;
use pingora_core::{
    Result,
    listeners::tls::TlsSettings,
    server::{Server, configuration::ServerConf},
    upstreams::peer::HttpPeer,
};
use pingora_proxy::{ProxyHttp, Session, http_proxy_service};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

struct Floor(SocketAddr);

#[async_trait]
impl ProxyHttp for Floor {
    type CTX = ();

    fn new_ctx(&self) {}

    async fn upstream_peer(&self, _: &mut Session, (): &mut ()) -> Result<Box<HttpPeer>> {
        Ok(Box::new(HttpPeer::new(self.0, false, String::new())))
    }
}

fn main() {
    let mut arguments = env::args().skip(1);
    let mut next = || arguments.next();
    let (Some(listen), Some(upstream), Some(threads)) = (next(), next(), next()) else {
        eprintln!("floor LISTEN UPSTREAM THREADS [CERTIFICATE KEY]");
        return;
    };
    let (Ok(upstream), Ok(threads)) = (upstream.parse(), threads.parse()) else {
        eprintln!("`{upstream}` is not an address, or `{threads}` not a number");
        return;
    };
    let conf = ServerConf {
        threads,
        work_stealing: false,
        upstream_keepalive_pool_size: 1024,
        ..ServerConf::default()
    };
    let mut server = Server::new_with_opt_and_conf(None, conf);
    server.bootstrap();
    let mut service = http_proxy_service(&Arc::clone(&server.configuration), Floor(upstream));
    if let (Some(certificate), Some(key)) = (arguments.next(), arguments.next()) {
        match TlsSettings::intermediate(&certificate, &key) {
            Ok(mut tls) => {
                tls.enable_h2();
                service.add_tls_with_settings(&listen, None, tls);
            }
            Err(error) => return eprintln!("{certificate}: {error}"),
        }
    } else {
        service.add_tcp(&listen);
    }
    server.add_service(service);
    server.run_forever();
}
