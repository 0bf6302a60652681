//! The order of a run: look, make the fleet, send, ask, compare.
//!
//! Owner: the main thread, which blocks; the connections have a runtime of their own.

use std::{
    io::IsTerminal,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressStyle};
use muster_engine::{TenantPolicy, Timestamp};
use tokio::runtime::Runtime;

use crate::{
    cli::RunArguments,
    clock,
    driver::{self, Live, Measured, Member, Plan},
    error::RunError,
    fleet::{Members, Part, Tally},
    identities::{self, IdentityFile, Kind},
    ops::Ops,
    oracle::Prediction,
    process::resident_bytes,
    report::{Report, Setup},
    verify::Verdict,
};

/// Connections of gateways where nobody says how many: enough to keep two cores busy with TLS.
const GATEWAYS_DEFAULT: u64 = 2;

/// How often the progress bar moves.
const TICK: Duration = Duration::from_millis(100);

/// Does one run.
///
/// # Errors
/// Whatever keeps it from having a result. Counts that differ are a result.
pub fn run(arguments: &RunArguments) -> Result<Report, RunError> {
    arguments.check()?;
    let found = identities::find(&arguments.identities, &arguments.tenant, arguments.kind)?;
    if arguments.kind == Kind::Device && (found.len() as u64) < arguments.devices {
        return Err(RunError::Usage(format!(
            "{} holds certificates of {} devices, fewer than --devices {}",
            arguments.identities.display(),
            found.len(),
            arguments.devices
        )));
    }
    let ops = arguments
        .ops
        .as_ref()
        .map(|server| Ops::new(server, &arguments.tenant));
    let policy = match &ops {
        Some(ops) if !arguments.no_verify => Some(look(ops, arguments)?),
        _ => None,
    };
    let server_rss_base_bytes = arguments.server_pid.and_then(resident_bytes);

    let members = members(arguments, &found);
    let setup = Setup {
        mode: arguments.kind.name(),
        seed: arguments.seed,
        devices: arguments.devices,
        connections: members.len(),
        frame: arguments.frame(),
        window: arguments.window,
        rate: arguments.rate,
    };
    let (parts, measured) = send(arguments, members)?;
    let server_rss_bytes = arguments.server_pid.and_then(resident_bytes);

    let counts = ops.as_ref().map(Ops::counts).transpose()?;
    let mut report = Report {
        setup,
        measured,
        counts,
        verdict: None,
        server_rss_base_bytes,
        server_rss_bytes,
    };
    if let (Some(policy), Some(ops)) = (policy, ops) {
        report.verdict = Some(compare(&report, &parts, &policy, &ops)?);
    }
    Ok(report)
}

/// The tenant's rules, if a prediction can be made at all.
fn look(ops: &Ops, arguments: &RunArguments) -> Result<TenantPolicy, RunError> {
    let policy = ops.policy()?;
    if !policy.auto_create_devices {
        return Err(RunError::Configuration(format!(
            "tenant {} does not create devices by itself, so it will reject this fleet; set \
             auto_create_devices, or pass --no-verify",
            arguments.tenant
        )));
    }
    let devices: u64 = ops.cells()?.values().sum();
    if devices > 0 {
        return Err(RunError::Usage(format!(
            "tenant {} already has {devices} devices, and the prediction starts from none; use an \
             empty tenant, or pass --no-verify",
            arguments.tenant
        )));
    }
    Ok(policy)
}

/// The fleet, cut into one part for each connection.
fn members(arguments: &RunArguments, found: &[IdentityFile]) -> Vec<Member> {
    let devices = arguments.devices;
    let connections = match arguments.kind {
        Kind::Gateway => arguments.gateways.unwrap_or(GATEWAYS_DEFAULT).min(devices),
        Kind::Device => devices,
    };
    let shape = arguments.shape();
    // The share of connection n of a total: what is left over goes to the first ones.
    let share =
        |total: u64, number: u64| total / connections + u64::from(number < total % connections);
    let mut first = 0;
    let cycled = found.iter().cycle();
    (0..connections)
        .zip(cycled)
        .map(|(number, file)| {
            let count = share(devices, number);
            let members = match (arguments.kind, file.device_id()) {
                (Kind::Device, Some(id)) => Members::One(id, number),
                _ => Members::Numbered { first, count },
            };
            first += count;
            let part = Part::new(&shape, &members, share(arguments.check_ins, number));
            Member {
                identity: file.path.clone(),
                part,
            }
        })
        .collect()
}

fn send(arguments: &RunArguments, members: Vec<Member>) -> Result<(Vec<Part>, Measured), RunError> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if let Some(threads) = arguments.threads {
        builder.worker_threads(usize::from(threads));
    }
    let runtime = builder
        .thread_name("muster-loadgen")
        .enable_all()
        .build()
        .map_err(|error| RunError::Internal(format!("cannot start threads: {error}")))?;
    let plan = Plan {
        server: arguments.target,
        ca: arguments.ca.clone(),
        frame: arguments.frame(),
        window: arguments.window,
        rate: arguments.rate,
    };
    let live = Arc::new(Live::default());
    let bar = progress_bar(arguments, &runtime, &live);
    let result = runtime.block_on(driver::run(&plan, members, live));
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    Ok(result?)
}

/// A bar on standard error, if somebody looks at it.
fn progress_bar(
    arguments: &RunArguments,
    runtime: &Runtime,
    live: &Arc<Live>,
) -> Option<ProgressBar> {
    if arguments.json || !std::io::stderr().is_terminal() {
        return None;
    }
    let template = "{bar:40} {human_pos} of {human_len} check-ins durable, {per_sec}, {eta} left";
    let style =
        ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::new(arguments.check_ins).with_style(style);
    let (shown, live) = (bar.clone(), Arc::clone(live));
    runtime.spawn(async move {
        let mut ticks = tokio::time::interval(TICK);
        loop {
            ticks.tick().await;
            shown.set_position(live.acked.load(Ordering::Relaxed));
        }
    });
    Some(bar)
}

fn compare(
    report: &Report,
    parts: &[Part],
    policy: &TenantPolicy,
    ops: &Ops,
) -> Result<Verdict, RunError> {
    let now = Timestamp::from_millis(clock::millis());
    let prediction = Prediction::of(parts, policy, now);
    let counts = report.counts.clone().unwrap_or_default();
    let mut verdict = Verdict::of(&prediction, &counts, &ops.cells()?);
    let lost = report.measured.progress.connections > report.setup.connections as u64;
    if !lost {
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
