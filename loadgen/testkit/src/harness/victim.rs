//! A server that receives invalid input of every kind and must keep working.
//!
//! Each refusal must be counted in its metric, be logged once per cause, and change nothing.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use muster_wire::{CheckInBytes, CheckInRecord, RejectReason};

use super::fleet::{Oracle, device, inventory_frame, random_check_in};
use super::raw::{Closed, Raw, Reply, Session};
use super::running::Server;
use super::settings::{Installation, Settings};
use super::{eventually, wait};
use crate::random::Random;

/// Failed handshakes, by reason.
pub const HANDSHAKES: &str = "muster_net_handshakes_failed_total";
/// Closed connections, by close code.
pub const CLOSED: &str = "muster_net_connections_closed_total";
/// Rejected records, by reason.
pub const REJECTED: &str = "muster_session_records_rejected_total";

/// A server with some devices, and what it has refused so far.
#[derive(Debug)]
pub struct Victim {
    /// The installation of the server.
    pub place: Installation,
    /// The server.
    pub server: Server,
    /// The oracle for its counts.
    pub oracle: RefCell<Oracle>,
    /// All causes so far. The log must have exactly one line for each.
    pub causes: RefCell<BTreeSet<&'static str>>,
}

/// Refusals by metric and label.
type Refusals = BTreeMap<(&'static str, String), u64>;

impl Victim {
    /// Starts a server with these settings; devices 0 to 19 of contoso have checked in.
    pub fn new(settings: &Settings) -> Self {
        let place = Installation::new();
        let server = place.start_with(settings);
        let victim = Self {
            place,
            server,
            oracle: RefCell::new(Oracle::new()),
            causes: RefCell::default(),
        };
        victim.works(1);
        victim
    }

    /// Asserts that the server accepts and counts the check-ins of 20 devices of a well-behaved client.
    #[track_caller]
    pub fn works(&self, seq: u64) {
        let credentials = self.place.pki.gateway("contoso", "well-behaved");
        let client = self.server.client(&self.place.pki, &credentials);
        let mut random = Random::new(seq, 0);
        let fleet: Vec<CheckInRecord> = (0..20)
            .map(|number| random_check_in(&mut random, device(number), seq))
            .collect();
        wait(client.send(&fleet)).expect("the server takes it");
        let progress = wait(client.close()).expect("the server acknowledges it");
        assert_eq!((progress.accepted, progress.rejected), (20, 0));
        self.oracle.borrow_mut().check_ins("contoso", &fleet);
        assert_eq!(self.server.ops.cells(), self.oracle.borrow().cells());
    }

    /// A session of a gateway of contoso.
    pub fn session(&self) -> Session {
        self.server
            .session(&self.place.pki, &self.place.pki.gateway("contoso", "gw-1"))
    }

    /// Everything that was refused, by metric and label.
    fn refusals(&self) -> Refusals {
        let metrics = self.server.ops.metrics();
        let families = [HANDSHAKES, CLOSED, REJECTED];
        let all = families.into_iter().flat_map(|family| {
            metrics
                .by_label(family)
                .into_iter()
                .map(move |(label, count)| ((family, label), count))
        });
        // Excludes connections that were closed normally, and those without a close code.
        all.filter(|((_, label), _)| label != "done" && label != "none")
            .collect()
    }

    /// Sends invalid input twice, and asserts that only `family` with the label `cause` has counted it, and that
    /// nothing else has changed.
    #[track_caller]
    pub fn refuses(&self, family: &'static str, cause: &'static str, offend: impl Fn()) {
        let (cells, mut expected) = (self.server.ops.cells(), self.refusals());
        offend();
        offend();
        let count = expected.get_mut(&(family, cause.to_owned()));
        *count.unwrap_or_else(|| panic!("no metric {family} for {cause}")) += 2;
        eventually(&format!("{cause} is counted"), || {
            (self.refusals() == expected).then_some(()).or_else(|| {
                let counted = &self.refusals()[&(family, cause.to_owned())];
                let wanted = &expected[&(family, cause.to_owned())];
                assert!(
                    counted <= wanted,
                    "{cause} is counted {counted} times, not {wanted}"
                );
                None
            })
        });
        assert_eq!(self.server.ops.cells(), cells, "{cause} changes nothing");
        self.causes.borrow_mut().insert(cause);
    }

    /// Sends invalid input in a session, twice, and asserts that the session is closed with `code`.
    #[track_caller]
    pub fn closes(&self, cause: &'static str, code: u64, offend: impl Fn(&mut Session)) {
        self.refuses(CLOSED, cause, || {
            let mut session = self.session();
            offend(&mut session);
            assert_eq!(closed(&mut session), Closed::Application(code), "{cause}");
        });
    }

    /// Like [`Victim::closes`], but without a Hello.
    #[track_caller]
    pub fn closes_unopened(&self, cause: &'static str, code: u64, offend: impl Fn(&mut Session)) {
        let credentials = self.place.pki.gateway("contoso", "gw-1");
        self.refuses(CLOSED, cause, || {
            let raw = Raw::dial(self.server.quic, &self.place.pki, Some(&credentials));
            let mut session = raw.expect("it connects").stream();
            offend(&mut session);
            assert_eq!(closed(&mut session), Closed::Application(code), "{cause}");
        });
    }

    /// Sends one record, and asserts that the ack rejects it with this reason.
    #[track_caller]
    pub fn rejects(&self, reason: RejectReason, record: &CheckInBytes) {
        self.refuses(REJECTED, reason.name(), || {
            let mut session = self.session();
            session.records(&[*record]);
            let (totals, rejections) = session.acknowledged(1);
            assert_eq!((totals.accepted, totals.rejected), (0, 1), "{reason}");
            assert_eq!(rejections.len(), 1);
            assert_eq!(rejections[0].reason(), Some(reason));
            assert_eq!(rejections[0].device_id.as_bytes()[..], record[..16]);
            assert_eq!(rejections[0].seq.to_le_bytes()[..], record[16..24]);
            session.goodbye();
        });
    }

    /// Like [`Victim::rejects`], with an inventory.
    #[track_caller]
    pub fn rejects_inventory(&self, reason: RejectReason, archive: &[u8]) {
        self.refuses(REJECTED, reason.name(), || {
            let mut session = self.session();
            session.write(&inventory_frame(archive));
            let (totals, rejections) = session.acknowledged(1);
            assert_eq!((totals.accepted, totals.rejected), (0, 1), "{reason}");
            assert_eq!(rejections[0].reason(), Some(reason));
            session.goodbye();
        });
    }

    /// Ends the test: asserts that the server still works, has logged each cause once, and passes a recount.
    #[track_caller]
    pub fn finish(self) {
        self.works(1_000_000);
        self.server.ops.recount_is_verified();
        self.server.ops.accounts_add_up();
        let log = self.server.raw_log();
        assert!(!log.contains("panicked"), "{log}");
        let log = self.server.stop();
        for cause in self.causes.into_inner() {
            let lines = log.iter().filter(|line| line["cause"] == cause).count();
            assert_eq!(lines, 1, "{cause} is logged once: {log:#?}");
        }
    }
}

/// A record that every [`Victim`] already has, so that sending it changes nothing.
pub fn known() -> CheckInRecord {
    random_check_in(&mut Random::new(1, 0), device(0), 1)
}

/// Reads until the server closes the connection; returns how it was closed.
#[track_caller]
pub fn closed(session: &mut Session) -> Closed {
    while !matches!(session.reply(), Reply::Closed(_) | Reply::EndOfStream) {}
    session.raw.closed()
}
