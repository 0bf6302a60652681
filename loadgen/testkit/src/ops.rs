//! A client for the operations endpoint of a server.
//!
//! Blocking. Bounds: one minute per request, unless the caller sets another timeout, and 256 MiB per answer. Never uses
//! a proxy, whatever the environment says.

use std::{collections::HashMap, time::Duration};

use muster_engine::{Connector, DeviceRules, FacetWord, PlatformRules, TenantPolicy, Threshold};
use muster_wire::Platform;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value};
use ureq::http::{Request, Response};
use ureq::{Agent, Body};

use crate::oracle::Cells;

const TIMEOUT: Duration = Duration::from_secs(60);

/// Enough for some hundred thousand cells.
const ANSWER_BYTES_MAX: u64 = 256 << 20;

/// Why a request has no usable response.
#[derive(Debug, thiserror::Error)]
pub enum OpsError {
    /// The request failed.
    #[error("no answer from {url}: {source}")]
    Unreachable {
        /// The requested URL.
        url: String,
        /// The cause.
        source: Box<ureq::Error>,
    },
    /// The status is not a success.
    #[error("{url} answered {status}: {text}")]
    Refused {
        /// The requested URL.
        url: String,
        /// The status of the answer.
        status: u16,
        /// The beginning of the body.
        text: String,
    },
    /// The body is not what this version understands.
    #[error("unexpected answer from {url}: {problem}")]
    NotUnderstood {
        /// The requested URL.
        url: String,
        /// What is wrong with the body.
        problem: String,
    },
}

/// The operations endpoint of one server.
#[derive(Debug)]
pub struct Ops {
    /// `http://HOST:PORT`
    base: String,
    agent: Agent,
}

impl Ops {
    /// The endpoint at `base` (`http://HOST:PORT`). Sends no request.
    pub fn new(base: &str) -> Self {
        Self::with_timeout(base, TIMEOUT)
    }

    /// Like [`Ops::new`], with another timeout.
    pub fn with_timeout(base: &str, timeout: Duration) -> Self {
        let config = Agent::config_builder()
            .timeout_global(Some(timeout))
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None);
        Self {
            base: base.trim_end_matches('/').to_owned(),
            agent: config.build().new_agent(),
        }
    }

    /// The base URL, `http://HOST:PORT`.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Sends a GET request; returns the status and the body.
    ///
    /// # Errors
    /// If the request fails.
    pub fn get(&self, path: &str) -> Result<(u16, String), OpsError> {
        let url = format!("{}{path}", self.base);
        read(url, |url| self.agent.get(url).call())
    }

    /// Sends a POST request; returns the status and the body.
    ///
    /// # Errors
    /// If the request fails.
    pub fn post(&self, path: &str, body: &str) -> Result<(u16, String), OpsError> {
        let url = format!("{}{path}", self.base);
        read(url, |url| self.agent.post(url).send(body))
    }

    /// Sends a request that changes something, with `If-Match` if an ETag is given; returns the response.
    ///
    /// # Errors
    /// If the request fails.
    pub fn change(
        &self,
        method: &str,
        path: &str,
        if_match: Option<&str>,
        body: &str,
    ) -> Result<Changed, OpsError> {
        let url = format!("{}{path}", self.base);
        let mut changed = Changed::default();
        let (status, text) = read(url, |url| {
            let mut request = Request::builder().method(method).uri(url);
            if let Some(etag) = if_match {
                request = request.header("if-match", etag);
            }
            let request = request.body(body.to_owned()).map_err(ureq::Error::Http)?;
            let response = self.agent.run(request)?;
            let header = |name| Some(response.headers().get(name)?.to_str().ok()?.to_owned());
            changed.etag = header("etag");
            changed.devices = header("muster-devices-changed").and_then(|text| text.parse().ok());
            Ok(response)
        })?;
        changed.status = status;
        changed.text = text;
        Ok(changed)
    }
}

/// The response to a change.
#[derive(Clone, Debug, Default)]
pub struct Changed {
    /// The status.
    pub status: u16,
    /// The ETag of the changed object.
    pub etag: Option<String>,
    /// Number of devices whose state changed.
    pub devices: Option<u64>,
    /// The body.
    pub text: String,
}

fn read(
    url: String,
    request: impl FnOnce(&str) -> Result<Response<Body>, ureq::Error>,
) -> Result<(u16, String), OpsError> {
    let answer = request(&url).and_then(|mut answer| {
        let status = answer.status().as_u16();
        let body = answer.body_mut().with_config().limit(ANSWER_BYTES_MAX);
        Ok((status, body.read_to_string()?))
    });
    answer.map_err(|source| OpsError::Unreachable {
        url,
        source: Box::new(source),
    })
}

/// Reads the state of one tenant.
#[derive(Debug)]
pub struct TenantOps {
    ops: Ops,
    tenant: String,
}

/// One tenant's object of `GET /counts`: numbers, and an object of numbers for each dimension.
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
    facets: u64,
    count: u64,
}

#[derive(Debug, Deserialize)]
struct DeviceRequirements {
    os_minimum: Option<u64>,
    os_maximum: Option<u64>,
    blocks_jailbroken: bool,
    requires_encryption: bool,
}

impl From<DeviceRequirements> for DeviceRules {
    fn from(required: DeviceRequirements) -> Self {
        let none = Self::default();
        Self {
            os_minimum: required.os_minimum.unwrap_or(none.os_minimum),
            os_maximum: required.os_maximum.unwrap_or(none.os_maximum),
            blocks_jailbroken: required.blocks_jailbroken,
            requires_encryption: required.requires_encryption,
        }
    }
}

#[derive(Debug, Deserialize)]
struct PolicyAnswer {
    secure_by_default: bool,
    auto_create_devices: bool,
    policy_assigned: HashMap<String, bool>,
    thresholds: HashMap<String, String>,
    connector: HashMap<String, String>,
    blocked_on_missing_partner_data: HashMap<String, bool>,
    device_requirements: HashMap<String, DeviceRequirements>,
    sensor_inactive_seconds: Option<u32>,
    no_sensor_data_seconds: Option<u32>,
    report_valid_seconds: Option<u32>,
}

impl TenantOps {
    /// The endpoint at `server` (`http://HOST:PORT`). Sends no request.
    pub fn new(server: &str, tenant: &str) -> Self {
        Self {
            ops: Ops::new(server),
            tenant: tenant.to_owned(),
        }
    }

    /// The counts of the tenant.
    ///
    /// # Errors
    /// If the request fails, or the answer is not what this version understands.
    pub fn counts(&self) -> Result<CountsObject, OpsError> {
        let answer: CountsAnswer = self.get("counts")?;
        let is_ours = |counts: &CountsObject| {
            counts.get("tenant").and_then(Value::as_str) == Some(&self.tenant)
        };
        answer
            .tenants
            .into_iter()
            .find(is_ours)
            .ok_or_else(|| self.not_understood("counts", "the tenant is not in the answer"))
    }

    /// The counts of the tenant by cell.
    ///
    /// # Errors
    /// If the request fails, or the answer is not what this version understands.
    pub fn cells(&self) -> Result<Cells, OpsError> {
        let answer: CellsAnswer = self.get("cells")?;
        let ours = answer.cells.into_iter();
        let ours = ours.filter(|cell| cell.tenant == self.tenant);
        Ok(ours
            .map(|cell| (FacetWord(cell.facets), cell.count))
            .collect())
    }

    /// The rules of the tenant.
    ///
    /// # Errors
    /// If the request fails, or the answer is not what this version understands.
    pub fn policy(&self) -> Result<TenantPolicy, OpsError> {
        policy_of(self.get("policy")?).map_err(|problem| self.not_understood("policy", &problem))
    }

    fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, OpsError> {
        let (status, text) = read(self.url(path), |url| {
            let request = self.ops.agent.get(url);
            request.query("tenant", &self.tenant).call()
        })?;
        if !(200..300).contains(&status) {
            return Err(OpsError::Refused {
                url: self.url(path),
                status,
                text: text.chars().take(200).collect(),
            });
        }
        serde_json::from_str(&text).map_err(|error| self.not_understood(path, &error.to_string()))
    }

    fn url(&self, path: &str) -> String {
        format!("{}/{path}", self.ops.base)
    }

    fn not_understood(&self, path: &str, problem: &str) -> OpsError {
        OpsError::NotUnderstood {
            url: self.url(path),
            problem: problem.to_owned(),
        }
    }
}

fn policy_of(answer: PolicyAnswer) -> Result<TenantPolicy, String> {
    let platform = |name: &str| {
        Platform::from_name(name).ok_or_else(|| format!("unknown platform \"{name}\""))
    };
    let mut policy = TenantPolicy::default();
    policy.secure_by_default = answer.secure_by_default;
    policy.auto_create_devices = answer.auto_create_devices;
    for (name, policy_assigned) in answer.policy_assigned {
        let known = |map: &HashMap<String, String>| map.get(&name).cloned().unwrap_or_default();
        let (threshold, connector) = (known(&answer.thresholds), known(&answer.connector));
        let mut thresholds = Threshold::ALL.iter().copied();
        let threshold = thresholds
            .find(|known| known.name() == threshold)
            .ok_or_else(|| format!("unknown threshold \"{threshold}\""))?;
        let mut states = Connector::ALL.iter().copied();
        let connector = states
            .find(|known| known.name() == connector)
            .ok_or_else(|| format!("unknown state of the connector \"{connector}\""))?;
        let blocked = &answer.blocked_on_missing_partner_data;
        let of_platform = PlatformRules {
            policy_assigned,
            threshold,
            connector,
            blocked_on_missing: blocked.get(&name).copied().unwrap_or_default(),
            device: DeviceRules::default(),
        };
        policy.change_platform(platform(&name)?, |rules| *rules = of_platform);
    }
    for (name, required) in answer.device_requirements {
        policy.change_platform(platform(&name)?, |rules| rules.device = required.into());
    }
    let limits = &mut policy.sensor_limits;
    limits.inactive_seconds = answer
        .sensor_inactive_seconds
        .unwrap_or(limits.inactive_seconds);
    limits.no_sensor_data_seconds = answer
        .no_sensor_data_seconds
        .unwrap_or(limits.no_sensor_data_seconds);
    if let Some(seconds) = answer.report_valid_seconds {
        policy.validity_seconds = seconds;
    }
    Ok(policy)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(threshold: &str) -> PolicyAnswer {
        let json = format!(
            r#"{{"tenant":"demo","revision":3,"secure_by_default":true,"auto_create_devices":true,
            "policy_assigned":{{"windows":true,"iOS":false}},
            "thresholds":{{"windows":"{threshold}","iOS":"notSet"}},
            "connector":{{"windows":"enabled","iOS":"platformToggleOff"}},
            "blocked_on_missing_partner_data":{{"windows":false,"iOS":true}},
            "device_requirements":{{"windows":{{"os_minimum":7,"os_maximum":null,"blocks_jailbroken":false,
            "requires_encryption":true}}}},"sensor_inactive_seconds":5}}"#
        );
        serde_json::from_str(&json).unwrap()
    }

    #[test]
    fn a_policy_is_parsed_by_name() {
        let policy = policy_of(answer("low")).unwrap();
        assert!(policy.secure_by_default);
        let windows = PlatformRules {
            policy_assigned: true,
            threshold: Threshold::Low,
            connector: Connector::Enabled,
            blocked_on_missing: false,
            device: DeviceRules {
                os_minimum: 7,
                requires_encryption: true,
                ..DeviceRules::default()
            },
        };
        assert_eq!(*policy.platform(Platform::Windows), windows);
        let ios = PlatformRules {
            policy_assigned: false,
            threshold: Threshold::NotSet,
            connector: Connector::PlatformToggleOff,
            blocked_on_missing: true,
            device: DeviceRules::default(),
        };
        assert_eq!(*policy.platform(Platform::Ios), ios);
        let others = policy.platform(Platform::AndroidEnterprise);
        assert_eq!(*others, PlatformRules::default());
        assert_eq!(policy.sensor_limits.inactive_seconds, 5);
        assert_eq!(policy.sensor_limits.no_sensor_data_seconds, 48 * 3600);
    }

    #[test]
    fn an_unknown_name_is_reported() {
        assert!(
            policy_of(answer("extreme"))
                .unwrap_err()
                .contains("extreme")
        );
    }
}
