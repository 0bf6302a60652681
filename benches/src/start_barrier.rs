//! Many clients that begin at the same moment: what they do before it is not on the clock.

use std::sync::Arc;

use anyhow::{Context, bail};
use muster_ingest::clock::{self, Stamp};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use crate::latencies::Latencies;
use crate::measure::Stopwatch;

/// Where clients wait until all of them are ready.
#[derive(Clone)]
pub(crate) struct StartBarrier(Arc<Barrier>);

impl StartBarrier {
    pub(crate) fn new(clients: usize) -> Self {
        Self(Arc::new(Barrier::new(clients + 1)))
    }

    /// Waits until the clock runs; returns when that was.
    pub(crate) async fn pass(&self) -> Stamp {
        self.0.wait().await;
        self.0.wait().await;
        clock::stamp()
    }

    /// Starts the clock when every client is ready, and stops it when all are done. A client that ends before
    /// that would be waited for in vain: its error ends the run.
    pub(crate) async fn open(
        &self,
        mut clients: JoinSet<anyhow::Result<Latencies>>,
    ) -> anyhow::Result<(Stopwatch, Latencies)> {
        tokio::select! {
            _ = self.0.wait() => {}
            early = clients.join_next() => {
                early.context("there are no clients")???;
                bail!("a client was done before the clock ran");
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
