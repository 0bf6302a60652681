//! What lets a client come back without its certificate being verified again: TLS sessions, by the ticket that
//! the client shows.
//!
//! Owned by the TLS settings, entered by the tasks of connections when a handshake begins and when it has ended.
//! Bounded by `listen.tickets_max` in bytes: the oldest ones make room, and their clients pay a whole handshake. A
//! ticket works once, for a day, and in this process only: what a restart takes in or leaves out (an authority, a
//! tenant) holds from the first connection on. What it does not do: judge. Whose certificate it was, and whether
//! that is still valid, is asked of every connection when its session opens (`session/open.rs`).

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::server::StoresServerSessions;

use crate::clock::{Clock, Stamp};
use crate::metrics::Metrics;

/// Parts of the store with a lock each, so that cores which verify handshakes rarely meet at one.
const PARTS: usize = 16;

/// Bytes of a ticket, drawn by rustls.
const TICKET_BYTES: usize = 32;

/// What keeping a session costs beside its own bytes: two map entries with their unused slots, and the heap.
const TICKET_OVERHEAD: usize = 288;

/// Tickets sent after each handshake. A client whose only one is lost pays a whole handshake, once.
const TICKETS_SENT: usize = 1;

/// What rustls tells clients; a fleet that is away for longer has other costs than handshakes.
const LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

type Id = [u8; TICKET_BYTES];

/// All sessions that may be resumed.
#[derive(Debug)]
pub(super) struct Tickets {
    parts: [Mutex<Part>; PARTS],
    part_bytes_max: usize,
    metrics: Arc<Metrics>,
    clock: Clock,
}

#[derive(Debug, Default)]
struct Part {
    sessions: HashMap<Id, Kept>,
    /// By number, so that the oldest comes first.
    ages: BTreeMap<u64, Id>,
    next: u64,
    bytes: usize,
}

#[derive(Debug)]
struct Kept {
    number: u64,
    since: Stamp,
    /// As rustls wrote it: secrets, and the certificates that the client showed.
    session: Box<[u8]>,
}

impl Kept {
    fn cost(&self) -> usize {
        self.session.len() + TICKET_OVERHEAD
    }
}

/// Lets clients resume sessions, in so many bytes of memory, and send early data if that is wanted too; with 0 bytes
/// TLS stays as it was built: no tickets.
///
/// Early data needs a store like this one: TLS itself lets whoever recorded it send it again, but here its copy finds
/// no ticket, so nobody can read it.
pub fn resumable(
    mut tls: rustls::ServerConfig,
    bytes_max: u64,
    early_data: bool,
    metrics: &Arc<Metrics>,
) -> rustls::ServerConfig {
    if bytes_max > 0 {
        tls.send_tls13_tickets = TICKETS_SENT;
        if early_data {
            // The only size that QUIC knows beside none (RFC 9001, 4.6.1); flow control is what bounds it.
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
            parts: std::array::from_fn(|_| Mutex::default()),
            part_bytes_max: bytes_max / PARTS,
            metrics,
            clock,
        }
    }

    /// The part of a ticket: its bytes are random, and what a stranger makes up finds nothing in any part.
    fn part(&self, id: &Id) -> std::sync::MutexGuard<'_, Part> {
        let part = &self.parts[usize::from(id[0]) % PARTS];
        // No method of a part can leave it half-changed by a panic.
        part.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_over(&self, kept: &Kept) -> bool {
        self.clock.stamp().since(kept.since) >= LIFETIME
    }

    /// Notes by how much a part has changed.
    fn note(&self, before: (usize, usize), after: (usize, usize)) {
        let tickets = &self.metrics.tickets;
        for (number, before, after) in [
            (&tickets.kept, before.0, after.0),
            (&tickets.bytes, before.1, after.1),
        ] {
            // Wraps around and back: the sum over all parts is never below zero.
            number.fetch_add(after.wrapping_sub(before), Ordering::Relaxed);
        }
    }
}

impl Part {
    fn size(&self) -> (usize, usize) {
        (self.sessions.len(), self.bytes)
    }

    fn insert(&mut self, id: Id, since: Stamp, session: Box<[u8]>) {
        let number = self.next;
        self.next += 1;
        let kept = Kept {
            number,
            since,
            session,
        };
        self.bytes += kept.cost();
        self.ages.insert(number, id);
        self.sessions.insert(id, kept);
    }

    fn remove(&mut self, id: &Id) -> Option<Kept> {
        let kept = self.sessions.remove(id)?;
        self.ages.remove(&kept.number);
        self.bytes -= kept.cost();
        Some(kept)
    }

    fn oldest(&self) -> Option<(Id, &Kept)> {
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
        if cost > self.part_bytes_max {
            return false;
        }
        let mut part = self.part(&id);
        let before = part.size();
        // Drawn twice by chance: the first one is forgotten, nothing is counted twice.
        part.remove(&id);
        while let Some((oldest, kept)) = part.oldest() {
            let is_over = self.is_over(kept);
            if !is_over && part.bytes + cost <= self.part_bytes_max {
                break;
            }
            part.remove(&oldest);
            self.metrics.tickets.displaced.add(u64::from(!is_over));
        }
        part.insert(id, self.clock.stamp(), session.into_boxed_slice());
        self.note(before, part.size());
        true
    }

    /// Only TLS 1.2 asks for a session and leaves it there.
    fn get(&self, _: &[u8]) -> Option<Vec<u8>> {
        None
    }

    fn take(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        let id = Id::try_from(ticket).ok()?;
        let mut part = self.part(&id);
        let before = part.size();
        let kept = part.remove(&id)?;
        self.note(before, part.size());
        drop(part);
        if self.is_over(&kept) {
            return None;
        }
        self.metrics.tickets.taken.add(1);
        Some(kept.session.into_vec())
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

    /// A store with room for so many sessions in each part.
    fn tickets(room: usize) -> (Tickets, Arc<SimulatedTime>) {
        let time = Arc::new(SimulatedTime::at(Timestamp::from_millis(1)));
        let clock = Clock::Simulated(Arc::clone(&time));
        let bytes_max = PARTS * room * (SESSION + TICKET_OVERHEAD);
        (Tickets::new(bytes_max, Arc::default(), clock), time)
    }

    /// Tickets of one part, told apart by a number.
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
        assert_eq!(tickets.get(&id(1)), None, "nothing is left there");
        assert_eq!(tickets.take(&id(1)), Some(session(1)));
        assert_eq!(tickets.take(&id(1)), None);
        assert_eq!(tickets.take(b"made up"), None);
        assert_eq!(tickets.metrics.tickets.taken.get(), 1);
    }

    #[test]
    fn the_oldest_make_room_and_the_bytes_stay_within_the_bound() {
        let (tickets, _) = tickets(2);
        for number in 1..=3 {
            assert!(tickets.put(id(number), session(number)));
        }
        let now = &tickets.metrics.tickets;
        assert_eq!(now.displaced.get(), 1);
        assert_eq!(now.kept.load(Ordering::Relaxed), 2);
        let bytes = now.bytes.load(Ordering::Relaxed);
        assert_eq!(bytes, 2 * (SESSION + TICKET_OVERHEAD));
        assert_eq!(tickets.take(&id(1)), None, "the oldest is gone");
        assert!(tickets.take(&id(2)).is_some() && tickets.take(&id(3)).is_some());
        assert_eq!(now.kept.load(Ordering::Relaxed), 0);
        assert_eq!(now.bytes.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_ticket_that_was_drawn_twice_is_kept_once() {
        let (tickets, _) = tickets(2);
        for number in [1, 2] {
            assert!(tickets.put(id(1), session(number)));
        }
        assert_eq!(tickets.metrics.tickets.kept.load(Ordering::Relaxed), 1);
        assert_eq!(tickets.take(&id(1)), Some(session(2)));
    }

    #[test]
    fn a_session_that_fits_nowhere_is_refused_and_displaces_nothing() {
        let (tickets, _) = tickets(1);
        assert!(tickets.put(id(1), session(1)));
        assert!(!tickets.put(id(2), vec![0; SESSION + 1]));
        assert!(!tickets.put(vec![0; TICKET_BYTES - 1], session(2)));
        assert!(tickets.take(&id(1)).is_some());
    }

    #[test]
    fn a_ticket_is_over_after_a_day_and_then_takes_no_room() {
        let (tickets, time) = tickets(2);
        assert!(tickets.put(id(1), session(1)));
        time.pass(LIFETIME - Duration::from_nanos(1));
        assert!(tickets.put(id(2), session(2)));
        time.pass(Duration::from_nanos(1));
        assert!(tickets.put(id(3), session(3)));
        assert_eq!(tickets.take(&id(1)), None);
        assert_eq!(tickets.metrics.tickets.displaced.get(), 0, "it was over");
        assert!(tickets.take(&id(2)).is_some(), "younger by a day");
        time.pass(LIFETIME);
        assert_eq!(tickets.take(&id(3)), None, "though nobody displaced it");
    }

    #[test]
    fn without_memory_for_it_nobody_gets_a_ticket() {
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
        assert!(
            !on.ticketer.enabled(),
            "what the server forgot is no ticket"
        );
    }
}
