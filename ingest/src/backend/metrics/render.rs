//! Renders the values of a scrape, family by family.
//!
//! Pure: values in, text out. A value that is missing because a shard thread or the store did not respond is omitted.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};

use muster_api::{AccessCounters, ConnectionCounters, IssuerCounters, RefusedCause, TokenRefusal};
use muster_control::ControlPlane;
use muster_engine::Timestamp;
use muster_store::{StoreMetrics, WriterMetrics};
use muster_wire::{CloseCode, RejectReason};

use super::Scrape;
use super::distribution::{Distribution, latency, merged, quantiles, sizes};
use super::families::{self, clock, endpoint, front_door, issuers};
use super::page::{Page, Value};
use crate::clock::{ClockState, SteeredTime};
use crate::metrics::{ByClose, Counter, HandshakeFailure, Metrics, Refusal};
use crate::phase::Phase;
use crate::shard::{ShardReport, ThreadReport};
use crate::telemetry;

const PHASES: [Phase; 4] = [
    Phase::Starting,
    Phase::Serving,
    Phase::Draining,
    Phase::Poisoned,
];

pub(super) fn render(scrape: &Scrape, mut page: Page<'_>) -> fmt::Result {
    let page = &mut page;
    server(scrape, page)?;
    clock(&scrape.context.clock, page)?;
    front_door(scrape, page)?;
    endpoint(&scrape.connections, page)?;
    accesses(&scrape.accesses, page)?;
    issuers(&scrape.context.issuers, page)?;
    sessions(&scrape.context.metrics, page)?;
    stages(scrape, page)?;
    shards(scrape, page)?;
    let view = &scrape.context.view;
    page.one(&families::VIEW_CHANGES, view.changes())?;
    page.one(&families::VIEW_CHANGES_EVICTED, view.evicted())?;
    audit(scrape, page)?;
    writer(
        &scrape.writer.metrics,
        scrape.writer.journal_bytes_live,
        page,
    )?;
    let poisoned = scrape.context.store.health().poisoned().is_some();
    page.one(&families::POISONED, poisoned)?;
    page.one(&families::STORE_MISSING, scrape.store.is_none())?;
    scrape
        .store
        .as_ref()
        .map_or(Ok(()), |numbers| store(numbers, page))
}

fn server(scrape: &Scrape, page: &mut Page<'_>) -> fmt::Result {
    page.many(
        &families::BUILD,
        [([env!("CARGO_PKG_VERSION").to_owned()], 1_u64)],
    )?;
    page.one(&families::START_TIME, seconds(scrape.context.started_at))?;
    page.one(&families::RESIDENT, scrape.resident_bytes)?;
    page.one(&families::MEMORY_BOUND, scrape.context.memory_bound_bytes)?;
    page.one(&families::OPEN_FILES, scrape.open_files)?;
    page.one(&families::OPEN_FILES_MAX, scrape.open_files_max)?;
    page.one(&families::LOG_DROPPED, telemetry::lines_dropped())?;
    let now = scrape.context.phase.get();
    page.many(
        &families::PHASE,
        PHASES.map(|phase| ([phase.name().to_owned()], phase == now)),
    )
}

fn accesses(counters: &AccessCounters, page: &mut Page<'_>) -> fmt::Result {
    let refused =
        RefusedCause::ALL.map(|cause| ([cause.name().to_owned()], counters.refused(cause)));
    page.many(&endpoint::API_REFUSED, refused)?;
    page.one(&endpoint::API_UNRECORDED, counters.unrecorded())
}

fn clock(service: &SteeredTime, page: &mut Page<'_>) -> fmt::Result {
    let ClockState { time, step, .. } = service.state();
    page.one(&clock::TIME, seconds(time))?;
    let step = step.map_or(0.0, |step| step.ms as f64 / 1000.0);
    page.one(&clock::STEP, step)?;
    page.one(&clock::STEPS, service.steps())?;
    page.one(&clock::FOLLOWED, service.followed())
}

fn seconds(at: Timestamp) -> f64 {
    at.as_millis() as f64 / 1000.0
}

fn front_door(scrape: &Scrape, page: &mut Page<'_>) -> fmt::Result {
    let metrics = &scrape.context.metrics;
    page.one(&front_door::ATTEMPTS, metrics.attempts.get())?;
    page.one(&front_door::HANDSHAKES, now(&metrics.handshakes))?;
    page.one(&front_door::TICKETS, now(&metrics.tickets.stored))?;
    page.one(&front_door::TICKETS_BYTES, now(&metrics.tickets.bytes))?;
    let (resumed, evicted) = (&metrics.tickets.resumed, &metrics.tickets.evicted);
    page.one(&front_door::HANDSHAKES_RESUMED, resumed.get())?;
    page.one(&front_door::TICKETS_EVICTED, evicted.get())?;
    page.one(&front_door::CONNECTIONS, metrics.connections.get())?;
    page.one(
        &front_door::CONNECTIONS_EARLY,
        metrics.connections_early.get(),
    )?;
    page.one(
        &front_door::CONNECTIONS_OPEN,
        now(&metrics.connections_open),
    )?;
    page.one(&front_door::SESSIONS_OPENED, metrics.sessions_opened.get())?;
    page.many(
        &front_door::CLOSED_BEFORE_HELLO,
        by_close(&metrics.closed_before_hello),
    )?;
    let over_share = metrics.over_tenant_share.get();
    page.one(&front_door::OVER_TENANT_SHARE, over_share)?;
    page.one(&front_door::RETRIES, metrics.retries.get())?;
    let refused = labelled(Refusal::ALL.map(Refusal::name), &metrics.refused);
    page.many(&front_door::REFUSED, refused)?;
    let failed = HandshakeFailure::ALL.map(HandshakeFailure::name);
    page.many(
        &front_door::HANDSHAKES_FAILED,
        labelled(failed, &metrics.handshakes_failed),
    )?;
    let closed = labelled(
        CloseCode::ALL.iter().map(|code| code.name()),
        &metrics.closed,
    );
    let otherwise = (["none".to_owned()], metrics.closed_otherwise.get());
    page.many(&front_door::CLOSED, closed.chain([otherwise]))?;
    page.one(&front_door::SESSIONS, scrape.context.registry.len())
}

fn endpoint(counters: &ConnectionCounters, page: &mut Page<'_>) -> fmt::Result {
    page.one(
        &endpoint::CONNECTIONS,
        counters.accepted.load(Ordering::Relaxed),
    )?;
    page.one(&endpoint::EVICTED, counters.evicted.load(Ordering::Relaxed))?;
    page.one(&endpoint::REFUSED, counters.refused.load(Ordering::Relaxed))?;
    page.one(
        &endpoint::ACCEPTS_FAILED,
        counters.failed.load(Ordering::Relaxed),
    )
}

fn issuers(counters: &IssuerCounters, page: &mut Page<'_>) -> fmt::Result {
    page.one(
        &issuers::ACCEPTED,
        counters.accepted.load(Ordering::Relaxed),
    )?;
    let refused = TokenRefusal::ALL;
    page.many(
        &issuers::REFUSED,
        refused.map(|cause| ([cause.name().to_owned()], counters.refused(cause))),
    )?;
    page.one(&issuers::FETCHED, counters.fetched.load(Ordering::Relaxed))?;
    page.one(&issuers::FAILED, counters.failed.load(Ordering::Relaxed))
}

fn now(gauge: &AtomicUsize) -> u64 {
    gauge.load(Ordering::Relaxed) as u64
}

fn by_close(counts: &ByClose) -> impl Iterator<Item = ([String; 1], u64)> {
    counts
        .labelled()
        .map(|(code, count)| ([code.to_owned()], count))
}

/// Pairs an array of counters with their label values.
fn labelled(
    names: impl IntoIterator<Item = &'static str>,
    counters: &[Counter],
) -> impl Iterator<Item = ([String; 1], u64)> {
    names
        .into_iter()
        .zip(counters)
        .map(|(name, counter)| ([name.to_owned()], counter.get()))
}

fn sessions(metrics: &Metrics, page: &mut Page<'_>) -> fmt::Result {
    page.one(&families::FRAMES, metrics.frames.get())?;
    page.one(&families::RECEIVED, metrics.received.get())?;
    let outcomes = [
        ("accepted", &metrics.accepted),
        ("duplicate", &metrics.duplicate),
        ("stale", &metrics.stale),
        ("rejected", &metrics.acknowledged_rejected),
    ];
    let outcomes = outcomes.map(|(outcome, counter)| ([outcome.to_owned()], counter.get()));
    page.many(&families::ACKNOWLEDGED, outcomes)?;
    page.many(&families::UNACKNOWLEDGED, by_close(&metrics.unacknowledged))?;
    let reasons = RejectReason::ALL.iter().map(|reason| reason.name());
    page.many(&families::REJECTED, labelled(reasons, &metrics.rejected))?;
    page.one(&families::ACKS, metrics.acks.get())?;
    page.one(&families::BUSY, metrics.busy.get())
}

/// The stages in the order in which a check-in passes them. A sum over threads is exported only if every thread reported:
/// a counter that decreases looks like a restart.
fn stages(scrape: &Scrape, page: &mut Page<'_>) -> fmt::Result {
    let reports = all_reports(scrape);
    let over_threads = |histogram: fn(&ThreadReport) -> &hdrhistogram::Histogram<u64>| {
        merged(reports.iter().flatten().map(|report| histogram(report)))
    };
    let stages = [
        (
            "decode_to_inbox",
            over_threads(|report| &report.decode_to_inbox),
        ),
        (
            "inbox_to_apply",
            over_threads(|report| &report.inbox_to_apply),
        ),
        (
            "apply_to_durable",
            Some(scrape.writer.apply_to_durable.clone()),
        ),
        (
            "durable_to_ack",
            Some(scrape.context.metrics.durable_to_ack()),
        ),
    ];
    let known = || {
        stages
            .iter()
            .filter_map(|(stage, known)| Some((*stage, known.as_ref()?)))
    };
    let latencies = known().map(|(stage, histogram)| ([stage.to_owned()], latency(histogram)));
    page.many(&families::STAGE_LATENCY, latencies)?;
    let quantiles = known().flat_map(|(stage, histogram)| {
        quantiles(histogram).map(|(quantile, at)| ([stage.to_owned(), quantile.to_owned()], at))
    });
    page.many(&families::STAGE_QUANTILE, quantiles)
}

/// The reports of all threads; `None` if one is missing.
fn all_reports(scrape: &Scrape) -> Option<Vec<&ThreadReport>> {
    scrape.threads.iter().map(Option::as_deref).collect()
}

/// A value of each thread that reported.
fn by_thread<'a, V: Into<Value>>(
    scrape: &'a Scrape,
    number: impl Fn(&ThreadReport) -> V + 'a,
) -> impl Iterator<Item = ([String; 1], V)> + 'a {
    let known = scrape.threads.iter().enumerate();
    known.filter_map(move |(thread, report)| {
        Some(([thread.to_string()], number(report.as_deref()?)))
    })
}

/// The shards of the threads that reported.
fn shards_of(scrape: &Scrape) -> impl Iterator<Item = &ShardReport> {
    let reports = scrape.threads.iter().flatten();
    reports.flat_map(|report| &report.shards)
}

fn audit(scrape: &Scrape, page: &mut Page<'_>) -> fmt::Result {
    page.one(
        &families::AUDIT_DRIFT,
        scrape.context.metrics.audit_drift.get(),
    )?;
    page.many(
        &families::AUDIT_ROUNDS,
        by_thread(scrape, |report| report.audit_rounds),
    )?;
    page.many(
        &families::AUDIT_DEVICES,
        by_thread(scrape, |report| report.audit_devices),
    )?;
    page.many(
        &families::AUDIT_SECONDS,
        by_thread(scrape, |report| report.audit_took.as_secs_f64()),
    )?;
    let now = scrape.context.clock.stamp();
    page.many(
        &families::AUDIT_ROUND_AGE,
        by_thread(scrape, |report| {
            now.since(report.audit_round_at).as_secs_f64()
        }),
    )
}

fn shards(scrape: &Scrape, page: &mut Page<'_>) -> fmt::Result {
    let by_shard = |number: fn(&ShardReport) -> u64| {
        shards_of(scrape).map(move |shard| ([shard.shard.to_string()], number(shard)))
    };
    let by_thread = |number: fn(&ThreadReport) -> u64| by_thread(scrape, number);
    page.many(
        &families::SHARD_DEVICES,
        by_shard(|report| report.devices.into()),
    )?;
    page.many(
        &families::SHARD_DEVICES_REMOVED,
        by_shard(|report| report.removed.into()),
    )?;
    page.many(
        &families::SHARD_CELLS,
        by_shard(|report| report.cells.iter().map(|cells| u64::from(*cells)).sum()),
    )?;
    let control = scrape.context.control.plane();
    page.many(&families::TENANT_CELLS, cells_by_tenant(scrape, &control))?;
    page.many(
        &families::SHARD_SEQUENCE,
        by_shard(|report| report.sequence.0),
    )?;
    page.many(
        &families::SHARD_REVISION,
        by_shard(|report| report.revision.0.into()),
    )?;
    page.many(
        &families::SHARD_POLICY_SLOTS_LEFT,
        by_shard(policy_slots_left),
    )?;
    page.many(
        &families::SHARD_TRANSITIONS,
        by_thread(|report| report.transitions),
    )?;
    page.many(&families::SHARD_BATCHES, by_thread(|report| report.batches))?;
    page.many(
        &families::SHARD_CHECKPOINTS,
        by_thread(|report| report.checkpoints),
    )?;
    let reports = all_reports(scrape).unwrap_or_default();
    let batches = merged(reports.iter().map(|report| &report.batch_check_ins));
    page.many(
        &families::BATCH_CHECK_INS,
        batches.iter().map(|batches| ([], sizes(batches))),
    )?;
    let inboxes = scrape.context.routes.inboxes.iter().enumerate();
    let depths = inboxes.map(|(thread, inbox)| ([thread.to_string()], inbox.depth()));
    page.many(&families::INBOX_BATCHES, depths)?;
    let missing = scrape.threads.iter().enumerate();
    let missing = missing.map(|(thread, report)| ([thread.to_string()], report.is_none()));
    page.many(&families::SHARD_MISSING, missing)
}

fn policy_slots_left(shard: &ShardReport) -> u64 {
    let reached = shard.policy_pass.unwrap_or(shard.slots);
    shard.slots.saturating_sub(reached).into()
}

/// The cells of every tenant, in the shards whose threads responded.
fn cells_by_tenant<'a>(
    scrape: &'a Scrape,
    control: &'a ControlPlane,
) -> impl Iterator<Item = ([String; 1], u64)> + 'a {
    control.tenants().map(|(index, tenant)| {
        let index = usize::from(index);
        let cells =
            shards_of(scrape).map(|shard| shard.cells.get(index).copied().map_or(0, u64::from));
        ([tenant.name.to_string()], cells.sum())
    })
}

fn writer(numbers: &WriterMetrics, journal_bytes_live: u64, page: &mut Page<'_>) -> fmt::Result {
    page.one(&families::GROUPS, numbers.groups)?;
    page.one(&families::COMMITS, numbers.commits)?;
    page.one(&families::SYNCS, numbers.syncs)?;
    page.one(&families::WRITER_BYTES, numbers.bytes)?;
    page.one(&families::JOURNAL_VALUES, numbers.journal_values)?;
    page.one(&families::PAGES, numbers.pages)?;
    page.one(&families::CHECKPOINTS, numbers.checkpoints)?;
    page.one(&families::TRIMS, numbers.trims)?;
    page.one(&families::JOURNAL_LIVE, journal_bytes_live)?;
    let syncs: Distribution = latency(&numbers.sync_nanoseconds);
    page.one(&families::SYNC_LATENCY, syncs)?;
    let quantiles = quantiles(&numbers.sync_nanoseconds);
    page.many(
        &families::SYNC_QUANTILE,
        quantiles.map(|(label, at)| ([label.to_owned()], at)),
    )
}

fn store(numbers: &StoreMetrics, page: &mut Page<'_>) -> fmt::Result {
    page.one(&families::DIRECTORY, numbers.directory_bytes)?;
    page.one(&families::WAL, numbers.wal_bytes)?;
    page.one(&families::JOURNAL_FILES, numbers.journal_file_bytes)?;
    page.one(&families::TABLE_FILES, numbers.table_file_bytes)?;
    page.one(&families::MEMTABLE, numbers.memtable_bytes)?;
    page.one(&families::STALLED, numbers.stalled)?;
    page.one(
        &families::STALL,
        Value::Real(numbers.stall_microseconds as f64 / 1e6),
    )?;
    page.one(&families::FLUSH, numbers.flush_bytes)?;
    page.one(&families::COMPACTION, numbers.compaction_bytes)?;
    page.one(&families::WAL_SYNCS, numbers.wal_syncs)
}
