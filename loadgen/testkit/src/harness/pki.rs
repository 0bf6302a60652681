//! Certificates of every kind, valid and invalid.
//!
//! `muster pki` makes the authority and the certificate of the server. Clients are signed here, because tests need
//! certificates that no operator would issue.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use muster_wire::DeviceId;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, SanType,
};

use crate::clock;
use crate::muster::Muster;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A certificate and its key, both in PEM.
#[derive(Clone, Debug)]
pub struct Credentials(pub String);

/// A certificate authority that signs any certificate a test needs.
#[derive(Debug)]
pub struct Pki {
    issuer: Issuer<'static, KeyPair>,
    ca: String,
}

fn now() -> SystemTime {
    UNIX_EPOCH + clock::since_epoch()
}

impl Pki {
    /// An authority that no server trusts.
    #[expect(
        clippy::new_without_default,
        reason = "a default must not run a program"
    )]
    pub fn new() -> Self {
        let scratch = tempfile::tempdir().expect("a scratch directory can be made");
        Self::make(&scratch.path().join("pki"))
    }

    /// Creates an authority and a server certificate in a new directory.
    #[track_caller]
    pub(super) fn make(directory: &Path) -> Self {
        let made = Muster::beside_this_test().make_authority(directory);
        made.expect("an authority can be made");
        let read = |name| fs::read_to_string(directory.join(name)).expect("it was just made");
        Self::load(read("ca.pem"), &read("ca.key"))
    }

    fn load(ca: String, key: &str) -> Self {
        let key = KeyPair::from_pem(key).expect("a key");
        let issuer = Issuer::from_ca_cert_pem(&ca, key).expect("an authority");
        Self { issuer, ca }
    }

    /// The certificate of the authority, in PEM.
    pub fn ca(&self) -> &str {
        &self.ca
    }

    /// A key without a certificate, in PEM.
    pub fn unrelated_key() -> String {
        new_key().serialize_pem()
    }

    /// The certificate of a gateway.
    pub fn gateway(&self, tenant: &str, name: &str) -> Credentials {
        self.with_uris(&[&format!("muster://{tenant}/gateway/{name}")])
    }

    /// The certificate of a device.
    pub fn device(&self, tenant: &str, device: DeviceId) -> Credentials {
        self.with_uris(&[&format!("muster://{tenant}/device/{device}")])
    }

    /// A certificate that expired yesterday.
    pub fn expired(&self, uri: &str) -> Credentials {
        self.valid_in(uri, now() - 2 * DAY, now() - DAY)
    }

    /// A certificate that expires after `lifetime`, in whole seconds.
    pub fn short_lived(&self, uri: &str, lifetime: Duration) -> Credentials {
        self.valid_in(uri, now() - DAY, now() + lifetime)
    }

    /// A certificate that is valid from tomorrow.
    pub fn not_yet_valid(&self, uri: &str) -> Credentials {
        self.valid_in(uri, now() + DAY, now() + 2 * DAY)
    }

    fn valid_in(&self, uri: &str, not_before: SystemTime, not_after: SystemTime) -> Credentials {
        let mut params = for_clients("a client", vec![name(uri)]);
        params.not_before = not_before.into();
        params.not_after = not_after.into();
        signed(params, &self.issuer)
    }

    /// A client certificate with exactly these URIs.
    pub fn with_uris(&self, uris: &[&str]) -> Credentials {
        let names = uris.iter().map(|uri| name(uri)).collect();
        signed(for_clients("a client", names), &self.issuer)
    }

    /// A client certificate for the given key.
    pub fn with_key(&self, uri: &str, key: &KeyPair) -> Credentials {
        signed_key(for_clients("a client", vec![name(uri)]), key, &self.issuer)
    }

    /// A client certificate with this common name and these subject alternative names.
    pub fn with_names(&self, common_name: &str, names: &[SanType]) -> Credentials {
        signed(for_clients(common_name, names.to_vec()), &self.issuer)
    }

    /// A valid certificate that is for servers only.
    pub fn for_servers(&self, uri: &str) -> Credentials {
        let mut params = for_clients("a client", vec![name(uri)]);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        signed(params, &self.issuer)
    }

    /// Another authority with the same name and a different key.
    pub fn namesake(&self) -> Self {
        let (_, ca) = x509_parser::pem::parse_x509_pem(self.ca.as_bytes()).expect("PEM");
        let ca = ca.parse_x509().expect("a certificate");
        let name = ca.subject().iter_common_name().next().expect("a name");
        let mut params = named(name.as_str().expect("a text"));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        let key = new_key();
        let certificate = params.self_signed(&key).expect("it can be signed").pem();
        Self::load(certificate, &key.serialize_pem())
    }

    /// A self-signed client certificate.
    pub fn self_signed(uri: &str) -> Credentials {
        let key = new_key();
        let certificate = for_clients("a client", vec![name(uri)]).self_signed(&key);
        let certificate = certificate.expect("it can be signed");
        Credentials(format!("{}{}", certificate.pem(), key.serialize_pem()))
    }

    /// A certificate signed by a client, with the client's own certificate as the rest of the chain.
    pub fn signed_by_client(client: &Credentials, uri: &str) -> Credentials {
        let (chain, key) = client
            .0
            .split_at(client.0.find("-----BEGIN PRIVATE").expect("a key"));
        let issuer = Issuer::from_ca_cert_pem(chain, KeyPair::from_pem(key).expect("a key"));
        let params = for_clients("gateway", vec![name(uri)]);
        let forged = signed(params, &issuer.expect("a certificate"));
        Credentials(format!("{}{chain}", forged.0))
    }
}

fn new_key() -> KeyPair {
    KeyPair::generate().expect("a key can be made")
}

fn name(uri: &str) -> SanType {
    SanType::URI(uri.try_into().expect("an ASCII text"))
}

fn named(common_name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, common_name);
    params
}

fn for_clients(common_name: &str, names: Vec<SanType>) -> CertificateParams {
    let mut params = named(common_name);
    params.subject_alt_names = names;
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params
}

fn signed(params: CertificateParams, issuer: &Issuer<'_, KeyPair>) -> Credentials {
    signed_key(params, &new_key(), issuer)
}

fn signed_key(
    params: CertificateParams,
    key: &KeyPair,
    issuer: &Issuer<'_, KeyPair>,
) -> Credentials {
    let certificate = params.signed_by(key, issuer).expect("it can be signed");
    Credentials(format!("{}{}", certificate.pem(), key.serialize_pem()))
}
