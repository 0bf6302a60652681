//! The events of a step. To add one, write a method here and call it from [`World::step`].

use std::time::Duration;

use muster_engine::Timestamp;
use muster_ingest::phase::Phase;
use muster_ingest::shard::{Control, Input, Stepped};
use muster_wire::CloseCode;

use super::World;
use crate::checks;
use crate::connection::{Connection, SessionStep};
use crate::disk::WriteFailure;
use crate::server::StopPhase;
use crate::settings::EventRates;
use crate::violation::Violation;

/// Checks at rest, in 100,000 steps.
const CHECKS_AT_REST: u64 = 300;

impl World {
    /// One step of the scheduler.
    pub(super) fn step(&mut self) -> Result<(), Violation> {
        self.summary.steps += 1;
        if self.server.is_none() {
            return self.start_server();
        }
        if !self.faults_disabled {
            self.inject_events()?;
        }
        if self.server.is_none() {
            return Ok(());
        }
        match self.random.below(100) {
            0..=34 => self.step_client()?,
            35..=64 => self.step_session(),
            65..=84 => self.step_worker(),
            85..=96 => self.step_writer()?,
            97 => self.step_operator()?,
            98 => self.step_stop()?,
            _ => self.tick(),
        }
        let Some(server) = &mut self.server else {
            return Ok(());
        };
        server.serve_if_ready();
        let is_poisoned = server.phase() == Phase::Poisoned;
        self.check_poison()?;
        if self.crash_pending && self.disk.has_failed() {
            return self.crash();
        }
        // An operator restarts it after a while.
        if is_poisoned && self.random.below(50) == 0 {
            return self.crash();
        }
        Ok(())
    }

    /// Events at the rates of the settings: faults, requests of operators, jumps of time; and checks at rest.
    fn inject_events(&mut self) -> Result<(), Violation> {
        let EventRates {
            crash,
            crash_in_write,
            write_failure,
            connection_loss,
            stop,
            policy_change,
            clock_jump,
        } = self.settings.rates;
        if self.chance(crash) {
            return self.crash();
        }
        if self.chance(crash_in_write) && !self.disk.has_failed() {
            self.crash_pending = true;
            self.fail_next_write();
        }
        if self.chance(write_failure) {
            self.fail_next_write();
        }
        if self.chance(connection_loss) {
            let number = self.random.below(self.connections.len() as u64) as usize;
            self.trace.record("connection lost", number, &[]);
            if self.random.below(2) == 0 {
                self.deliver(number, usize::MAX)?;
            }
            self.connections[number] = None;
        }
        if self.chance(stop) {
            self.begin_stop();
        }
        if self.chance(policy_change) {
            self.change_rules();
        }
        if self.chance(clock_jump) {
            let seconds_max = self.random.choose(&[2, 90, 400, 3_600, 100_000, 900_000]);
            let seconds = 1 + self.random.below(seconds_max);
            let seconds = if self.is_late() { 1 } else { seconds };
            self.trace.record("clock jump", 0, &[("seconds", seconds)]);
            self.advance_time(Duration::from_secs(seconds));
        }
        self.step_clock();
        if self.chance(CHECKS_AT_REST) {
            self.check_at_rest()?;
        }
        Ok(())
    }

    fn fail_next_write(&mut self) {
        let failure = self
            .random
            .choose(&[WriteFailure::Lost, WriteFailure::Kept]);
        let kept = u64::from(failure == WriteFailure::Kept);
        self.trace.record("next write fails", 0, &[("kept", kept)]);
        self.disk.fail_next_write(failure);
    }

    pub(super) fn begin_stop(&mut self) {
        if let Some(server) = &mut self.server
            && server.phase() == Phase::Serving
        {
            self.trace.record("stop", 0, &[]);
            server.context.phase.advance(Phase::Draining);
            server.stop = StopPhase::DrainingSessions;
        }
    }

    /// A client connects, sends or receives.
    fn step_client(&mut self) -> Result<(), Violation> {
        let number = self.random.below(self.clients.len() as u64) as usize;
        if self.connections[number].is_none() {
            self.connect(number);
            return Ok(());
        }
        if self.random.below(2) == 0 {
            let bytes_max = self.random.choose(&[1, 20, 200, usize::MAX]);
            self.deliver(number, bytes_max)?;
            return self.close_if_done(number);
        }
        let Some(connection) = &mut self.connections[number] else {
            return Ok(());
        };
        let client = &mut self.clients[number];
        let records = client.send(
            &mut connection.to_server,
            &mut self.fleet,
            &self.acknowledged_state,
            &mut self.random,
        );
        if records > 0 {
            self.trace
                .record("send", number, &[("records", records as u64)]);
        } else if self.faults_disabled || self.random.below(20) == 0 {
            client.send_goodbye(&mut connection.to_server);
        }
        Ok(())
    }

    fn connect(&mut self, number: usize) {
        let Some(server) = &self.server else {
            return;
        };
        let client = &mut self.clients[number];
        if server.phase() != Phase::Serving || (self.faults_disabled && client.is_done()) {
            return;
        }
        if let Ok(mut connection) = Connection::new(client.identity.clone(), &server.context) {
            client.connect(&mut connection.to_server);
            self.trace.record("connect", number, &[]);
            self.connections[number] = Some(connection);
        }
    }

    /// Delivers the next bytes to a client, at most `bytes_max`.
    pub(super) fn deliver(&mut self, number: usize, bytes_max: usize) -> Result<(), Violation> {
        let Some(connection) = &mut self.connections[number] else {
            return Ok(());
        };
        let size = connection.to_client.len().min(bytes_max);
        if size == 0 {
            return Ok(());
        }
        let bytes: Vec<u8> = connection.to_client.drain(..size).collect();
        let acked =
            self.clients[number].receive(&bytes, &self.fleet, &mut self.acknowledged_state)?;
        if acked > 0 {
            self.trace.record("acked", number, &[("records", acked)]);
            self.summary.acked += acked;
        }
        Ok(())
    }

    /// Drops a connection that the server has closed once its client has read everything.
    fn close_if_done(&mut self, number: usize) -> Result<(), Violation> {
        let Some(connection) = &self.connections[number] else {
            return Ok(());
        };
        let Some(code) = connection
            .closed()
            .filter(|_| connection.to_client.is_empty())
        else {
            return Ok(());
        };
        self.connections[number] = None;
        self.trace
            .record("closed", number, &[("code", u64::from(code.code()))]);
        let is_expected = match code {
            CloseCode::Done => self.clients[number].is_done(),
            CloseCode::Draining | CloseCode::StoreUnavailable => true,
            _ => false,
        };
        if is_expected {
            return Ok(());
        }
        let detail = format!("the server closes an honest client with {}", code.name());
        Err(Violation::new("protocol", detail))
    }

    fn step_session(&mut self) {
        let number = self.random.below(self.connections.len() as u64) as usize;
        let (Some(connection), Some(server)) = (&mut self.connections[number], &self.server) else {
            return;
        };
        match connection.step(&server.context, &mut self.random) {
            SessionStep::Idle => (),
            SessionStep::Read(bytes) => {
                self.trace
                    .record("read", number, &[("bytes", bytes as u64)]);
            }
            SessionStep::Offered(taken) => {
                let taken = u64::from(taken);
                self.trace.record("offered", number, &[("taken", taken)]);
            }
            SessionStep::Sent => self.trace.record("sent", number, &[]),
            SessionStep::Closed => self.trace.record("closes", number, &[]),
        }
    }

    fn step_worker(&mut self) {
        let first = self.random.choose(&[Input::Control, Input::Inbox]);
        let Some(server) = &mut self.server else {
            return;
        };
        let worker = self.random.below(server.workers.len() as u64) as usize;
        if server.step_worker(worker, first) == Stepped::Worked {
            let shards = server.workers[worker].shards().shards();
            let sequences = shards.map(|shard| shard.sequence().0).sum();
            self.trace
                .record("worker", worker, &[("sequences", sequences)]);
        }
    }

    fn step_writer(&mut self) -> Result<(), Violation> {
        let Some(server) = &mut self.server else {
            return Ok(());
        };
        if self.random.below(2) == 0 {
            server.forward_commits(self.options.injected_fault, &mut self.random);
        } else if server.step_writer() {
            let metrics = server.groups.log().metrics();
            let numbers = [("commits", metrics.commits), ("bytes", metrics.bytes)];
            self.trace.record("write", 0, &numbers);
            return self.check_view();
        }
        Ok(())
    }

    /// Checks the view after a write: everything that is durable, and nothing else, is counted.
    fn check_view(&mut self) -> Result<(), Violation> {
        if self.crash_pending || self.disk.has_failed() {
            return Ok(());
        }
        self.oracle.catch_up(&self.disk)?;
        match &self.server {
            Some(server) => checks::view_after_a_write(server, &self.oracle),
            None => Ok(()),
        }
    }

    /// Time passes; sometimes the wall clock is set back a few seconds.
    fn tick(&mut self) {
        self.advance_time(Duration::from_millis(700));
        if !self.faults_disabled && self.random.below(50) == 0 {
            let earlier = self.clock.wall().as_millis() - self.random.below(5_000);
            self.time.set_wall(Timestamp::from_millis(earlier));
        }
    }

    /// One step of a graceful stop: sessions end, then workers, then the writer.
    pub(super) fn step_stop(&mut self) -> Result<(), Violation> {
        let Some(server) = &mut self.server else {
            return Ok(());
        };
        let are_closed = self
            .connections
            .iter()
            .flatten()
            .all(|connection| connection.closed().is_some());
        match server.stop {
            StopPhase::Running => Ok(()),
            // Open connections are closed at half of the deadline, which passes at random.
            StopPhase::DrainingSessions if are_closed || self.random.below(20) == 0 => {
                self.operator.cancel_recount();
                for number in 0..self.connections.len() {
                    self.deliver(number, usize::MAX)?;
                    self.connections[number] = None;
                }
                if let Some(server) = &mut self.server {
                    server.stop = StopPhase::DrainingWorkers;
                    for worker in 0..server.workers.len() {
                        server.send_control(worker, Control::Drain);
                    }
                }
                Ok(())
            }
            StopPhase::DrainingSessions => Ok(()),
            StopPhase::DrainingWorkers if server.has_stopped() => self.finish_stop(),
            StopPhase::DrainingWorkers => Ok(()),
        }
    }

    /// The server has stopped, which leaves nothing for the next start to replay.
    fn finish_stop(&mut self) -> Result<(), Violation> {
        let Some(server) = &self.server else {
            return Ok(());
        };
        if server.phase() != Phase::Poisoned && !self.disk.has_failed() {
            let bytes = server.groups.log().journal_bytes_live();
            if bytes != 0 {
                let detail = format!("{bytes} bytes of journal remain to be replayed");
                return Err(Violation::new("a stop leaves nothing to replay", detail));
            }
            // If this flush fails, the next start recovers as after a crash.
            let _ = server.store.clone().close();
            self.summary.drains += 1;
        }
        self.trace.record("stopped", 0, &[]);
        self.drop_server()
    }
}
