//! A whole run: reads the policy, makes the fleet, sends, reads the counts, and compares them.
//!
//! Owner: the main thread, which blocks; the connections run on a tokio runtime.

use std::{io::IsTerminal, sync::Arc, time::Duration};

use indicatif::{ProgressBar, ProgressStyle};
use muster_client::Pem;
use muster_engine::{TenantPolicy, Timestamp};
use serde_json::{Map, Value, json};
use tokio::runtime::Runtime;

use muster_testkit::{
    cadence::Cadence,
    clock,
    fleet::{DeviceSet, FleetPart, Shape, Tally},
    identities::{self, IdentityFile, Kind},
    ops::TenantOps,
    oracle::ExpectedCounts,
    schedule::{Schedule, Timing},
    usage::resident_bytes,
};

use crate::{
    cli::{EnvironmentArguments, FleetArguments, OutputArguments, RunArguments},
    driver::{self, ConnectionSpec, LiveCounters, Load, Measurements, Target},
    error::RunError,
    profile::Profile,
    report::{Phase, Report, Setup},
    verify::Verdict,
};

/// The update interval of the progress bar.
const TICK: Duration = Duration::from_millis(100);

/// The parameters of a run.
#[derive(Debug, Clone)]
pub struct RunPlan {
    /// The server, and the identities to connect with.
    pub environment: EnvironmentArguments,
    /// The fleet.
    pub fleet: FleetArguments,
    /// The behaviour of the fleet.
    pub shape: Shape,
    /// `run`, or the name of a scenario.
    pub workload: &'static str,
    /// Check-ins to send; ignored if there is a cadence.
    pub check_ins: u64,
    /// The offered load.
    pub load: Load,
    /// The cadence of the devices, if they have a schedule.
    pub cadence: Option<(Cadence, Timing)>,
    /// Whether there is a warm-up, in which every device checks in once.
    pub warm_up: bool,
    /// The options of the workload, for the report.
    pub parameters: Map<String, Value>,
    /// Phases that are reported separately.
    pub phases: Vec<Phase>,
}

impl From<&RunArguments> for RunPlan {
    fn from(arguments: &RunArguments) -> Self {
        let profile = arguments.profile();
        let time_max = arguments
            .seconds
            .map(Duration::from_secs_f64)
            .or_else(|| profile.end());
        let parameters = json!({
            "check_ins": arguments.check_ins,
            "rate": arguments.rate,
            "ramp": arguments.ramp,
            "ramp_step_seconds": arguments.ramp.map(|_| arguments.step_seconds),
            "end_seconds": arguments.seconds,
        });
        Self {
            environment: arguments.environment.clone(),
            fleet: arguments.fleet.clone(),
            shape: arguments.shape(),
            workload: "run",
            check_ins: arguments.check_ins(),
            phases: Phase::of_steps(&profile),
            load: Load {
                profile,
                time_max,
                reconnect_within: None,
            },
            cadence: None,
            warm_up: false,
            parameters: parameters.as_object().cloned().unwrap_or_default(),
        }
    }
}

/// A run before it starts.
pub(crate) struct PreparedRun {
    plan: RunPlan,
    ops: Option<TenantOps>,
    policy: Option<TenantPolicy>,
    server_rss_base_bytes: Option<u64>,
    connections: usize,
}

/// Performs the `run` workload.
///
/// # Errors
/// If the run has no result. Counts that differ are a result.
pub fn run(arguments: &RunArguments) -> Result<Report, RunError> {
    arguments.check()?;
    execute(RunPlan::from(arguments), &arguments.output)
}

/// Performs a run.
///
/// # Errors
/// If the run has no result. Counts that differ are a result.
pub fn execute(plan: RunPlan, output: &OutputArguments) -> Result<Report, RunError> {
    let (prepared, specs) = prepare(plan)?;
    let plan = &prepared.plan;
    let runtime = runtime(plan.environment.threads)?;
    let live = Arc::new(LiveCounters::default());
    let bar = progress_bar(plan, output, &runtime, &live);
    let target = target(plan);
    let result = runtime.block_on(driver::run(&target, specs, &plan.load, plan.warm_up, live));
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    let (parts, measured) = result?;
    prepared.report(&parts, measured)
}

/// Checks that a run is possible, and makes its fleet.
pub(crate) fn prepare(mut plan: RunPlan) -> Result<(PreparedRun, Vec<ConnectionSpec>), RunError> {
    plan.environment.check()?;
    plan.fleet.check()?;
    let mut specs = specs(&plan)?;
    if let Some((cadence, timing)) = plan.cadence {
        plan.load.profile = schedule(&mut specs, cadence, timing, plan.shape.seed);
    }
    let environment = &plan.environment;
    let ops = environment
        .ops
        .as_ref()
        .map(|server| TenantOps::new(server, &environment.tenant));
    let policy = match &ops {
        Some(ops) if !environment.no_verify => Some(policy_of(ops, &environment.tenant)?),
        _ => None,
    };
    let prepared = PreparedRun {
        server_rss_base_bytes: environment.server_pid.and_then(resident_bytes),
        connections: specs.len(),
        plan,
        ops,
        policy,
    };
    Ok((prepared, specs))
}

/// Schedules the check-ins of all devices; returns the offered load.
fn schedule(specs: &mut [ConnectionSpec], cadence: Cadence, timing: Timing, seed: u64) -> Profile {
    let mut offered = Vec::new();
    for spec in specs {
        let due = spec
            .part
            .set_schedule(|devices, first| Schedule::new(cadence, timing, seed, devices, first));
        if offered.len() < due.len() {
            offered.resize(due.len(), 0);
        }
        for (sum, due) in offered.iter_mut().zip(due) {
            *sum += due;
        }
    }
    Profile::Schedule(offered)
}

impl PreparedRun {
    pub(crate) const fn plan(&self) -> &RunPlan {
        &self.plan
    }

    /// Reads the server's counts and compares them with the expected counts.
    pub(crate) fn report(
        self,
        parts: &[FleetPart],
        measured: Measurements,
    ) -> Result<Report, RunError> {
        let (plan, connections) = (self.plan, self.connections);
        let setup = Setup {
            workload: plan.workload,
            mode: plan.fleet.kind.name(),
            shape: plan.shape,
            devices: plan.fleet.devices,
            connections,
            frame: plan.fleet.frame(),
            window: plan.fleet.window,
            rate: constant_rate(&plan.load.profile),
            load: plan.load,
            timing: plan.cadence.map(|(_, timing)| timing),
            parameters: plan.parameters,
            phases: plan.phases,
        };
        let mut report = Report {
            setup,
            measured,
            counts: self.ops.as_ref().map(TenantOps::counts).transpose()?,
            verdict: None,
            server_rss_base_bytes: self.server_rss_base_bytes,
            server_rss_bytes: plan.environment.server_pid.and_then(resident_bytes),
            other: None,
        };
        if let (Some(policy), Some(ops)) = (self.policy, self.ops) {
            report.verdict = Some(compare(&report, parts, &policy, &ops)?);
        }
        Ok(report)
    }
}

fn constant_rate(profile: &Profile) -> Option<f64> {
    match profile {
        Profile::Steps(steps) if steps.len() == 1 => steps.first().map(|step| step.rate),
        _ => None,
    }
}

/// The tenant's rules, if verification is possible.
fn policy_of(ops: &TenantOps, tenant: &str) -> Result<TenantPolicy, RunError> {
    let policy = ops.policy()?;
    if !policy.auto_create_devices {
        return Err(RunError::Configuration(format!(
            "tenant {tenant} does not create devices automatically, so it would reject this fleet; set \
             autoCreateDevices in its settings, or pass --no-verify",
        )));
    }
    let devices: u64 = ops.cells()?.values().sum();
    if devices > 0 {
        return Err(RunError::Usage(format!(
            "tenant {tenant} already has {devices} devices, but verification requires a tenant without devices; use \
             an empty tenant, or pass --no-verify",
        )));
    }
    Ok(policy)
}

/// The fleet, split into one part per connection: first the gateways, then the devices with their own connection.
fn specs(plan: &RunPlan) -> Result<Vec<ConnectionSpec>, RunError> {
    let (environment, fleet) = (&plan.environment, &plan.fleet);
    let find = |kind| identities::find(&environment.identities, &environment.tenant, kind);
    let (gateways, direct) = (fleet.gateways(), fleet.direct());
    let behind_gateways = fleet.devices - direct;
    let mut specs = Vec::new();
    if gateways > 0 {
        // A gateway may have several connections.
        for (number, file) in (0..gateways).zip(find(Kind::Gateway)?.iter().cycle()) {
            let first = behind_gateways * number / gateways;
            let count = behind_gateways * (number + 1) / gateways - first;
            let devices = DeviceSet::Range { first, count };
            specs.push(spec(plan, file, &devices, fleet.frame()));
        }
    }
    if direct > 0 {
        let found = find(Kind::Device)?;
        if (found.len() as u64) < direct {
            return Err(RunError::Usage(format!(
                "{} has certificates of {} devices, but {direct} are to connect directly",
                environment.identities.display(),
                found.len(),
            )));
        }
        let frame = if fleet.kind == Kind::Device {
            fleet.frame()
        } else {
            1
        };
        for (number, file) in (behind_gateways..fleet.devices).zip(&found) {
            let Some(id) = file.device_id() else { continue };
            specs.push(spec(plan, file, &DeviceSet::Single(id, number), frame));
        }
    }
    Ok(specs)
}

/// The specification of one connection, with its devices' share of the check-ins.
fn spec(plan: &RunPlan, file: &IdentityFile, devices: &DeviceSet, frame: usize) -> ConnectionSpec {
    let (first, count) = match *devices {
        DeviceSet::Range { first, count } => (first, count),
        DeviceSet::Single(_, number) => (number, 1),
    };
    // The number of check-ins of all devices before this one; the shares add up exactly.
    let end = |number: u64| {
        let check_ins = u128::from(plan.check_ins) * u128::from(number);
        u64::try_from(check_ins / u128::from(plan.fleet.devices)).unwrap_or(u64::MAX)
    };
    let part = FleetPart::new(&plan.shape, devices, end(first + count) - end(first));
    ConnectionSpec {
        identity: Pem::file(&file.path),
        part,
        frame,
    }
}

/// The tokio runtime of the connections.
pub(crate) fn runtime(threads: Option<u16>) -> Result<Runtime, RunError> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if let Some(threads) = threads {
        builder.worker_threads(usize::from(threads));
    }
    builder
        .thread_name("muster-loadgen")
        .enable_all()
        .build()
        .map_err(|error| RunError::Internal(format!("cannot start threads: {error}")))
}

pub(crate) fn target(plan: &RunPlan) -> Target {
    Target {
        server: plan.environment.target,
        ca: Pem::file(&plan.environment.ca),
        window: plan.fleet.window,
        server_pid: plan.environment.server_pid,
    }
}

/// A progress bar, if standard error is a terminal.
fn progress_bar(
    plan: &RunPlan,
    output: &OutputArguments,
    runtime: &Runtime,
    live: &Arc<LiveCounters>,
) -> Option<ProgressBar> {
    if output.json || !std::io::stderr().is_terminal() {
        return None;
    }
    let template = "{bar:40} {human_pos} of {human_len} check-ins durable, {per_sec}, {eta} left";
    let style =
        ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    let offered = plan
        .load
        .time_max
        .and_then(|end| plan.load.profile.offered_by(end));
    let expected = match &plan.load.profile {
        Profile::Schedule(due) => due.iter().sum(),
        _ => offered.map_or(plan.check_ins, |offered| plan.check_ins.min(offered as u64)),
    };
    let bar = ProgressBar::new(expected).with_style(style);
    let (shown, live) = (bar.clone(), Arc::clone(live));
    runtime.spawn(async move {
        let mut ticks = tokio::time::interval(TICK);
        loop {
            ticks.tick().await;
            shown.set_position(live.acked());
        }
    });
    Some(bar)
}

fn compare(
    report: &Report,
    parts: &[FleetPart],
    policy: &TenantPolicy,
    ops: &TenantOps,
) -> Result<Verdict, RunError> {
    let now = Timestamp::from_millis(clock::millis());
    let expected = ExpectedCounts::of(parts, policy, now);
    let counts = report.counts.clone().unwrap_or_default();
    let mut verdict = Verdict::of(&expected, &counts, &ops.cells()?);
    if report.reconnects() == 0 {
        let [accepted, duplicate, stale, rejected] = report.answers().map(|(_, count)| count);
        let found = Tally {
            accepted,
            duplicate,
            stale,
        };
        verdict.compare_answers(tally(parts), found, rejected);
    }
    Ok(verdict)
}

/// How all check-ins must have been answered.
fn tally(parts: &[FleetPart]) -> Tally {
    parts
        .iter()
        .map(FleetPart::tally)
        .fold(Tally::default(), |sum, part| Tally {
            accepted: sum.accepted + part.accepted,
            duplicate: sum.duplicate + part.duplicate,
            stale: sum.stale + part.stale,
        })
}
