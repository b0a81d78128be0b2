//! Signatures over whole requests, for upstreams that are called as they are.

use std::time::SystemTime;

use http::request::Parts;
use isobar_config::{RequestSignature, Secret};

use crate::protocols::auth::{
    SignError,
    sigv4::{self, Credentials, Scope},
};

/// SHA-256 of a body that is empty.
pub const EMPTY_BODY: [u8; 32] = [
    0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24,
    0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
];

/// Why a request could not be signed; nothing of the credential is in it.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct Unsigned(#[from] SignError);

/// Signs a request that is finished but for its signature (Signature Version 4). `host` must be among its headers. A body
/// of which the digest is not given stays unsigned, which only storage takes.
pub fn sign(
    parts: &mut Parts,
    body_sha256: Option<[u8; 32]>,
    signature: &RequestSignature,
    now: SystemTime,
) -> Result<(), Unsigned> {
    let credentials = Credentials {
        access_key_id: &signature.access_key_id,
        secret_access_key: signature.secret_access_key.expose(),
        session_token: signature.session_token.as_ref().map(Secret::expose),
    };
    let scope = Scope {
        region: &signature.region,
        service: &signature.service,
    };
    Ok(sigv4::sign(parts, body_sha256, &credentials, &scope, now)?)
}

#[cfg(test)]
mod tests {
    use sha2::{Digest as _, Sha256};

    use super::EMPTY_BODY;

    #[test]
    fn the_digest_of_nothing_is_right() {
        assert_eq!(EMPTY_BODY, <[u8; 32]>::from(Sha256::digest(b"")));
    }
}
