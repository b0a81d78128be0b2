//! JSON web tokens signed with RS256 (RFC 7515, RFC 7518 section 3.3).

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use ring::signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, RsaKeyPair, UnparsedPublicKey};
use serde_json::Value;

/// A public key.
#[derive(Debug, Clone)]
pub(crate) struct Rs256 {
    /// DER of PKCS #1.
    public: Vec<u8>,
}

/// A token whose signature is good.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Jwt {
    /// `alg`, `typ`, `kid`.
    pub(crate) header: Value,
    /// What is claimed; nothing of it is checked here.
    pub(crate) claims: Value,
}

/// Why a token is not good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Broken {
    /// Not three parts of base64url, or no JSON objects in them.
    Malformed,
    /// Another algorithm than RS256.
    Algorithm,
    /// Signed by another key, or changed since.
    Signature,
}

impl Rs256 {
    /// The public half of a private key (PKCS #8 in PEM); `None` if it is none.
    pub(crate) fn of_private(pem: &str) -> Option<Self> {
        let lines = pem.lines().filter(|line| !line.starts_with("-----"));
        let der = STANDARD.decode(lines.collect::<String>()).ok()?;
        let pair = RsaKeyPair::from_pkcs8(&der).ok()?;
        Some(Self {
            public: pair.public_key().as_ref().to_vec(),
        })
    }

    /// Checks a token's form and signature.
    pub(crate) fn verify(&self, token: &str) -> Result<Jwt, Broken> {
        let verify = |message: &[u8], signature: &[u8]| {
            UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, &self.public)
                .verify(message, signature)
                .is_ok()
        };
        read(token, verify)
    }
}

fn read(token: &str, verify: impl Fn(&[u8], &[u8]) -> bool) -> Result<Jwt, Broken> {
    let (message, signature) = token.rsplit_once('.').ok_or(Broken::Malformed)?;
    let (header, claims) = message.split_once('.').ok_or(Broken::Malformed)?;
    let bytes = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| Broken::Malformed);
    let object = |part: &str| {
        let value: Option<Value> = serde_json::from_slice(&bytes(part)?).ok();
        value.filter(Value::is_object).ok_or(Broken::Malformed)
    };
    let (header, claims, signature) = (object(header)?, object(claims)?, bytes(signature)?);
    if header.get("alg").and_then(Value::as_str) != Some("RS256") {
        return Err(Broken::Algorithm);
    }
    if !verify(message.as_bytes(), &signature) {
        return Err(Broken::Signature);
    }
    Ok(Jwt { header, claims })
}

#[cfg(test)]
mod tests {
    use ring::signature::RsaPublicKeyComponents;

    use super::*;

    /// RFC 7515, appendix A.2: modulus (the exponent is 65537) and token.
    const MODULUS: &str = "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ";
    const TOKEN: &str = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";

    fn by_modulus(message: &[u8], signature: &[u8]) -> bool {
        let key = RsaPublicKeyComponents {
            n: URL_SAFE_NO_PAD.decode(MODULUS).unwrap(),
            e: vec![1, 0, 1],
        };
        key.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature)
            .is_ok()
    }

    #[test]
    fn the_rfc_s_token_is_good_and_a_changed_one_is_not() {
        let read_by = |token: &str| read(token, by_modulus);
        assert_eq!(read_by(TOKEN).unwrap().claims["iss"], "joe");
        let changed = TOKEN.replace("eyJpc3MiOiJqb2Ui", "eyJpc3MiOiJqb2Ei");
        assert_eq!(read_by(&changed), Err(Broken::Signature));
        for broken in ["", "a.b", "a.b.c", "e30.e30", "W10.e30.", "!.e30."] {
            assert_eq!(read_by(broken), Err(Broken::Malformed), "{broken}");
        }
        for header in [r#"{"alg":"none"}"#, r#"{"alg":"HS256"}"#, "{}"] {
            let token = format!("{}.e30.", URL_SAFE_NO_PAD.encode(header));
            assert_eq!(read_by(&token), Err(Broken::Algorithm), "{header}");
        }
    }
}
