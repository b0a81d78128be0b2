//! Networks of addresses: `10.0.0.0/8`, `2001:db8::/32`, or one address.

use std::{fmt, net::IpAddr};

use serde::{Serialize, Serializer};

/// Addresses that begin with the same bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u32,
}

impl Network {
    /// Reads `ADDRESS/BITS` or `ADDRESS`; `None` where bits behind the prefix are set, since one of the two is then wrong.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let all = if address.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            None => all,
            Some(bits) if bits.bytes().all(|byte| byte.is_ascii_digit()) => bits.parse().ok()?,
            Some(_) => return None,
        };
        let network = Self { address, bits };
        let is_plain = bits <= all && network.prefix(address) == number(address);
        is_plain.then_some(network)
    }

    /// Whether an address is one of these. IPv4 written as IPv6 counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.address.is_ipv4()
            && self.prefix(address) == self.prefix(self.address)
    }

    fn prefix(&self, address: IpAddr) -> u128 {
        let mask = u128::MAX
            .checked_shl(128_u32.saturating_sub(self.bits))
            .unwrap_or(0);
        number(address) & mask
    }
}

/// An address as a number, its first bit first.
fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()) << 96,
        IpAddr::V6(address) => address.to_bits(),
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

impl Serialize for Network {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_hold_what_begins_as_they_do() {
        let check = |network: &str, address: &str, expected: bool| {
            let network = Network::parse(network).unwrap();
            let seen = network.contains(address.parse().unwrap());
            assert_eq!(seen, expected, "{network} {address}");
        };
        check("10.0.0.0/8", "10.255.0.1", true);
        check("10.0.0.0/8", "11.0.0.1", false);
        check("10.0.0.0/8", "::ffff:10.0.0.1", true);
        check("10.0.0.0/8", "a00::1", false);
        check("127.0.0.1", "127.0.0.1", true);
        check("127.0.0.1", "127.0.0.2", false);
        check("0.0.0.0/0", "192.0.2.1", true);
        check("::/0", "192.0.2.1", false);
        check("2001:db8::/32", "2001:db8:1::1", true);
        check("2001:db8::/32", "2001:db9::1", false);
        check("::1/128", "::1", true);
        for bad in [
            "",
            "10.0.0.0/33",
            "10.0.0.1/8",
            "10.0.0.0/",
            "10/8",
            "10.0.0.0/+8",
            "::1/129",
            "h",
        ] {
            assert_eq!(Network::parse(bad), None, "{bad}");
        }
    }
}
