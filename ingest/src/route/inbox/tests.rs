//! Tests of the inbox with one thread and several; fairness is computed, never timed.

use std::collections::VecDeque;
use std::future::Future;
use std::path::Path;
use std::task::{Context, Waker};

use muster_wire::limits::CHECK_INS_PER_FRAME_MAX;
use muster_wire::{
    CheckIn, DeviceId, Flags, ManagementAgent, Onboarding, PartnerThreatState, Platform, Risk,
};
use proptest::prelude::*;

use super::deficit_round_robin::QUANTUM;
use super::*;
use crate::clock::Stamp;
use crate::config::Config;
use crate::config::tests::MINIMAL;
use crate::route::{Payload, Window};

const FULL: usize = CHECK_INS_PER_FRAME_MAX;

/// A shard batch of `check_ins` check-ins; `tag` identifies it.
fn shard_batch(tenant: u16, check_ins: usize, tag: u64) -> ShardBatch {
    let mut window = Window::open(1);
    window.open_frame();
    let check_in = CheckIn {
        device_id: DeviceId::from_bytes([1; 16]),
        seq: tag + 1,
        sent_at_ms: 1,
        boot_id: 1,
        payload: 0,
        flags: Flags::default(),
        risk: Risk::ALL[0],
        partner_threat_state: PartnerThreatState::ALL[0],
        onboarding: Onboarding::ALL[0],
        platform: Platform::ALL[0],
        management_agent: ManagementAgent::ALL[0],
    };
    let record = check_in.to_record().expect("neither id nor seq is zero");
    ShardBatch {
        tenant: TenantIndex(tenant),
        payload: match check_ins {
            1 => Payload::CheckIn(record),
            _ => Payload::CheckIns(vec![record; check_ins]),
        },
        completion: window.completion(),
        read_at: Stamp(tag),
        routed_at: Stamp(tag),
    }
}

/// Pushes a shard batch that must fit.
#[track_caller]
fn push(inbox: &Inbox, shard_batch: ShardBatch) {
    assert!(
        inbox.try_send(shard_batch).unwrap().is_none(),
        "the lane is full"
    );
}

/// A taken shard batch as tenant, check-ins, tag.
fn taken(shard_batch: &ShardBatch) -> (u16, usize, u64) {
    (
        shard_batch.tenant.0,
        shard_batch.payload.weight(),
        shard_batch.routed_at.0,
    )
}

/// Takes a batch as a shard does: up to `check_ins_max` check-ins, plus the rest of the last shard batch.
fn batch(receiver: &mut InboxReceiver, check_ins_max: usize) -> Vec<(u16, usize, u64)> {
    let (mut batch, mut check_ins) = (Vec::new(), 0);
    while check_ins < check_ins_max
        && let Some(shard_batch) = receiver.try_take()
    {
        check_ins += shard_batch.payload.weight();
        batch.push(taken(&shard_batch));
    }
    receiver.rearm();
    batch
}

fn is_ready(future: std::pin::Pin<&mut impl Future<Output = ()>>) -> bool {
    future
        .poll(&mut Context::from_waker(Waker::noop()))
        .is_ready()
}

#[test]
fn a_lone_tenant_has_the_whole_capacity_and_its_order_is_kept() {
    let (inbox, mut receiver) = inbox(100, 1);
    for tag in 0..100 {
        push(&inbox, shard_batch(0, 2, tag));
    }
    let refused = inbox.try_send(shard_batch(0, 2, 100)).unwrap();
    assert_eq!(refused.as_ref().map(taken), Some((0, 2, 100)));
    assert_eq!(inbox.depth(), 100);
    let all = batch(&mut receiver, usize::MAX);
    assert!(
        all.iter().map(|shard_batch| shard_batch.2).eq(0..100),
        "{all:?}"
    );
    assert_eq!(inbox.depth(), 0);
}

#[test]
fn the_capacity_is_divided_among_lanes_and_never_exceeds_the_configured_one() {
    for (batches_max, tenants) in [(16, 1), (16, 7), (16, 4000), (256, 3), (256, 64), (256, 65)] {
        let (inbox, _receiver) = inbox(batches_max, tenants);
        let mut accepted = 0;
        for tenant in 0..tenants as u16 {
            while inbox.try_send(shard_batch(tenant, 1, 0)).unwrap().is_none() {
                accepted += 1;
            }
        }
        assert_eq!(accepted, inbox.depth());
        // The remainder of the division is unused: less than one shard batch a lane.
        let unused = batches_max - accepted;
        assert!(unused < tenants.min(LANES_MAX), "{batches_max} {tenants}");
        let share = inbox.0.share.load(Ordering::Relaxed);
        assert!(share >= LANE_CAPACITY_MIN, "{batches_max} {tenants}");
    }
}

#[test]
fn a_flood_fills_its_own_lane_only() {
    let (inbox, mut receiver) = inbox(32, 2);
    while inbox.try_send(shard_batch(0, FULL, 0)).unwrap().is_none() {}
    let (flooder, quiet) = (inbox.room(TenantIndex(0)), inbox.room(TenantIndex(1)));
    let (mut flooder, mut quiet) = (std::pin::pin!(flooder), std::pin::pin!(quiet));
    assert!(!is_ready(flooder.as_mut()), "its lane is full");
    assert!(is_ready(quiet.as_mut()), "the other lane has capacity");
    push(&inbox, shard_batch(1, 1, 1));
    let first_two = batch(&mut receiver, FULL + 1);
    assert!(first_two.contains(&(1, 1, 1)), "{first_two:?}");
    assert!(
        is_ready(flooder.as_mut()),
        "a shard batch of its lane was taken"
    );
}

/// Fifteen tenants flood with full frames: a shard batch of another waits for at most one of each. With batches of the
/// default size that is one batch for each of them, plus its own.
#[test]
fn a_quiet_tenant_waits_for_at_most_one_batch_of_each_flooding_tenant() {
    const QUIET: u16 = 15;
    let config = Config::parse(MINIMAL, Path::new("/")).unwrap();
    let batch_max = config.shards.batch_check_ins_max as usize;
    let (inbox, mut receiver) = inbox(256, 16);
    let fill = |inbox: &Inbox| {
        for tenant in 0..QUIET {
            while inbox
                .try_send(shard_batch(tenant, FULL, 0))
                .unwrap()
                .is_none()
            {}
        }
    };
    for tag in 1..200 {
        fill(&inbox);
        push(&inbox, shard_batch(QUIET, 1, tag));
        let mut batches = 1;
        while !batch(&mut receiver, batch_max).contains(&(QUIET, 1, tag)) {
            fill(&inbox);
            batches += 1;
            assert!(
                batches <= QUIET + 1,
                "shard batch {tag} waits for a second turn"
            );
        }
    }
}

#[test]
fn backlogged_tenants_get_the_same_number_of_check_ins() {
    let sizes = [1, 7, 100, 1000, FULL];
    let (inbox, mut receiver) = inbox(256, sizes.len());
    let mut got = vec![0_usize; sizes.len()];
    for _ in 0..20_000 {
        for (tenant, size) in sizes.into_iter().enumerate() {
            while inbox
                .try_send(shard_batch(tenant as u16, size, 0))
                .unwrap()
                .is_none()
            {}
        }
        // A lane of single check-ins holds less than a quantum; it must not run empty here.
        for _ in 0..40 {
            let shard_batch = receiver.try_take().unwrap();
            got[usize::from(shard_batch.tenant)] += shard_batch.payload.weight();
        }
    }
    let (least, most) = (got.iter().min().unwrap(), got.iter().max().unwrap());
    assert!(most - least < 2 * QUANTUM as usize, "{got:?}");
}

#[test]
fn a_token_is_in_the_channel_whenever_shard_batches_are_queued() {
    let (inbox, mut receiver) = inbox(16, 2);
    assert!(receiver.wake().is_empty());
    push(&inbox, shard_batch(0, 1, 0));
    push(&inbox, shard_batch(1, 1, 1));
    assert!(receiver.wake().try_recv().is_ok());
    assert_eq!(batch(&mut receiver, 1).len(), 1);
    assert!(
        receiver.wake().try_recv().is_ok(),
        "one shard batch is still queued"
    );
    assert_eq!(batch(&mut receiver, usize::MAX).len(), 1);
    push(&inbox, shard_batch(0, 1, 2));
    assert!(receiver.wake().try_recv().is_ok());
}

#[test]
fn a_stopped_shard_refuses_shard_batches_and_drops_the_queued_ones() {
    let (inbox, receiver) = inbox(4, 1);
    while inbox.try_send(shard_batch(0, 1, 0)).unwrap().is_none() {}
    let mut room = std::pin::pin!(inbox.room(TenantIndex(0)));
    assert!(!is_ready(room.as_mut()));
    drop(receiver);
    assert!(is_ready(room.as_mut()), "waiting sessions are woken");
    assert_eq!(
        inbox.try_send(shard_batch(0, 1, 0)).err(),
        Some(InboxClosed)
    );
    assert!(inbox.depth() <= 1, "the queued shard batches are dropped");
}

/// Four senders push through lanes with a capacity of four each; nothing is lost or duplicated, the order of each
/// sender is kept, and the shard never sleeps while shard batches are queued.
#[test]
fn every_shard_batch_of_every_sender_arrives_once_and_in_order() {
    const SENDERS: u16 = 4;
    const BATCHES: u64 = 20_000;
    let (inbox, mut receiver) = inbox(16, 4);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .unwrap();
    for sender in 0..SENDERS {
        let inbox = inbox.clone();
        // Two senders share a lane.
        let tenant = sender % 3;
        runtime.spawn(async move {
            for tag in 0..BATCHES {
                let mut next = shard_batch(tenant, 1, tag);
                next.read_at = Stamp(u64::from(sender));
                while let Some(refused) = inbox.try_send(next).unwrap() {
                    next = refused;
                    inbox.room(TenantIndex(tenant)).await;
                }
            }
        });
    }
    let mut next = [0; SENDERS as usize];
    while next.iter().sum::<u64>() < BATCHES * u64::from(SENDERS) {
        // Much longer than a push takes: only a lost token reaches the timeout.
        let token = receiver
            .wake()
            .recv_timeout(std::time::Duration::from_secs(60));
        token.expect("a token while shard batches are queued");
        let mut taken = 0;
        while taken < 3
            && let Some(shard_batch) = receiver.try_take()
        {
            taken += 1;
            let expected = &mut next[shard_batch.read_at.0 as usize];
            assert_eq!(shard_batch.routed_at.0, *expected);
            *expected += 1;
        }
        receiver.rearm();
    }
    assert!(receiver.try_take().is_none());
}

/// An operation on an inbox.
#[derive(Clone, Debug)]
enum Step {
    Push(u16, usize),
    Batch(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let size = prop_oneof![Just(1), 2..50_usize, Just(FULL)];
    prop_oneof![
        3 => (0..6_u16, size).prop_map(|(tenant, size)| Step::Push(tenant, size)),
        1 => (1..3 * FULL).prop_map(Step::Batch),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Compares with plain queues: each shard batch comes out once, in the order of its lane; a lane refuses only when
    /// it is full; a batch ends early only when nothing is queued; and no backlogged lane falls behind another by three
    /// quanta.
    #[test]
    fn it_behaves_like_queues_that_take_turns(steps in prop::collection::vec(step(), 1..400)) {
        const LANES: usize = 4;
        const LANE_CAPACITY: usize = LANE_CAPACITY_MIN;
        let (inbox, mut receiver) = inbox(LANES * LANE_CAPACITY, LANES);
        let mut queues: [VecDeque<(u16, usize, u64)>; LANES] = Default::default();
        // By pair: how much more service the first got than the second since both became backlogged.
        let mut ahead = [[0_i64; LANES]; LANES];
        let mut tag = 0;
        for step in steps {
            match step {
                Step::Push(tenant, size) => {
                    tag += 1;
                    let queue = &mut queues[usize::from(tenant) % LANES];
                    let refused = inbox.try_send(shard_batch(tenant, size, tag)).unwrap();
                    prop_assert_eq!(refused.is_some(), queue.len() == LANE_CAPACITY);
                    if refused.is_none() {
                        queue.push_back((tenant, size, tag));
                    }
                }
                Step::Batch(check_ins_max) => {
                    let is_woken = receiver.wake().try_recv().is_ok();
                    prop_assert!(is_woken || inbox.depth() == 0, "shard batches wait without a token");
                    let mut check_ins = 0;
                    while check_ins < check_ins_max {
                        let Some(got) = receiver.try_take().as_ref().map(taken) else {
                            prop_assert!(queues.iter().all(VecDeque::is_empty));
                            break;
                        };
                        check_ins += got.1;
                        let lane = usize::from(got.0) % LANES;
                        let waits: Vec<bool> = queues.iter().map(|queue| !queue.is_empty()).collect();
                        prop_assert_eq!(queues[lane].pop_front(), Some(got));
                        for other in (0..LANES).filter(|other| *other != lane) {
                            let got = got.1 as i64;
                            if waits[other] {
                                ahead[lane][other] += got;
                                ahead[other][lane] -= got;
                                prop_assert!(ahead[lane][other] < 3 * i64::from(QUANTUM));
                            } else {
                                (ahead[lane][other], ahead[other][lane]) = (0, 0);
                            }
                        }
                        if queues[lane].is_empty() {
                            ahead[lane] = [0; LANES];
                            ahead.iter_mut().for_each(|others| others[lane] = 0);
                        }
                    }
                    receiver.rearm();
                }
            }
            prop_assert_eq!(inbox.depth(), queues.iter().map(VecDeque::len).sum::<usize>());
        }
    }
}

#[test]
fn tenants_that_come_and_go_change_the_shares_and_not_the_lanes() {
    let (inbox, mut receiver) = inbox(16, 1);
    let fill = |tenant: u16| {
        let push = || inbox.try_send(shard_batch(tenant, 1, 0)).unwrap();
        std::iter::from_fn(|| push().is_none().then_some(())).count()
    };
    let served = |tenants: &[u16]| inbox.set_tenants(tenants.iter().copied().map(TenantIndex));
    assert_eq!(fill(0), 16, "the only tenant has all of it");
    served(&[0, 1]);
    assert_eq!(
        (fill(0), fill(1)),
        (0, 8),
        "the first one must drain to its share"
    );
    for _ in 0..24 {
        receiver.try_take().unwrap();
    }
    assert_eq!((fill(0), fill(1)), (8, 8));
    // The index of a tenant that was created later shares the lane of another one.
    served(&[0, 1, 4]);
    assert_eq!(fill(4), 0);
    served(&[1]);
    assert_eq!(fill(1), 8);
    assert_eq!(inbox.depth(), 24);
    let mut left = 0;
    while receiver.try_take().is_some() {
        left += 1;
    }
    assert_eq!(
        (left, inbox.depth()),
        (24, 0),
        "nothing of a deleted tenant is lost"
    );
}

#[tokio::test]
async fn a_session_that_waits_gets_the_share_of_a_tenant_that_is_deleted() {
    let (inbox, _receiver) = inbox(16, 2);
    while inbox.try_send(shard_batch(0, 1, 0)).unwrap().is_none() {}
    let mut room = std::pin::pin!(inbox.room(TenantIndex(0)));
    tokio::select! {
        biased;
        () = &mut room => panic!("its share is used"),
        () = tokio::task::yield_now() => (),
    }
    inbox.set_tenants([TenantIndex(0)].into_iter());
    room.await;
    assert!(inbox.try_send(shard_batch(0, 1, 0)).unwrap().is_none());
}
