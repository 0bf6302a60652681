//! The operators' API over HTTPS while devices check in: counts, lists, single devices, exports, and what they take from
//! ingest.
//!
//! One run on a real server: `muster serve` on an empty directory, a fleet of `muster-loadgen` with inventories, policies
//! made through the API. The generator sends all the time. A response without the rows that it must have ends the run, and
//! the counts are compared with a recount at the end. Bounds: the devices and the time for each query.

mod client;
mod export;
mod fleet;
mod outcome;
mod queries;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::ensure;
use muster_ingest::clock;
use serde_json::json;

use crate::capacity::environment::{Environment, ServerProcess};
use crate::capacity::{CapacityOptions, Section};
use crate::machine::{self, Machine};
use crate::parts::Size;
use client::Target;
use outcome::Beside;
use queries::Query;

pub use outcome::Outcome;

/// Policies that the bench makes.
const POLICIES: usize = 50;

/// One device in this many has facets that no other device has.
const RARE_ONE_IN: u64 = 100_000;

/// Devices whose documents are queried.
const SINGLE_DEVICES: usize = 64;

/// Queries a second beside ingest.
const QUERIES_PER_SECOND: u32 = 100;

/// The time for the fleet to be complete.
const FILL_MAX: Duration = Duration::from_secs(1_800);

/// What to run.
#[derive(Clone, Debug)]
pub struct ApiOptions {
    /// Devices of the generator.
    pub devices: u64,
    /// Check-ins a second; `None` for as many as the server takes.
    pub rate: Option<f64>,
    /// For each query.
    pub time: Duration,
    /// The directory for temporary data directories.
    pub directory: PathBuf,
    /// The directory with `muster` and `muster-loadgen`.
    pub programs: PathBuf,
}

/// Runs the bench. `log` is called with a line for each step.
///
/// # Errors
/// If something cannot be measured, a response is wrong, or the counts differ from a recount.
pub fn run(options: &ApiOptions, log: &mut dyn FnMut(&str)) -> anyhow::Result<Outcome> {
    let started = clock::stamp();
    let mut log = |step: &str| {
        let seconds = clock::stamp().since(started).as_secs();
        log(&format!("{seconds:5} s  {step}"));
    };
    let machine = Machine::read();
    let environment = Environment::create(
        &CapacityOptions {
            size: Size::Full,
            rounds: 1,
            only: Section::ALL.to_vec(),
            directory: options.directory.clone(),
            programs: options.programs.clone(),
        },
        1,
    )?;
    let server = environment.serve()?;
    let target = target(&environment, &server)?;
    log("making policies");
    environment.block_on(make_policies(&target))?;
    log("filling the server");
    let rare = options.devices / RARE_ONE_IN + 1;
    let ids = fleet::add_rare(&environment, &server, rare)?;
    let mut ingest = fleet::start(&environment, &server, options.devices, options.rate)?;
    // An inventory and a check-in of each device.
    let records = 2.0 * (options.devices + rare) as f64;
    ingest.until(&environment, FILL_MAX, || {
        fleet::acknowledged(&server).is_ok_and(|acknowledged| acknowledged >= records)
    })?;
    let ids = ids.iter().take(SINGLE_DEVICES).map(ToString::to_string);
    let queries = queries::all(options.devices, rare, &ids.collect::<Vec<_>>());
    let mut measured = Vec::new();
    for query in &queries {
        log(query.name);
        measured.push(environment.block_on(query.measure(&target, options.time))?);
    }
    let mut exports = Vec::new();
    for format in ["csv", "json"] {
        log(&format!("export as {format}"));
        let export = export::measure(&target, &server, format, options.devices + rare);
        exports.push(environment.block_on(export)?);
    }
    log("ingest without and with queries");
    let beside = beside(options, &environment, &server, &target, &queries)?;
    let server_bytes = server.resident_bytes()?;
    drop(ingest);
    server.verify(options.devices + rare)?;
    server.stop()?;
    Ok(Outcome {
        machine,
        load_after: machine::load(),
        file_system: machine::file_system(&options.directory),
        devices: options.devices + rare,
        policies: POLICIES,
        rate: options.rate,
        time: options.time,
        server_bytes,
        queries: measured,
        exports,
        beside,
    })
}

fn beside(
    options: &ApiOptions,
    environment: &Environment,
    server: &ServerProcess<'_>,
    target: &Target,
    queries: &[Query],
) -> anyhow::Result<Beside> {
    let (alone, ()) = fleet::rate_during(server, || {
        environment.block_on(async {
            tokio::time::sleep(options.time).await;
            Ok(())
        })
    })?;
    let (with_queries, (latencies, answered)) = fleet::rate_during(server, || {
        let asked = queries::beside(queries, target, QUERIES_PER_SECOND, options.time);
        environment.block_on(asked)
    })?;
    Ok(Beside {
        alone,
        with_queries,
        asked: QUERIES_PER_SECOND,
        answered,
        latencies,
    })
}

fn target(environment: &Environment, server: &ServerProcess<'_>) -> anyhow::Result<Target> {
    let api = server.addresses().api.clone().unwrap_or_default();
    let token = environment.token(server, "Administrator")?;
    Target::new(&api, token, &environment.authority())
}

/// Makes policies that apply to all devices of their platform.
async fn make_policies(target: &Target) -> anyhow::Result<()> {
    const PATH: &str = "/v1.0/deviceManagement/deviceCompliancePolicies";
    let types = ["windows10", "ios", "android", "androidWorkProfile"];
    let levels = ["low", "medium", "high"];
    let mut connection = target.connect().await?;
    for number in 0..POLICIES {
        let policy = json!({
            "@odata.type": format!("#microsoft.graph.{}CompliancePolicy", types[number % types.len()]),
            "displayName": format!("Policy {number}"),
            "deviceThreatProtectionEnabled": true,
            "deviceThreatProtectionRequiredSecurityLevel": levels[number % levels.len()],
            "scheduledActionsForRule": [{
                "scheduledActionConfigurations": [{ "actionType": "block" }],
            }],
        });
        let made = connection.call("POST", PATH, Some(&policy)).await?;
        let id = made["id"].as_str().unwrap_or_default();
        let assignments = json!({ "assignments": [{
            "target": { "@odata.type": "#microsoft.graph.allDevicesAssignmentTarget" },
        }]});
        connection
            .call("POST", &format!("{PATH}/{id}/assign"), Some(&assignments))
            .await?;
    }
    let count = connection.get(&format!("{PATH}/$count")).await?;
    let count: usize = std::str::from_utf8(&count)?.parse()?;
    ensure!(count >= POLICIES, "{count} policies");
    Ok(())
}
