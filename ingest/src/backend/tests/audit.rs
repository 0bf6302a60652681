//! Tests of the verification of the control log.

use muster_api::{ApiError, AuditVerification, Backend, Caller};
use muster_control::{Access, AccessRecord, Change, Effect, Key, PinnedHead, Precondition, Scope};
use muster_engine::{Revision, TenantIndex};
use muster_store::{Store, StoreConfig};

use super::fixture::{Conduct, Server};
use crate::control_plane::{ControlLog, verify_log};
use crate::phase::Phase;

async fn change(server: &Server, days: u32) {
    let properties = [("sensorInactiveDays".to_owned(), days.into())];
    let change = Change::Update {
        key: Key::Settings,
        properties: properties.into_iter().collect(),
    };
    let caller = Caller::local(Precondition::Nothing);
    let changed = server.backend.change(caller, TenantIndex(0), change);
    changed.await.unwrap();
}

async fn verify(server: &Server, pin: Option<PinnedHead>) -> AuditVerification {
    server.backend.verify_audit(pin).await.unwrap()
}

/// The head of a log that is what was written.
fn head(verified: &AuditVerification) -> PinnedHead {
    assert_eq!((verified.verified, &verified.problem), (true, &None));
    verified.head.parse().unwrap()
}

#[tokio::test]
async fn a_head_that_was_noted_stays_in_the_log() {
    let server = Server::new();
    let first = verify(&server, None).await;
    assert_eq!(first.entries, 2, "the creation of two tenants");
    change(&server, 9).await;
    let second = verify(&server, Some(head(&first))).await;
    assert_eq!(second.entries, 3);
    assert_eq!(&head(&second), &server.backend.control().chain().pin());
    let mut other = head(&first);
    other.head = head(&second).head;
    let refused = verify(&server, Some(other)).await;
    assert_eq!((refused.verified, refused.entries), (false, 1));
    let later = PinnedHead {
        revision: Revision(99),
        ..other
    };
    let problem = verify(&server, Some(later)).await.problem;
    assert_eq!(
        problem.unwrap(),
        "the control log ends with entry 3, before the pinned entry 99: its end is missing"
    );
}

#[tokio::test]
async fn an_entry_beside_the_chain_is_found_by_a_verification_and_by_the_next_start() {
    let server = Server::new();
    change(&server, 9).await;
    let store = &server.backend.context.store;
    // The entry is intact, but it is not in the chain: as if someone had written it.
    let mut plane = muster_control::ControlPlane::clone(&server.backend.control());
    let mut stored = store.control_entry(Revision(3)).unwrap().unwrap();
    stored[1] = 4;
    store.append_control(Revision(4), &stored, None).unwrap();
    let verified = verify(&server, None).await;
    assert_eq!((verified.verified, verified.entries), (false, 3));
    let problem = verified.problem.unwrap();
    let expected = "entry 4 of the control log does not continue the hash chain after entry 3";
    assert!(problem.starts_with(expected), "{problem}");
    assert_eq!(ControlLog::replay(store).unwrap_err().to_string(), problem);
    plane.replay(Revision(4), &stored).unwrap_err();
}

/// The sign-in of a principal.
async fn sign_in(server: &Server) -> Result<(), ApiError> {
    let record = AccessRecord {
        access: Access::SignedIn,
        unrecorded: 2,
    };
    let caller = Caller {
        address: Some([192, 0, 2, 7].into()),
        ..Caller::local(Precondition::Nothing)
    };
    server.backend.record(caller, TenantIndex(0), record).await
}

#[tokio::test]
async fn an_access_is_recorded_while_a_change_waits_for_a_shard() {
    let server = Server::with(&[Conduct::Silent; 2]);
    let properties = [("sensorInactiveDays".to_owned(), 9.into())];
    let settings = Change::Update {
        key: Key::Settings,
        properties: properties.into_iter().collect(),
    };
    let caller = Caller::local(Precondition::Nothing);
    let changed = server.backend.change(caller, TenantIndex(0), settings);
    assert!(matches!(changed.await, Err(ApiError::NotInForce)));
    // The change still waits, so another one would, too.
    sign_in(&server).await.unwrap();
    let changes = server
        .backend
        .changes(Scope::Tenant(TenantIndex(0)), None, 1);
    let listed = changes.await.unwrap().listed;
    assert_eq!(listed[0].revision, Revision(4));
    assert_eq!(listed[0].address, Some([192, 0, 2, 7].into()));
    assert!(matches!(&listed[0].effect, Effect::Access(record) if record.unrecorded == 2));
    let replayed = ControlLog::replay(&server.backend.context.store).unwrap();
    assert_eq!(replayed.plane, server.backend.control());
    server.backend.context.phase.advance(Phase::Draining);
    assert!(matches!(sign_in(&server).await, Err(ApiError::Draining)));
}

#[tokio::test]
async fn accesses_and_changes_at_the_same_time_make_one_chain() {
    let server = Server::new();
    let accesses = async {
        for _ in 0..20 {
            sign_in(&server).await.unwrap();
        }
    };
    let changes = async {
        for days in 1..=20 {
            change(&server, days).await;
        }
    };
    tokio::join!(accesses, changes);
    let verified = verify(&server, None).await;
    assert_eq!(verified.entries, 42);
    assert_eq!(head(&verified), server.backend.control().chain().pin());
}

#[tokio::test]
async fn a_backup_has_the_chain() {
    let server = Server::new();
    change(&server, 9).await;
    let pin = head(&verify(&server, None).await);
    let scratch = tempfile::tempdir().unwrap();
    let backup = scratch.path().join("backup");
    server.backend.context.store.backup(&backup).unwrap();
    let config = StoreConfig::new(&backup).with_shards(super::fixture::SHARDS);
    let store = Store::open_read_only(&config).unwrap();
    let verified = verify_log(&store.view(), [pin]);
    assert_eq!(head(&verified), pin);
}
