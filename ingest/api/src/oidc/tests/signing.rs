//! Private keys of issuers, and tokens signed with them. Written without the crate that verifies them.

use std::sync::LazyLock;

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
    KeyPair, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384,
    RSA_PSS_SHA512, RsaEncoding, RsaKeyPair, RsaPublicKeyComponents,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// Two keys, because making one takes a while.
static RSA: LazyLock<[RsaKeyPair; 2]> =
    LazyLock::new(|| [(); 2].map(|()| RsaKeyPair::generate(KeySize::Rsa2048).unwrap()));

enum Pair {
    Rsa(&'static RsaKeyPair),
    Ec(&'static str, EcdsaKeyPair),
    Ed(Ed25519KeyPair),
}

/// A key of an issuer.
pub(crate) struct SigningKey {
    id: &'static str,
    pair: Pair,
}

pub(crate) fn encoded(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

impl SigningKey {
    /// One of two RSA keys.
    pub(crate) fn rsa(id: &'static str, number: usize) -> Self {
        let pair = Pair::Rsa(&RSA[number]);
        Self { id, pair }
    }

    pub(crate) fn p256(id: &'static str) -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let pair = Pair::Ec("P-256", pair);
        Self { id, pair }
    }

    pub(crate) fn p384(id: &'static str) -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap();
        let pair = Pair::Ec("P-384", pair);
        Self { id, pair }
    }

    pub(crate) fn ed25519(id: &'static str) -> Self {
        let pair = Pair::Ed(Ed25519KeyPair::generate().unwrap());
        Self { id, pair }
    }

    /// What the issuer publishes.
    pub(crate) fn jwk(&self) -> Value {
        match &self.pair {
            Pair::Rsa(pair) => {
                let public = RsaPublicKeyComponents::<Vec<u8>>::from(pair.public_key());
                let (n, e) = (encoded(public.n), encoded(public.e));
                json!({ "kty": "RSA", "kid": self.id, "use": "sig", "n": n, "e": e })
            }
            Pair::Ec(curve, pair) => {
                let (x, y) = pair.public_key().as_ref()[1..].split_at(match *curve {
                    "P-256" => 32,
                    _ => 48,
                });
                json!({ "kty": "EC", "kid": self.id, "crv": curve, "x": encoded(x), "y": encoded(y) })
            }
            Pair::Ed(pair) => {
                let x = encoded(pair.public_key());
                json!({ "kty": "OKP", "kid": self.id, "crv": "Ed25519", "x": x })
            }
        }
    }

    /// The forms of the public key that a careless verifier would take for the secret of an HMAC.
    pub(crate) fn public_forms(&self) -> Vec<Vec<u8>> {
        let Pair::Rsa(pair) = &self.pair else {
            return Vec::new();
        };
        let components = RsaPublicKeyComponents::<Vec<u8>>::from(pair.public_key());
        let der = AsDer::as_der(pair.public_key()).unwrap().as_ref().to_vec();
        let text = base64::engine::general_purpose::STANDARD.encode(&der);
        let pem = format!("-----BEGIN PUBLIC KEY-----\n{text}\n-----END PUBLIC KEY-----\n");
        vec![
            components.n,
            der,
            pem.into_bytes(),
            self.jwk().to_string().into_bytes(),
        ]
    }

    /// A signature in the form of an algorithm, whatever the key is for.
    fn sign(&self, algorithm: &str, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match &self.pair {
            Pair::Rsa(pair) => {
                let encoding: &dyn RsaEncoding = match algorithm {
                    "RS384" => &RSA_PKCS1_SHA384,
                    "RS512" => &RSA_PKCS1_SHA512,
                    "PS256" => &RSA_PSS_SHA256,
                    "PS384" => &RSA_PSS_SHA384,
                    "PS512" => &RSA_PSS_SHA512,
                    _ => &RSA_PKCS1_SHA256,
                };
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(encoding, &random, message, &mut signature)
                    .unwrap();
                signature
            }
            Pair::Ec(_, pair) => pair.sign(&random, message).unwrap().as_ref().to_vec(),
            Pair::Ed(pair) => pair.sign(message).as_ref().to_vec(),
        }
    }

    /// A token with an algorithm.
    pub(crate) fn token(&self, algorithm: &str, claims: &Value) -> String {
        let header = json!({ "alg": algorithm, "kid": self.id, "typ": "at+jwt" });
        self.token_with(&header, claims)
    }

    /// A token with this header.
    pub(crate) fn token_with(&self, header: &Value, claims: &Value) -> String {
        let message = message(header, claims);
        let algorithm = header["alg"].as_str().unwrap_or_default();
        let signature = encoded(self.sign(algorithm, message.as_bytes()));
        format!("{message}.{signature}")
    }
}

/// The part of a token that is signed.
pub(crate) fn message(header: &Value, claims: &Value) -> String {
    let (header, claims) = (header.to_string(), claims.to_string());
    format!("{}.{}", encoded(header), encoded(claims))
}
