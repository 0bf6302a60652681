//! `muster serve`: reads the configuration and the certificates, initializes the log, runs the server.
//!
//! Errors in them are reported here, before the data directory is opened.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use muster_api::{IssuerSettings, LinkSecret};
use muster_ingest::config::{Config, IssuerConfig};
use muster_ingest::net::EndpointError;
use muster_ingest::open_files;
use muster_ingest::pki::tls;
use muster_ingest::server::{self, ApiTls, ServerError};
use muster_ingest::telemetry;

use crate::exit::Failure;

/// The arguments of `muster serve`.
#[derive(Debug, clap::Args)]
pub(super) struct ServeArguments {
    /// The configuration file, TOML. See `muster config print` for every key.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// For tests: a Unix socket through which the clocks of the server can be moved.
    ///
    /// Each line is a command: `advance SECONDS` moves all clocks, `leap SECONDS` the wall clock alone, `now` shows
    /// them. Needs `[test] clock = true` in the configuration. Never use it with real devices.
    #[arg(long, value_name = "SOCKET")]
    test_clock: Option<PathBuf>,
}

pub(super) fn run(arguments: &ServeArguments) -> Result<(), Failure> {
    let config = Config::load(&arguments.config)?;
    let test_clock = arguments.test_clock.as_deref();
    if test_clock.is_some() && !config.test.clock {
        return Err(Failure::Usage(
            "--test-clock is for tests: the configuration does not set [test] clock = true"
                .to_owned(),
        ));
    }
    let raised_from = open_files::require(open_files::max_of_server())?;
    let files = config.listen.tls();
    let tls = tls::server_config(&files)?;
    let restart_secret = tls::restart_secret(&files)?;
    let api = api_tls(&config)?;
    telemetry::init(&config.log)?;
    if let Some(limit) = raised_from {
        let needed = open_files::max_of_server();
        tracing::info!(limit, needed, "soft limit of open files raised");
    }
    serve(config, tls, restart_secret, api, test_clock)
}

/// What the operators' API needs, if it is served.
fn api_tls(config: &Config) -> Result<Option<ApiTls>, Failure> {
    if !config.api.enabled {
        return Ok(None);
    }
    let files = config.listen.tls();
    let certificate = config.api.certificate.as_ref();
    let key = config.api.key.as_ref();
    let (certificate, key) = (
        certificate.unwrap_or(&files.certificate),
        key.unwrap_or(&files.key),
    );
    let (tls, names) = tls::api_config(certificate, key)?;
    Ok(Some(ApiTls {
        config: tls,
        names,
        link_secret: LinkSecret(tls::link_secret(&files)?),
        issuers: config
            .api
            .issuers
            .iter()
            .map(issuer)
            .collect::<Result<_, _>>()?,
    }))
}

/// An issuer of OpenID Connect, with the authorities that its server may have a certificate of.
fn issuer(config: &IssuerConfig) -> Result<IssuerSettings, Failure> {
    let config = config.clone();
    let tls = Arc::new(tls::issuer_config(config.ca.as_deref())?);
    Ok(IssuerSettings {
        issuer: config.issuer,
        audience: config.audience,
        tenant: config.tenant,
        claim: config.claim,
        name_claim: config.name_claim,
        roles: config.roles,
        tls,
    })
}

fn serve(
    config: Config,
    tls: rustls::ServerConfig,
    restart_secret: [u8; 32],
    api: Option<ApiTls>,
    test_clock: Option<&Path>,
) -> Result<(), Failure> {
    server::run(config, tls, restart_secret, api, test_clock).map_err(|error| {
        let line = error.to_string();
        match &error {
            ServerError::Endpoint(EndpointError::Bind { source, .. }) => {
                Failure::Address(format!("{line}; {}", advice(source, "listen.address")))
            }
            ServerError::Ops { source, .. } => {
                Failure::Address(format!("{line}; {}", advice(source, "ops.address")))
            }
            ServerError::Api { source, .. } => {
                Failure::Address(format!("{line}; {}", advice(source, "api.address")))
            }
            ServerError::TestClock { .. } => Failure::File(line),
            ServerError::Open(_)
            | ServerError::Recover { .. }
            | ServerError::Read(_)
            | ServerError::Control { .. }
            | ServerError::Policy(_) => Failure::DataDirectory(line),
            _ => Failure::Internal(line),
        }
    })
}

/// What to do about an address that cannot be listened on.
fn advice(error: &std::io::Error, key: &str) -> String {
    match error.kind() {
        ErrorKind::AddrInUse => format!("stop the process that uses it, or set another {key}"),
        ErrorKind::PermissionDenied => format!(
            "ports below 1024 need CAP_NET_BIND_SERVICE: grant it, or set another port in {key}"
        ),
        ErrorKind::AddrNotAvailable => {
            format!("set {key} to an address of this machine")
        }
        _ => format!("set another {key}"),
    }
}
