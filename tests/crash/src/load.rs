//! One server under load, up to its end.
//!
//! The senders run as tasks; this one waits for the moment, lets the server die, and collects what the
//! senders saw. The server dies before the senders are told, so they send until the very end.

use std::sync::Arc;
use std::time::Duration;

use muster_client::{Endpoint, Progress};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::answers::Numbers;
use crate::book::Book;
use crate::check::{self, Finding};
use crate::error::CrashError;
use crate::medium::{Medium, is_lost};
use crate::moment::Moment;
use crate::muster::Muster;
use crate::observe::{self, NOTICE, Observation, Shown, observe, sound};
use crate::process::{Addresses, DEADLINE, Ended, Server};
use crate::sender::{Order, Sender, Target};
use crate::site::Site;

/// How long a number of acknowledgements is waited for. A server that has given none by then hangs.
const PATIENCE: Duration = Duration::from_secs(3);

/// How long an ack takes from the server to the ledger, on a busy machine.
const ON_THE_WAY: Duration = Duration::from_millis(200);

/// Under load a server recounts itself when its moment is a multiple of this: about one in four.
const RECOUNTED: u64 = 4;

/// What the names of the kill points of a backup begin with.
pub const BACKUP_POINTS: &str = "store.backup.";

/// How long a disk is stuck.
const STUCK: Duration = Duration::from_secs(10);

/// What became of a server under load.
#[derive(Debug)]
pub struct Result {
    /// The senders, for the next server.
    pub senders: Vec<Sender>,
    /// What they were answered, summed up.
    pub progress: Progress,
    /// What was wrong.
    pub findings: Vec<Finding>,
    /// How the server ended.
    pub ended: Ended,
    /// What it did when its disk went bad, if it did.
    pub shown: Option<Shown>,
}

/// Puts a ready server under load until the moment comes, and lets it end.
///
/// # Errors
/// If no socket can be opened.
pub async fn run(
    site: &Site,
    server: &mut Server,
    addresses: &Addresses,
    senders: Vec<(Sender, Numbers)>,
    book: &Arc<Book>,
    moment: &Moment,
    medium: &mut dyn Medium,
) -> std::result::Result<Result, CrashError> {
    let endpoint = Endpoint::for_server(addresses.quic)
        .map_err(|error| CrashError::Internal(error.to_string()))?;
    let (orders, receiver) = watch::channel(Order::Send);
    let target = Target {
        server: addresses.quic,
        ca: site.ca(),
        endpoint,
        book: Arc::clone(book),
        orders: receiver,
    };
    let mut load = Load {
        acknowledged: book.count_anew(),
        orders,
        tasks: JoinSet::new(),
        done: Vec::new(),
        findings: Vec::new(),
        ops: addresses.ops.clone(),
        muster: site.muster.clone(),
        shown: None,
    };
    for (sender, numbers) in senders {
        load.tasks.spawn(sender.run(target.clone(), numbers));
    }
    let ended = load.until_end(server, moment, medium).await;
    load.orders.send_replace(Order::Stop);
    load.collect().await;

    let mut result = Result {
        senders: Vec::with_capacity(load.done.len()),
        progress: Progress::default(),
        findings: load.findings,
        ended,
        shown: load.shown,
    };
    let is_undisturbed = ended == Ended::Killed
        && !is_lost(medium)
        && matches!(
            moment,
            Moment::Acknowledged(_) | Moment::Elapsed(_) | Moment::Quiet(_)
        );
    for (sender, outcome) in load.done {
        if is_undisturbed && outcome.progress.connections > 1 {
            let text = format!(
                "{} lost its connection to a server that was well",
                sender.name()
            );
            result.findings.push(Finding::Conduct(text));
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
    /// Records acknowledged since the load began.
    acknowledged: watch::Receiver<u64>,
    orders: watch::Sender<Order>,
    tasks: JoinSet<(Sender, crate::sender::Outcome)>,
    done: Vec<(Sender, crate::sender::Outcome)>,
    findings: Vec<Finding>,
    ops: String,
    muster: Muster,
    shown: Option<Shown>,
}

impl Load {
    /// Until the moment, or until the medium gives out by itself.
    async fn until_end(
        &mut self,
        server: &mut Server,
        moment: &Moment,
        medium: &mut dyn Medium,
    ) -> Ended {
        let Some(mut lost) = medium.lost() else {
            return self.until_moment(server, moment, medium).await;
        };
        tokio::select! {
            biased;
            _ = lost.wait_for(|is_lost| *is_lost) => {}
            ended = self.until_moment(server, moment, medium) => return ended,
        }
        // Without its disk a server may hang, fail to stop, or acknowledge nothing.
        self.findings.clear();
        strike(server, medium)
    }

    async fn until_moment(
        &mut self,
        server: &mut Server,
        moment: &Moment,
        medium: &mut dyn Medium,
    ) -> Ended {
        match moment {
            // The server was ready sooner.
            Moment::StartUp(_) => strike(server, medium),
            Moment::Acknowledged(records) => {
                self.wait_for(*records).await;
                if records.is_multiple_of(RECOUNTED) {
                    self.recount("under load").await;
                }
                strike(server, medium)
            }
            Moment::Elapsed(time) => {
                sleep(*time).await;
                strike(server, medium)
            }
            Moment::Drain(records, time) => {
                self.wait_for(*records).await;
                server.terminate();
                sleep(*time).await;
                strike(server, medium)
            }
            Moment::Quiet(records) => {
                self.quiet(*records).await;
                self.recount("after load").await;
                strike(server, medium)
            }
            Moment::BackedUp(records, names) => {
                self.quiet(*records).await;
                for name in names {
                    let answer = back_up(self.ops.clone(), name.clone()).await;
                    if !matches!(answer, Some((200, _))) {
                        let text = format!("the backup {name} is not made: {answer:?}");
                        self.findings.push(Finding::Conduct(text));
                    }
                }
                self.recount("after load").await;
                strike(server, medium)
            }
            Moment::Fault(records) | Moment::FaultInFlush(records) => {
                self.wait_for(*records).await;
                let is_in_flush = matches!(moment, Moment::FaultInFlush(_));
                self.shown = Some(self.bad_disk(medium, is_in_flush).await);
                strike(server, medium)
            }
            Moment::FaultAtStart => {
                let text = "a server is ready though its disk fails";
                self.findings.push(Finding::Conduct(text.to_owned()));
                strike(server, medium)
            }
            Moment::Stop(records) => {
                self.wait_for(*records).await;
                self.stop(server).await
            }
            Moment::KillPoint(name, _, records) => {
                let backups = backups(self.ops.clone(), name.starts_with(BACKUP_POINTS));
                let is_gone = tokio::select! {
                    () = server.gone() => true,
                    () = self.wait_for(*records) => false,
                    () = backups => false,
                };
                if is_gone {
                    return server.end().await;
                }
                self.stop(server).await
            }
        }
    }

    /// Until everything that was sent is acknowledged.
    async fn quiet(&mut self, records: u64) {
        self.wait_for(records).await;
        self.orders.send_replace(Order::Finish);
        if timeout(DEADLINE, self.collect()).await.is_err() {
            let text = "what was sent before a quiet end is not acknowledged in time";
            self.findings.push(Finding::Conduct(text.to_owned()));
        }
    }

    /// The disk goes bad: watches until the server has noticed, and a while longer.
    async fn bad_disk(&self, medium: &mut dyn Medium, is_in_flush: bool) -> Shown {
        let acked = || *self.acknowledged.borrow();
        let mut shown = Shown {
            acked_before: acked(),
            ..Shown::default()
        };
        medium.fail();
        if is_in_flush {
            let answer = back_up(self.ops.clone(), "backup".to_owned()).await;
            shown.backup = Some(answer.map_or(0, |(status, _)| status));
        }
        let noticed = async {
            while !medium.is_stuck() && self.observe().await.ready == 200 {
                sleep(ON_THE_WAY).await;
            }
        };
        // Whoever has not noticed by then is told by what he says.
        let _ = timeout(NOTICE, noticed).await;
        // Acks of what was durable before may be under way.
        sleep(ON_THE_WAY).await;
        shown.acked_after = acked() - shown.acked_before;
        let at_notice = acked();
        if medium.is_stuck() {
            sleep(STUCK).await;
            shown.seen = self.observe().await;
            shown.acked_late = acked() - at_notice;
            medium.heal();
            let more = acked() + 1;
            let mut watched = self.acknowledged.clone();
            let resumed = timeout(DEADLINE, watched.wait_for(|count| *count >= more)).await;
            shown.resumed = Some(resumed.is_ok());
        } else {
            sleep(ON_THE_WAY).await;
            shown.seen = self.observe().await;
            shown.acked_late = acked() - at_notice;
        }
        shown
    }

    async fn observe(&self) -> Observation {
        let ops = self.ops.clone();
        let seen = tokio::task::spawn_blocking(move || observe(&ops)).await;
        seen.unwrap_or_default()
    }

    /// Waits for so many acknowledgements, or as long as a cycle may take.
    async fn wait_for(&mut self, records: u64) {
        let reached = self.acknowledged.wait_for(|count| *count >= records);
        if timeout(PATIENCE, reached).await.is_ok() {
            return;
        }
        let some = self.acknowledged.wait_for(|count| *count > 0);
        if timeout(DEADLINE, some).await.is_err() {
            let text = "a server under load acknowledges nothing";
            self.findings.push(Finding::Conduct(text.to_owned()));
        }
    }

    /// What has been counted up and down since the start must be what is there: a restart would count anew.
    async fn recount(&mut self, place: &'static str) {
        let (muster, ops) = (self.muster.clone(), self.ops.clone());
        let asked = tokio::task::spawn_blocking(move || (muster.recount_online(&ops), sound(&ops)));
        match asked.await {
            Ok((Ok(recount), faults)) => {
                let finding = check::recount(place, recount, recount.devices);
                self.findings.extend(finding);
                self.findings.extend(faults);
            }
            Ok((Err(refusal), _)) => self.findings.push(Finding::Conduct(refusal.to_string())),
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }

    /// An orderly stop. It may end at a kill point, but not otherwise.
    async fn stop(&mut self, server: &mut Server) -> Ended {
        server.terminate();
        let ended = server.end().await;
        if !matches!(ended, Ended::Code(0) | Ended::Killed) {
            let text = format!("an orderly stop ended as {ended:?}");
            self.findings.push(Finding::Conduct(text));
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

/// One backup after the other, without an end, if any are to be made: whoever waits beside it ends first.
async fn backups(ops: String, are_ordered: bool) {
    for number in 0_u64.. {
        if !are_ordered
            || back_up(ops.clone(), format!("backup-{number}"))
                .await
                .is_none()
        {
            std::future::pending::<()>().await;
        }
    }
}

/// The death of a server under test: from here on it reaches neither its disk nor anybody.
pub fn strike(server: &mut Server, medium: &mut dyn Medium) -> Ended {
    medium.cut();
    server.kill()
}
