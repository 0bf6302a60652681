//! The TLS configuration of the listener.
//!
//! Every insecure default is overridden here and checked by a test: TLS 1.3 only, client certificates required, no
//! early data, no resumption. `net/tickets.rs` adds the latter two with a store in which a ticket works once: without
//! it early data could be replayed. A resumed session does not run the certificate verifier again, so the session
//! checks the validity of the certificates itself. The crypto provider is passed explicitly; no global one is
//! installed.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::hmac;
use muster_wire::ALPN;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// The certificate files of the listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerTls {
    /// The server's certificate chain, PEM, leaf certificate first.
    pub certificate: PathBuf,
    /// The private key of the leaf certificate, PEM.
    pub key: PathBuf,
    /// The authorities whose client certificates are accepted, PEM.
    pub client_ca: PathBuf,
}

/// Why the listener's certificates cannot be used. The operator must act; each variant names the file.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {} ({key}): {source}; check the path and its permissions", file.display())]
    Unreadable {
        /// The configuration key that names the file.
        key: &'static str,
        /// The file.
        file: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// A file does not contain the expected item.
    #[error("{} ({key}) contains no usable {expected}: {problem}; it must be PEM text", file.display())]
    Unusable {
        /// The configuration key that names the file.
        key: &'static str,
        /// The file.
        file: PathBuf,
        /// The expected item.
        expected: &'static str,
        /// The cause.
        problem: String,
    },
    /// Certificate and private key do not match, or TLS does not support the type of the key.
    #[error("{} and {} do not match: {source}; issue both in one step", certificate.display(), key.display())]
    Mismatch {
        /// The certificate file.
        certificate: PathBuf,
        /// The key file.
        key: PathBuf,
        /// The error of rustls.
        source: rustls::Error,
    },
    /// The system trusts no certificate authority.
    #[error(
        "found no certificate authority that the system trusts: {problem}; install ca-certificates or set api.issuers.ca"
    )]
    NoSystemRoots {
        /// The cause.
        problem: String,
    },
    /// The crypto provider does not support TLS 1.3: a build error.
    #[error("the crypto provider does not support TLS 1.3: {0}")]
    Provider(rustls::Error),
}

/// Builds the TLS configuration of the listener. Reads the files once; later changes are not picked up.
pub fn server_config(files: &ServerTls) -> Result<ServerConfig, TlsError> {
    let chain = certificates("listen.certificate", &files.certificate)?;
    let key = private_key("listen.key", &files.key)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let roots = Arc::new(roots("listen.client_ca", &files.client_ca)?);
    let verifier = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(&provider))
        .build()
        .map_err(|error| unusable("listen.client_ca", &files.client_ca, "certificate", &error))?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(TlsError::Provider)?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)
        .map_err(|source| TlsError::Mismatch {
            certificate: files.certificate.clone(),
            key: files.key.clone(),
            source,
        })?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.max_early_data_size = 0;
    config.send_half_rtt_data = false;
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    Ok(config)
}

/// The TLS configuration of the operators' API, and the names in its certificate. Clients have tokens, not certificates,
/// and may not speak TLS 1.3 yet.
pub fn api_config(certificate: &Path, key: &Path) -> Result<(ServerConfig, Vec<String>), TlsError> {
    let chain = certificates("api.certificate", certificate)?;
    let names = chain.first().map(|leaf| names_of(leaf)).unwrap_or_default();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(TlsError::Provider)?
        .with_no_client_auth()
        .with_single_cert(chain, private_key("api.key", key)?)
        .map_err(|source| TlsError::Mismatch {
            certificate: certificate.to_owned(),
            key: key.to_owned(),
            source,
        })?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok((config, names))
}

/// The TLS configuration of a client of an issuer of OpenID Connect, whose server must have a certificate of an
/// authority in the file, or of one that the system trusts.
pub fn issuer_config(ca: Option<&Path>) -> Result<ClientConfig, TlsError> {
    let roots = match ca {
        Some(file) => roots("api.issuers.ca", file)?,
        None => system_roots()?,
    };
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(TlsError::Provider)?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

fn system_roots() -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    // Systems also trust certificates that rustls cannot parse; an issuer that needs one is not reached.
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let problem = found.errors.first().map(ToString::to_string);
        return Err(TlsError::NoSystemRoots {
            problem: problem.unwrap_or_else(|| "none is installed".to_owned()),
        });
    }
    Ok(roots)
}

/// The host names and addresses of a certificate, in lower case.
fn names_of(certificate: &CertificateDer<'_>) -> Vec<String> {
    let Ok((_, certificate)) = X509Certificate::from_der(certificate) else {
        return Vec::new();
    };
    let Ok(Some(names)) = certificate.subject_alternative_name() else {
        return Vec::new();
    };
    let name = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
        GeneralName::IPAddress(bytes) => match bytes.len() {
            4 => Some(IpAddr::from(<[u8; 4]>::try_from(*bytes).ok()?).to_string()),
            _ => Some(IpAddr::from(<[u8; 16]>::try_from(*bytes).ok()?).to_string()),
        },
        _ => None,
    };
    names.value.general_names.iter().filter_map(name).collect()
}

/// The secret that authenticates the links of the API, derived from the listener's private key: links stay valid over
/// restarts.
pub fn link_secret(files: &ServerTls) -> Result<[u8; 32], TlsError> {
    derived(files, b"muster links of the API 1")
}

/// A secret derived from the listener's private key: with it, a restarted server sends valid stateless resets to
/// clients of the previous process.
pub fn restart_secret(files: &ServerTls) -> Result<[u8; 32], TlsError> {
    derived(files, b"muster restart secret 1")
}

fn derived(files: &ServerTls, purpose: &[u8]) -> Result<[u8; 32], TlsError> {
    let key = private_key("listen.key", &files.key)?;
    let key = hmac::Key::new(hmac::HMAC_SHA256, key.secret_der());
    let mut secret = [0; 32];
    secret.copy_from_slice(hmac::sign(&key, purpose).as_ref());
    Ok(secret)
}

fn roots(key: &'static str, file: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(key, file)? {
        roots
            .add(certificate)
            .map_err(|error| unusable(key, file, "certificate", &error))?;
    }
    Ok(roots)
}

fn certificates(key: &'static str, file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let text = read(key, file)?;
    let found: Result<Vec<_>, pem::Error> = CertificateDer::pem_slice_iter(&text).collect();
    match found {
        Ok(found) if found.is_empty() => Err(unusable(
            key,
            file,
            "certificate",
            &pem::Error::NoItemsFound,
        )),
        Ok(found) => Ok(found),
        Err(error) => Err(unusable(key, file, "certificate", &error)),
    }
}

fn private_key(key: &'static str, file: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let text = read(key, file)?;
    PrivateKeyDer::from_pem_slice(&text).map_err(|error| unusable(key, file, "private key", &error))
}

fn read(key: &'static str, file: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(file).map_err(|source| TlsError::Unreadable {
        key,
        file: file.to_owned(),
        source,
    })
}

fn unusable(
    key: &'static str,
    file: &Path,
    expected: &'static str,
    problem: &dyn std::fmt::Display,
) -> TlsError {
    TlsError::Unusable {
        key,
        file: file.to_owned(),
        expected,
        problem: problem.to_string(),
    }
}

#[cfg(test)]
mod tests;
