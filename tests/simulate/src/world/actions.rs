//! What can happen in a step. To add an event, write it here and give it a share of [`World::step`].

use std::time::Duration;

use muster_ingest::phase::Phase;
use muster_ingest::shard::{Control, Input, Stepped};
use muster_wire::CloseCode;

use super::World;
use crate::disk::Failure;
use crate::fleet::one_of;
use crate::link::{Did, Link};
use crate::server::Stop;
use crate::settings::Faults;
use crate::violation::Violation;

/// How often everything is brought to rest and looked at, in 100,000 steps.
const LOOKS: u64 = 300;

impl World {
    /// One step of anything.
    pub(super) fn step(&mut self) -> Result<(), Violation> {
        self.summary.steps += 1;
        if self.server.is_none() {
            return self.start();
        }
        if !self.calm {
            self.mischief()?;
        }
        if self.server.is_none() {
            return Ok(());
        }
        match self.random.below(100) {
            0..=34 => self.client()?,
            35..=64 => self.session(),
            65..=84 => self.shard(),
            85..=96 => self.writer(),
            97 => self.operate()?,
            98 => self.stopping()?,
            _ => self.tick(),
        }
        let Some(server) = &mut self.server else {
            return Ok(());
        };
        server.serve_if_ready();
        let is_poisoned = server.phase() == Phase::Poisoned;
        self.poison()?;
        if self.dying && self.disk.has_failed() {
            return self.crash();
        }
        // Somebody restarts it sooner or later.
        if is_poisoned && self.random.below(50) == 0 {
            return self.crash();
        }
        Ok(())
    }

    /// What goes wrong, what operators do, and time.
    fn mischief(&mut self) -> Result<(), Violation> {
        let Faults {
            crash,
            crash_in_write,
            write_fails,
            cut,
            stop,
            policy,
            time_jump,
        } = self.settings.faults;
        if self.chance(crash) {
            return self.crash();
        }
        if self.chance(crash_in_write) && !self.disk.has_failed() {
            self.dying = true;
            self.fail_next_write();
        }
        if self.chance(write_fails) {
            self.fail_next_write();
        }
        if self.chance(cut) {
            let number = self.random.below(self.links.len() as u64) as usize;
            self.trace.note("cut", number, &[]);
            if self.random.below(2) == 0 {
                self.deliver(number, usize::MAX)?;
            }
            self.links[number] = None;
        }
        if self.chance(stop) {
            self.begin_stop();
        }
        if self.chance(policy) {
            self.change_policy();
        }
        if self.chance(time_jump) {
            let most = one_of(&[2, 90, 400, 3_600, 100_000, 900_000], &mut self.random);
            let seconds = 1 + self.random.below(most);
            self.trace.note("time", 0, &[("seconds", seconds)]);
            self.pass(Duration::from_secs(seconds));
        }
        match self.chance(LOOKS) {
            true => self.look(),
            false => Ok(()),
        }
    }

    fn fail_next_write(&mut self) {
        let failure = one_of(&[Failure::Lost, Failure::Kept], &mut self.random);
        let kept = u64::from(failure == Failure::Kept);
        self.trace.note("next write fails", 0, &[("kept", kept)]);
        self.disk.fail_next(failure);
    }

    pub(super) fn begin_stop(&mut self) {
        if let Some(server) = &mut self.server
            && server.phase() == Phase::Serving
        {
            self.trace.note("stop", 0, &[]);
            server.context.phase.advance(Phase::Draining);
            server.stop = Stop::Sessions;
        }
    }

    /// A client connects, sends, or reads.
    fn client(&mut self) -> Result<(), Violation> {
        let number = self.random.below(self.clients.len() as u64) as usize;
        if self.links[number].is_none() {
            self.connect(number);
            return Ok(());
        }
        if self.random.below(2) == 0 {
            let most = one_of(&[1, 20, 200, usize::MAX], &mut self.random);
            self.deliver(number, most)?;
            return self.hang_up(number);
        }
        let Some(link) = &mut self.links[number] else {
            return Ok(());
        };
        let client = &mut self.clients[number];
        let records = client.send(
            &mut link.to_server,
            &mut self.fleet,
            &self.promises,
            &mut self.random,
        );
        if records > 0 {
            self.trace
                .note("send", number, &[("records", records as u64)]);
        } else if self.calm || self.random.below(20) == 0 {
            client.say_goodbye(&mut link.to_server);
        }
        Ok(())
    }

    fn connect(&mut self, number: usize) {
        let Some(server) = &self.server else {
            return;
        };
        let client = &mut self.clients[number];
        if server.phase() != Phase::Serving || (self.calm && client.is_done()) {
            return;
        }
        if let Ok(mut link) = Link::new(client.identity.clone(), &server.context) {
            client.connect(&mut link.to_server);
            self.trace.note("connect", number, &[]);
            self.links[number] = Some(link);
        }
    }

    /// The next bytes for a client arrive.
    pub(super) fn deliver(&mut self, number: usize, most: usize) -> Result<(), Violation> {
        let Some(link) = &mut self.links[number] else {
            return Ok(());
        };
        let size = link.to_client.len().min(most);
        if size == 0 {
            return Ok(());
        }
        let bytes: Vec<u8> = link.to_client.drain(..size).collect();
        let acked = self.clients[number].receive(&bytes, &self.fleet, &mut self.promises)?;
        if acked > 0 {
            self.trace.note("acked", number, &[("records", acked)]);
            self.summary.acked += acked;
        }
        Ok(())
    }

    /// A client that has read everything of a connection that the server closed lets go of it.
    fn hang_up(&mut self, number: usize) -> Result<(), Violation> {
        let Some(link) = &self.links[number] else {
            return Ok(());
        };
        let Some(code) = link.closed().filter(|_| link.to_client.is_empty()) else {
            return Ok(());
        };
        self.links[number] = None;
        self.trace
            .note("closed", number, &[("code", u64::from(code.code()))]);
        let is_fair = match code {
            CloseCode::Done => self.clients[number].is_done(),
            CloseCode::Draining | CloseCode::StoreUnavailable => true,
            _ => false,
        };
        match is_fair {
            true => Ok(()),
            false => {
                let what = format!("an honest client is closed with {}", code.name());
                Err(Violation::new("protocol", what))
            }
        }
    }

    fn session(&mut self) {
        let number = self.random.below(self.links.len() as u64) as usize;
        let (Some(link), Some(server)) = (&mut self.links[number], &self.server) else {
            return;
        };
        match link.step(&server.context, &mut self.random) {
            Did::Nothing => (),
            Did::Read(bytes) => self.trace.note("read", number, &[("bytes", bytes as u64)]),
            Did::Offered(taken) => {
                let taken = u64::from(taken);
                self.trace.note("offered", number, &[("taken", taken)]);
            }
            Did::Said => self.trace.note("said", number, &[]),
            Did::Closed => self.trace.note("closes", number, &[]),
        }
    }

    fn shard(&mut self) {
        let first = one_of(&[Input::Control, Input::Inbox], &mut self.random);
        let Some(server) = &mut self.server else {
            return;
        };
        let shard = self.random.below(server.workers.len() as u64) as usize;
        if server.step_shard(shard, first) == Stepped::Worked {
            let sequence = server.workers[shard].shard().sequence();
            self.trace.note("shard", shard, &[("sequence", sequence.0)]);
        }
    }

    fn writer(&mut self) {
        let Some(server) = &mut self.server else {
            return;
        };
        if self.random.below(2) == 0 {
            server.hand_over(self.options.plant, &mut self.random);
        } else if server.step_writer() {
            let metrics = server.groups.writer().metrics();
            let numbers = [("commits", metrics.commits), ("bytes", metrics.bytes)];
            self.trace.note("write", 0, &numbers);
        }
    }

    /// A moment passes; now and then the wall clock is set back a little.
    fn tick(&mut self) {
        self.pass(Duration::from_millis(700));
        if !self.calm && self.random.below(50) == 0 {
            let back = self.clock.wall().as_millis() - self.random.below(5_000);
            self.time
                .set_wall(muster_engine::Timestamp::from_millis(back));
        }
    }

    /// A stop goes on: sessions end, then shards, then the writer; the next start has nothing to replay.
    pub(super) fn stopping(&mut self) -> Result<(), Violation> {
        let Some(server) = &mut self.server else {
            return Ok(());
        };
        let are_gone = self
            .links
            .iter()
            .flatten()
            .all(|link| link.closed().is_some());
        match server.stop {
            Stop::No => Ok(()),
            // Half of the deadline has passed, now and then.
            Stop::Sessions if are_gone || self.random.below(20) == 0 => {
                self.operator.let_go();
                for number in 0..self.links.len() {
                    self.deliver(number, usize::MAX)?;
                    self.links[number] = None;
                }
                if let Some(server) = &mut self.server {
                    server.stop = Stop::Shards;
                    for shard in 0..server.workers.len() {
                        server.order(shard, Control::Drain);
                    }
                }
                Ok(())
            }
            Stop::Sessions => Ok(()),
            Stop::Shards if server.has_ended() => self.stopped(),
            Stop::Shards => Ok(()),
        }
    }

    fn stopped(&mut self) -> Result<(), Violation> {
        let Some(server) = &self.server else {
            return Ok(());
        };
        if server.phase() != Phase::Poisoned && !self.disk.has_failed() {
            let left = server.groups.writer().journal_bytes_live();
            if left != 0 {
                let what = format!("{left} bytes of journal are left to replay");
                return Err(Violation::new("a stop leaves nothing to replay", what));
            }
            // A flush that fails is a crash like any other.
            let _ = server.store.clone().close();
            self.summary.drains += 1;
        }
        self.trace.note("stopped", 0, &[]);
        self.go_down()
    }
}
