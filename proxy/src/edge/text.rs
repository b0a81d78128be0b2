//! Text that is written for every request, past the machinery of `core::fmt`.

use std::{fmt::Write as _, net::IpAddr};

use http::HeaderValue;

/// Room for what most headers say.
const ROOM: usize = 120;

/// What text is appended to.
pub(crate) trait Buffer {
    fn extend_from_slice(&mut self, bytes: &[u8]);

    fn push(&mut self, byte: u8) {
        self.extend_from_slice(&[byte]);
    }
}

impl Buffer for Vec<u8> {
    fn extend_from_slice(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }

    fn push(&mut self, byte: u8) {
        self.push(byte);
    }
}

/// Text in the making; what is longer than the room is kept on the heap.
#[derive(Debug)]
pub(crate) struct Text {
    room: [u8; ROOM],
    length: usize,
    /// All of it, once it did not fit.
    heap: Vec<u8>,
}

impl Default for Text {
    fn default() -> Self {
        Self {
            room: [0; ROOM],
            length: 0,
            heap: Vec::new(),
        }
    }
}

impl Buffer for Text {
    #[inline]
    fn extend_from_slice(&mut self, bytes: &[u8]) {
        let end = self.length + bytes.len();
        match self.room.get_mut(self.length..end) {
            Some(place) if self.heap.is_empty() => {
                place.copy_from_slice(bytes);
                self.length = end;
            }
            _ => self.move_to_heap(bytes),
        }
    }

    #[inline]
    fn push(&mut self, byte: u8) {
        match self.room.get_mut(self.length) {
            Some(place) if self.heap.is_empty() => {
                *place = byte;
                self.length += 1;
            }
            _ => self.move_to_heap(&[byte]),
        }
    }
}

impl Text {
    #[cold]
    fn move_to_heap(&mut self, more: &[u8]) {
        if self.heap.is_empty() {
            self.heap.reserve(2 * ROOM + more.len());
            let here = self.room.get(..self.length).unwrap_or_default();
            self.heap.extend_from_slice(here);
        }
        self.heap.extend_from_slice(more);
    }

    fn as_bytes(&self) -> &[u8] {
        if self.heap.is_empty() {
            self.room.get(..self.length).unwrap_or_default()
        } else {
            &self.heap
        }
    }

    /// For what is appended by the functions of this module.
    pub(crate) fn bytes(&mut self) -> &mut impl Buffer {
        self
    }

    pub(crate) fn push(&mut self, text: &str) -> &mut Self {
        self.extend_from_slice(text.as_bytes());
        self
    }

    pub(crate) fn number(&mut self, number: u64) -> &mut Self {
        number_to(self, number);
        self
    }

    /// See [`fraction_to`].
    pub(crate) fn fraction(&mut self, number: u64, decimals: u32) -> &mut Self {
        fraction_to(self, number, decimals);
        self
    }

    pub(crate) fn address(&mut self, address: IpAddr) -> &mut Self {
        address_to(self, address);
        self
    }

    /// As a header's value, if it can be one.
    pub(crate) fn value(self) -> Option<HeaderValue> {
        HeaderValue::from_bytes(self.as_bytes()).ok()
    }
}

/// Appends a number.
pub(crate) fn number_to(out: &mut impl Buffer, mut number: u64) {
    let mut digits = [0; 20];
    let mut start = digits.len();
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + u8::try_from(number % 10).unwrap_or_default();
        start -= 1;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(start..).unwrap_or_default());
}

/// Appends a number that counts tenths, hundredths or thousandths, as `12.345`.
pub(crate) fn fraction_to(out: &mut impl Buffer, number: u64, decimals: u32) {
    let mut unit = 10_u64.pow(decimals);
    number_to(out, number / unit);
    out.push(b'.');
    while unit > 1 {
        unit /= 10;
        out.push(b'0' + u8::try_from(number / unit % 10).unwrap_or_default());
    }
}

/// Appends the last digits of a number in lower-case hexadecimal, at most 16.
pub(crate) fn hex_to(out: &mut impl Buffer, mut number: u64, digits: usize) {
    let mut text = [b'0'; 16];
    for place in text.iter_mut().rev() {
        let digit = u8::try_from(number & 15).unwrap_or_default();
        *place = if digit < 10 {
            b'0' + digit
        } else {
            b'a' + digit - 10
        };
        number >>= 4;
    }
    let start = text.len().saturating_sub(digits);
    out.extend_from_slice(text.get(start..).unwrap_or_default());
}

/// Appends an address.
pub(crate) fn address_to(out: &mut impl Buffer, address: IpAddr) {
    match address {
        IpAddr::V4(address) => {
            for (index, part) in address.octets().into_iter().enumerate() {
                if index > 0 {
                    out.push(b'.');
                }
                number_to(out, u64::from(part));
            }
        }
        IpAddr::V6(address) => {
            let mut text = String::new();
            let _ = write!(text, "{address}");
            out.extend_from_slice(text.as_bytes());
        }
    }
}

/// Appends a JSON string.
pub(crate) fn json_to(out: &mut Vec<u8>, text: &str) {
    let is_plain = |byte: u8| byte >= 0x20 && byte != b'"' && byte != b'\\';
    if text.bytes().all(is_plain) {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    } else {
        // Writing to memory does not fail.
        let _ = serde_json::to_writer(out, text);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn fractions_keep_their_zeros() {
        let check = |number, decimals, expected: &str| {
            assert_eq!(written(|out| fraction_to(out, number, decimals)), expected);
        };
        check(0, 3, "0.000");
        check(12_045, 3, "12.045");
        check(7, 2, "0.07");
        check(u64::MAX, 1, "1844674407370955161.5");
    }

    #[test]
    fn a_text_of_any_length_is_whole() {
        for length in [0, 1, ROOM - 1, ROOM, ROOM + 1, 1_000] {
            let (mut bytes, mut pieces) = (Text::default(), Text::default());
            let expected: String = ('a'..='z').cycle().take(length).collect();
            for byte in expected.bytes() {
                Buffer::push(&mut bytes, byte);
            }
            for piece in expected.as_bytes().chunks(7) {
                pieces.extend_from_slice(piece);
            }
            for text in [bytes, pieces] {
                assert_eq!(text.as_bytes(), expected.as_bytes(), "{length}");
                assert_eq!(text.value().unwrap(), expected, "{length}");
            }
        }
    }

    proptest! {
        #[test]
        fn it_is_what_the_standard_library_writes(number: u64, v4: [u8; 4], v6: u128, text: String) {
            prop_assert_eq!(written(|out| number_to(out, number)), number.to_string());
            prop_assert_eq!(written(|out| hex_to(out, number, 16)), format!("{number:016x}"));
            prop_assert_eq!(written(|out| hex_to(out, number & 255, 2)), format!("{:02x}", number & 255));
            for address in [IpAddr::from(v4), IpAddr::from(v6.to_be_bytes())] {
                prop_assert_eq!(written(|out| address_to(out, address)), address.to_string());
            }
            prop_assert_eq!(written(|out| json_to(out, &text)), serde_json::to_string(&text).unwrap());
        }
    }
}
