//! One run of one peer: an empty server, the job, what it cost, and what it holds at the end.
//!
//! Bounds: a run sends nothing new after its deadline; what was sent until then is verified all the same.

use std::path::Path;
use std::time::Duration;

use muster_testkit::latency::Latency;
use tokio::time::Instant;

use crate::drive::drive;
use crate::job::Job;
use crate::model::Model;
use crate::peer::{Fact, Name, Peer, Setting};
use crate::{process, server};

/// What one run took and what came out.
#[derive(Clone, Debug)]
pub struct Run {
    /// Check-ins that were acked.
    pub check_ins: u64,
    /// Devices that sent them.
    pub devices: u64,
    /// From the first frame until everything was durable and applied.
    pub wall: Duration,
    /// What the peer spent on a core until then.
    pub peer_core: Duration,
    /// The same for this program.
    pub client_core: Duration,
    /// The directory of the peer after the run.
    pub disk_bytes: u64,
    /// Flushes that the disk completed meanwhile, for all programs of the machine.
    pub disk_flushes: Option<u64>,
    /// From sending a frame until its ack.
    pub latency: Latency,
    /// What the durability rests on.
    pub evidence: Vec<Fact>,
    /// What the peer holds and must not, or the other way round.
    pub faults: Vec<String>,
}

impl Run {
    /// Durable check-ins a second.
    pub fn rate(&self) -> f64 {
        self.check_ins as f64 / self.wall.as_secs_f64()
    }
}

/// What a run may use.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits<'a> {
    /// Check-ins of the job.
    pub(crate) check_ins: u64,
    /// When nothing new is sent any more.
    pub(crate) sending: Duration,
    /// Where its directory is made.
    pub(crate) directory: &'a Path,
}

/// Runs a peer once.
///
/// # Errors
/// If the peer does not start, or refuses something.
pub(crate) async fn measure(
    name: Name,
    program: &Path,
    job: &Job,
    setting: &Setting,
    limits: Limits<'_>,
) -> anyhow::Result<Run> {
    match name {
        Name::Redis => of::<crate::redis::Redis>(name, program, job, setting, limits).await,
        Name::Postgres => {
            of::<crate::postgres::Postgres>(name, program, job, setting, limits).await
        }
        Name::Nats => of::<crate::nats::Nats>(name, program, job, setting, limits).await,
    }
}

async fn of<P: Peer>(
    name: Name,
    program: &Path,
    job: &Job,
    setting: &Setting,
    limits: Limits<'_>,
) -> anyhow::Result<Run> {
    let lanes = job.cut(
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

    let process = peer.server().process();
    let data = peer.server().directory().to_owned();
    let flushes_before = process::disk_flushes(&data);
    let peer_before = process::core_time(process);
    let client_before = process::own_core_time();
    let started = Instant::now();
    let driven = drive(clients, &lanes, setting.in_flight, started + limits.sending).await?;
    let mut frames = vec![0; lanes.len()];
    for sent in &driven.sent {
        frames[sent.lane] = sent.frames;
    }
    peer.applied(&frames).await?;
    let wall = started.elapsed();
    let client_core = process::own_core_time().saturating_sub(client_before);
    let peer_core = process::core_time(process).saturating_sub(peer_before);
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
    let faults = model.faults(&peer.holding().await?);
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
