//! A gateway that sends continuously until it is stopped, reconnects when its server is lost, and records what it sent
//! and which frames were acknowledged.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use muster_client::{Client, Progress, ProgressWatch};
use muster_wire::{CheckInRecord, DeviceId};
use tokio::task::JoinHandle;

use super::fleet::{Oracle, device, frame, random_check_in};
use super::pki::Pki;
use super::running::Server;
use super::{spawn, wait};
use crate::random::Random;

/// Devices of one sender; no other sender uses them.
const DEVICES: u64 = 100;

/// Small, so that a sender does not fill the memory of the test.
const WINDOW_FRAMES: u16 = 8;

type Frames = Arc<Mutex<Vec<Vec<CheckInRecord>>>>;

/// A gateway that is sending.
#[derive(Debug)]
pub struct Sender {
    /// The tenant of the gateway.
    pub tenant: &'static str,
    /// In the order in which they were submitted to the client.
    frames: Frames,
    progress: ProgressWatch,
    stop: Arc<AtomicBool>,
    task: JoinHandle<Progress>,
}

impl Sender {
    /// Starts sending frames of 20 check-ins.
    #[track_caller]
    pub fn start(server: &Server, pki: &Pki, tenant: &'static str, number: u64) -> Self {
        let credentials = pki.gateway(tenant, &format!("gw-{number}"));
        let mut config = server.client_config(pki, &credentials);
        config.window_frames = WINDOW_FRAMES;
        let client = wait(Client::connect(config)).expect("the server takes the client");
        let (frames, stop) = (Frames::default(), Arc::new(AtomicBool::new(false)));
        let progress = client.watch();
        let task = spawn(send(client, number, Arc::clone(&frames), Arc::clone(&stop)));
        Self {
            tenant,
            frames,
            progress,
            stop,
            task,
        }
    }

    /// The number of acknowledged frames.
    pub fn frames_acked(&self) -> u64 {
        self.progress.progress().frames_acked
    }

    /// The number of connections so far, reconnects included.
    pub fn connections(&self) -> u64 {
        self.progress.progress().connections
    }

    /// The highest acknowledged seq of each device.
    pub fn acknowledged(&self) -> BTreeMap<DeviceId, u64> {
        // Read first: the number of acknowledged frames only grows.
        let acked = self.frames_acked() as usize;
        let frames = self.frames.lock().expect("no thread panicked");
        let mut highest = BTreeMap::new();
        for check_in in frames[..acked].iter().flatten() {
            let seq: &mut u64 = highest.entry(check_in.device_id()).or_default();
            *seq = (*seq).max(check_in.seq());
        }
        highest
    }

    /// Stops, waits until everything is acknowledged, and feeds the oracle what was sent.
    #[track_caller]
    pub fn finish(self, oracle: &mut Oracle) {
        self.stop.store(true, Ordering::Relaxed);
        let progress = wait(self.task).expect("the task did not panic");
        let frames = self.frames.lock().expect("no thread panicked");
        assert_eq!(progress.frames_acked, frames.len() as u64);
        assert_eq!(progress.rejected, 0);
        for records in frames.iter() {
            oracle.check_ins(self.tenant, records);
        }
    }
}

/// The number of distinct reports. It bounds the number of cells, however fast the machine is.
const REPORTS: u64 = 500;

async fn send(client: Client, number: u64, frames: Frames, stop: Arc<AtomicBool>) -> Progress {
    let mut random = Random::new(number, 0);
    let mut seq = 0;
    while !stop.load(Ordering::Relaxed) {
        let mut records = Vec::with_capacity(20);
        for _ in 0..20 {
            seq += 1;
            // Some sequence numbers are stale.
            let sent_seq = seq - random.below(3).min(seq - 1);
            let own = device(number * 1000 + random.below(DEVICES));
            let mut report = Random::new(random.below(REPORTS), 0);
            records.push(random_check_in(&mut report, own, sent_seq));
        }
        let bytes = frame(&records);
        frames.lock().expect("no thread panicked").push(records);
        client
            .send_frame(bytes)
            .await
            .expect("the client reconnects to a lost server")
    }
    client
        .close()
        .await
        .expect("everything is acknowledged in the end")
}
