//! Export jobs and their files, in memory.
//!
//! Bounded: [`JOBS_OF_TENANT_MAX`] jobs of a tenant and [`JOBS_MAX`] in all, each for [`KEPT_SECONDS`].

use std::collections::BTreeMap;
use std::fs::File;
use std::sync::{Arc, Mutex, PoisonError};

use muster_engine::TenantIndex;

use super::auth::Principal;
use super::error::GraphError;
use crate::odata::{Options, Purpose, TokenScope};

/// Jobs of a tenant.
const JOBS_OF_TENANT_MAX: usize = 20;

/// Jobs of all tenants.
pub const JOBS_MAX: usize = 40;

/// How long a job and its file are kept, in seconds.
const KEPT_SECONDS: u64 = 6 * 3600;

/// A job.
#[derive(Clone, Debug)]
pub(super) struct Job {
    pub(super) id: String,
    pub(super) tenant: TenantIndex,
    /// What was sent.
    pub(super) report_name: &'static str,
    pub(super) filter: String,
    pub(super) select: Vec<String>,
    pub(super) format: Format,
    pub(super) localization: Localization,
    /// Who ordered it.
    pub(super) principal: Principal,
    pub(super) requested_at: u64,
    pub(super) status: Status,
}

/// How far a job is.
#[derive(Clone, Debug)]
pub(super) enum Status {
    InProgress,
    Completed(Arc<File>),
    Failed,
}

/// All jobs, by their ids in lower case.
#[derive(Debug, Default)]
pub(super) struct Jobs(Mutex<BTreeMap<String, Job>>);

impl Jobs {
    fn all(&self, now: u64) -> std::sync::MutexGuard<'_, BTreeMap<String, Job>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, job| now < job.expires_at());
        all
    }

    pub(super) fn add(&self, job: Job, now: u64) -> Result<(), GraphError> {
        let mut all = self.all(now);
        let own = all
            .values()
            .filter(|other| other.tenant == job.tenant)
            .count();
        if own >= JOBS_OF_TENANT_MAX || all.len() >= JOBS_MAX {
            let message = format!(
                "There are {own} export jobs of this tenant and {} of all; delete one, or wait until it expires.",
                all.len()
            );
            return Err(GraphError::conflict(message));
        }
        all.insert(job.id.to_ascii_lowercase(), job);
        Ok(())
    }

    pub(super) fn get(&self, tenant: Option<TenantIndex>, id: &str, now: u64) -> Option<Job> {
        let all = self.all(now);
        let job = all.get(&id.to_ascii_lowercase())?;
        let is_own = tenant.is_none_or(|tenant| tenant == job.tenant);
        is_own.then(|| job.clone())
    }

    pub(super) fn finish(&self, id: &str, status: Status, now: u64) {
        if let Some(job) = self.all(now).get_mut(&id.to_ascii_lowercase()) {
            job.status = status;
        }
    }

    /// The jobs of a tenant.
    pub(super) fn of(&self, tenant: TenantIndex, now: u64) -> Vec<Job> {
        let all = self.all(now);
        let own = all.values().filter(|job| job.tenant == tenant);
        own.cloned().collect()
    }

    /// Forgets a job and its file.
    pub(super) fn remove(&self, id: &str, now: u64) {
        self.all(now).remove(&id.to_ascii_lowercase());
    }
}

impl Job {
    /// When it is forgotten, in seconds since the epoch.
    pub(super) fn expires_at(&self) -> u64 {
        self.requested_at + KEPT_SECONDS
    }

    /// What the signature of its link is valid for.
    pub(super) fn scope(&self) -> TokenScope {
        TokenScope {
            purpose: Purpose::Download,
            tenant: self.tenant.0.into(),
            options: Options::default().hash(&self.id.to_ascii_lowercase()),
        }
    }
}

/// The format of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::graph) enum Format {
    Csv,
    Json,
    #[cfg(feature = "parquet")]
    Parquet,
}

impl Format {
    /// What a client may ask for.
    pub(in crate::graph) const NAMES: &str = if cfg!(feature = "parquet") {
        "csv, json or parquet"
    } else {
        "csv or json (this server is built without parquet)"
    };

    pub(in crate::graph) fn named(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "" | "csv" => Some(Self::Csv),
            "json" => Some(Self::Json),
            #[cfg(feature = "parquet")]
            "parquet" => Some(Self::Parquet),
            _ => None,
        }
    }

    pub(in crate::graph) const fn name(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Json => "json",
            #[cfg(feature = "parquet")]
            Self::Parquet => "parquet",
        }
    }
}

/// What is done with values that the portal shows in other words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::graph) enum Localization {
    /// The number is in the column, the words are in one more.
    AdditionalColumn,
    /// The words are in the column.
    Replace,
}

impl Localization {
    pub(in crate::graph) fn named(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "" | "localizedvaluesasadditionalcolumn" => Some(Self::AdditionalColumn),
            "replacelocalizablevalues" => Some(Self::Replace),
            _ => None,
        }
    }

    pub(in crate::graph) const fn name(self) -> &'static str {
        match self {
            Self::AdditionalColumn => "localizedValuesAsAdditionalColumn",
            Self::Replace => "replaceLocalizableValues",
        }
    }
}
