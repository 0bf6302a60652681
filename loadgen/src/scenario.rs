//! Runs the named workloads; `noisy-tenant` runs two fleets.
//!
//! Owner: the main thread. Bounds: those of a run, for each fleet. The calendar of check-ins is in the testkit
//! (`cadence`, `schedule`).

use std::{sync::Arc, time::Duration};

use muster_client::ClientError;
use serde_json::{Map, Value, json};
use tokio::time::sleep;

use muster_testkit::{cadence::Cadence, fleet::FleetPart, identities::Kind, schedule::Timing};

use crate::{
    cli::{CHECK_INS_MAX, CommonArguments, NoisyArguments, Scenario, TimingArguments},
    driver::{ConnectionSpec, Connections, LiveCounters, Load, Measurements},
    error::RunError,
    profile::Profile,
    report::{Phase, Report},
    run::{RunPlan, execute, prepare, runtime, target},
};

const MINUTE: f64 = 60.0;
const HOUR: f64 = 3600.0;

/// Performs a named workload.
///
/// # Errors
/// If the run has no result. Counts that differ are a result.
pub fn run(scenario: &Scenario) -> Result<Report, RunError> {
    if let Scenario::NoisyTenant(arguments) = scenario {
        return run_noisy_tenant(arguments);
    }
    execute(plan(scenario)?, &scenario.common().output)
}

/// The plan of a named workload.
fn plan(scenario: &Scenario) -> Result<RunPlan, RunError> {
    let base = base(scenario.name(), scenario.common());
    match scenario {
        Scenario::Steady(own) => {
            let parameters = json!({"hours": own.hours});
            Ok(by_cadence(
                base,
                Cadence::Steady,
                own.hours,
                &own.timing,
                parameters,
            ))
        }
        Scenario::EnrolmentStorm(own) => {
            let cadence = Cadence::Enrolment {
                over: own.enrol_within * MINUTE,
            };
            let parameters = json!({"hours": own.hours, "enrol_within_minutes": own.enrol_within});
            let plan = by_cadence(base, cadence, own.hours, &own.timing, parameters);
            // The devices are new, so the server must not know them.
            Ok(RunPlan {
                warm_up: false,
                ..plan
            })
        }
        Scenario::RiskOutbreak(own) => {
            if own.start * MINUTE >= own.hours * HOUR {
                return Err(RunError::Usage(
                    "--start is not before the end of --hours".to_owned(),
                ));
            }
            let cadence = Cadence::Outbreak {
                start: own.start * MINUTE,
                spread: own.spread * MINUTE,
                share: own.share,
                recovery: own.recovery * MINUTE,
            };
            let parameters = json!({
                "hours": own.hours,
                "start_minutes": own.start,
                "spread_minutes": own.spread,
                "share": own.share,
                "recovery_minutes": own.recovery,
            });
            Ok(by_cadence(
                base,
                cadence,
                own.hours,
                &own.timing,
                parameters,
            ))
        }
        Scenario::ReconnectStorm(own) => {
            let parameters =
                json!({"within_seconds": own.within, "check_ins_each": own.check_ins_each});
            Ok(RunPlan {
                check_ins: base.fleet.devices.saturating_mul(own.check_ins_each),
                load: Load {
                    reconnect_within: Some(Duration::from_secs_f64(own.within)),
                    ..Load::closed()
                },
                parameters: object(&parameters),
                ..base
            })
        }
        Scenario::NoisyTenant(own) => Ok(quiet_plan(own, base)),
    }
}

/// A fleet that sends nothing after the warm-up, as the base of other plans.
fn base(workload: &'static str, common: &CommonArguments) -> RunPlan {
    RunPlan {
        environment: common.environment.clone(),
        fleet: common.fleet.clone(),
        shape: common.fleet.shape(),
        workload,
        check_ins: 1,
        load: Load::closed(),
        cadence: None,
        warm_up: true,
        parameters: Map::new(),
        phases: Vec::new(),
    }
}

fn by_cadence(
    base: RunPlan,
    cadence: Cadence,
    hours: f64,
    arguments: &TimingArguments,
    own: Value,
) -> RunPlan {
    let timing = Timing {
        seconds: hours * HOUR,
        compress: arguments.compress,
        collect: Duration::from_millis(arguments.collect),
    };
    let mut parameters = object(&own);
    parameters.insert("compress".to_owned(), timing.compress.into());
    parameters.insert(
        "collect_ms".to_owned(),
        (timing.collect.as_millis() as u64).into(),
    );
    RunPlan {
        phases: phases_of(cadence, &timing),
        cadence: Some((cadence, timing)),
        parameters,
        ..base
    }
}

/// The phases of a cadence, in wall clock time.
fn phases_of(cadence: Cadence, timing: &Timing) -> Vec<Phase> {
    let ends = match cadence {
        Cadence::Steady => vec![],
        Cadence::Enrolment { over } => vec![
            ("enrolment", over),
            ("after enrolment, every 15 minutes", over + 2.25 * HOUR),
            ("after enrolment, every 8 hours", f64::INFINITY),
        ],
        Cadence::Outbreak {
            start,
            spread,
            recovery,
            ..
        } => vec![
            ("before the outbreak", start),
            ("outbreak", start + spread),
            ("infected", start + spread + recovery),
            ("recovered", f64::INFINITY),
        ],
    };
    let mut phases = Vec::new();
    let mut from = 0.0;
    for (name, end) in ends {
        let until = end.min(timing.seconds);
        if from < until {
            phases.push(Phase {
                name: name.to_owned(),
                from: from / timing.compress,
                until: until / timing.compress,
                rate: None,
            });
        }
        from = until;
    }
    // The last acks arrive after the end of the schedule.
    if let Some(last) = phases.last_mut() {
        last.until = f64::MAX;
    }
    phases
}

fn object(value: &Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap_or_default()
}

/// The plan of the quiet tenant.
fn quiet_plan(own: &NoisyArguments, base: RunPlan) -> RunPlan {
    let part = own.part_seconds;
    let names = ["before the flood", "during the flood", "after the flood"];
    let phase = |(number, name): (usize, &str)| Phase {
        name: name.to_owned(),
        from: number as f64 * part,
        until: if number == 2 {
            f64::MAX
        } else {
            (number + 1) as f64 * part
        },
        rate: Some(own.rate),
    };
    let parameters = json!({
        "rate": own.rate,
        "part_seconds": part,
        "noisy_devices": own.noisy_devices,
        "noisy_gateways": own.noisy_gateways,
    });
    RunPlan {
        check_ins: CHECK_INS_MAX,
        load: Load {
            profile: Profile::of_rate(Some(own.rate)),
            time_max: Some(Duration::from_secs_f64(3.0 * part)),
            reconnect_within: None,
        },
        phases: names.into_iter().enumerate().map(phase).collect(),
        parameters: object(&parameters),
        ..base
    }
}

/// The plan of the tenant that floods.
fn flood_plan(own: &NoisyArguments) -> RunPlan {
    let mut plan = base("noisy-tenant", &own.common);
    plan.environment.tenant.clone_from(&own.noisy);
    let fleet = &mut plan.fleet;
    fleet.kind = Kind::Gateway;
    fleet.devices = own.noisy_devices;
    fleet.gateways = Some(own.noisy_gateways);
    fleet.direct = 0;
    fleet.frame = None;
    plan.check_ins = CHECK_INS_MAX;
    plan.load.time_max = Some(Duration::from_secs_f64(own.part_seconds));
    plan
}

/// Runs two fleets at the same time. The report is that of the quiet tenant and includes a summary of the other one.
fn run_noisy_tenant(own: &NoisyArguments) -> Result<Report, RunError> {
    if own.noisy == own.common.environment.tenant {
        return Err(RunError::Usage(
            "--noisy and --tenant must be different tenants".to_owned(),
        ));
    }
    let quiet = quiet_plan(own, base("noisy-tenant", &own.common));
    let (quiet, quiet_specs) = prepare(quiet)?;
    let (flood, flood_specs) = prepare(flood_plan(own))?;
    let both = async {
        let flood_delay = Duration::from_secs_f64(own.part_seconds);
        let (quiet, flood) = tokio::try_join!(
            ready_fleet(quiet.plan(), quiet_specs, Duration::ZERO),
            ready_fleet(flood.plan(), flood_specs, flood_delay),
        )?;
        tokio::try_join!(measure(quiet), measure(flood))
    };
    let runtime = runtime(own.common.environment.threads)?;
    let ((quiet_parts, measured), (flood_parts, flooded)) = runtime.block_on(both)?;
    let flood = flood.report(&flood_parts, flooded)?;
    let mut report = quiet.report(&quiet_parts, measured)?;
    if let Some(found) = &flood.verdict
        && !found.matches()
        && let Some(verdict) = &mut report.verdict
    {
        verdict.add_other(&own.noisy, found);
    }
    report.other = Some((own.noisy.clone(), Box::new(flood)));
    Ok(report)
}

/// A fleet that is connected and has completed its warm-up.
struct ReadyFleet {
    connections: Connections,
    load: Load,
    /// When it starts to send, relative to the start of the measurement.
    delay: Duration,
    warm_up_check_ins: u64,
}

async fn ready_fleet(
    plan: &RunPlan,
    specs: Vec<ConnectionSpec>,
    delay: Duration,
) -> Result<ReadyFleet, ClientError> {
    let mut connections = Connections::open(target(plan), specs).await?;
    connections.send_inventories().await?;
    let warm_up_check_ins = connections.warm_up().await?;
    Ok(ReadyFleet {
        connections,
        load: plan.load.clone(),
        delay,
        warm_up_check_ins,
    })
}

async fn measure(fleet: ReadyFleet) -> Result<(Vec<FleetPart>, Measurements), ClientError> {
    sleep(fleet.delay).await;
    let live = Arc::new(LiveCounters::default());
    fleet
        .connections
        .finish(&fleet.load, fleet.warm_up_check_ins, live)
        .await
}

#[cfg(test)]
mod tests;
