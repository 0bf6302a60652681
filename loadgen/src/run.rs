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

/// How often the progress bar moves.
const TICK: Duration = Duration::from_millis(100);

/// Does one run.
///
/// # Errors
/// Whatever keeps it from having a result. Counts that differ are a result.
pub fn run(arguments: &RunArguments) -> Result<Report, RunError> {
    arguments.check()?;
    let members = members(arguments)?;
    let ops = arguments
        .ops
        .as_ref()
        .map(|server| Ops::new(server, &arguments.tenant));
    let policy = match &ops {
        Some(ops) if !arguments.no_verify => Some(look(ops, arguments)?),
        _ => None,
    };
    let server_rss_base_bytes = arguments.server_pid.and_then(resident_bytes);

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

/// The fleet, cut into one part for each connection: those of the gateways, then the devices that
/// connect by themselves.
fn members(arguments: &RunArguments) -> Result<Vec<Member>, RunError> {
    let find = |kind| identities::find(&arguments.identities, &arguments.tenant, kind);
    let (gateways, direct) = (arguments.gateways(), arguments.direct());
    let behind_gateways = arguments.devices - direct;
    let mut members = Vec::new();
    if gateways > 0 {
        // Several connections of one gateway are as good as several gateways.
        for (number, file) in (0..gateways).zip(find(Kind::Gateway)?.iter().cycle()) {
            let first = behind_gateways * number / gateways;
            let count = behind_gateways * (number + 1) / gateways - first;
            let devices = Members::Numbered { first, count };
            members.push(member(arguments, file, &devices, arguments.frame()));
        }
    }
    if direct > 0 {
        let found = find(Kind::Device)?;
        if (found.len() as u64) < direct {
            return Err(RunError::Usage(format!(
                "{} holds certificates of {} devices, and {direct} are to connect",
                arguments.identities.display(),
                found.len(),
            )));
        }
        let frame = if arguments.kind == Kind::Device {
            arguments.frame()
        } else {
            1
        };
        for (number, file) in (behind_gateways..arguments.devices).zip(&found) {
            let Some(id) = file.device_id() else { continue };
            members.push(member(arguments, file, &Members::One(id, number), frame));
        }
    }
    Ok(members)
}

/// One connection, with the share of the check-ins that its devices have in the fleet.
fn member(
    arguments: &RunArguments,
    file: &IdentityFile,
    devices: &Members,
    frame: usize,
) -> Member {
    let (first, count) = match *devices {
        Members::Numbered { first, count } => (first, count),
        Members::One(_, number) => (number, 1),
    };
    // Where the check-ins of the devices before this number end; the shares add up exactly.
    let end = |number: u64| {
        let check_ins = u128::from(arguments.check_ins) * u128::from(number);
        u64::try_from(check_ins / u128::from(arguments.devices)).unwrap_or(u64::MAX)
    };
    let part = Part::new(&arguments.shape(), devices, end(first + count) - end(first));
    Member {
        identity: file.path.clone(),
        part,
        frame,
    }
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
        window: arguments.window,
        rate: arguments.rate,
        time_max: arguments.seconds.map(Duration::from_secs_f64),
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
