//! What all servers of a run share: the binary, the certificates, a place for directories.
//!
//! Certificates are made once, with `muster pki`, for every tenant, gateway and device that an option may
//! ask for. Bounds: some dozens of files below the scratch directory, which is removed with the environment
//! unless something in it is kept.

use std::fs;
use std::path::{Path, PathBuf};

use muster_testkit::identities::{self, IdentityFile, Kind};
use muster_testkit::muster::Muster;
use tempfile::TempDir;

use crate::error::CrashError;

/// The tenants that a directory may have, in this order.
pub const TENANTS: [&str; 3] = ["contoso", "fabrikam", "tailspin"];

/// Connections of gateways, for each tenant, at most.
pub const GATEWAYS_MAX: usize = 3;

/// Maximum number of devices with a separate connection, for each tenant.
pub const DIRECT_MAX: usize = 12;

/// The certificates of one tenant.
#[derive(Debug)]
pub struct Identities {
    /// One file for each gateway.
    pub gateways: Vec<PathBuf>,
    /// One file for each device that connects by itself.
    pub devices: Vec<IdentityFile>,
}

/// The ground that servers run on.
#[derive(Debug)]
pub struct TestEnvironment {
    scratch: TempDir,
    /// The binary under test.
    pub muster: Muster,
    /// By place of the tenant.
    pub identities: Vec<Identities>,
}

impl TestEnvironment {
    /// Makes a scratch directory below `below` and certificates in it.
    ///
    /// # Errors
    /// If the directory cannot be made, or the binary makes no certificates.
    pub fn make(binary: &Path, below: &Path) -> Result<Self, CrashError> {
        let scratch = tempfile::Builder::new()
            .prefix("muster-crash-")
            .tempdir_in(below)
            .map_err(CrashError::file(below))?;
        let muster = Muster::at(binary);
        let pki = scratch.path().join("pki");
        muster.make_authority(&pki)?;
        let mut identities = Vec::new();
        for tenant in TENANTS {
            let out = scratch.path().join("identities").join(tenant);
            let issue = |subject: &[&str]| muster.issue(&pki, &out, tenant, subject);
            for number in 0..GATEWAYS_MAX {
                issue(&["--gateway", &format!("gateway-{number}")])?;
            }
            // The ids follow from a seed, so that a replay has the same devices.
            let count = DIRECT_MAX.to_string();
            issue(&["--random-devices", &count, "--seed", "1"])?;
            identities.push(Identities::find(&out, tenant)?);
        }
        Ok(Self {
            scratch,
            muster,
            identities,
        })
    }

    /// The folder of the authority and of the server's certificate.
    pub fn pki(&self) -> PathBuf {
        self.scratch.path().join("pki")
    }

    /// The authority that clients trust.
    pub fn ca(&self) -> PathBuf {
        self.pki().join("ca.pem")
    }

    /// Makes a folder for a data directory and what belongs to it.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn folder(&self, name: &str) -> Result<PathBuf, CrashError> {
        let path = self.scratch.path().join(name);
        fs::create_dir(&path).map_err(CrashError::file(&path))?;
        Ok(path)
    }

    /// Leaves everything where it is; returns where that is.
    pub fn keep(self) -> PathBuf {
        self.scratch.keep()
    }
}

impl Identities {
    fn find(directory: &Path, tenant: &str) -> Result<Self, CrashError> {
        let find = |kind| {
            identities::find(directory, tenant, kind)
                .map_err(|error| CrashError::Internal(error.to_string()))
        };
        Ok(Self {
            gateways: find(Kind::Gateway)?
                .into_iter()
                .map(|file| file.path)
                .collect(),
            devices: find(Kind::Device)?,
        })
    }
}
