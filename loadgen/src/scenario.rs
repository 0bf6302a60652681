//! The named workloads: what each of them orders, and the one that needs two fleets.

use std::{sync::Arc, time::Duration};

use muster_client::ClientError;
use serde_json::{Map, Value, json};
use tokio::time::sleep;

use muster_testkit::{cadence::Cadence, fleet::Part, identities::Kind, schedule::Pass};

use crate::{
    cli::{CHECK_INS_MAX, CommonArguments, NoisyArguments, PassArguments, Scenario},
    driver::{Connections, Live, Load, Measured, Member},
    error::RunError,
    profile::Profile,
    report::{Phase, Report},
    run::{Order, execute, plan, prepare, runtime},
};

const MINUTE: f64 = 60.0;
const HOUR: f64 = 3600.0;

/// Does one named workload.
///
/// # Errors
/// Whatever keeps it from having a result. Counts that differ are a result.
pub fn run(scenario: &Scenario) -> Result<Report, RunError> {
    if let Scenario::NoisyTenant(arguments) = scenario {
        return noisy(arguments);
    }
    execute(order(scenario)?, &scenario.common().output)
}

/// What a named workload orders.
fn order(scenario: &Scenario) -> Result<Order, RunError> {
    let base = base(scenario.name(), scenario.common());
    match scenario {
        Scenario::Steady(own) => {
            let parameters = json!({"hours": own.hours});
            Ok(by_cadence(
                base,
                Cadence::Steady,
                own.hours,
                &own.pass,
                parameters,
            ))
        }
        Scenario::EnrolmentStorm(own) => {
            let cadence = Cadence::Enrolment {
                over: own.enrol_within * MINUTE,
            };
            let parameters = json!({"hours": own.hours, "enrol_within_minutes": own.enrol_within});
            let order = by_cadence(base, cadence, own.hours, &own.pass, parameters);
            // Its devices are new, so the server must not know them before.
            Ok(Order {
                settle: false,
                ..order
            })
        }
        Scenario::RiskOutbreak(own) => {
            if own.begins * MINUTE >= own.hours * HOUR {
                return Err(RunError::Usage(
                    "--begins is after the end of --hours".to_owned(),
                ));
            }
            let cadence = Cadence::Outbreak {
                at: own.begins * MINUTE,
                spread: own.spread * MINUTE,
                share: own.share,
                ill: own.ill * MINUTE,
            };
            let parameters = json!({
                "hours": own.hours,
                "begins_minutes": own.begins,
                "spread_minutes": own.spread,
                "share": own.share,
                "ill_minutes": own.ill,
            });
            Ok(by_cadence(base, cadence, own.hours, &own.pass, parameters))
        }
        Scenario::ReconnectStorm(own) => {
            let parameters =
                json!({"within_seconds": own.within, "check_ins_each": own.check_ins_each});
            Ok(Order {
                check_ins: base.fleet.devices.saturating_mul(own.check_ins_each),
                load: Load {
                    storm: Some(Duration::from_secs_f64(own.within)),
                    ..Load::closed()
                },
                parameters: object(&parameters),
                ..base
            })
        }
        Scenario::NoisyTenant(own) => Ok(quiet(own, base)),
    }
}

/// A settled fleet that sends nothing yet.
fn base(workload: &'static str, common: &CommonArguments) -> Order {
    Order {
        environment: common.environment.clone(),
        fleet: common.fleet.clone(),
        shape: common.fleet.shape(),
        workload,
        check_ins: 1,
        load: Load::closed(),
        cadence: None,
        settle: true,
        parameters: Map::new(),
        phases: Vec::new(),
    }
}

fn by_cadence(
    base: Order,
    cadence: Cadence,
    hours: f64,
    pass: &PassArguments,
    own: Value,
) -> Order {
    let pass = Pass {
        seconds: hours * HOUR,
        compress: pass.compress,
        collect: Duration::from_millis(pass.collect),
    };
    let mut parameters = object(&own);
    parameters.insert("compress".to_owned(), pass.compress.into());
    parameters.insert(
        "collect_ms".to_owned(),
        (pass.collect.as_millis() as u64).into(),
    );
    Order {
        phases: phases_of(cadence, &pass),
        cadence: Some((cadence, pass)),
        parameters,
        ..base
    }
}

/// The parts of a cadence that differ, in seconds of the clock.
fn phases_of(cadence: Cadence, pass: &Pass) -> Vec<Phase> {
    let ends = match cadence {
        Cadence::Steady => vec![],
        Cadence::Enrolment { over } => vec![
            ("enrolment", over),
            ("after it, every 15 minutes", over + 2.25 * HOUR),
            ("after it, every 8 hours", f64::INFINITY),
        ],
        Cadence::Outbreak {
            at, spread, ill, ..
        } => vec![
            ("before the outbreak", at),
            ("outbreak", at + spread),
            ("ill", at + spread + ill),
            ("well again", f64::INFINITY),
        ],
    };
    let mut phases = Vec::new();
    let mut from = 0.0;
    for (name, end) in ends {
        let until = end.min(pass.seconds);
        if from < until {
            phases.push(Phase {
                name: name.to_owned(),
                from: from / pass.compress,
                until: until / pass.compress,
                rate: None,
            });
        }
        from = until;
    }
    // The last acks come after the end.
    if let Some(last) = phases.last_mut() {
        last.until = f64::MAX;
    }
    phases
}

fn object(value: &Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap_or_default()
}

/// What the tenant on a schedule does.
fn quiet(own: &NoisyArguments, base: Order) -> Order {
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
    Order {
        check_ins: CHECK_INS_MAX,
        load: Load {
            profile: Profile::of_rate(Some(own.rate)),
            time_max: Some(Duration::from_secs_f64(3.0 * part)),
            storm: None,
        },
        phases: names.into_iter().enumerate().map(phase).collect(),
        parameters: object(&parameters),
        ..base
    }
}

/// What the tenant that floods does.
fn flood(own: &NoisyArguments) -> Order {
    let mut order = base("noisy-tenant", &own.common);
    order.environment.tenant.clone_from(&own.noisy);
    let fleet = &mut order.fleet;
    fleet.kind = Kind::Gateway;
    fleet.devices = own.noisy_devices;
    fleet.gateways = Some(own.noisy_gateways);
    fleet.direct = 0;
    fleet.frame = None;
    order.check_ins = CHECK_INS_MAX;
    order.load.time_max = Some(Duration::from_secs_f64(own.part_seconds));
    order
}

/// Two fleets side by side. The report is that of the quiet one, with what became of the other.
fn noisy(own: &NoisyArguments) -> Result<Report, RunError> {
    if own.noisy == own.common.environment.tenant {
        return Err(RunError::Usage(
            "--noisy must not be the tenant of --tenant".to_owned(),
        ));
    }
    let quiet = quiet(own, base("noisy-tenant", &own.common));
    let (quiet, quiet_members) = prepare(quiet)?;
    let (flood, flood_members) = prepare(flood(own))?;
    let both = async {
        let one = side(quiet.order(), quiet_members, Duration::ZERO);
        let other = side(
            flood.order(),
            flood_members,
            Duration::from_secs_f64(own.part_seconds),
        );
        let (one, other) = tokio::try_join!(open(one), open(other))?;
        tokio::try_join!(measure(one), measure(other))
    };
    let runtime = runtime(own.common.environment.threads)?;
    let ((quiet_parts, measured), (flood_parts, flooded)) = runtime.block_on(both)?;
    let flood = flood.report(&flood_parts, flooded)?;
    let mut report = quiet.report(&quiet_parts, measured)?;
    if let Some(found) = &flood.verdict
        && !found.is_right()
        && let Some(verdict) = &mut report.verdict
    {
        verdict.add_other(&own.noisy, found);
    }
    report.other = Some((own.noisy.clone(), Box::new(flood)));
    Ok(report)
}

/// One of two fleets.
struct Side {
    plan: crate::driver::Plan,
    members: Vec<Member>,
    load: Load,
    /// When it begins to send, after the start.
    after: Duration,
}

fn side(order: &Order, members: Vec<Member>, after: Duration) -> Side {
    Side {
        plan: plan(order),
        members,
        load: order.load.clone(),
        after,
    }
}

/// A fleet that is connected and settled.
struct Opened {
    connections: Connections,
    load: Load,
    after: Duration,
    settled: u64,
}

async fn open(side: Side) -> Result<Opened, ClientError> {
    let mut connections = Connections::open(side.plan, side.members).await?;
    connections.send_inventories().await?;
    let settled = connections.settle().await?;
    Ok(Opened {
        connections,
        load: side.load,
        after: side.after,
        settled,
    })
}

async fn measure(opened: Opened) -> Result<(Vec<Part>, Measured), ClientError> {
    sleep(opened.after).await;
    opened
        .connections
        .finish(&opened.load, opened.settled, Arc::new(Live::default()))
        .await
}

#[cfg(test)]
mod tests;
