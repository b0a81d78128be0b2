//! HTTP/1.1 as a client writes and reads it (RFC 9112), without a socket: where a message's head and body end.

use std::{io, mem::MaybeUninit};

use bytes::{Buf as _, Bytes};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version, header,
};
use http_body::Body as _;
use httparse::Status;

use super::body::Replay;
use crate::edge::text::number_to;

/// Headers that an answer may have, and trailers.
const HEADERS: usize = 100;
/// Largest head of an answer, in bytes.
pub(super) const HEAD: u32 = 64 * 1024;
/// Bytes that all trailers may have, and all that stands beside the sizes of chunks.
const ASIDE: usize = 16 * 1024;
/// A chunk's size has at most 16 digits, and its line an end.
const SIZE: usize = 18;

/// How a request's body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// After so many bytes.
    Length(u64),
    /// With an empty chunk.
    Chunked,
}

/// What is no HTTP/1.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed;

impl From<Malformed> for io::Error {
    fn from(_: Malformed) -> Self {
        io::ErrorKind::InvalidData.into()
    }
}

/// An answer's head, and what it says of the rest.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) answer: Response<()>,
    pub(super) body: Decoder,
    /// Whether the connection may serve another request when the body has ended.
    pub(super) stays: bool,
}

/// Finds an answer's body among what is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decoder {
    /// So many bytes are still to come.
    Length(u64),
    /// `aside` counts bytes of lines that say more than a size.
    Chunked {
        next: Next,
        aside: usize,
    },
    /// What comes until the connection is closed.
    UntilClosed,
    Over,
}

/// What comes next of a chunked body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    Size,
    /// So many bytes of a chunk.
    Data(u64),
    /// The end of a chunk's line.
    End,
    Trailers,
}

/// A step of reading a body.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Decoded {
    Data(Bytes),
    Trailers(HeaderMap),
    Over,
    /// Nothing can be said before more is read. What is left belongs before it.
    More,
}

/// Whether a request says how long its body is: one without a body does where its method usually has one (RFC 9110 §8.6).
pub(super) fn says_length(method: &Method, length: u64) -> bool {
    let seldom_has_body = matches!(
        *method,
        Method::GET | Method::HEAD | Method::DELETE | Method::OPTIONS
    );
    length > 0 || !seldom_has_body
}

/// Appends a request's head to `out`. How the body ends is told by the body alone, whatever the headers say.
pub(super) fn write_head(out: &mut Vec<u8>, request: &Request<Replay>) -> Framing {
    let target = request.uri().path_and_query();
    let target = target.map_or("/", |target| target.as_str());
    out.extend_from_slice(request.method().as_str().as_bytes());
    out.push(b' ');
    if target.starts_with('?') {
        out.push(b'/');
    }
    out.extend_from_slice(target.as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\n");
    for (name, value) in request.headers() {
        if *name != header::CONTENT_LENGTH && *name != header::TRANSFER_ENCODING {
            out.extend_from_slice(name.as_str().as_bytes());
            out.extend_from_slice(b": ");
            out.extend_from_slice(value.as_bytes());
            out.extend_from_slice(b"\r\n");
        }
    }
    let framing = match request.body().size_hint().exact() {
        Some(length) => Framing::Length(length),
        None => Framing::Chunked,
    };
    match framing {
        Framing::Chunked => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
        Framing::Length(length) if says_length(request.method(), length) => {
            out.extend_from_slice(b"content-length: ");
            number_to(out, length);
            out.extend_from_slice(b"\r\n");
        }
        Framing::Length(_) => {}
    }
    out.extend_from_slice(b"\r\n");
    framing
}

/// Takes an answer's head, which may be an interim one, from the beginning of what was read; `None` while it is not whole.
pub(super) fn read_head(read: &mut Bytes, method: &Method) -> Result<Option<Head>, Malformed> {
    let mut room = [const { MaybeUninit::uninit() }; HEADERS];
    let mut parsed = httparse::Response::new(&mut []);
    let status = httparse::ParserConfig::default()
        .parse_response_with_uninit_headers(&mut parsed, read, &mut room)
        .map_err(|_| Malformed)?;
    let length = match status {
        Status::Complete(length) if length <= HEAD as usize => length,
        Status::Partial if read.len() < HEAD as usize => return Ok(None),
        Status::Complete(_) | Status::Partial => return Err(Malformed),
    };
    let status = StatusCode::from_u16(parsed.code.ok_or(Malformed)?).map_err(|_| Malformed)?;
    let is_old = parsed.version == Some(0);
    let (mut closes, mut stays) = (false, !is_old);
    let mut headers = HeaderMap::with_capacity(parsed.headers.len());
    for field in parsed.headers.iter() {
        let (name, value) = header_of(read, field)?;
        if name == header::CONNECTION {
            closes |= has_token(&value, "close");
            stays |= has_token(&value, "keep-alive");
        }
        headers.append(name, value);
    }
    let body = Decoder::of(status, is_old, method, &headers)?;
    read.advance(length);
    let mut answer = Response::new(());
    *answer.status_mut() = status;
    *answer.version_mut() = if is_old {
        Version::HTTP_10
    } else {
        Version::HTTP_11
    };
    *answer.headers_mut() = headers;
    // Both lengths at once are what a smuggled answer looks like: nothing is read behind it.
    let is_doubtful = answer.headers().contains_key(header::TRANSFER_ENCODING)
        && answer.headers().contains_key(header::CONTENT_LENGTH);
    let is_bounded = body != Decoder::UntilClosed && status != StatusCode::SWITCHING_PROTOCOLS;
    Ok(Some(Head {
        answer,
        body,
        stays: stays && !closes && is_bounded && !is_doubtful,
    }))
}

/// A header whose value shares the memory of what was read.
fn header_of(
    read: &Bytes,
    field: &httparse::Header<'_>,
) -> Result<(HeaderName, HeaderValue), Malformed> {
    let name = HeaderName::from_bytes(field.name.as_bytes()).map_err(|_| Malformed)?;
    let value = HeaderValue::from_maybe_shared(read.slice_ref(field.value));
    Ok((name, value.map_err(|_| Malformed)?))
}

/// Whether a list has this token.
pub(crate) fn has_token(value: &HeaderValue, token: &str) -> bool {
    let mut tokens = value.as_bytes().split(|byte| *byte == b',');
    tokens.any(|other| other.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
}

/// The length that all lines of `Content-Length` and all members of a list agree on, or why there is none.
pub(crate) fn length(headers: &HeaderMap) -> Result<Option<u64>, &'static str> {
    let mut length = None;
    for value in headers.get_all(header::CONTENT_LENGTH) {
        for part in value.as_bytes().split(|byte| *byte == b',') {
            let part = part.trim_ascii();
            let digits = std::str::from_utf8(part)
                .ok()
                .filter(|_| part.iter().all(u8::is_ascii_digit));
            let Some(parsed) = digits.and_then(|digits| digits.parse::<u64>().ok()) else {
                return Err("Content-Length is not a number");
            };
            if length.is_some_and(|known| known != parsed) {
                return Err("Content-Length is given twice");
            }
            length = Some(parsed);
        }
    }
    Ok(length)
}

impl Decoder {
    /// By RFC 9112 §6.3.
    fn of(
        status: StatusCode,
        is_old: bool,
        method: &Method,
        headers: &HeaderMap,
    ) -> Result<Self, Malformed> {
        let has_none = status.is_informational()
            || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
            || *method == Method::HEAD;
        if has_none {
            return Ok(Self::Over);
        }
        if let Some(last) = headers
            .get_all(header::TRANSFER_ENCODING)
            .iter()
            .next_back()
        {
            if is_old {
                return Err(Malformed);
            }
            let last = last.as_bytes().rsplit(|byte| *byte == b',').next();
            let last = last.unwrap_or_default().trim_ascii();
            return Ok(if last.eq_ignore_ascii_case(b"chunked") {
                Self::Chunked {
                    next: Next::Size,
                    aside: 0,
                }
            } else {
                Self::UntilClosed
            });
        }
        Ok(match length(headers).map_err(|_| Malformed)? {
            Some(0) => Self::Over,
            Some(length) => Self::Length(length),
            None => Self::UntilClosed,
        })
    }

    /// Bytes that are still to come, where that is known.
    pub(super) fn exact(&self) -> Option<u64> {
        match self {
            Self::Length(left) => Some(*left),
            Self::Over => Some(0),
            Self::Chunked { .. } | Self::UntilClosed => None,
        }
    }

    /// Takes what it can from the beginning of what was read.
    pub(super) fn decode(&mut self, read: &mut Bytes) -> Result<Decoded, Malformed> {
        match self {
            Self::Over => Ok(Decoded::Over),
            _ if read.is_empty() => Ok(Decoded::More),
            Self::UntilClosed => Ok(Decoded::Data(std::mem::take(read))),
            Self::Length(left) => {
                let data = take(read, left);
                if *left == 0 {
                    *self = Self::Over;
                }
                Ok(Decoded::Data(data))
            }
            Self::Chunked { next, aside } => {
                let decoded = next.decode(read, aside)?;
                if matches!(decoded, Decoded::Over | Decoded::Trailers(_)) {
                    *self = Self::Over;
                }
                Ok(decoded)
            }
        }
    }

    /// The connection is closed; whether the body may end here.
    pub(super) fn closed(&mut self) -> io::Result<()> {
        match self {
            Self::UntilClosed | Self::Over => {
                *self = Self::Over;
                Ok(())
            }
            Self::Length(_) | Self::Chunked { .. } => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

impl Next {
    fn decode(&mut self, read: &mut Bytes, aside: &mut usize) -> Result<Decoded, Malformed> {
        loop {
            match self {
                Self::Size => match httparse::parse_chunk_size(read).map_err(|_| Malformed)? {
                    Status::Complete((line, size)) => {
                        *aside += line.saturating_sub(SIZE);
                        if *aside > ASIDE {
                            return Err(Malformed);
                        }
                        read.advance(line);
                        *self = if size == 0 {
                            Self::Trailers
                        } else {
                            Self::Data(size)
                        };
                    }
                    Status::Partial if read.len() > ASIDE => return Err(Malformed),
                    Status::Partial => return Ok(Decoded::More),
                },
                Self::Data(_) if read.is_empty() => return Ok(Decoded::More),
                Self::Data(left) => {
                    let data = take(read, left);
                    if *left == 0 {
                        *self = Self::End;
                    }
                    return Ok(Decoded::Data(data));
                }
                Self::End => {
                    let length = read.len().min(2);
                    if read.get(..length) != b"\r\n".get(..length) {
                        return Err(Malformed);
                    }
                    if length < 2 {
                        return Ok(Decoded::More);
                    }
                    read.advance(2);
                    *self = Self::Size;
                }
                Self::Trailers => {
                    let mut room = [httparse::EMPTY_HEADER; HEADERS];
                    let parsed = httparse::parse_headers(read, &mut room);
                    return match parsed.map_err(|_| Malformed)? {
                        Status::Complete((length, fields)) if length <= ASIDE => {
                            let mut trailers = HeaderMap::with_capacity(fields.len());
                            for field in fields {
                                let (name, value) = header_of(read, field)?;
                                trailers.append(name, value);
                            }
                            read.advance(length);
                            Ok(if trailers.is_empty() {
                                Decoded::Over
                            } else {
                                Decoded::Trailers(trailers)
                            })
                        }
                        Status::Partial if read.len() <= ASIDE => Ok(Decoded::More),
                        Status::Complete(_) | Status::Partial => Err(Malformed),
                    };
                }
            }
        }
    }
}

/// At most `left` bytes from the beginning, which are then no longer left.
fn take(read: &mut Bytes, left: &mut u64) -> Bytes {
    let length = usize::try_from(*left).unwrap_or(usize::MAX).min(read.len());
    *left -= length as u64;
    read.split_to(length)
}

/// A whole answer.
#[cfg(any(test, feature = "fuzz"))]
#[derive(Debug, PartialEq)]
pub(crate) struct Whole {
    status: StatusCode,
    headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    trailers: HeaderMap,
    /// What is behind it.
    pub(crate) left: Vec<u8>,
}

/// Reads an answer that comes in pieces of `step` bytes, after which the connection is closed.
#[cfg(any(test, feature = "fuzz"))]
pub(crate) fn read_by(raw: &[u8], step: usize, method: &Method) -> Result<Whole, Malformed> {
    let mut coming = raw.chunks(step);
    let mut read = Bytes::new();
    let mut more = |read: &mut Bytes| match coming.next() {
        Some(piece) => {
            *read = [read.as_ref(), piece].concat().into();
            true
        }
        None => false,
    };
    let mut head = loop {
        match read_head(&mut read, method)? {
            Some(head) if head.answer.status().is_informational() => {}
            Some(head) => break head,
            None if more(&mut read) => {}
            None => return Err(Malformed),
        }
    };
    let (mut body, mut trailers) = (Vec::new(), HeaderMap::new());
    loop {
        match head.body.decode(&mut read)? {
            Decoded::Data(data) => body.extend_from_slice(&data),
            Decoded::Trailers(found) => trailers = found,
            Decoded::Over => break,
            Decoded::More if more(&mut read) => {}
            Decoded::More => head.body.closed().map_err(|_| Malformed)?,
        }
    }
    let (parts, ()) = head.answer.into_parts();
    let left = read.iter().chain(coming.flatten()).copied().collect();
    Ok(Whole {
        status: parts.status,
        headers: parts.headers,
        body,
        trailers,
        left,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_alone_tells_how_it_ends() {
        let check = |method: &str, target: &str, named: &[(&str, &str)], body, expected: &str| {
            let mut request = Request::builder().method(method).uri(target);
            for (name, value) in named {
                request = request.header(*name, *value);
            }
            let mut out = Vec::new();
            write_head(&mut out, &request.body(Replay::Once(body)).unwrap());
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        };
        let (none, some) = (Bytes::new(), Bytes::from_static(b"four"));
        check(
            "GET",
            "/a?b=%20",
            &[("host", "h"), ("x-a", "1"), ("x-a", "2")],
            none.clone(),
            "GET /a?b=%20 HTTP/1.1\r\nhost: h\r\nx-a: 1\r\nx-a: 2\r\n\r\n",
        );
        check(
            "DELETE",
            "/",
            &[],
            none.clone(),
            "DELETE / HTTP/1.1\r\n\r\n",
        );
        check(
            "POST",
            "/",
            &[],
            none.clone(),
            "POST / HTTP/1.1\r\ncontent-length: 0\r\n\r\n",
        );
        check("OPTIONS", "*", &[], none, "OPTIONS * HTTP/1.1\r\n\r\n");
        // Headers that say otherwise would let a vendor see another request than ours.
        check(
            "POST",
            "/",
            &[
                ("content-length", "9"),
                ("transfer-encoding", "chunked"),
                ("x", "y"),
            ],
            some,
            "POST / HTTP/1.1\r\nx: y\r\ncontent-length: 4\r\n\r\n",
        );
    }

    /// Body, number of trailers, and what is left.
    fn read(raw: &str, step: usize) -> Result<(String, usize, String), Malformed> {
        let read = read_by(raw.as_bytes(), step, &Method::GET)?;
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Ok((text(read.body), read.trailers.len(), text(read.left)))
    }

    #[test]
    fn a_body_is_the_same_however_it_comes() {
        let check = |raw: &str, body: &str, trailers, left: &str| {
            for step in 1..=raw.len() {
                let expected = Ok((body.to_owned(), trailers, left.to_owned()));
                assert_eq!(read(raw, step), expected, "{raw:?} by {step}");
            }
        };
        let plain = "HTTP/1.1 200 OK\r\n";
        check(
            &format!("{plain}content-length: 3\r\n\r\nabcd"),
            "abc",
            0,
            "d",
        );
        check(
            &format!("{plain}content-length: 3, 3\r\n\r\nabc"),
            "abc",
            0,
            "",
        );
        check(&format!("{plain}\r\nall of it"), "all of it", 0, "");
        check(
            "HTTP/1.1 204 No\r\ncontent-length: 3\r\n\r\nabc",
            "",
            0,
            "abc",
        );
        check("HTTP/1.1 304 No\r\ncontent-length: 3\r\n\r\n", "", 0, "");
        let chunked = format!("{plain}Transfer-Encoding: gzip, CHUNKED\r\n\r\n");
        check(&format!("{chunked}0\r\n\r\nnext"), "", 0, "next");
        check(
            &format!("{chunked}3\r\nabc\r\n00A;x=\"y\"\r\n0123456789\r\n0\r\n\r\n"),
            "abc0123456789",
            0,
            "",
        );
        check(
            &format!("{chunked}1\r\na\r\n0\r\nx: y\r\nz: 1\r\n\r\n!"),
            "a",
            2,
            "!",
        );
        check(
            &format!("{plain}transfer-encoding: gzip\r\n\r\nrest"),
            "rest",
            0,
            "",
        );
    }

    #[test]
    fn what_is_no_http_is_refused_however_it_comes() {
        let check = |raw: &str| {
            for step in 1..=raw.len() {
                assert_eq!(read(raw, step), Err(Malformed), "{raw:?} by {step}");
            }
        };
        let plain = "HTTP/1.1 200 OK\r\n";
        check("HTP/1.1 200 OK\r\n\r\n");
        check("HTTP/1.1 20 OK\r\n\r\n");
        check("HTTP/2.0 200 OK\r\n\r\n");
        check(&format!("{plain}a b: c\r\n\r\n"));
        check(&format!("{plain}a: b\r\n folded\r\n\r\n"));
        check(&format!("{plain}content-length: +3\r\n\r\nabc"));
        check(&format!("{plain}content-length: \r\n\r\nabc"));
        check(&format!("{plain}content-length: 3, 4\r\n\r\nabc"));
        check(&format!(
            "{plain}content-length: 3\r\ncontent-length: 4\r\n\r\nabc"
        ));
        check(&format!(
            "{plain}content-length: 99999999999999999999\r\n\r\nabc"
        ));
        check(&format!("{plain}content-length: 4\r\n\r\nabc"));
        check("HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n");
        let chunked = format!("{plain}transfer-encoding: chunked\r\n\r\n");
        check(&format!("{chunked}g\r\n"));
        check(&format!("{chunked}-1\r\na\r\n0\r\n\r\n"));
        check(&format!("{chunked}1\r\nab\r\n0\r\n\r\n"));
        check(&format!("{chunked}1\r\na\n0\r\n\r\n"));
        check(&format!("{chunked}11111111111111111\r\n"));
        check(&format!("{chunked}1\r\na\r\n0\r\n"));
        check(&format!("{chunked}0\r\na b: c\r\n\r\n"));
    }

    #[test]
    fn no_part_of_an_answer_is_read_without_end() {
        let check = |raw: &str| assert_eq!(read(raw, 1000), Err(Malformed));
        let plain = "HTTP/1.1 200 OK\r\n";
        let chunked = format!("{plain}transfer-encoding: chunked\r\n\r\n");
        check(&format!("{plain}a: {}", "b".repeat(2 * HEAD as usize)));
        check(&"\r\n".repeat(HEAD as usize));
        check(&format!("{plain}{}\r\n", "a: b\r\n".repeat(HEADERS + 1)));
        check(&format!("{chunked}1;{}", "x".repeat(2 * ASIDE)));
        let chunk = format!("1;{}\r\na\r\n", "x".repeat(1000));
        check(&format!("{chunked}{}", chunk.repeat(20)));
        check(&format!("{chunked}0\r\n{}", "a: b\r\n".repeat(HEADERS + 1)));
        check(&format!("{chunked}0\r\na: {}", "b".repeat(2 * ASIDE)));
    }

    #[test]
    fn a_connection_stays_only_where_its_next_answer_is_certain() {
        let check = |raw: &str, method, expected| {
            let mut read = Bytes::copy_from_slice(raw.as_bytes());
            let head = read_head(&mut read, &method).unwrap().unwrap();
            assert_eq!(head.stays, expected, "{raw:?}");
        };
        let (get, old) = ("HTTP/1.1 200 OK\r\n", "HTTP/1.0 200 OK\r\n");
        let length = "content-length: 1\r\n";
        check(&format!("{get}{length}\r\n"), Method::GET, true);
        check(
            &format!("{get}{length}connection: x, Close\r\n\r\n"),
            Method::GET,
            false,
        );
        check(
            &format!("{get}{length}connection: close\r\nconnection: keep-alive\r\n\r\n"),
            Method::GET,
            false,
        );
        check(&format!("{old}{length}\r\n"), Method::GET, false);
        check(
            &format!("{old}{length}connection: keep-alive\r\n\r\n"),
            Method::GET,
            true,
        );
        check(&format!("{get}\r\n"), Method::GET, false);
        check(&format!("{get}\r\n"), Method::HEAD, true);
        check(
            &format!("{get}{length}transfer-encoding: chunked\r\n\r\n"),
            Method::GET,
            false,
        );
        check("HTTP/1.1 101 Up\r\n\r\n", Method::GET, false);
    }
}
