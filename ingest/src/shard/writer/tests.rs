//! The writer thread over a log that completes commits only after later ones were appended.

use std::collections::VecDeque;
use std::time::Instant;

use crossbeam::channel::bounded;
use muster_engine::{Facets, Outcome, ProfileId, SlotIndex, TenantIndex, Timestamp, Transition};
use muster_store::{ClockRecord, CommitPart};
use muster_wire::DeviceId;

use super::*;
use crate::clock::SimulatedTime;
use crate::route::{Listed, Window, WindowCursor};

#[expect(clippy::disallowed_methods, reason = "no clock decides anything here")]
fn now() -> Instant {
    Instant::now()
}
use crate::shard::empty_commit;

/// Bytes of the journal value of every commit.
const BYTES: usize = 10;

const TENANT: TenantIndex = TenantIndex(0);

/// Completes a commit when two later ones have been appended, as a log does that waits for other machines.
#[derive(Debug, Default)]
struct Late {
    pending: VecDeque<Commit<CommitPayload>>,
    /// Commits of each group.
    groups: Vec<usize>,
    metrics: WriterMetrics,
    fails: bool,
}

impl Log<CommitPayload> for Late {
    fn room(&self) -> usize {
        3 * BYTES
    }

    fn append(
        &mut self,
        group: &mut Vec<Commit<CommitPayload>>,
        _: ClockRecord,
        sink: &mut impl Sink<CommitPayload>,
    ) {
        self.groups.push(group.len());
        self.pending.extend(group.drain(..));
        while self.pending.len() > 2 {
            let Some(commit) = self.pending.pop_front() else {
                break;
            };
            if self.fails {
                sink.failed(commit, &PoisonReason::new("lost"));
            } else {
                sink.committed(commit, now());
            }
        }
    }

    fn metrics(&self) -> &WriterMetrics {
        &self.metrics
    }

    fn journal_bytes_live(&self) -> u64 {
        0
    }
}

fn new_device(number: u8) -> Transition {
    Transition {
        slot: SlotIndex(number.into()),
        device_id: DeviceId::from_bytes([number + 1; 16]),
        tenant: TENANT,
        before: None,
        after: Some(Facets::default().word()),
        profile: ProfileId::default(),
        has_new_inventory: false,
    }
}

fn view() -> Arc<View> {
    Arc::new(View::new(2, [], Timestamp::from_seconds(1)))
}

/// A thread with eight commits, each with a frame and a new device of its own, on their way to the log.
fn queued(
    log: Late,
    view: &Arc<View>,
) -> (Groups<Late>, Receiver<Commit<CommitPayload>>, WindowCursor) {
    let (sender, commits) = bounded(8);
    let (returning, returned) = bounded(8);
    let mut window = Window::open(8);
    for number in 0..8 {
        let mut commit = empty_commit(0, 0..2);
        commit.payload.transitions[1].1 = vec![new_device(number)];
        commit.parts[1].journal = vec![1; BYTES];
        window.open_frame();
        let completion = window.completion();
        window.close_frame();
        let completions = &mut commit.payload.completions;
        completions.push((completion, Outcome::default()));
        sender.send(commit).unwrap();
    }
    let time = SimulatedTime::at(Timestamp::from_seconds(1));
    let groups = Groups::new(WriterThread {
        log,
        commits,
        returns: vec![returning],
        journal_bytes_kept: usize::MAX,
        view: Arc::clone(view),
        report: Arc::default(),
        phase: PhaseSwitch::default(),
        clock: Clock::Simulated(Arc::new(time)),
    });
    (groups, returned, window)
}

#[test]
fn commits_complete_when_the_log_says_so() {
    let view = view();
    let counted = || view.count(TENANT, |_| true);
    let (mut groups, returned, mut window) = queued(Late::default(), &view);
    assert!(groups.step());
    assert_eq!(groups.log().groups, [3], "the room of the log");
    assert_eq!((returned.len(), counted()), (1, 1));
    assert!(window.collect(&mut Listed::default()).is_some());
    assert!(window.collect(&mut Listed::default()).is_none(), "pending");
    while groups.step() {}
    assert_eq!(groups.log().groups, [3, 3, 2]);
    assert_eq!((returned.len(), counted()), (6, 6));
    for commit in returned.try_iter() {
        let is_empty = |part: &CommitPart| part.journal.is_empty();
        assert!(commit.parts.iter().all(is_empty) && commit.payload.completions.is_empty());
        let transitions = &commit.payload.transitions;
        assert!(transitions.iter().all(|(_, moved)| moved.is_empty()));
    }
    for _ in 1..6 {
        assert!(window.collect(&mut Listed::default()).is_some());
    }
    assert!(window.collect(&mut Listed::default()).is_none());
}

#[test]
fn a_commit_that_failed_is_returned_and_never_acknowledged() {
    let failing = Late {
        fails: true,
        ..Late::default()
    };
    let view = view();
    let (mut groups, returned, mut window) = queued(failing, &view);
    while groups.step() {}
    assert_eq!(groups.thread.phase.get(), Phase::Poisoned);
    assert_eq!(returned.len(), 6);
    assert!(window.collect(&mut Listed::default()).is_none());
    assert_eq!(view.count(TENANT, |_| true), 0, "it may be lost");
}
