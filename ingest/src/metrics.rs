//! Counters that everything increments and operators read.
//!
//! Plain atomics, relaxed: a reader may be a moment behind, no count is ever lost. Incremented once a
//! frame or once a connection, never once a check-in. Names and meanings for Prometheus are in
//! `backend/metrics/families.rs`, so a counter has one name in the product.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use hdrhistogram::Histogram;
use muster_wire::{CloseCode, RejectReason};

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds to the number.
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// Reads the number.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The highest number seen since the start.
#[derive(Debug, Default)]
pub struct Highest(AtomicU64);

impl Highest {
    /// Takes note of a number.
    pub fn raise(&self, number: u64) {
        self.0.fetch_max(number, Ordering::Relaxed);
    }

    /// Reads the highest.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Why a handshake failed, by the TLS alert or what stands for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(usize)]
pub enum HandshakeFailure {
    /// The client showed no certificate.
    CertificateMissing,
    /// The certificate is not signed by an authority of ours.
    CertificateUntrusted,
    /// The certificate is expired or not valid yet.
    CertificateExpired,
    /// The certificate is unusable for another reason.
    CertificateInvalid,
    /// No common application protocol: not a Muster client, or a future one.
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

/// Why a connection attempt was turned away before any handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(usize)]
pub enum Refusal {
    /// Too many unfinished handshakes.
    Handshakes,
    /// The server is draining.
    Draining,
    /// The store takes no more writes.
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

/// Counts by close code; without one for an end that had none (idle, reset, network).
#[derive(Debug)]
pub struct ByClose {
    codes: [Counter; CloseCode::ALL.len()],
    none: Counter,
}

impl ByClose {
    /// Adds to the count of a close code, or to that of none.
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

/// TLS sessions that clients may resume.
#[derive(Debug, Default)]
pub struct TicketMetrics {
    /// Sessions kept now.
    pub kept: AtomicUsize,
    /// Memory that they take.
    pub bytes: AtomicUsize,
    /// Tickets that were shown and found.
    pub taken: Counter,
    /// Sessions that made room for younger ones before they were a day old.
    pub displaced: Counter,
}

/// How many histograms sessions share, so that two of them rarely meet at one.
const ACK_HISTOGRAMS: usize = 8;

/// The counters of the front door and its sessions.
#[derive(Debug)]
pub struct Metrics {
    /// Attempts to connect that were decided about. Each is refused, asked to retry, or becomes a
    /// handshake, which fails or becomes a connection.
    pub attempts: Counter,
    /// What makes handshakes short.
    pub tickets: TicketMetrics,
    /// Handshakes under way.
    pub handshakes: Arc<AtomicUsize>,
    /// Connections now. Each closes before its Hello or becomes a session, which closes.
    pub connections_open: Arc<AtomicUsize>,
    /// Connections that became a session.
    pub sessions_opened: Counter,
    /// Connections that ended before they were a session.
    pub closed_before_hello: ByClose,
    /// Of those, the ones whose tenant had its share of connections.
    pub over_tenant_share: Counter,
    /// Connections that completed their handshake, or began with early data.
    pub connections: Counter,
    /// Of those, the ones that began with early data.
    pub connections_early: Counter,
    /// Attempts answered with a Retry to prove their address.
    pub retries: Counter,
    /// Attempts turned away, by [`Refusal`].
    pub refused: [Counter; Refusal::ALL.len()],
    /// Handshakes that failed, by [`HandshakeFailure`].
    pub handshakes_failed: [Counter; HandshakeFailure::ALL.len()],
    /// Connections that ended, by close code; ours and the clients' own.
    pub closed: [Counter; CloseCode::ALL.len()],
    /// Connections that ended without a close code of the protocol (idle, reset, transport).
    pub closed_otherwise: Counter,
    /// Frames of check-ins and inventories read.
    pub frames: Counter,
    /// Records read in complete frames: check-ins and inventories. Each is acknowledged, as one of the
    /// four that follow, or its session ends without.
    pub received: Counter,
    /// Records acknowledged as accepted.
    pub accepted: Counter,
    /// Records acknowledged as duplicate.
    pub duplicate: Counter,
    /// Records acknowledged as stale.
    pub stale: Counter,
    /// Records acknowledged as rejected.
    pub acknowledged_rejected: Counter,
    /// Records whose session ended before an ack, by how it ended. They may be durable all the same.
    pub unacknowledged: ByClose,
    /// Records refused, by reason; also those of frames that were never acknowledged.
    pub rejected: [Counter; RejectReason::ALL.len()],
    /// Acks written.
    pub acks: Counter,
    /// Busy frames written.
    pub busy: Counter,
    /// By how much the counters of a shard differed from a recount. Anything but 0 is a fault of the program
    /// or the memory; the server is not ready any more.
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
    /// Records how long a durable frame waited for its ack; once a frame, by the session.
    pub fn record_durable_to_ack(&self, session: u64, nanos: u64) {
        let histogram = &self.durable_to_ack[session as usize % ACK_HISTOGRAMS];
        if let Ok(mut histogram) = histogram.lock() {
            histogram.saturating_record(nanos);
        }
    }

    /// The latencies recorded so far.
    pub fn durable_to_ack(&self) -> Histogram<u64> {
        let mut sum = latency_histogram();
        for histogram in &self.durable_to_ack {
            if let Ok(histogram) = histogram.lock() {
                sum.add(&*histogram).expect("histograms of the same bounds");
            }
        }
        sum
    }

    /// Records acknowledged, with any outcome.
    pub fn acknowledged_total(&self) -> u64 {
        let outcomes = [
            &self.accepted,
            &self.duplicate,
            &self.stale,
            &self.acknowledged_rejected,
        ];
        outcomes.map(Counter::get).iter().sum()
    }

    /// Records refused, of any reason.
    pub fn rejected_total(&self) -> u64 {
        self.rejected.iter().map(Counter::get).sum()
    }
}
