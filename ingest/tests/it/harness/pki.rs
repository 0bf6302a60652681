//! Certificates of every kind, good and bad.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use muster_cli::pki::{CertificateAuthority, Validity};
use muster_ingest::clock;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, SanType,
};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A certificate and its key, PEM in one text.
#[derive(Clone, Debug)]
pub(crate) struct Credentials(pub(crate) String);

/// An authority that signs for whatever a test wants.
#[derive(Debug)]
pub(crate) struct Pki {
    authority: CertificateAuthority,
}

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(clock::wall().as_millis())
}

impl Pki {
    pub(crate) fn new() -> Self {
        let authority = CertificateAuthority::create(Validity::from_now(now(), 10));
        Self {
            authority: authority.expect("an authority can be made"),
        }
    }

    /// The authority's certificate, PEM.
    pub(crate) fn ca(&self) -> &str {
        self.authority.certificate_pem()
    }

    /// A server's certificate and its key, PEM, apart.
    pub(crate) fn server(&self) -> (String, String) {
        let issued = self
            .authority
            .issue_server(&[], Validity::from_now(now(), 1));
        let issued = issued.expect("a server certificate can be issued");
        (issued.certificate_pem, issued.key_pem)
    }

    pub(crate) fn gateway(&self, tenant: &str, name: &str) -> Credentials {
        self.identity(&format!("muster://{tenant}/gateway/{name}"))
    }

    pub(crate) fn device(&self, tenant: &str, device: muster_wire::DeviceId) -> Credentials {
        self.identity(&format!("muster://{tenant}/device/{device}"))
    }

    fn identity(&self, uri: &str) -> Credentials {
        self.valid_in(uri, Validity::from_now(now(), 1))
    }

    /// Valid until yesterday.
    pub(crate) fn expired(&self, uri: &str) -> Credentials {
        self.valid_in(
            uri,
            Validity {
                not_before: now() - 2 * DAY,
                not_after: now() - DAY,
            },
        )
    }

    /// Valid for so long from now on, in whole seconds.
    pub(crate) fn short_lived(&self, uri: &str, length: Duration) -> Credentials {
        self.valid_in(
            uri,
            Validity {
                not_before: now() - DAY,
                not_after: now() + length,
            },
        )
    }

    /// Valid from tomorrow.
    pub(crate) fn not_yet_valid(&self, uri: &str) -> Credentials {
        self.valid_in(
            uri,
            Validity {
                not_before: now() + DAY,
                not_after: now() + 2 * DAY,
            },
        )
    }

    fn valid_in(&self, uri: &str, validity: Validity) -> Credentials {
        let identity = uri.parse().expect("an identity");
        let issued = self.authority.issue_client(&identity, validity);
        let issued = issued.expect("a client certificate can be issued");
        Credentials(format!("{}{}", issued.certificate_pem, issued.key_pem))
    }

    /// A certificate for clients that carries these URIs and no others.
    pub(crate) fn with_uris(&self, uris: &[&str]) -> Credentials {
        self.sign(uris, ExtendedKeyUsagePurpose::ClientAuth)
    }

    /// A certificate for clients with a key of the caller's.
    pub(crate) fn with_key(&self, uri: &str, key: &KeyPair) -> Credentials {
        let uri = SanType::URI(uri.try_into().expect("an ASCII text"));
        let usage = ExtendedKeyUsagePurpose::ClientAuth;
        sign_key(key, &self.issuer(), "a client", &[uri], usage)
    }

    /// A certificate that is good but meant for servers.
    pub(crate) fn for_servers(&self, uri: &str) -> Credentials {
        self.sign(&[uri], ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// An authority with the name of this one and a key of its own.
    pub(crate) fn namesake(&self) -> Self {
        let (_, ca) = x509_parser::pem::parse_x509_pem(self.ca().as_bytes()).expect("PEM");
        let ca = ca.parse_x509().expect("a certificate");
        let name = ca.subject().iter_common_name().next().expect("a name");
        let name = name.as_str().expect("a text").to_owned();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().expect("a key can be made");
        let certificate = params.self_signed(&key).expect("it can be signed").pem();
        let authority = CertificateAuthority::load(&certificate, &key.serialize_pem());
        Self {
            authority: authority.expect("an authority"),
        }
    }

    /// A certificate of a client that nobody else has signed.
    pub(crate) fn self_signed(uri: &str) -> Credentials {
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![SanType::URI(uri.try_into().expect("an ASCII text"))];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().expect("a key can be made");
        let certificate = params.self_signed(&key).expect("it can be signed");
        Credentials(format!("{}{}", certificate.pem(), key.serialize_pem()))
    }

    /// A certificate that a client of ours has signed, with that client's own as the rest of the chain.
    pub(crate) fn signed_by_client(&self, client: &Credentials, uri: &str) -> Credentials {
        let key =
            KeyPair::from_pem(&client.0[client.0.find("-----BEGIN PRIVATE").expect("a key")..]);
        let issuer = Issuer::from_ca_cert_pem(&client.0, key.expect("a key"));
        let forged = self.signed(
            &issuer.expect("a certificate"),
            "gateway",
            &[SanType::URI(uri.try_into().expect("an ASCII text"))],
            ExtendedKeyUsagePurpose::ClientAuth,
        );
        let chain = &client.0[..client.0.find("-----BEGIN PRIVATE").expect("a key")];
        Credentials(format!("{}{chain}", forged.0))
    }

    /// A certificate for clients with this common name and these names.
    pub(crate) fn with_names(&self, common_name: &str, names: &[SanType]) -> Credentials {
        self.signed(
            &self.issuer(),
            common_name,
            names,
            ExtendedKeyUsagePurpose::ClientAuth,
        )
    }

    fn issuer(&self) -> Issuer<'static, KeyPair> {
        let authority_key = KeyPair::from_pem(&self.authority.key_pem()).expect("a key");
        Issuer::from_ca_cert_pem(self.ca(), authority_key).expect("an authority")
    }

    fn sign(&self, uris: &[&str], usage: ExtendedKeyUsagePurpose) -> Credentials {
        let uri = |uri: &&str| SanType::URI((*uri).try_into().expect("an ASCII text"));
        let names: Vec<_> = uris.iter().map(uri).collect();
        self.signed(&self.issuer(), "a client", &names, usage)
    }

    fn signed(
        &self,
        issuer: &Issuer<'_, KeyPair>,
        common_name: &str,
        names: &[SanType],
        usage: ExtendedKeyUsagePurpose,
    ) -> Credentials {
        let key = KeyPair::generate().expect("a key can be made");
        sign_key(&key, issuer, common_name, names, usage)
    }
}

fn sign_key(
    key: &KeyPair,
    issuer: &Issuer<'_, KeyPair>,
    common_name: &str,
    names: &[SanType],
    usage: ExtendedKeyUsagePurpose,
) -> Credentials {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, common_name);
    params.subject_alt_names = names.to_vec();
    params.extended_key_usages = vec![usage];
    let certificate = params.signed_by(key, issuer).expect("it can be signed");
    Credentials(format!("{}{}", certificate.pem(), key.serialize_pem()))
}
