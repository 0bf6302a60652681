//! The store of TLS sessions, keyed by ticket: a client resumes one instead of having its certificate verified again.
//!
//! Owner: the TLS configuration; connection tasks call it when a handshake begins and when it completes. Bounded by
//! `listen.tickets_max` in bytes: the oldest sessions are evicted, and their clients pay for a full handshake. A ticket
//! works once, for a day, and in this process only, so a restart with other authorities applies to every connection. It
//! does not authorize: tenant, identity and validity of the certificate are checked whenever a session opens
//! (`session/open.rs`).

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::server::StoresServerSessions;

use crate::clock::{Clock, Stamp};
use crate::metrics::Metrics;

/// Segments of the store, each with its own lock, so that concurrent handshakes rarely contend.
const SEGMENTS: usize = 16;

/// Bytes of a ticket, chosen at random by rustls.
const TICKET_BYTES: usize = 32;

/// Overhead of a stored session beside its own bytes: two map entries with their unused slots, and the allocator's.
const TICKET_OVERHEAD: usize = 288;

/// Tickets sent after each handshake. A client that loses it pays for one full handshake.
const TICKETS_SENT: usize = 1;

/// The ticket lifetime that rustls announces to clients. For a fleet that is away longer, handshakes are not the main
/// cost.
const LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

type Id = [u8; TICKET_BYTES];

/// All sessions that may be resumed.
#[derive(Debug)]
pub(super) struct Tickets {
    segments: [Mutex<Segment>; SEGMENTS],
    segment_bytes_max: usize,
    metrics: Arc<Metrics>,
    clock: Clock,
}

#[derive(Debug, Default)]
struct Segment {
    sessions: HashMap<Id, Stored>,
    /// By number, so that the oldest comes first.
    ages: BTreeMap<u64, Id>,
    next: u64,
    bytes: usize,
}

#[derive(Debug)]
struct Stored {
    number: u64,
    since: Stamp,
    /// As rustls encodes it: secrets, and the client's certificates.
    session: Box<[u8]>,
}

impl Stored {
    fn cost(&self) -> usize {
        self.session.len() + TICKET_OVERHEAD
    }
}

/// Enables session resumption with at most `bytes_max` bytes of memory, and early data if `early_data`; with 0 bytes
/// the TLS configuration is returned unchanged: no tickets.
///
/// Early data needs a store like this one: TLS alone does not prevent replay, but here a ticket works once, so replayed
/// early data cannot be decrypted.
pub fn resumable(
    mut tls: rustls::ServerConfig,
    bytes_max: u64,
    early_data: bool,
    metrics: &Arc<Metrics>,
) -> rustls::ServerConfig {
    if bytes_max > 0 {
        tls.send_tls13_tickets = TICKETS_SENT;
        if early_data {
            // The only value that QUIC allows beside 0 (RFC 9001, 4.6.1); flow control bounds early data.
            tls.max_early_data_size = u32::MAX;
        }
        let tickets = Tickets::new(bytes_max as usize, Arc::clone(metrics), Clock::System);
        tls.session_storage = Arc::new(tickets);
    }
    tls
}

impl Tickets {
    fn new(bytes_max: usize, metrics: Arc<Metrics>, clock: Clock) -> Self {
        Self {
            segments: std::array::from_fn(|_| Mutex::default()),
            segment_bytes_max: bytes_max / SEGMENTS,
            metrics,
            clock,
        }
    }

    /// Locks the segment of a ticket. Tickets are random, so the first byte spreads them evenly.
    fn segment(&self, id: &Id) -> std::sync::MutexGuard<'_, Segment> {
        let segment = &self.segments[usize::from(id[0]) % SEGMENTS];
        // No method of a segment panics halfway through a change.
        segment.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_expired(&self, stored: &Stored) -> bool {
        self.clock.stamp().since(stored.since) >= LIFETIME
    }

    /// Updates the gauges by the change of one segment.
    fn note(&self, before: (usize, usize), after: (usize, usize)) {
        let tickets = &self.metrics.tickets;
        for (number, before, after) in [
            (&tickets.stored, before.0, after.0),
            (&tickets.bytes, before.1, after.1),
        ] {
            // Wrapping arithmetic: the sum over all segments is never below zero.
            number.fetch_add(after.wrapping_sub(before), Ordering::Relaxed);
        }
    }
}

impl Segment {
    fn size(&self) -> (usize, usize) {
        (self.sessions.len(), self.bytes)
    }

    fn insert(&mut self, id: Id, since: Stamp, session: Box<[u8]>) {
        let number = self.next;
        self.next += 1;
        let stored = Stored {
            number,
            since,
            session,
        };
        self.bytes += stored.cost();
        self.ages.insert(number, id);
        self.sessions.insert(id, stored);
    }

    fn remove(&mut self, id: &Id) -> Option<Stored> {
        let stored = self.sessions.remove(id)?;
        self.ages.remove(&stored.number);
        self.bytes -= stored.cost();
        Some(stored)
    }

    fn oldest(&self) -> Option<(Id, &Stored)> {
        let (_, id) = self.ages.first_key_value()?;
        Some((*id, self.sessions.get(id)?))
    }
}

impl StoresServerSessions for Tickets {
    fn put(&self, ticket: Vec<u8>, session: Vec<u8>) -> bool {
        let Ok(id) = Id::try_from(ticket) else {
            return false;
        };
        let cost = session.len() + TICKET_OVERHEAD;
        if cost > self.segment_bytes_max {
            return false;
        }
        let mut segment = self.segment(&id);
        let before = segment.size();
        // A random collision replaces the earlier session, so that its bytes are not counted twice.
        segment.remove(&id);
        while let Some((oldest, stored)) = segment.oldest() {
            let is_expired = self.is_expired(stored);
            if !is_expired && segment.bytes + cost <= self.segment_bytes_max {
                break;
            }
            segment.remove(&oldest);
            self.metrics.tickets.evicted.add(u64::from(!is_expired));
        }
        segment.insert(id, self.clock.stamp(), session.into_boxed_slice());
        self.note(before, segment.size());
        true
    }

    /// Only TLS 1.2 calls this; TLS 1.3 tickets are single-use, see `take`.
    fn get(&self, _: &[u8]) -> Option<Vec<u8>> {
        None
    }

    fn take(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        let id = Id::try_from(ticket).ok()?;
        let mut segment = self.segment(&id);
        let before = segment.size();
        let stored = segment.remove(&id)?;
        self.note(before, segment.size());
        drop(segment);
        if self.is_expired(&stored) {
            return None;
        }
        self.metrics.tickets.resumed.add(1);
        Some(stored.session.into_vec())
    }

    fn can_cache(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use muster_engine::Timestamp;

    use super::*;
    use crate::clock::SimulatedTime;

    const SESSION: usize = 512;

    /// A store with a capacity of `sessions` sessions in each segment.
    fn tickets(sessions: usize) -> (Tickets, Arc<SimulatedTime>) {
        let time = Arc::new(SimulatedTime::at(Timestamp::from_millis(1)));
        let clock = Clock::Simulated(Arc::clone(&time));
        let bytes_max = SEGMENTS * sessions * (SESSION + TICKET_OVERHEAD);
        (Tickets::new(bytes_max, Arc::default(), clock), time)
    }

    /// A ticket of the first segment, numbered.
    fn id(number: u8) -> Vec<u8> {
        let mut id = vec![0; TICKET_BYTES];
        id[TICKET_BYTES - 1] = number;
        id
    }

    fn session(number: u8) -> Vec<u8> {
        vec![number; SESSION]
    }

    #[test]
    fn a_ticket_works_once() {
        let (tickets, _) = tickets(4);
        assert!(tickets.put(id(1), session(1)));
        assert_eq!(tickets.get(&id(1)), None, "`get` never returns a session");
        assert_eq!(tickets.take(&id(1)), Some(session(1)));
        assert_eq!(tickets.take(&id(1)), None);
        assert_eq!(tickets.take(b"made up"), None);
        assert_eq!(tickets.metrics.tickets.resumed.get(), 1);
    }

    #[test]
    fn the_oldest_are_evicted_and_the_bytes_stay_within_the_bound() {
        let (tickets, _) = tickets(2);
        for number in 1..=3 {
            assert!(tickets.put(id(number), session(number)));
        }
        let now = &tickets.metrics.tickets;
        assert_eq!(now.evicted.get(), 1);
        assert_eq!(now.stored.load(Ordering::Relaxed), 2);
        let bytes = now.bytes.load(Ordering::Relaxed);
        assert_eq!(bytes, 2 * (SESSION + TICKET_OVERHEAD));
        assert_eq!(tickets.take(&id(1)), None, "the oldest is evicted");
        assert!(tickets.take(&id(2)).is_some() && tickets.take(&id(3)).is_some());
        assert_eq!(now.stored.load(Ordering::Relaxed), 0);
        assert_eq!(now.bytes.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_ticket_that_is_issued_twice_is_stored_once() {
        let (tickets, _) = tickets(2);
        for number in [1, 2] {
            assert!(tickets.put(id(1), session(number)));
        }
        assert_eq!(tickets.metrics.tickets.stored.load(Ordering::Relaxed), 1);
        assert_eq!(tickets.take(&id(1)), Some(session(2)));
    }

    #[test]
    fn a_session_larger_than_a_segment_is_refused_and_evicts_nothing() {
        let (tickets, _) = tickets(1);
        assert!(tickets.put(id(1), session(1)));
        assert!(!tickets.put(id(2), vec![0; SESSION + 1]));
        assert!(!tickets.put(vec![0; TICKET_BYTES - 1], session(2)));
        assert!(tickets.take(&id(1)).is_some());
    }

    #[test]
    fn a_ticket_expires_after_a_day_and_then_frees_its_memory() {
        let (tickets, time) = tickets(2);
        assert!(tickets.put(id(1), session(1)));
        time.pass(LIFETIME - Duration::from_nanos(1));
        assert!(tickets.put(id(2), session(2)));
        time.pass(Duration::from_nanos(1));
        assert!(tickets.put(id(3), session(3)));
        assert_eq!(tickets.take(&id(1)), None);
        assert_eq!(tickets.metrics.tickets.evicted.get(), 0, "it had expired");
        assert!(tickets.take(&id(2)).is_some(), "younger by a day");
        time.pass(LIFETIME);
        assert_eq!(tickets.take(&id(3)), None, "expired, though not evicted");
    }

    #[test]
    fn without_memory_for_tickets_none_is_sent() {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = || {
            rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
                .with_protocol_versions(&[&rustls::version::TLS13])
                .expect("TLS 1.3")
                .with_no_client_auth()
                .with_cert_resolver(Arc::new(rustls::server::ResolvesServerCertUsingSni::new()))
        };
        let mut plain = tls();
        plain.send_tls13_tickets = 0;
        let off = resumable(plain, 0, true, &Arc::default());
        assert_eq!(off.send_tls13_tickets, 0);
        assert_eq!(off.max_early_data_size, 0);
        let late = resumable(tls(), 1 << 20, false, &Arc::default());
        assert_eq!(late.send_tls13_tickets, TICKETS_SENT);
        assert_eq!(late.max_early_data_size, 0);
        let on = resumable(tls(), 1 << 20, true, &Arc::default());
        assert_eq!(on.max_early_data_size, u32::MAX);
        assert_eq!(on.send_tls13_tickets, TICKETS_SENT);
        assert!(on.session_storage.can_cache());
        assert!(!on.ticketer.enabled(), "stateless tickets stay disabled");
    }
}
