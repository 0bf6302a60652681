//! What the server says of itself, over its HTTP endpoint for operators.
//!
//! Blocking, on the main thread, before and after the run. Bounds: a minute an answer, 256 MiB of
//! it. No proxy is used, whatever the environment says.

use std::{collections::HashMap, time::Duration};

use muster_engine::{TenantPolicy, Threshold};
use muster_wire::Platform;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value};
use ureq::Agent;

use crate::{
    error::RunError,
    oracle::{CellName, Cells},
};

const TIMEOUT: Duration = Duration::from_secs(60);

/// Enough for the cells of some hundred thousand cohorts.
const ANSWER_BYTES_MAX: u64 = 256 << 20;

/// Reads the state of one tenant.
#[derive(Debug)]
pub struct Ops {
    agent: Agent,
    server: String,
    tenant: String,
}

/// `GET /counts` for one tenant: numbers, and an object of numbers for each dimension.
pub type CountsObject = Map<String, Value>;

#[derive(Debug, Deserialize)]
struct CountsAnswer {
    tenants: Vec<CountsObject>,
}

#[derive(Debug, Deserialize)]
struct CellsAnswer {
    cells: Vec<Cell>,
}

#[derive(Debug, Deserialize)]
struct Cell {
    tenant: String,
    owner: String,
    tags: Vec<String>,
    facets: u32,
    count: u64,
}

#[derive(Debug, Deserialize)]
struct PolicyAnswer {
    secure_by_default: bool,
    auto_create_devices: bool,
    thresholds: HashMap<String, String>,
    blocked_on_missing_partner_data: HashMap<String, bool>,
    sensor_inactive_seconds: Option<u32>,
    no_sensor_data_seconds: Option<u32>,
}

impl Ops {
    /// For the endpoint at `server` (`http://HOST:PORT`); asks nothing yet.
    pub fn new(server: &str, tenant: &str) -> Self {
        let config = Agent::config_builder()
            .timeout_global(Some(TIMEOUT))
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None);
        Self {
            agent: config.build().new_agent(),
            server: server.trim_end_matches('/').to_owned(),
            tenant: tenant.to_owned(),
        }
    }

    /// The tenant's devices in numbers.
    ///
    /// # Errors
    /// If the server does not answer, or not what this version understands.
    pub fn counts(&self) -> Result<CountsObject, RunError> {
        let answer: CountsAnswer = self.get("counts")?;
        let is_ours = |counts: &CountsObject| {
            counts.get("tenant").and_then(Value::as_str) == Some(&self.tenant)
        };
        answer
            .tenants
            .into_iter()
            .find(is_ours)
            .ok_or_else(|| self.strange("counts", "the tenant is not in the answer"))
    }

    /// The tenant's devices by cell. Cells without devices are left out.
    ///
    /// # Errors
    /// If the server does not answer, or not what this version understands.
    pub fn cells(&self) -> Result<Cells, RunError> {
        let answer: CellsAnswer = self.get("cells")?;
        let mut cells = Cells::new();
        for Cell {
            tenant,
            owner,
            mut tags,
            facets,
            count,
        } in answer.cells
        {
            if tenant != self.tenant || count == 0 {
                continue;
            }
            tags.sort_unstable();
            *cells
                .entry(CellName {
                    owner,
                    tags,
                    facets,
                })
                .or_default() += count;
        }
        Ok(cells)
    }

    /// The tenant's rules.
    ///
    /// # Errors
    /// If the server does not answer, or not what this version understands.
    pub fn policy(&self) -> Result<TenantPolicy, RunError> {
        policy_of(self.get("policy")?).map_err(|problem| self.strange("policy", &problem))
    }

    fn get<T: DeserializeOwned>(&self, what: &str) -> Result<T, RunError> {
        let url = format!("{}/{what}", self.server);
        let unreachable = |error: ureq::Error| {
            RunError::Unreachable(format!(
                "no answer from {url}: {error}; is the server running?"
            ))
        };
        let mut response = self
            .agent
            .get(&url)
            .query("tenant", &self.tenant)
            .call()
            .map_err(unreachable)?;
        let status = response.status();
        let body = response.body_mut().with_config().limit(ANSWER_BYTES_MAX);
        let text = body.read_to_string().map_err(unreachable)?;
        if !status.is_success() {
            let text: String = text.chars().take(200).collect();
            return Err(RunError::Usage(format!("{url} answered {status}: {text}")));
        }
        serde_json::from_str(&text).map_err(|error| self.strange(what, &error.to_string()))
    }

    fn strange(&self, what: &str, problem: &str) -> RunError {
        RunError::Internal(format!(
            "{}/{what} is not understood: {problem}",
            self.server
        ))
    }
}

fn policy_of(answer: PolicyAnswer) -> Result<TenantPolicy, String> {
    let platform = |name: &str| {
        Platform::from_name(name).ok_or_else(|| format!("the platform \"{name}\" is not known"))
    };
    let mut policy = TenantPolicy::default();
    policy.secure_by_default = answer.secure_by_default;
    policy.auto_create_devices = answer.auto_create_devices;
    for (name, threshold) in &answer.thresholds {
        let known = Threshold::ALL
            .iter()
            .find(|known| known.name() == threshold);
        let known = known.ok_or_else(|| format!("the threshold \"{threshold}\" is not known"))?;
        policy.set_threshold(platform(name)?, *known);
    }
    for (name, blocked) in &answer.blocked_on_missing_partner_data {
        policy.set_blocked_on_missing(platform(name)?, *blocked);
    }
    let limits = &mut policy.sensor_limits;
    limits.inactive_seconds = answer
        .sensor_inactive_seconds
        .unwrap_or(limits.inactive_seconds);
    limits.no_sensor_data_seconds = answer
        .no_sensor_data_seconds
        .unwrap_or(limits.no_sensor_data_seconds);
    Ok(policy)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(threshold: &str) -> PolicyAnswer {
        let json = format!(
            r#"{{"tenant":"demo","revision":3,"secure_by_default":true,"auto_create_devices":true,
            "thresholds":{{"windows":"{threshold}","iOS":"clear"}},
            "blocked_on_missing_partner_data":{{"android":true}},"sensor_inactive_seconds":5}}"#
        );
        serde_json::from_str(&json).unwrap()
    }

    #[test]
    fn a_policy_is_read_by_name() {
        let policy = policy_of(answer("low")).unwrap();
        assert!(policy.secure_by_default);
        assert_eq!(policy.threshold(Platform::Windows), Threshold::Low);
        assert_eq!(policy.threshold(Platform::Ios), Threshold::Clear);
        assert_eq!(
            policy.threshold(Platform::AndroidEnterprise),
            Threshold::Medium
        );
        assert!(policy.blocked_on_missing(Platform::Android));
        assert_eq!(policy.sensor_limits.inactive_seconds, 5);
        assert_eq!(policy.sensor_limits.no_sensor_data_seconds, 48 * 3600);
    }

    #[test]
    fn a_name_that_is_not_known_is_told() {
        assert!(
            policy_of(answer("extreme"))
                .unwrap_err()
                .contains("extreme")
        );
    }
}
