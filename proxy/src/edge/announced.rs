//! The PROXY protocol, versions 1 and 2: what a load balancer says of a client before the client's own first byte.
//!
//! Nothing is read beyond it, nothing is guessed: a connection that begins otherwise is refused.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::io::{AsyncRead, AsyncReadExt as _};

/// First bytes of version 2.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// Longest line of version 1.
const LINE: usize = 107;
/// Longest rest of version 2: addresses, and what balancers add to them.
const REST: usize = 4_096;

/// Why what came first is not the PROXY protocol.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Broken {
    #[error("it could not be read: {0}")]
    Io(#[from] std::io::Error),
    #[error("{0}")]
    Shape(&'static str),
}

/// Reads what stands before the client's first byte: its address, or nothing where the balancer speaks for itself.
pub(crate) async fn read(
    stream: &mut (impl AsyncRead + Unpin),
) -> Result<Option<SocketAddr>, Broken> {
    let mut start = [0; SIGNATURE.len()];
    stream.read_exact(&mut start).await?;
    if start == SIGNATURE {
        return binary(stream).await;
    }
    let mut line = start.to_vec();
    if !line.starts_with(b"PROXY ") {
        return Err(Broken::Shape(
            "it does not begin as the PROXY protocol does",
        ));
    }
    while !line.ends_with(b"\r\n") {
        if line.len() == LINE {
            return Err(Broken::Shape("the line is too long"));
        }
        line.push(stream.read_u8().await?);
    }
    let text = std::str::from_utf8(&line).map_err(|_| Broken::Shape("the line is not text"))?;
    words(text.trim_end_matches("\r\n"))
}

/// Version 1.
fn words(line: &str) -> Result<Option<SocketAddr>, Broken> {
    let bad = Broken::Shape("the line is not of version 1");
    let mut words = line.split(' ').skip(1);
    let family = match words.next() {
        Some("UNKNOWN") => return Ok(None),
        Some(family @ ("TCP4" | "TCP6")) => family,
        _ => return Err(bad),
    };
    let words: Vec<&str> = words.collect();
    let [from, to, from_port, to_port] = words.as_slice() else {
        return Err(bad);
    };
    let address = |text: &str| -> Option<IpAddr> {
        if family == "TCP4" {
            text.parse::<Ipv4Addr>().ok().map(IpAddr::V4)
        } else {
            text.parse::<Ipv6Addr>().ok().map(IpAddr::V6)
        }
    };
    let port = |text: &str| -> Option<u16> {
        let plain = text.bytes().all(|byte| byte.is_ascii_digit())
            && (text.len() == 1 || !text.starts_with('0'));
        text.parse().ok().filter(|_| plain)
    };
    match (address(from), address(to), port(from_port), port(to_port)) {
        (Some(from), Some(_), Some(port), Some(_)) => Ok(Some(SocketAddr::new(from, port))),
        _ => Err(bad),
    }
}

/// Version 2, behind its signature.
async fn binary(stream: &mut (impl AsyncRead + Unpin)) -> Result<Option<SocketAddr>, Broken> {
    let command = stream.read_u8().await?;
    let family = stream.read_u8().await?;
    let length = usize::from(stream.read_u16().await?);
    if length > REST {
        return Err(Broken::Shape("it is too long"));
    }
    let mut rest = vec![0; length];
    stream.read_exact(&mut rest).await?;
    match (command, family) {
        // The balancer itself, looking whether we are well.
        (0x20, _) => Ok(None),
        (0x21, 0x00) => Ok(None),
        (0x21, 0x11) => ends::<4>(&rest),
        (0x21, 0x21) => ends::<16>(&rest),
        (0x21, _) => Err(Broken::Shape("the client's address is not one of TCP")),
        _ => Err(Broken::Shape("it is of no version that is known")),
    }
}

/// Both ends, as version 2 writes them: addresses of `N` bytes, then ports.
fn ends<const N: usize>(rest: &[u8]) -> Result<Option<SocketAddr>, Broken>
where
    IpAddr: From<[u8; N]>,
{
    let short = || Broken::Shape("the addresses are cut off");
    let (from, rest) = rest.split_first_chunk::<N>().ok_or_else(short)?;
    let (_, rest) = rest.split_first_chunk::<N>().ok_or_else(short)?;
    let (port, rest) = rest.split_first_chunk::<2>().ok_or_else(short)?;
    rest.first_chunk::<2>().ok_or_else(short)?;
    let address = SocketAddr::new(IpAddr::from(*from), u16::from_be_bytes(*port));
    Ok(Some(address))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is read of `bytes`, and how much is left for whoever comes next.
    async fn seen(bytes: &[u8]) -> (Result<Option<SocketAddr>, ()>, usize) {
        let mut left = bytes;
        let read = read(&mut left).await;
        (read.map_err(drop), left.len())
    }

    #[tokio::test]
    async fn version_1_is_read_to_its_end_and_no_further() {
        let check = async |text: &str, expected: Result<Option<&str>, ()>| {
            let expected = expected.map(|address| address.map(|text| text.parse().unwrap()));
            let (read, left) = seen(text.as_bytes()).await;
            assert_eq!(read, expected, "{text:?}");
            if expected.is_ok() {
                let after = text.split_once("\r\n").unwrap().1;
                assert_eq!(left, after.len(), "{text:?}");
            }
        };
        let good = "PROXY TCP4 192.0.2.1 192.0.2.2 51000 443\r\nGET / HTTP/1.1\r\n";
        check(good, Ok(Some("192.0.2.1:51000"))).await;
        check(
            "PROXY TCP6 2001:db8::1 2001:db8::2 1 2\r\n",
            Ok(Some("[2001:db8::1]:1")),
        )
        .await;
        check("PROXY UNKNOWN\r\n", Ok(None)).await;
        check("PROXY UNKNOWN ffff::1 ffff::2 1 2\r\nx", Ok(None)).await;
        for bad in [
            "GET / HTTP/1.1\r\nhost: h\r\n\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 51000\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 51000 443 9\r\n",
            "PROXY TCP4  192.0.2.1 192.0.2.2 51000 443\r\n",
            "PROXY TCP4 2001:db8::1 2001:db8::2 1 2\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 051 443\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 +51 443\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 65536 443\r\n",
            "PROXY TCP4 localhost 192.0.2.2 1 443\r\n",
            "PROXY UDP4 192.0.2.1 192.0.2.2 1 443\r\n",
            "proxy TCP4 192.0.2.1 192.0.2.2 1 443\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 1 443\n\r",
        ] {
            check(bad, Err(())).await;
        }
        check(&format!("PROXY UNKNOWN {}\r\n", "x".repeat(200)), Err(())).await;
    }

    #[tokio::test]
    async fn version_2_is_read_to_its_end_and_no_further() {
        let make = |command: u8, family: u8, rest: &[u8]| {
            let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
            [&SIGNATURE[..], &[command, family], &length, rest, b"next"].concat()
        };
        let four = [192, 0, 2, 1, 192, 0, 2, 2, 0xc7, 0x38, 1, 0xbb];
        let with_more = [&four[..], &[4, 0, 1, 7]].concat();
        let six = [[1; 16], [2; 16]].concat();
        let six = [&six[..], &[0, 80, 0, 81]].concat();
        let check = async |bytes: Vec<u8>, expected: Result<Option<&str>, ()>| {
            let expected = expected.map(|address| address.map(|text| text.parse().unwrap()));
            let (read, left) = seen(&bytes).await;
            assert_eq!(read, expected);
            assert!(expected.is_err() || left == 4);
        };
        check(make(0x21, 0x11, &four), Ok(Some("192.0.2.1:51000"))).await;
        check(make(0x21, 0x11, &with_more), Ok(Some("192.0.2.1:51000"))).await;
        let address = "[101:101:101:101:101:101:101:101]:80";
        check(make(0x21, 0x21, &six), Ok(Some(address))).await;
        check(make(0x20, 0x00, &[]), Ok(None)).await;
        check(make(0x20, 0x11, &four), Ok(None)).await;
        check(make(0x21, 0x00, &[1, 2, 3]), Ok(None)).await;
        check(make(0x21, 0x11, &four[..11]), Err(())).await;
        check(make(0x21, 0x12, &four), Err(())).await;
        check(make(0x11, 0x11, &four), Err(())).await;
        check(make(0x22, 0x11, &four), Err(())).await;
        check(make(0x21, 0x11, &[0; 5_000]), Err(())).await;
    }
}
