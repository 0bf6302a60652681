//! The end of a world: faults cease, everything is acknowledged, and the state is the plain model's.

use std::time::Duration;

use muster_engine::PAGE_RECORDS;
use muster_ingest::phase::Phase;
use muster_ingest::recount::{Cells, counters};

use super::World;
use crate::server::Stop;
use crate::violation::Violation;

/// A world without faults comes to its end in fewer steps than this, or hangs.
const STEPS_MAX: u64 = 400_000;

/// A sweep looks at a sixtieth of the slots; a few more for the rounding.
const SWEEPS: u64 = 64 + PAGE_RECORDS as u64 / 60;

impl World {
    /// Everything is sent again until it is acknowledged, then counted.
    pub(super) fn end(&mut self) -> Result<(), Violation> {
        self.trace.note("end", 0, &[]);
        self.calm = true;
        self.disk.fail_no_more();
        self.dying = false;
        for client in &mut self.clients {
            client.stop();
        }
        if self.disk.has_failed() {
            self.crash()?;
        }
        self.until("everything is acknowledged", |world| {
            let serves = world
                .server
                .as_ref()
                .is_some_and(|server| server.phase() == Phase::Serving);
            serves && world.clients.iter().all(|client| client.is_done())
        })?;
        self.until("every session ends", |world| {
            world.links.iter().all(Option::is_none)
        })?;
        self.look()?;
        self.judge_all_now()?;
        self.look()?;
        let before = self.counters();
        self.is_the_models(&before)?;
        self.begin_stop();
        self.until("the server stops", |world| {
            world
                .server
                .as_ref()
                .is_none_or(|server| server.stop == Stop::No)
        })?;
        self.until("the server serves again", |world| {
            world
                .server
                .as_ref()
                .is_some_and(|server| server.phase() == Phase::Serving)
        })?;
        let after = self.counters();
        if before != after {
            let what = format!("{before:?} before, {after:?} after");
            return Err(Violation::new("a restart changes no count", what));
        }
        self.look()
    }

    fn until(&mut self, what: &str, is_so: impl Fn(&Self) -> bool) -> Result<(), Violation> {
        for _ in 0..STEPS_MAX {
            if is_so(self) {
                return Ok(());
            }
            self.step()?;
        }
        let what = format!("after {STEPS_MAX} steps without a fault it is not so that {what}");
        Err(Violation::new("liveness", what))
    }

    /// Every device is swept while the wall clock stands still.
    fn judge_all_now(&mut self) -> Result<(), Violation> {
        let now = self.wall_max;
        for _ in 0..SWEEPS {
            self.time.pass(Duration::from_secs(1));
            self.time.set_wall(now);
            self.settle()?;
        }
        Ok(())
    }

    fn counters(&self) -> Cells {
        let mut cells = Cells::new();
        for worker in self.server.iter().flat_map(|server| &server.workers) {
            for (cell, count) in counters(worker.shard()) {
                *cells.entry(cell).or_default() += count;
            }
        }
        cells
    }

    fn is_the_models(&self, counted: &Cells) -> Result<(), Violation> {
        let Some(server) = &self.server else {
            return Ok(());
        };
        // A full cell table keeps devices where they are, which the plain model does not know.
        if !self.settings.is_unlimited() {
            return Ok(());
        }
        let expected = self.oracle.cells(&server.policy, self.wall_max);
        if *counted != expected {
            let what = format!("the server counts {counted:?}, the model {expected:?}");
            return Err(Violation::new("counts are the model's", what));
        }
        Ok(())
    }
}
