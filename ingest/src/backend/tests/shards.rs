//! Tests of queries to shards that reply, and to shards that do not.

use std::net::{Ipv4Addr, SocketAddr};

use muster_api::{ApiError, Backend, Matches, Position, ROWS_MAX};
use muster_engine::{ShardId, SlotIndex, TenantIndex};
use muster_wire::Identity;

use super::fixture::{Conduct, Server, device_id};
use crate::phase::Phase;

#[test]
fn cells_are_read_from_the_view_whatever_the_shards_do() {
    let server = Server::with(&[Conduct::Silent, Conduct::Gone]);
    let counts = |tenant| -> Vec<_> {
        let cells = server.backend.cells(tenant).into_iter();
        cells.map(|cell| (cell.tenant, cell.count)).collect()
    };
    let (demo, other) = ((TenantIndex(0), 6), (TenantIndex(1), 2));
    assert_eq!(counts(None), [demo, other]);
    assert_eq!(counts(Some(TenantIndex(1))), [other]);
    assert_eq!(counts(Some(TenantIndex(2))), []);
}

#[tokio::test]
async fn a_scan_gives_pages_of_positions_and_rows_their_devices_in_that_order() {
    let server = Server::new();
    let backend = &server.backend;
    let mut found = Vec::new();
    let mut from = Position::default();
    loop {
        let matches: Matches = Box::new(|_| true);
        let page = backend
            .scan(TenantIndex(0), None, from, 4, matches)
            .await
            .unwrap();
        let Some(last) = page.last() else { break };
        from = last.next();
        found.extend(page);
    }
    let at = |shard, slot| Position {
        shard: ShardId(shard),
        slot: SlotIndex(slot),
    };
    let expected = [0, 1].map(|shard| [0, 1, 2].map(|slot| at(shard, slot)));
    assert_eq!(found, expected.concat());
    let asked = vec![at(1, 7), at(0, 3), at(9, 1), at(1, 2)];
    let rows = backend.rows(TenantIndex(0), asked).await.unwrap();
    let slots: Vec<_> = rows.iter().map(|(_, device)| device.record.seq).collect();
    assert_eq!(slots, [7, 3, 2], "there is no shard 9");
    let ids = vec![device_id(); 2];
    let devices = backend.devices_by_id(TenantIndex(0), ids.clone()).await;
    assert_eq!(devices.unwrap().len(), 2);
    let of_other = backend.devices_by_id(TenantIndex(1), ids).await;
    assert!(of_other.unwrap().is_empty());
    let many = vec![at(0, 0); ROWS_MAX + 1];
    let refused = backend.rows(TenantIndex(0), many).await.unwrap_err();
    assert!(matches!(refused, ApiError::Internal(_)), "{refused}");
}

#[tokio::test]
async fn a_device_is_queried_from_the_shard_that_owns_it() {
    let server = Server::new();
    let backend = &server.backend;
    let device = backend
        .device(TenantIndex(0), device_id())
        .await
        .unwrap()
        .unwrap();
    assert_eq!((device.record.seq, device.inventory), (42, None));
    assert!(
        backend
            .device(TenantIndex(1), device_id())
            .await
            .unwrap()
            .is_none()
    );
}

#[tokio::test]
async fn sessions_are_the_oldest_up_to_a_limit_with_their_total() {
    let server = Server::new();
    let identity: Identity = "muster://demo/gateway/gw-1".parse().unwrap();
    let remote = SocketAddr::from((Ipv4Addr::LOCALHOST, 7));
    let context = &server.backend.context;
    let at = context.started_at;
    let _entries = [(); 3].map(|()| context.registry.enter(identity.clone(), remote, at));
    let sessions = server.backend.sessions(2);
    let ids: Vec<u64> = sessions.listed.iter().map(|session| session.id).collect();
    assert_eq!((ids.as_slice(), sessions.total), (&[0, 1][..], 3));
    let first = &sessions.listed[0];
    assert_eq!(
        (&first.identity, first.remote, first.connected_at),
        (&identity, remote, at)
    );
}

#[tokio::test]
async fn a_recount_compares_the_disk_with_the_counters_of_every_shard() {
    let server = Server::new();
    let recount = server.backend.recount().await.unwrap();
    assert!(!recount.verified);
    assert_eq!(recount.view_drift, 3, "the devices of shard 0");
    assert_eq!((recount.devices, recount.differing_cells), (0, 2));
    let first = &recount.differences[0];
    assert_eq!(
        (first.tenant.as_str(), first.counter, first.counted_on_disk),
        ("demo", 3, 0)
    );
}

#[tokio::test]
async fn a_shard_without_a_reply_is_an_error_with_its_cause() {
    let is_timeout = |error: &ApiError| matches!(error, ApiError::Timeout { .. });
    let is_poisoned = |error: &ApiError| matches!(error, ApiError::StorePoisoned);
    let is_busy = |error: &ApiError| matches!(error, ApiError::Busy { thread: 1 });
    type IsCause = fn(&ApiError) -> bool;
    let causes: [(Conduct, IsCause); 4] = [
        (Conduct::Silent, is_timeout),
        (Conduct::Drops, is_poisoned),
        (Conduct::Full, is_busy),
        (Conduct::Gone, is_poisoned),
    ];
    let shard_1 = Position {
        shard: ShardId(1),
        slot: SlotIndex(0),
    };
    for (conduct, is_cause) in causes {
        let server = Server::with(&[Conduct::Answers, conduct]);
        let backend = &server.backend;
        let error = backend.stale_devices().await.unwrap_err();
        assert!(is_cause(&error), "{conduct:?}: {error}");
        let error = backend
            .rows(TenantIndex(0), vec![shard_1])
            .await
            .unwrap_err();
        assert!(is_cause(&error), "{conduct:?}: {error}");
        let error = backend.recount().await.unwrap_err();
        assert!(is_cause(&error), "{conduct:?}: {error}");
    }
    let server = Server::with(&[Conduct::Gone; 2]);
    let backend = &server.backend;
    backend.context.phase.advance(Phase::Draining);
    let error = backend.stale_devices().await.unwrap_err();
    assert!(matches!(error, ApiError::Draining), "{error}");
}

/// Either would keep the store open that the stop is about to close.
#[tokio::test]
async fn no_recount_and_no_backup_begins_while_the_server_drains() {
    let server = Server::with(&[Conduct::Silent; 2]);
    let backend = &server.backend;
    backend.context.phase.advance(Phase::Draining);
    let error = backend.recount().await.unwrap_err();
    assert!(matches!(error, ApiError::Draining), "{error}");
    let error = backend.back_up("a".into()).await.unwrap_err();
    assert!(matches!(error, ApiError::Draining), "{error}");
}

#[tokio::test]
async fn one_recount_runs_at_a_time_and_a_failed_one_releases_its_lock() {
    let server = Server::with(&[Conduct::Silent; 2]);
    let backend = &server.backend;
    let (one, two) = tokio::join!(backend.recount(), backend.recount());
    let (first, second) = (one.unwrap_err(), two.unwrap_err());
    assert!(matches!(second, ApiError::RecountRunning), "{second}");
    assert!(matches!(first, ApiError::Timeout { .. }), "{first}");
    let again = backend.recount().await.unwrap_err();
    assert!(matches!(again, ApiError::Timeout { .. }), "{again}");
}

#[tokio::test]
async fn only_a_serving_server_is_ready() {
    let server = Server::new();
    let context = &server.backend.context;
    assert!(server.backend.readiness().is_serving);
    context.metrics.audit_drift.raise(2);
    assert_eq!(server.backend.readiness().audit_drift, 2);
    for (phase, word) in [(Phase::Draining, "draining"), (Phase::Poisoned, "poisoned")] {
        context.phase.advance(phase);
        let readiness = server.backend.readiness();
        assert_eq!((readiness.is_serving, readiness.phase), (false, word));
    }
}
