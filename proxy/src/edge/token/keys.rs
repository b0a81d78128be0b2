//! Keys that tokens are checked with (RFC 7517, 7518), on ring, which has no P-521: that is `p521`'s. What a token says of its key is a name to look up and
//! nothing else: keys never come from a token, nor from where it points to.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use isobar_config::Algorithm;
use p521::ecdsa::signature::Verifier as _;
use ring::{
    hmac,
    signature::{self, RsaPublicKeyComponents, UnparsedPublicKey},
};
use serde_json::Value;

/// Keys that are read of one set.
const MOST_KEYS: usize = 64;

/// The keys of one issuer.
#[derive(Debug, Default)]
pub(crate) struct KeySet(Vec<Key>);

/// Something that a key set cannot be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unusable {
    #[error("it is not a JSON Web Key Set")]
    NotASet,
    #[error("none of its keys can be used to check signatures")]
    NoKey,
}

#[derive(Debug)]
struct Key {
    id: Option<String>,
    /// The one algorithm it is for, if it says so.
    algorithm: Option<String>,
    material: Material,
}

enum Material {
    Shared(Vec<u8>),
    Rsa { n: Vec<u8>, e: Vec<u8> },
    P256(Vec<u8>),
    P384(Vec<u8>),
    P521(p521::ecdsa::VerifyingKey),
    Ed25519(Vec<u8>),
}

impl std::fmt::Debug for Material {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Shared(_) => "Shared([redacted])",
            Self::Rsa { .. } => "Rsa",
            Self::P256(_) => "P256",
            Self::P384(_) => "P384",
            Self::P521(_) => "P521",
            Self::Ed25519(_) => "Ed25519",
        })
    }
}

impl KeySet {
    /// A secret that issuer and gateway share.
    pub(crate) fn shared(secret: &str) -> Self {
        Self(vec![Key {
            id: None,
            algorithm: None,
            material: Material::Shared(secret.as_bytes().to_vec()),
        }])
    }

    /// The public keys of a JSON Web Key Set. Keys of kinds that are not known, or for another use, are left out.
    pub(crate) fn parse(json: &[u8]) -> Result<Self, Unusable> {
        let set: Value = serde_json::from_slice(json).map_err(|_| Unusable::NotASet)?;
        let keys = set.get("keys").and_then(Value::as_array);
        let keys = keys.ok_or(Unusable::NotASet)?;
        let keys: Vec<Key> = keys.iter().filter_map(key).take(MOST_KEYS).collect();
        if keys.is_empty() {
            return Err(Unusable::NoKey);
        }
        Ok(Self(keys))
    }

    /// Whether a token that names this key, or none, can be checked at all.
    pub(crate) fn has(&self, id: Option<&str>, algorithm: Algorithm) -> bool {
        self.find(id, algorithm).is_some()
    }

    /// Whether the signature over `message` is that of the key that is named. Without a name there must be only one key that
    /// fits.
    pub(crate) fn verify(
        &self,
        id: Option<&str>,
        algorithm: Algorithm,
        message: &[u8],
        signature: &[u8],
    ) -> bool {
        let key = self.find(id, algorithm);
        key.is_some_and(|key| key.material.verify(algorithm, message, signature))
    }

    fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Option<&Key> {
        let mut fitting = self.0.iter().filter(|key| {
            let named = match (&key.id, id) {
                (Some(known), Some(id)) => known == id,
                // A shared secret has no name.
                (None, Some(_)) => matches!(key.material, Material::Shared(_)),
                (_, None) => true,
            };
            let meant = key.algorithm.as_deref();
            named
                && meant.is_none_or(|meant| meant == algorithm.name())
                && key.material.fits(algorithm)
        });
        let found = fitting.next()?;
        fitting.next().is_none().then_some(found)
    }
}

impl Material {
    fn fits(&self, algorithm: Algorithm) -> bool {
        use Algorithm::{EdDsa, Es256, Es384, Es512, Hs256, Hs384, Hs512};
        match self {
            Self::Shared(_) => matches!(algorithm, Hs256 | Hs384 | Hs512),
            Self::Rsa { .. } => algorithm.is_rsa(),
            Self::P256(_) => algorithm == Es256,
            Self::P384(_) => algorithm == Es384,
            Self::P521(_) => algorithm == Es512,
            Self::Ed25519(_) => algorithm == EdDsa,
        }
    }

    fn verify(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        let shared = |kind, secret: &[u8]| {
            hmac::verify(&hmac::Key::new(kind, secret), message, signature).is_ok()
        };
        let rsa = |kind, n: &[u8], e: &[u8]| {
            let key = RsaPublicKeyComponents { n, e };
            key.verify(kind, message, signature).is_ok()
        };
        let public = |kind, key: &[u8]| {
            UnparsedPublicKey::new(kind, key)
                .verify(message, signature)
                .is_ok()
        };
        match (self, algorithm) {
            (Self::Shared(secret), Algorithm::Hs256) => shared(hmac::HMAC_SHA256, secret),
            (Self::Shared(secret), Algorithm::Hs384) => shared(hmac::HMAC_SHA384, secret),
            (Self::Shared(secret), Algorithm::Hs512) => shared(hmac::HMAC_SHA512, secret),
            (Self::Rsa { n, e }, Algorithm::Rs256) => {
                rsa(&signature::RSA_PKCS1_2048_8192_SHA256, n, e)
            }
            (Self::Rsa { n, e }, Algorithm::Rs384) => {
                rsa(&signature::RSA_PKCS1_2048_8192_SHA384, n, e)
            }
            (Self::Rsa { n, e }, Algorithm::Rs512) => {
                rsa(&signature::RSA_PKCS1_2048_8192_SHA512, n, e)
            }
            (Self::Rsa { n, e }, Algorithm::Ps256) => {
                rsa(&signature::RSA_PSS_2048_8192_SHA256, n, e)
            }
            (Self::Rsa { n, e }, Algorithm::Ps384) => {
                rsa(&signature::RSA_PSS_2048_8192_SHA384, n, e)
            }
            (Self::Rsa { n, e }, Algorithm::Ps512) => {
                rsa(&signature::RSA_PSS_2048_8192_SHA512, n, e)
            }
            (Self::P256(key), Algorithm::Es256) => public(&signature::ECDSA_P256_SHA256_FIXED, key),
            (Self::P384(key), Algorithm::Es384) => public(&signature::ECDSA_P384_SHA384_FIXED, key),
            (Self::P521(key), Algorithm::Es512) => p521::ecdsa::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify(message, &signature).is_ok()),
            (Self::Ed25519(key), Algorithm::EdDsa) => public(&signature::ED25519, key),
            _ => false,
        }
    }
}

/// One key of a set, if it is one for checking signatures. Secrets have no place in a set that is fetched or passed round.
fn key(json: &Value) -> Option<Key> {
    let text = |name: &str| json.get(name).and_then(Value::as_str);
    let bytes = |name: &str| URL_SAFE_NO_PAD.decode(text(name)?).ok();
    if text("use").is_some_and(|usage| usage != "sig") {
        return None;
    }
    if let Some(operations) = json.get("key_ops").and_then(Value::as_array)
        && !operations.iter().any(|operation| operation == "verify")
    {
        return None;
    }
    let point = |length: usize| {
        let (x, y) = (bytes("x")?, bytes("y")?);
        (x.len() == length && y.len() == length).then(|| [&[4], &*x, &*y].concat())
    };
    let material = match (text("kty")?, text("crv")) {
        ("RSA", _) => Material::Rsa {
            n: bytes("n")?,
            e: bytes("e")?,
        },
        ("EC", Some("P-256")) => Material::P256(point(32)?),
        ("EC", Some("P-384")) => Material::P384(point(48)?),
        ("EC", Some("P-521")) => {
            let point = point(66)?;
            Material::P521(p521::ecdsa::VerifyingKey::from_sec1_bytes(&point).ok()?)
        }
        ("OKP", Some("Ed25519")) => Material::Ed25519(bytes("x").filter(|x| x.len() == 32)?),
        _ => return None,
    };
    Some(Key {
        id: text("kid").map(str::to_owned),
        algorithm: text("alg").map(str::to_owned),
        material,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// RFC 7515, appendix A.4.
    #[test]
    fn the_specifications_example_on_p_521_is_signed_and_no_other() {
        let key = |crv: &str| {
            json!({ "keys": [{
                "kty": "EC",
                "crv": crv,
                "x": "AekpBQ8ST8a8VcfVOTNl353vSrDCLLJXmPk06wTjxrrjcBpXp5EOnYG_NjFZ6OvLFV1jSfS9tsz4qUxcWceqwQGk",
                "y": "ADSmRA43Z1DSNx_RvcLI87cdL07l6jQyyBXMoxVg_l2Th-x3S1WDhjDly79ajL4Kkd0AZMaZmh9ubmf63e3kyMj2",
            }] })
            .to_string()
        };
        let message = b"eyJhbGciOiJFUzUxMiJ9.UGF5bG9hZA";
        let signature = "AdwMgeerwtHoh-l192l60hp9wAHZFVJbLfD_UxMi70cwnZOYaRI1bKPWROc-mZZqwqT2SI-KGDKB34XO0aw_7XdtAG8GaSwFKdCAPZgoXD2\
                         YBJZCPEX3xKpRwcdOO8KpEHwJjyqOgzDO7iKvU8vcnwNrmxYbSW9ERBXukOXolLzeO_Jn";
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        let keys = KeySet::parse(key("P-521").as_bytes()).unwrap();
        let is_signed = |algorithm, message: &[u8], signature: &[u8]| {
            keys.verify(None, algorithm, message, signature)
        };
        assert!(is_signed(Algorithm::Es512, message, &signature));
        assert!(!is_signed(Algorithm::Es384, message, &signature));
        assert!(!is_signed(Algorithm::Es512, b"something else", &signature));
        for at in (0..signature.len()).step_by(11) {
            let mut other = signature.clone();
            other[at] ^= 1;
            assert!(!is_signed(Algorithm::Es512, message, &other), "byte {at}");
        }
        // Of another length, and the "signature" of zeros that old implementations took for any message.
        assert!(!is_signed(Algorithm::Es512, message, &signature[1..]));
        assert!(!is_signed(Algorithm::Es512, message, &[0; 132]));
        assert_eq!(
            KeySet::parse(key("P-384").as_bytes()).unwrap_err(),
            Unusable::NoKey
        );
    }

    #[test]
    fn a_point_beside_the_curve_is_no_key() {
        let [x, y] = [[1; 66], [2; 66]].map(|part| URL_SAFE_NO_PAD.encode(part));
        let set = json!({ "keys": [{ "kty": "EC", "crv": "P-521", "x": x, "y": y }] }).to_string();
        assert_eq!(KeySet::parse(set.as_bytes()).unwrap_err(), Unusable::NoKey);
    }
}
