//! The end of a run: faults stop, everything is acknowledged, and the state matches the model.

use std::time::Duration;

use muster_ingest::phase::Phase;
use muster_ingest::recount::{Cells, counters};

use super::World;
use crate::server::{Server, StopPhase};
use crate::violation::Violation;

/// A run that needs more steps than this without faults hangs.
const STEPS_MAX: u64 = 400_000;

impl World {
    /// Clients resend until everything is acknowledged; then counts are compared, also after a restart.
    pub(super) fn finish(&mut self) -> Result<(), Violation> {
        self.trace.record("faults stop", 0, &[]);
        self.faults_disabled = true;
        self.disk.clear_failure();
        self.crash_pending = false;
        for client in &mut self.clients {
            client.stop_producing();
        }
        if self.disk.has_failed() {
            self.crash()?;
        }
        self.run_until("everything is acknowledged", |world| {
            let serves = world
                .server
                .as_ref()
                .is_some_and(|server| server.phase() == Phase::Serving);
            serves && world.clients.iter().all(|client| client.is_done())
        })?;
        self.run_until("every session ends", |world| {
            world.connections.iter().all(Option::is_none)
        })?;
        self.check_at_rest()?;
        self.reevaluate_all()?;
        self.check_at_rest()?;
        let before = self.counters();
        self.check_counts_match_model(&before)?;
        self.begin_stop();
        self.run_until("the server stops", |world| {
            world
                .server
                .as_ref()
                .is_none_or(|server| server.stop == StopPhase::Running)
        })?;
        self.run_until("the server serves again", |world| {
            world
                .server
                .as_ref()
                .is_some_and(|server| server.phase() == Phase::Serving)
        })?;
        let after = self.counters();
        // Only time changes a count in a restart, as it would have without.
        if before != after {
            self.check_counts_match_model(&after)?;
        }
        self.check_at_rest()
    }

    fn run_until(
        &mut self,
        goal: &str,
        is_reached: impl Fn(&Self) -> bool,
    ) -> Result<(), Violation> {
        for _ in 0..STEPS_MAX {
            if is_reached(self) {
                return Ok(());
            }
            self.step()?;
        }
        let detail = format!("{STEPS_MAX} steps without a fault have not led to: {goal}");
        Err(Violation::new("liveness", detail))
    }

    /// Evaluates every device at one service time. From then on the wall clock is right, also for the next start.
    fn reevaluate_all(&mut self) -> Result<(), Violation> {
        self.time.set_wall(self.clock.now().time);
        self.time.pass_stamp(Duration::from_secs(1));
        self.run_until_idle()
    }

    fn counters(&self) -> Cells {
        let mut cells = Cells::new();
        for shard in self.server.iter().flat_map(Server::shards) {
            for (cell, count) in counters(shard) {
                *cells.entry(cell).or_default() += count;
            }
        }
        cells
    }

    fn check_counts_match_model(&self, counted: &Cells) -> Result<(), Violation> {
        let Some(server) = &self.server else {
            return Ok(());
        };
        let expected = self.oracle.cells(&server.policy, self.clock.now().time);
        if *counted != expected {
            let detail = format!("the server counts {counted:?}, the model {expected:?}");
            return Err(Violation::new("counts match the model", detail));
        }
        Ok(())
    }
}
