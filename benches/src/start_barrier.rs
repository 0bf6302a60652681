//! Many clients that start at the same time; their preparation before that is not timed.

use std::sync::Arc;

use anyhow::{Context, bail};
use muster_ingest::clock::{self, Stamp};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use crate::latencies::Latencies;
use crate::measure::Stopwatch;

/// A barrier where clients wait until all of them are ready.
#[derive(Clone)]
pub(crate) struct StartBarrier(Arc<Barrier>);

impl StartBarrier {
    pub(crate) fn new(clients: usize) -> Self {
        Self(Arc::new(Barrier::new(clients + 1)))
    }

    /// Waits until the clock starts and returns the time of the start.
    pub(crate) async fn wait(&self) -> Stamp {
        self.0.wait().await;
        self.0.wait().await;
        clock::stamp()
    }

    /// Starts the clock when every client is ready and stops it when all are done. If a client ends before the start,
    /// the barrier would never open, so its error ends the run.
    pub(crate) async fn time_clients(
        &self,
        mut clients: JoinSet<anyhow::Result<Latencies>>,
    ) -> anyhow::Result<(Stopwatch, Latencies)> {
        tokio::select! {
            _ = self.0.wait() => {}
            early = clients.join_next() => {
                early.context("no clients were started")???;
                bail!("a client ended before the clock started");
            }
        }
        let running = Stopwatch::default().start();
        self.0.wait().await;
        let mut all = Latencies::default();
        while let Some(latencies) = clients.join_next().await {
            all.extend(latencies??);
        }
        Ok((running.stop(), all))
    }
}
