//! Counters and gauges of connections, sessions and audit.
//!
//! Shared by all threads. Relaxed atomics: a reader may be slightly behind, no count is lost. Incremented per frame or
//! per connection, never per check-in. Bounded: all labels are closed sets. Prometheus names and help texts are in
//! `backend/metrics/families.rs`.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use hdrhistogram::Histogram;
use muster_wire::{CloseCode, RejectReason};

/// A monotonic counter.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Increments by `count`.
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// The current value.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The maximum value since the start.
#[derive(Debug, Default)]
pub struct Highest(AtomicU64);

impl Highest {
    /// Raises the maximum to `value` if that is greater.
    pub fn raise(&self, value: u64) {
        self.0.fetch_max(value, Ordering::Relaxed);
    }

    /// The current maximum.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Why a handshake failed, by its TLS alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(usize)]
pub enum HandshakeFailure {
    /// The client sent no certificate.
    CertificateMissing,
    /// The certificate is not signed by a configured authority.
    CertificateUntrusted,
    /// The certificate is expired or not valid yet.
    CertificateExpired,
    /// The certificate is unusable for another reason.
    CertificateInvalid,
    /// No common application protocol: not a Muster client, or a newer one.
    ProtocolUnknown,
    /// Anything else: timeouts, resets, transport errors.
    Other,
}

impl HandshakeFailure {
    /// Every member.
    pub const ALL: [Self; 6] = [
        Self::CertificateMissing,
        Self::CertificateUntrusted,
        Self::CertificateExpired,
        Self::CertificateInvalid,
        Self::ProtocolUnknown,
        Self::Other,
    ];

    /// The label in metrics and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::CertificateMissing => "certificateMissing",
            Self::CertificateUntrusted => "certificateUntrusted",
            Self::CertificateExpired => "certificateExpired",
            Self::CertificateInvalid => "certificateInvalid",
            Self::ProtocolUnknown => "protocolUnknown",
            Self::Other => "other",
        }
    }
}

/// Why a connection attempt was refused before its handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(usize)]
pub enum Refusal {
    /// `listen.handshakes_max` is reached.
    Handshakes,
    /// The server is draining.
    Draining,
    /// The store is poisoned.
    Store,
}

impl Refusal {
    /// Every member.
    pub const ALL: [Self; 3] = [Self::Handshakes, Self::Draining, Self::Store];

    /// The label in metrics and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Handshakes => "handshakes",
            Self::Draining => "draining",
            Self::Store => "store",
        }
    }
}

/// Counts by close code, and of closes without one (idle timeout, reset, network).
#[derive(Debug)]
pub struct ByClose {
    codes: [Counter; CloseCode::ALL.len()],
    none: Counter,
}

impl ByClose {
    /// Adds `count` to a close code, or to closes without one.
    pub fn add(&self, code: Option<CloseCode>, count: u64) {
        let counter = code.map_or(&self.none, |code| &self.codes[code.index()]);
        counter.add(count);
    }

    /// Every count with its label.
    pub fn labelled(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let names = CloseCode::ALL.iter().map(|code| code.name());
        let counts = self.codes.iter().map(Counter::get);
        names.zip(counts).chain([("none", self.none.get())])
    }
}

/// Metrics of the TLS sessions that clients may resume.
#[derive(Debug, Default)]
pub struct TicketMetrics {
    /// Stored sessions.
    pub stored: AtomicUsize,
    /// Memory of the stored sessions.
    pub bytes: AtomicUsize,
    /// Handshakes that resumed a session.
    pub resumed: Counter,
    /// Sessions evicted before they expired.
    pub evicted: Counter,
}

/// Number of histograms that sessions share, so that they rarely contend for a lock.
const ACK_HISTOGRAMS: usize = 8;

/// The metrics of the front door, its sessions and the audit.
#[derive(Debug)]
pub struct Metrics {
    /// Connection attempts. Each is refused, answered with a Retry, or begins a handshake, which fails or becomes a
    /// connection.
    pub attempts: Counter,
    /// The TLS sessions that clients may resume.
    pub tickets: TicketMetrics,
    /// Handshakes in progress.
    pub handshakes: Arc<AtomicUsize>,
    /// Open connections. Each closes before its Hello or becomes a session, which closes.
    pub connections_open: Arc<AtomicUsize>,
    /// Connections that became a session.
    pub sessions_opened: Counter,
    /// Connections that closed before their Hello, by close code.
    pub closed_before_hello: ByClose,
    /// Connections closed because their tenant's share was in use; a subset of `closed_before_hello`.
    pub over_tenant_share: Counter,
    /// Connections that completed their handshake or began with early data.
    pub connections: Counter,
    /// Connections that began with early data.
    pub connections_early: Counter,
    /// Attempts answered with a Retry to validate their address.
    pub retries: Counter,
    /// Refused attempts, by [`Refusal`].
    pub refused: [Counter; Refusal::ALL.len()],
    /// Failed handshakes, by [`HandshakeFailure`].
    pub handshakes_failed: [Counter; HandshakeFailure::ALL.len()],
    /// Closed connections by close code, of either side.
    pub closed: [Counter; CloseCode::ALL.len()],
    /// Connections closed without a close code of the protocol (idle timeout, reset, transport error).
    pub closed_otherwise: Counter,
    /// Frames of check-ins and inventories read.
    pub frames: Counter,
    /// Records read in complete frames: check-ins and inventories. Each is acknowledged with one of the four outcomes
    /// that follow, or its session ends before.
    pub received: Counter,
    /// Records acknowledged as accepted.
    pub accepted: Counter,
    /// Records acknowledged as duplicate.
    pub duplicate: Counter,
    /// Records acknowledged as stale.
    pub stale: Counter,
    /// Records acknowledged as rejected.
    pub acknowledged_rejected: Counter,
    /// Records whose session ended before they were acknowledged, by close code. They may still be durable.
    pub unacknowledged: ByClose,
    /// Records rejected, by reason, including those of frames that were never acknowledged.
    pub rejected: [Counter; RejectReason::ALL.len()],
    /// Acks written.
    pub acks: Counter,
    /// Busy frames written.
    pub busy: Counter,
    /// Maximum drift of a shard's counters. Anything but 0 is a bug or a memory error, and the server is not ready.
    pub audit_drift: Highest,
    durable_to_ack: [Mutex<Histogram<u64>>; ACK_HISTOGRAMS],
}

/// A latency histogram in nanoseconds: up to a minute, two significant digits, about 30 KiB.
pub fn latency_histogram() -> Histogram<u64> {
    Histogram::new_with_max(60_000_000_000, 2).expect("constant bounds within the library's")
}

impl Default for Metrics {
    fn default() -> Self {
        fn counters<const N: usize>() -> [Counter; N] {
            std::array::from_fn(|_| Counter::default())
        }
        let by_close = || ByClose {
            codes: counters(),
            none: Counter::default(),
        };
        Self {
            attempts: Counter::default(),
            tickets: TicketMetrics::default(),
            handshakes: Arc::default(),
            connections_open: Arc::default(),
            sessions_opened: Counter::default(),
            closed_before_hello: by_close(),
            over_tenant_share: Counter::default(),
            acknowledged_rejected: Counter::default(),
            unacknowledged: by_close(),
            connections: Counter::default(),
            connections_early: Counter::default(),
            retries: Counter::default(),
            refused: counters(),
            handshakes_failed: counters(),
            closed: counters(),
            closed_otherwise: Counter::default(),
            frames: Counter::default(),
            received: Counter::default(),
            accepted: Counter::default(),
            duplicate: Counter::default(),
            stale: Counter::default(),
            rejected: counters(),
            acks: Counter::default(),
            busy: Counter::default(),
            audit_drift: Highest::default(),
            durable_to_ack: std::array::from_fn(|_| Mutex::new(latency_histogram())),
        }
    }
}

impl Metrics {
    /// Records the latency from a frame's durability to its ack; called once per frame by the session.
    pub fn record_durable_to_ack(&self, session: u64, nanos: u64) {
        let histogram = &self.durable_to_ack[session as usize % ACK_HISTOGRAMS];
        if let Ok(mut histogram) = histogram.lock() {
            histogram.saturating_record(nanos);
        }
    }

    /// The merged histogram of these latencies.
    pub fn durable_to_ack(&self) -> Histogram<u64> {
        let mut sum = latency_histogram();
        for histogram in &self.durable_to_ack {
            if let Ok(histogram) = histogram.lock() {
                sum.add(&*histogram).expect("histograms of the same bounds");
            }
        }
        sum
    }

    /// Records acknowledged, over all outcomes.
    pub fn acknowledged_total(&self) -> u64 {
        let outcomes = [
            &self.accepted,
            &self.duplicate,
            &self.stale,
            &self.acknowledged_rejected,
        ];
        outcomes.map(Counter::get).iter().sum()
    }
}
