//! W3C trace context: taken from the client when it is well formed, made otherwise.

use http::{HeaderName, HeaderValue};

use super::text::{Buffer, Text, hex_to};
use crate::telemetry::Sampler;

/// Header of the trace context.
pub(crate) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Ids of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Trace {
    id: u128,
    /// Span of this gateway, the parent of every attempt's.
    span: u64,
    /// Span of the client; 0 for none.
    parent: u64,
    flags: u8,
}

impl Trace {
    /// No trace yet.
    pub(crate) const NONE: Self = Self {
        id: 0,
        span: 0,
        parent: 0,
        flags: 0,
    };

    /// Continues the client's trace, or starts one; whether that is traced the sampler decides.
    pub(crate) fn continue_from(header: Option<&[u8]>, sampler: Sampler) -> Self {
        let parent = header.and_then(parse);
        let (id, parent, flags) = parent.unwrap_or_else(|| {
            let id = fastrand::u128(1..);
            (id, 0, u8::from(sampler.takes(id)))
        });
        Self {
            id,
            span: fastrand::u64(1..),
            parent,
            flags,
        }
    }

    /// Whether the client, or the sampler where there was no client's trace, wants this to be traced.
    pub(crate) fn is_sampled(&self) -> bool {
        self.flags & 1 == 1
    }

    /// Ids of the trace and of this gateway's span.
    pub(crate) fn ids(&self) -> (u128, u64) {
        (self.id, self.span)
    }

    /// Span of the client, if it sent one.
    pub(crate) fn parent(&self) -> Option<u64> {
        (self.parent != 0).then_some(self.parent)
    }

    /// Value for an attempt.
    pub(crate) fn header(&self) -> Option<HeaderValue> {
        let mut text = Text::default();
        text.push("00-");
        self.write_id(text.bytes());
        text.push("-");
        hex_to(text.bytes(), self.span, 16);
        text.push("-");
        hex_to(text.bytes(), u64::from(self.flags), 2);
        text.value()
    }

    /// Appends the trace's id, as it stands in the header and in logs.
    pub(crate) fn write_id(&self, out: &mut impl Buffer) {
        for half in [self.id >> 64, self.id & u128::from(u64::MAX)] {
            hex_to(out, u64::try_from(half).unwrap_or_default(), 16);
        }
    }

    /// A number that no other request has: one trace may have several.
    pub(crate) fn unique(&self) -> u128 {
        self.id ^ ((u128::from(self.span) << 64) | u128::from(self.span))
    }

    /// Trace id, which also names the request in logs and problem documents.
    pub(crate) fn id(&self) -> String {
        format!("{:032x}", self.id)
    }
}

/// `00-<32 hex>-<16 hex>-<2 hex>`; later versions may have more (W3C Trace Context §3.2, §4).
fn parse(header: &[u8]) -> Option<(u128, u64, u8)> {
    let text = std::str::from_utf8(header).ok()?;
    let mut parts = text.split('-');
    let (version, id, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let lower_hex = |part: &str, length| {
        part.len() == length
            && part
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let known =
        lower_hex(version, 2) && version != "ff" && (version != "00" || parts.next().is_none());
    if !known || !lower_hex(id, 32) || !lower_hex(span, 16) || !lower_hex(flags, 2) {
        return None;
    }
    let id = u128::from_str_radix(id, 16).ok().filter(|id| *id != 0)?;
    let span = u64::from_str_radix(span, 16)
        .ok()
        .filter(|span| *span != 0)?;
    Some((id, span, u8::from_str_radix(flags, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_good_parent_is_continued_under_a_new_span() {
        let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
        let trace = Trace::continue_from(Some(parent.as_bytes()), Sampler::ALL);
        assert_eq!(trace.parent(), Some(0xb7ad_6b71_6920_3331));
        assert!(!trace.is_sampled(), "the client decides");
        let made = trace.header().unwrap();
        let made = made.to_str().unwrap();
        assert_eq!(trace.id(), "0af7651916cd43dd8448eb211c80319c");
        assert!(made.starts_with("00-0af7651916cd43dd8448eb211c80319c-") && made.ends_with("-00"));
        assert_ne!(made, parent);
    }

    #[test]
    fn without_a_parent_the_sampler_decides() {
        assert!(Trace::continue_from(None, Sampler::ALL).is_sampled());
        let none = Trace::continue_from(None, Sampler::share(0.0));
        assert!(!none.is_sampled() && none.parent().is_none());
        assert!(none.header().unwrap().to_str().unwrap().ends_with("-00"));
    }

    #[test]
    fn a_bad_parent_is_replaced() {
        for bad in [
            "",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x",
        ] {
            assert_eq!(parse(bad.as_bytes()), None, "{bad}");
        }
    }
}
