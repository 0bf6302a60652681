//! The metrics of the whole server as OpenMetrics text.
//!
//! No metric is registered or counted twice: a scrape reads the atomics and histograms of the other threads, and
//! renders [`families`]. Shards and store have a deadline; a scrape succeeds without them and reports what is missing,
//! because metrics are needed most when a disk is stuck.

mod distribution;
mod families;
mod page;
mod process;
mod render;

use std::sync::Arc;
use std::sync::PoisonError;

use muster_api::{AccessCounters, ApiError, ConnectionCounters};
use muster_store::StoreMetrics;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, text};
use prometheus_client::registry::Registry;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::{Context, ServerBackend};
use crate::shard::writer::WriterReport;
use crate::shard::{Control, ThreadReport};

/// All values of one scrape, read once.
#[derive(Debug)]
struct Scrape {
    context: Arc<Context>,
    /// Reports by shard thread; `None` for one that did not respond.
    threads: Vec<Option<Box<ThreadReport>>>,
    writer: WriterReport,
    /// `None` if the store did not respond.
    store: Option<StoreMetrics>,
    resident_bytes: u64,
    open_files: u64,
    open_files_max: u64,
    connections: Arc<ConnectionCounters>,
    accesses: Arc<AccessCounters>,
}

impl Collector for Scrape {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        render::render(self, page::Page::new(encoder))
    }
}

impl ServerBackend {
    /// The numbers of the whole server as OpenMetrics text.
    pub(super) async fn scrape(
        &self,
        connections: Arc<ConnectionCounters>,
    ) -> Result<String, ApiError> {
        let (threads, store) = tokio::join!(
            self.query_each(self.deadlines.scrape, Control::Report),
            self.store_metrics()
        );
        let scrape = Scrape {
            context: Arc::clone(&self.context),
            threads: threads.into_iter().map(Result::ok).collect(),
            writer: writer_report(&self.context),
            store,
            resident_bytes: process::resident_bytes(),
            open_files: process::open_files(),
            open_files_max: process::open_files_max(),
            connections,
            accesses: Arc::clone(&self.access_counters),
        };
        let mut registry = Registry::default();
        registry.register_collector(Box::new(scrape));
        let mut page = String::new();
        text::encode(&mut page, &registry)
            .map_err(|error| ApiError::Internal(error.to_string()))?;
        Ok(page)
    }

    /// Reads the store's metrics, which lists the directory: on a blocking thread, one at a time, with a deadline.
    async fn store_metrics(&self) -> Option<StoreMetrics> {
        let permit = Arc::clone(&self.reading_store).try_acquire_owned().ok()?;
        let store = Arc::clone(&self.context.store);
        let read = spawn_blocking(move || {
            let metrics = store.metrics();
            drop(permit);
            metrics
        });
        timeout(self.deadlines.scrape, read).await.ok()?.ok()
    }
}

/// Copies the published statistics of the writer; the lock is held only for the copy.
fn writer_report(context: &Context) -> WriterReport {
    let report = context
        .writer
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    WriterReport {
        metrics: report.metrics.clone(),
        journal_bytes_live: report.journal_bytes_live,
        apply_to_durable: report.apply_to_durable.clone(),
    }
}
