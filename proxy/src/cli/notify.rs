//! What a service manager is told of this process, where one listens: systemd's `sd_notify`, a datagram with lines.

use std::{
    env,
    ffi::OsStr,
    io,
    os::{
        linux::net::SocketAddrExt as _,
        unix::{
            ffi::OsStrExt as _,
            net::{SocketAddr, UnixDatagram},
        },
    },
};

/// This process serves, and is the one to watch.
pub(super) fn ready() {
    tell(&format!("READY=1\nMAINPID={}\n", std::process::id()));
}

/// This process leaves, and nobody takes its place.
pub(super) fn stopping() {
    tell("STOPPING=1\n");
}

fn tell(words: &str) {
    let Some(place) = env::var_os("NOTIFY_SOCKET") else {
        return;
    };
    if let Err(error) = send(&place, words) {
        log::warn!("the service manager cannot be told: {error}");
    }
}

/// A path, or a name without one after `@`.
fn send(place: &OsStr, words: &str) -> io::Result<()> {
    let address = match place.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(place)?,
    };
    let sent = UnixDatagram::unbound()?.send_to_addr(words.as_bytes(), &address)?;
    if sent < words.len() {
        return Err(io::Error::other("the words do not fit"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_arrive_by_path_and_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let name = format!("isobar-test-{:032x}", fastrand::u128(..));
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        for (place, listener) in [
            (
                path.clone().into_os_string(),
                UnixDatagram::bind(&path).unwrap(),
            ),
            (
                format!("@{name}").into(),
                UnixDatagram::bind_addr(&address).unwrap(),
            ),
        ] {
            send(&place, "READY=1\n").unwrap();
            let mut bytes = [0; 64];
            let length = listener.recv(&mut bytes).unwrap();
            assert_eq!(&bytes[..length], b"READY=1\n", "{place:?}");
        }
        assert!(send(OsStr::new("/nonexistent/notify"), "READY=1\n").is_err());
    }
}
