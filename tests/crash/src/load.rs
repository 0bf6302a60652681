//! Runs one server under load until it terminates.
//!
//! The senders run as tasks; this module waits for the termination, ends the server, and collects the outcomes of the
//! senders. The server ends before the senders are stopped, so that they send until the last moment.

use std::sync::Arc;
use std::time::Duration;

use muster_client::{Endpoint, Progress};
use muster_testkit::muster::Muster;
use muster_testkit::server::{Addresses, DEADLINE, Ended, Server};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::answers::Numbers;
use crate::check::{self, Finding};
use crate::disk_backend::{DiskBackend, is_power_lost};
use crate::environment::{TENANTS, TestEnvironment};
use crate::error::CrashError;
use crate::observe::{self, DETECTION_TIMEOUT, FaultResponse, Observation, check_healthy, observe};
use crate::sender::{Command, Sender, Target};
use crate::shared_ledger::SharedLedger;
use crate::termination::Termination;

/// Maximum time to wait for a number of acknowledgements. Then one is enough; a server that gives none hangs.
const ACKS_TIMEOUT: Duration = Duration::from_secs(3);

/// Maximum time of an ack from the server to the ledger on a busy machine.
const ACK_DELAY_MAX: Duration = Duration::from_millis(200);

/// A server is recounted under load if its number of acknowledgements is a multiple of this, which is one in four.
const RECOUNT_EVERY: u64 = 4;

/// Prefix of the names of the kill points of a backup.
pub const BACKUP_POINTS: &str = "store.backup.";

/// How long a disk hangs.
const HANG_TIME: Duration = Duration::from_secs(10);

/// The result of a load.
#[derive(Debug)]
pub struct LoadResult {
    /// The senders, for the next server.
    pub senders: Vec<Sender>,
    /// The sums of the answers that they got.
    pub progress: Progress,
    /// Findings.
    pub findings: Vec<Finding>,
    /// How the server ended.
    pub ended: Ended,
    /// The response of the server to a disk fault, if there was one.
    pub response: Option<FaultResponse>,
}

/// Runs a ready server under load until it terminates.
///
/// # Errors
/// If no socket can be opened.
pub async fn run(
    environment: &TestEnvironment,
    server: &mut Server,
    addresses: &Addresses,
    senders: Vec<(Sender, Numbers)>,
    ledger: &Arc<SharedLedger>,
    termination: &Termination,
    disk: &mut dyn DiskBackend,
) -> Result<LoadResult, CrashError> {
    let endpoint = Endpoint::for_server(addresses.quic)
        .map_err(|error| CrashError::Internal(error.to_string()))?;
    let (commands, receiver) = watch::channel(Command::Send);
    let target = Target {
        server: addresses.quic,
        ca: environment.ca(),
        endpoint,
        ledger: Arc::clone(ledger),
        commands: receiver,
    };
    let mut load = Load {
        acknowledged: ledger.restart_count(),
        commands,
        tasks: JoinSet::new(),
        done: Vec::new(),
        findings: Vec::new(),
        ops: addresses.ops.clone(),
        muster: environment.muster.clone(),
        response: None,
    };
    for (sender, numbers) in senders {
        load.tasks.spawn(sender.run(target.clone(), numbers));
    }
    let ended = load.run_until_end(server, termination, disk).await;
    load.commands.send_replace(Command::Stop);
    load.collect().await;

    let mut result = LoadResult {
        senders: Vec::with_capacity(load.done.len()),
        progress: Progress::default(),
        findings: load.findings,
        ended,
        response: load.response,
    };
    let is_undisturbed = ended == Ended::Killed
        && !is_power_lost(disk)
        && matches!(
            termination,
            Termination::AfterAcks(_) | Termination::AfterDelay(_) | Termination::WhenIdle(_)
        );
    for (sender, outcome) in load.done {
        if is_undisturbed && outcome.progress.connections > 1 {
            let text = format!("{} lost its connection to a healthy server", sender.name());
            result.findings.push(Finding::Behavior(text));
        }
        result.senders.push(sender);
        result.findings.extend(outcome.findings);
        let (sum, one) = (&mut result.progress, outcome.progress);
        sum.connections += one.connections;
        sum.accepted += one.accepted;
        sum.duplicate += one.duplicate;
        sum.stale += one.stale;
        sum.rejected += one.rejected;
        sum.frames_resent += one.frames_resent;
        sum.busy += one.busy;
    }
    Ok(result)
}

struct Load {
    /// Number of records acknowledged under this load.
    acknowledged: watch::Receiver<u64>,
    commands: watch::Sender<Command>,
    tasks: JoinSet<(Sender, crate::sender::Outcome)>,
    done: Vec<(Sender, crate::sender::Outcome)>,
    findings: Vec<Finding>,
    ops: String,
    muster: Muster,
    response: Option<FaultResponse>,
}

impl Load {
    /// Runs until the server terminates, or until its disk loses power by itself.
    async fn run_until_end(
        &mut self,
        server: &mut Server,
        termination: &Termination,
        disk: &mut dyn DiskBackend,
    ) -> Ended {
        let Some(mut lost) = disk.power_lost() else {
            return self.run_until_termination(server, termination, disk).await;
        };
        tokio::select! {
            biased;
            _ = lost.wait_for(|is_lost| *is_lost) => {}
            ended = self.run_until_termination(server, termination, disk) => return ended,
        }
        // Without its disk the server may hang, fail to stop, or acknowledge nothing.
        self.findings.clear();
        kill(server, disk)
    }

    async fn run_until_termination(
        &mut self,
        server: &mut Server,
        termination: &Termination,
        disk: &mut dyn DiskBackend,
    ) -> Ended {
        match termination {
            // The server became ready first.
            Termination::DuringStartUp(_) => kill(server, disk),
            Termination::AfterAcks(records) => {
                self.wait_for(*records).await;
                if records.is_multiple_of(RECOUNT_EVERY) {
                    self.recount("under load").await;
                }
                kill(server, disk)
            }
            Termination::AfterDelay(time) => {
                sleep(*time).await;
                kill(server, disk)
            }
            Termination::DuringDrain(records, time) => {
                self.wait_for(*records).await;
                server.terminate();
                sleep(*time).await;
                kill(server, disk)
            }
            Termination::WhenIdle(records) => {
                self.run_until_idle(*records).await;
                self.recount("after load").await;
                kill(server, disk)
            }
            Termination::AfterBackups(records, names) => {
                self.run_until_idle(*records).await;
                for name in names {
                    let answer = back_up(self.ops.clone(), name.clone()).await;
                    if !matches!(answer, Some((200, _))) {
                        let text = format!("the backup {name} failed: {answer:?}");
                        self.findings.push(Finding::Behavior(text));
                    }
                }
                self.recount("after load").await;
                kill(server, disk)
            }
            Termination::AfterFault(records) | Termination::AfterFaultInFlush(records) => {
                self.wait_for(*records).await;
                let is_in_flush = matches!(termination, Termination::AfterFaultInFlush(_));
                self.response = Some(self.observe_fault(disk, is_in_flush).await);
                kill(server, disk)
            }
            Termination::FaultAtStart => {
                let text = "a server is ready although its disk fails";
                self.findings.push(Finding::Behavior(text.to_owned()));
                kill(server, disk)
            }
            Termination::GracefulStop(records) => {
                self.wait_for(*records).await;
                self.stop(server).await
            }
            Termination::AtKillPoint(name, _, records) => {
                let backups = make_backups(self.ops.clone());
                let changes = make_changes(self.ops.clone());
                let is_gone = tokio::select! {
                    () = server.gone() => true,
                    () = self.wait_for(*records) => false,
                    () = backups, if name.starts_with(BACKUP_POINTS) => false,
                    () = changes, if termination.changes_rules() => false,
                };
                if is_gone {
                    server.end().await
                } else {
                    self.stop(server).await
                }
            }
        }
    }

    /// Stops the senders and waits until everything they have sent is acknowledged.
    async fn run_until_idle(&mut self, records: u64) {
        self.wait_for(records).await;
        self.commands.send_replace(Command::Finish);
        if timeout(DEADLINE, self.collect()).await.is_err() {
            let text = "the server does not acknowledge everything in time";
            self.findings.push(Finding::Behavior(text.to_owned()));
        }
    }

    /// Injects a disk fault and observes the server until it has detected the fault, and a while longer.
    async fn observe_fault(&self, disk: &mut dyn DiskBackend, is_in_flush: bool) -> FaultResponse {
        let acked = || *self.acknowledged.borrow();
        let acked_before_fault = acked();
        disk.inject_fault();
        let mut backup = None;
        if is_in_flush {
            let answer = back_up(self.ops.clone(), "backup".to_owned()).await;
            backup = Some(answer.map_or(0, |(status, _)| status));
        }
        let detected = async {
            while !disk.is_hanging() && self.observe().await.ready == 200 {
                sleep(ACK_DELAY_MAX).await;
            }
        };
        // If the server has not detected the fault by then, the observation below is a finding.
        let _ = timeout(DETECTION_TIMEOUT, detected).await;
        // Acks of records that were durable before the fault may be in flight.
        sleep(ACK_DELAY_MAX).await;
        let acked_at_detection = acked();
        let is_hanging = disk.is_hanging();
        sleep(if is_hanging { HANG_TIME } else { ACK_DELAY_MAX }).await;
        let observation = self.observe().await;
        let acked_at_end = acked();
        let mut resumed = None;
        if is_hanging {
            disk.remove_fault();
            let mut acknowledged = self.acknowledged.clone();
            let more = acknowledged.wait_for(|count| *count > acked_at_end);
            resumed = Some(timeout(DEADLINE, more).await.is_ok());
        }
        FaultResponse {
            acked_before_fault,
            acked_before_detection: acked_at_detection - acked_before_fault,
            acked_after_detection: acked_at_end - acked_at_detection,
            observation,
            backup,
            resumed,
        }
    }

    async fn observe(&self) -> Observation {
        let ops = self.ops.clone();
        let seen = tokio::task::spawn_blocking(move || observe(&ops)).await;
        seen.unwrap_or_default()
    }

    /// Waits for a number of acknowledgements, or until [`ACKS_TIMEOUT`] and the first one.
    async fn wait_for(&mut self, records: u64) {
        let reached = self.acknowledged.wait_for(|count| *count >= records);
        if timeout(ACKS_TIMEOUT, reached).await.is_ok() {
            return;
        }
        let some = self.acknowledged.wait_for(|count| *count > 0);
        if timeout(DEADLINE, some).await.is_err() {
            let text = "a server under load acknowledges nothing";
            self.findings.push(Finding::Behavior(text.to_owned()));
        }
    }

    /// Recounts the running server, since a restart would rebuild the counters.
    async fn recount(&mut self, context: &'static str) {
        let (muster, ops) = (self.muster.clone(), self.ops.clone());
        let recounted =
            tokio::task::spawn_blocking(move || (muster.recount_online(&ops), check_healthy(&ops)));
        match recounted.await {
            Ok((Ok(recount), findings)) => {
                let finding = check::recount(context, recount, recount.devices);
                self.findings.extend(finding);
                self.findings.extend(findings);
            }
            Ok((Err(refusal), _)) => self.findings.push(Finding::Behavior(refusal.to_string())),
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }

    /// A graceful stop. The server must exit with code 0, or kill itself at a kill point.
    async fn stop(&mut self, server: &mut Server) -> Ended {
        server.terminate();
        let ended = server.end().await;
        if !matches!(ended, Ended::Code(0) | Ended::Killed) {
            let text = format!("a graceful stop ended with {ended:?}");
            self.findings.push(Finding::Behavior(text));
        }
        ended
    }

    async fn collect(&mut self) {
        while let Some(joined) = self.tasks.join_next().await {
            match joined {
                Ok(done) => self.done.push(done),
                Err(error) => std::panic::resume_unwind(error.into_panic()),
            }
        }
    }
}

async fn back_up(ops: String, name: String) -> Option<(u16, String)> {
    let answer = tokio::task::spawn_blocking(move || observe::back_up(&ops, &name)).await;
    answer.unwrap_or_default()
}

/// Makes one backup after another until the server stops answering; never completes.
async fn make_backups(ops: String) {
    for number in 0_u64.. {
        let answer = back_up(ops.clone(), format!("backup-{number}")).await;
        if answer.is_none() {
            break;
        }
    }
    std::future::pending::<()>().await
}

/// Changes the rules of a tenant repeatedly until the server stops responding; never completes.
async fn make_changes(ops: String) {
    for number in 0_u64.. {
        let ops = ops.clone();
        let change = move || observe::change_rules(&ops, TENANTS[0], number.is_multiple_of(2));
        let response = tokio::task::spawn_blocking(change).await;
        if response.unwrap_or_default().is_none() {
            break;
        }
    }
    std::future::pending::<()>().await
}

/// Kills a server; its disk loses power first, so that later writes of the process are lost.
pub fn kill(server: &mut Server, disk: &mut dyn DiskBackend) -> Ended {
    disk.cut_power();
    server.kill()
}
