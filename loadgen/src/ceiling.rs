//! The ceiling of the generator: the connections and senders of a run against a null server, which acknowledges every
//! frame and discards it.
//!
//! The null server runs in this process on its own threads, so the cost of each side can be measured. Both share the
//! cores, like a server on the same machine. Bounds: the fleet and the duration. What it does not do: verify counts,
//! because a null server has none.

use std::{sync::Arc, time::Duration};

use muster_client::{ClientError, NullServer};
use muster_wire::limits::CHECK_INS_PER_FRAME_MAX;
use serde_json::{Value, json};

use muster_testkit::{
    device::device_id,
    fleet::{DeviceSet, FleetPart, Shape},
    identities::Kind,
    usage,
};

use crate::{
    cli::{CHECK_INS_MAX, CeilingArguments},
    driver::{ConnectionSpec, Connections, Load, Measurements, Target},
    error::RunError,
    machine, run,
};

/// The name of the server's threads, which identifies them when their CPU time is measured. Linux keeps 15 bytes.
const SERVER_THREADS: &str = "muster-null";

/// The results.
#[derive(Debug, Clone, PartialEq)]
pub struct Ceiling {
    /// The number of connections.
    pub connections: u64,
    /// Check-ins per frame.
    pub frame: usize,
    /// Acknowledged check-ins.
    pub check_ins: u64,
    /// The duration.
    pub seconds: f64,
    /// Core seconds of the generator.
    pub generator_core_seconds: f64,
    /// Core seconds of the null server.
    pub server_core_seconds: f64,
    /// The p99 latency from the time a frame was made to its ack, in milliseconds.
    pub p99_ms: f64,
}

impl Ceiling {
    /// Check-ins per second.
    pub fn per_second(&self) -> f64 {
        self.check_ins as f64 / self.seconds.max(f64::MIN_POSITIVE)
    }

    fn core_ns(&self, core_seconds: f64) -> f64 {
        core_seconds * 1e9 / self.check_ins.max(1) as f64
    }

    /// The object of `--json`.
    pub fn to_json(&self) -> Value {
        json!({
            "workload": "ceiling",
            "connections": self.connections,
            "frame": self.frame,
            "check_ins_acked": self.check_ins,
            "seconds": self.seconds,
            "check_ins_per_second": self.per_second().round(),
            "generator_core_ns_each": self.core_ns(self.generator_core_seconds),
            "server_core_ns_each": self.core_ns(self.server_core_seconds),
            "p99_ms": self.p99_ms,
            "durability": "none: the null server discards everything",
            "machine": machine::describe(),
        })
    }

    /// The report as text.
    pub fn to_text(&self) -> String {
        format!(
            "{:.0} check-ins/s over {} connections in frames of {}, to a null server in this process\n\
             that acknowledges and discards every frame. CPU time per check-in: generator {:.0} ns, null server {:.0} ns.\n\
             A run that comes close to this rate on this machine has measured the generator.",
            self.per_second(),
            self.connections,
            self.frame,
            self.core_ns(self.generator_core_seconds),
            self.core_ns(self.server_core_seconds),
        )
    }
}

/// Sends to a null server for the requested duration.
///
/// # Errors
/// [`RunError::Internal`] if a thread or socket cannot be created, [`RunError::Client`] if a connection fails.
pub fn measure(arguments: &CeilingArguments) -> Result<Ceiling, RunError> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if let Some(threads) = arguments.threads {
        builder.worker_threads(usize::from(threads));
    }
    let server_runtime = builder
        .thread_name(SERVER_THREADS)
        .enable_all()
        .build()
        .map_err(|error| RunError::Internal(format!("cannot start threads: {error}")))?;
    let server = {
        let _context = server_runtime.enter();
        NullServer::start()?
    };
    let target = Target {
        server: server.address(),
        ca: server.ca(),
        window: arguments.window,
        server_pid: None,
    };
    let specs = specs(arguments, &server);
    let connections = specs.len() as u64;
    let frame = specs.first().map_or(0, |spec| spec.frame);
    let load = Load {
        time_max: Some(Duration::from_secs_f64(arguments.seconds)),
        ..Load::closed()
    };
    let generator = run::runtime(arguments.threads)?;
    let (measured, server_core_seconds) = generator.block_on(send(target, specs, load))?;
    let total = measured.generator_core_seconds.unwrap_or_default();
    Ok(Ceiling {
        connections,
        frame,
        check_ins: measured.acked,
        seconds: measured.seconds,
        generator_core_seconds: (total - server_core_seconds).max(0.0),
        server_core_seconds,
        p99_ms: measured.series.latency().quantile_ms(0.99),
    })
}

/// Returns the measurements, and the core seconds of the null server during them.
async fn send(
    target: Target,
    specs: Vec<ConnectionSpec>,
    load: Load,
) -> Result<(Measurements, f64), ClientError> {
    let mut connections = Connections::open(target, specs).await?;
    let before = usage::core_seconds_of_threads(SERVER_THREADS);
    let measured = connections.measure(&load, Arc::default()).await?;
    let spent = usage::core_seconds_of_threads(SERVER_THREADS) - before;
    connections.close().await?;
    Ok((measured, spent))
}

/// The connections of the fleet, split as in a run, with certificates from the null server.
fn specs(arguments: &CeilingArguments, server: &NullServer) -> Vec<ConnectionSpec> {
    let shape = Shape::new(arguments.seed);
    let given = arguments
        .frame
        .and_then(|frame| usize::try_from(frame).ok());
    match arguments.kind {
        Kind::Gateway => {
            let devices = arguments.devices.unwrap_or(1_000_000);
            let gateways = arguments.gateways.min(devices);
            let spec = |number: u64| {
                let first = devices * number / gateways;
                let count = devices * (number + 1) / gateways - first;
                ConnectionSpec {
                    identity: server
                        .identity(&format!("muster://ceiling/gateway/gateway-{number}")),
                    part: FleetPart::new(&shape, &DeviceSet::Range { first, count }, CHECK_INS_MAX),
                    frame: given.unwrap_or(CHECK_INS_PER_FRAME_MAX),
                }
            };
            (0..gateways).map(spec).collect()
        }
        Kind::Device => {
            let spec = |number: u64| {
                let id = device_id(arguments.seed, number);
                ConnectionSpec {
                    identity: server.identity(&format!("muster://ceiling/device/{id}")),
                    part: FleetPart::new(&shape, &DeviceSet::Single(id, number), CHECK_INS_MAX),
                    frame: given.unwrap_or(1),
                }
            };
            (0..arguments.devices.unwrap_or(64)).map(spec).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_null_server_acknowledges_every_frame() {
        for (kind, devices) in [(Kind::Gateway, 100), (Kind::Device, 2)] {
            let arguments = CeilingArguments {
                kind,
                devices: Some(devices),
                gateways: 2,
                frame: None,
                window: 8,
                seconds: 0.2,
                threads: Some(1),
                seed: 1,
                json: false,
            };
            let ceiling = measure(&arguments).expect("the null server starts");
            assert_eq!(ceiling.connections, 2);
            assert!(
                ceiling.check_ins > 0 && ceiling.seconds > 0.0,
                "{ceiling:?}"
            );
            assert!(ceiling.check_ins.is_multiple_of(ceiling.frame as u64));
        }
    }
}
