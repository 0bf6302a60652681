//! Bad input of every kind: refused with a code or reason of its own, counted in its own metric, logged
//! once for each cause, and without any effect; and afterwards the server is as good as before.

mod certificates;
mod frames;
mod limits;
mod records;
mod times;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use muster_wire::CheckInRecord;

use crate::harness::*;

/// Handshakes that failed, by reason.
pub(crate) const HANDSHAKES: &str = "muster_net_handshakes_failed_total";
/// Connections that ended, by close code.
pub(crate) const CLOSED: &str = "muster_net_connections_closed_total";
/// Records refused, by reason.
pub(crate) const REJECTED: &str = "muster_session_records_rejected_total";

/// A server that holds some devices, and what it has refused so far.
pub(crate) struct Victim {
    pub(crate) place: Installation,
    pub(crate) server: Server,
    pub(crate) oracle: RefCell<Oracle>,
    /// Every cause there was: the log must have a line for each, and only one.
    pub(crate) causes: RefCell<BTreeSet<&'static str>>,
}

pub(crate) type Refusals = BTreeMap<(&'static str, String), u64>;

impl Victim {
    pub(crate) fn new(settings: &Settings) -> Self {
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

    /// A well-behaved client checks in for 20 devices, and all that it said is counted.
    #[track_caller]
    pub(crate) fn works(&self, seq: u64) {
        let credentials = self.place.pki.gateway("contoso", "well-behaved");
        let client = self.server.client(&self.place.pki, &credentials);
        let mut random = Random(seq);
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
    pub(crate) fn session(&self) -> Session {
        self.server
            .session(&self.place.pki, &self.place.pki.gateway("contoso", "gw-1"))
    }

    /// Everything that was refused, by metric and label.
    pub(crate) fn refusals(&self) -> Refusals {
        let metrics = self.server.ops.metrics();
        let families = [HANDSHAKES, CLOSED, REJECTED];
        let all = families.into_iter().flat_map(|family| {
            metrics
                .by_label(family)
                .into_iter()
                .map(move |(label, count)| ((family, label), count))
        });
        // How the well-behaved go, and those who are gone without a word.
        all.filter(|((_, label), _)| label != "done" && label != "none")
            .collect()
    }

    /// Offends twice, and asserts that only `family` with the label `cause` has counted it, and that
    /// nothing else has changed.
    #[track_caller]
    pub(crate) fn refuses(&self, family: &'static str, cause: &'static str, offend: impl Fn()) {
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

    /// Offends in a session twice, and asserts that it is closed with `code`.
    #[track_caller]
    pub(crate) fn closes(&self, cause: &'static str, code: u64, offend: impl Fn(&mut Session)) {
        self.refuses(CLOSED, cause, || {
            let mut session = self.session();
            offend(&mut session);
            assert_eq!(closed(&mut session), Closed::Application(code), "{cause}");
        });
    }

    /// Ends the test: the server still works, has logged each cause once, and counts what is on disk.
    #[track_caller]
    pub(crate) fn finish(self) {
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

/// How the server ends a session, whatever it says before.
#[track_caller]
pub(crate) fn closed(session: &mut Session) -> Closed {
    while !matches!(session.reply(), Reply::Closed(_) | Reply::EndOfStream) {}
    session.raw.closed()
}
