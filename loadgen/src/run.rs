//! The order of a run: ask for the policy, make the fleet, send, ask, compare.
//!
//! Owner: the main thread, which blocks; the connections have a runtime of their own.

use std::{io::IsTerminal, sync::Arc, time::Duration};

use indicatif::{ProgressBar, ProgressStyle};
use muster_client::Pem;
use muster_engine::{TenantPolicy, Timestamp};
use serde_json::{Map, Value, json};
use tokio::runtime::Runtime;

use muster_testkit::{
    cadence::Cadence,
    clock,
    fleet::{Members, Part, Shape, Tally},
    identities::{self, IdentityFile, Kind},
    ops::TenantOps,
    oracle::Prediction,
    schedule::{Pass, Schedule},
    usage::resident_bytes,
};

use crate::{
    cli::{EnvironmentArguments, FleetArguments, OutputArguments, RunArguments},
    driver::{self, Live, Load, Measured, Member, Plan},
    error::RunError,
    profile::Profile,
    report::{Phase, Report, Setup},
    verify::Verdict,
};

/// How often the progress bar moves.
const TICK: Duration = Duration::from_millis(100);

/// What to do in a run: which fleet sends what, and what the report calls it.
#[derive(Debug, Clone)]
pub struct Order {
    /// Which server, and as whom.
    pub environment: EnvironmentArguments,
    /// Which fleet.
    pub fleet: FleetArguments,
    /// How it behaves.
    pub shape: Shape,
    /// `run`, or the name of a scenario.
    pub workload: &'static str,
    /// Check-ins to send; with a schedule that says how many.
    pub check_ins: u64,
    /// When they are sent.
    pub load: Load,
    /// When the devices check in, if that is up to each of them.
    pub cadence: Option<(Cadence, Pass)>,
    /// Whether every device checks in once before.
    pub settle: bool,
    /// The options of the workload, as the report shows them.
    pub parameters: Map<String, Value>,
    /// Parts of the run that the report looks at on their own.
    pub phases: Vec<Phase>,
}

impl From<&RunArguments> for Order {
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
                storm: None,
            },
            cadence: None,
            settle: false,
            parameters: parameters.as_object().cloned().unwrap_or_default(),
        }
    }
}

/// A run that is about to begin.
pub(crate) struct Prepared {
    order: Order,
    ops: Option<TenantOps>,
    policy: Option<TenantPolicy>,
    server_rss_base_bytes: Option<u64>,
    connections: usize,
}

/// Does one run.
///
/// # Errors
/// Whatever keeps it from having a result. Counts that differ are a result.
pub fn run(arguments: &RunArguments) -> Result<Report, RunError> {
    arguments.check()?;
    execute(Order::from(arguments), &arguments.output)
}

/// Does what an order says.
///
/// # Errors
/// Whatever keeps it from having a result. Counts that differ are a result.
pub fn execute(order: Order, output: &OutputArguments) -> Result<Report, RunError> {
    let (prepared, members) = prepare(order)?;
    let order = &prepared.order;
    let runtime = runtime(order.environment.threads)?;
    let live = Arc::new(Live::default());
    let bar = progress_bar(order, output, &runtime, &live);
    let plan = plan(order);
    let result = runtime.block_on(driver::run(&plan, members, &order.load, order.settle, live));
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    let (parts, measured) = result?;
    prepared.report(&parts, measured)
}

/// Looks whether a run can be had, and makes its fleet.
pub(crate) fn prepare(mut order: Order) -> Result<(Prepared, Vec<Member>), RunError> {
    order.environment.check()?;
    order.fleet.check()?;
    let mut members = members(&order)?;
    if let Some((cadence, pass)) = order.cadence {
        order.load.profile = follow(&mut members, cadence, pass, order.shape.seed);
    }
    let environment = &order.environment;
    let ops = environment
        .ops
        .as_ref()
        .map(|server| TenantOps::new(server, &environment.tenant));
    let policy = match &ops {
        Some(ops) if !environment.no_verify => Some(policy_of(ops, &environment.tenant)?),
        _ => None,
    };
    let prepared = Prepared {
        server_rss_base_bytes: environment.server_pid.and_then(resident_bytes),
        connections: members.len(),
        order,
        ops,
        policy,
    };
    Ok((prepared, members))
}

/// Gives every device its times; returns what that offers.
fn follow(members: &mut [Member], cadence: Cadence, pass: Pass, seed: u64) -> Profile {
    let mut offered = Vec::new();
    for member in members {
        let due = member
            .part
            .follow(|devices, first| Schedule::new(cadence, pass, seed, devices, first));
        if offered.len() < due.len() {
            offered.resize(due.len(), 0);
        }
        for (sum, due) in offered.iter_mut().zip(due) {
            *sum += due;
        }
    }
    Profile::Schedule(offered)
}

impl Prepared {
    pub(crate) const fn order(&self) -> &Order {
        &self.order
    }

    /// Asks the server, and compares.
    pub(crate) fn report(self, parts: &[Part], measured: Measured) -> Result<Report, RunError> {
        let (order, fleet) = (self.order, self.connections);
        let setup = Setup {
            workload: order.workload,
            mode: order.fleet.kind.name(),
            shape: order.shape,
            devices: order.fleet.devices,
            connections: fleet,
            frame: order.fleet.frame(),
            window: order.fleet.window,
            rate: constant_rate(&order.load.profile),
            load: order.load,
            pass: order.cadence.map(|(_, pass)| pass),
            parameters: order.parameters,
            phases: order.phases,
        };
        let mut report = Report {
            setup,
            measured,
            counts: self.ops.as_ref().map(TenantOps::counts).transpose()?,
            verdict: None,
            server_rss_base_bytes: self.server_rss_base_bytes,
            server_rss_bytes: order.environment.server_pid.and_then(resident_bytes),
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

/// The tenant's rules, if a prediction can be made at all.
fn policy_of(ops: &TenantOps, tenant: &str) -> Result<TenantPolicy, RunError> {
    let policy = ops.policy()?;
    if !policy.auto_create_devices {
        return Err(RunError::Configuration(format!(
            "tenant {tenant} does not create devices by itself, so it will reject this fleet; set \
             auto_create_devices, or pass --no-verify",
        )));
    }
    let devices: u64 = ops.cells()?.values().sum();
    if devices > 0 {
        return Err(RunError::Usage(format!(
            "tenant {tenant} already has {devices} devices, and the prediction starts from none; use an \
             empty tenant, or pass --no-verify",
        )));
    }
    Ok(policy)
}

/// The fleet, cut into one part for each connection: those of the gateways, then the devices that
/// connect by themselves.
fn members(order: &Order) -> Result<Vec<Member>, RunError> {
    let (environment, fleet) = (&order.environment, &order.fleet);
    let find = |kind| identities::find(&environment.identities, &environment.tenant, kind);
    let (gateways, direct) = (fleet.gateways(), fleet.direct());
    let behind_gateways = fleet.devices - direct;
    let mut members = Vec::new();
    if gateways > 0 {
        // Several connections of one gateway are as good as several gateways.
        for (number, file) in (0..gateways).zip(find(Kind::Gateway)?.iter().cycle()) {
            let first = behind_gateways * number / gateways;
            let count = behind_gateways * (number + 1) / gateways - first;
            let devices = Members::Numbered { first, count };
            members.push(member(order, file, &devices, fleet.frame()));
        }
    }
    if direct > 0 {
        let found = find(Kind::Device)?;
        if (found.len() as u64) < direct {
            return Err(RunError::Usage(format!(
                "{} holds certificates of {} devices, and {direct} are to connect",
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
            members.push(member(order, file, &Members::One(id, number), frame));
        }
    }
    Ok(members)
}

/// One connection, with the share of the check-ins that its devices have in the fleet.
fn member(order: &Order, file: &IdentityFile, devices: &Members, frame: usize) -> Member {
    let (first, count) = match *devices {
        Members::Numbered { first, count } => (first, count),
        Members::One(_, number) => (number, 1),
    };
    // Where the check-ins of the devices before this number end; the shares add up exactly.
    let end = |number: u64| {
        let check_ins = u128::from(order.check_ins) * u128::from(number);
        u64::try_from(check_ins / u128::from(order.fleet.devices)).unwrap_or(u64::MAX)
    };
    let part = Part::new(&order.shape, devices, end(first + count) - end(first));
    Member {
        identity: Pem::file(&file.path),
        part,
        frame,
    }
}

/// Threads for connections.
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

pub(crate) fn plan(order: &Order) -> Plan {
    Plan {
        server: order.environment.target,
        ca: Pem::file(&order.environment.ca),
        window: order.fleet.window,
        server_pid: order.environment.server_pid,
    }
}

/// A bar on standard error, if somebody looks at it.
fn progress_bar(
    order: &Order,
    output: &OutputArguments,
    runtime: &Runtime,
    live: &Arc<Live>,
) -> Option<ProgressBar> {
    if output.json || !std::io::stderr().is_terminal() {
        return None;
    }
    let template = "{bar:40} {human_pos} of {human_len} check-ins durable, {per_sec}, {eta} left";
    let style =
        ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    let offered = order
        .load
        .time_max
        .and_then(|end| order.load.profile.offered_by(end));
    let expected = match &order.load.profile {
        Profile::Schedule(due) => due.iter().sum(),
        _ => offered.map_or(order.check_ins, |offered| {
            order.check_ins.min(offered as u64)
        }),
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
    parts: &[Part],
    policy: &TenantPolicy,
    ops: &TenantOps,
) -> Result<Verdict, RunError> {
    let now = Timestamp::from_millis(clock::millis());
    let prediction = Prediction::of(parts, policy, now);
    let counts = report.counts.clone().unwrap_or_default();
    let mut verdict = Verdict::of(&prediction, &counts, &ops.cells()?);
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

/// How all check-ins should have been answered.
fn tally(parts: &[Part]) -> Tally {
    parts
        .iter()
        .map(Part::tally)
        .fold(Tally::default(), |sum, part| Tally {
            accepted: sum.accepted + part.accepted,
            duplicate: sum.duplicate + part.duplicate,
            stale: sum.stale + part.stale,
        })
}
