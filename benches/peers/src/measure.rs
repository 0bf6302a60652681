//! One run of one peer: starts an empty server, runs the job, and measures and verifies the result.
//!
//! Bounds: a run sends no new frames after its deadline; what was sent before is verified.

use std::path::Path;
use std::time::Duration;

use muster_testkit::latency::Latency;
use tokio::time::Instant;

use crate::drive::drive;
use crate::job::Job;
use crate::model::Model;
use crate::peer::{Fact, Name, Peer, Setting};
use crate::{process, server};

/// The measurements and the result of one run.
#[derive(Clone, Debug)]
pub struct Run {
    /// Number of check-ins that were acknowledged.
    pub check_ins: u64,
    /// Number of devices that sent them.
    pub devices: u64,
    /// Time from the first frame until everything was durable and applied.
    pub wall: Duration,
    /// CPU time of the peer until then.
    pub peer_core: Duration,
    /// CPU time of this program until then.
    pub client_core: Duration,
    /// Size of the peer's directory after the run.
    pub disk_bytes: u64,
    /// Flushes that the disk completed during the run, for all programs on the machine.
    pub disk_flushes: Option<u64>,
    /// Latency from sending a frame until its ack.
    pub latency: Latency,
    /// Evidence of durability.
    pub evidence: Vec<Fact>,
    /// Differences between what the peer holds and what it must hold.
    pub faults: Vec<String>,
}

impl Run {
    /// Durable check-ins per second.
    pub fn rate(&self) -> f64 {
        self.check_ins as f64 / self.wall.as_secs_f64()
    }
}

/// The limits of a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits<'a> {
    /// Number of check-ins to send.
    pub(crate) check_ins: u64,
    /// Maximum time for sending.
    pub(crate) sending_max: Duration,
    /// The parent of the peer's directory.
    pub(crate) directory: &'a Path,
}

/// Runs a peer once.
///
/// # Errors
/// If the peer does not start, or refuses a request.
pub(crate) async fn measure(
    name: Name,
    program: &Path,
    job: &Job,
    setting: &Setting,
    limits: Limits<'_>,
) -> anyhow::Result<Run> {
    match name {
        Name::Redis => {
            measure_peer::<crate::redis::Redis>(name, program, job, setting, limits).await
        }
        Name::Postgres => {
            measure_peer::<crate::postgres::Postgres>(name, program, job, setting, limits).await
        }
        Name::Nats => measure_peer::<crate::nats::Nats>(name, program, job, setting, limits).await,
    }
}

async fn measure_peer<P: Peer>(
    name: Name,
    program: &Path,
    job: &Job,
    setting: &Setting,
    limits: Limits<'_>,
) -> anyhow::Result<Run> {
    let lanes = job.split(
        limits.check_ins,
        setting.connections,
        setting.frame_check_ins,
    );
    let directory = server::data_directory(limits.directory, name.name())?;
    let mut peer = P::start(program, directory, setting).await?;
    let mut clients = Vec::new();
    for lane in 0..setting.connections {
        clients.push(peer.connect(lane).await?);
    }

    let process_id = peer.server().process_id();
    let data = peer.server().directory().to_owned();
    let flushes_before = process::disk_flushes(&data);
    let peer_before = process::core_time(process_id);
    let client_before = process::own_core_time();
    let started = Instant::now();
    let driven = drive(
        clients,
        &lanes,
        setting.in_flight,
        started + limits.sending_max,
    )
    .await?;
    let mut frames = vec![0; lanes.len()];
    for connection in &driven.connections {
        frames[connection.lane] = connection.frames;
    }
    peer.wait_until_applied(&frames).await?;
    let wall = started.elapsed();
    let client_core = process::own_core_time().saturating_sub(client_before);
    let peer_core = process::core_time(process_id).saturating_sub(peer_before);
    let flushes = process::disk_flushes(&data);
    let disk_bytes = process::disk_bytes(&data);

    let evidence = peer.evidence().await?;
    let mut model = Model::default();
    let mut check_ins = 0;
    for (lane, sent) in lanes.iter().zip(&frames) {
        for frame in &lane[..*sent] {
            model.apply(frame);
            check_ins += crate::job::records(frame).count() as u64;
        }
    }
    let faults = model.faults(&peer.read_back().await?);
    peer.into_server().stop(P::SIGNAL).await?;
    Ok(Run {
        check_ins,
        devices: model.devices() as u64,
        wall,
        peer_core,
        client_core,
        disk_bytes,
        disk_flushes: flushes
            .zip(flushes_before)
            .map(|(after, before)| after - before),
        latency: driven.latency,
        evidence,
        faults,
    })
}
