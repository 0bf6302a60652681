//! Who is connected: one entry a session, readable by operators.
//!
//! Bounded by `listen.connections_max`. Sessions touch only their own entry; the map is locked (a
//! shard of it) when a session begins and ends, and when somebody lists it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dashmap::DashMap;
use muster_engine::Timestamp;
use muster_wire::Identity;

/// What operators see of one session.
#[derive(Debug)]
pub struct SessionInfo {
    /// Number of the session since the server started.
    pub id: u64,
    /// Who speaks, by certificate.
    pub identity: Identity,
    /// From where.
    pub remote: SocketAddr,
    /// Since when.
    pub connected_at: Timestamp,
    /// Check-ins and inventories read.
    pub records_received: AtomicU64,
    /// Check-ins and inventories acknowledged.
    pub records_acknowledged: AtomicU64,
    /// Frames read and not yet acknowledged.
    pub frames_in_flight: AtomicU64,
}

/// All sessions.
#[derive(Debug, Default)]
pub struct SessionRegistry {
    sessions: DashMap<u64, Arc<SessionInfo>>,
    next: AtomicU64,
}

impl SessionRegistry {
    /// Enters a session for as long as the returned entry lives.
    pub fn enter(
        self: &Arc<Self>,
        identity: Identity,
        remote: SocketAddr,
        connected_at: Timestamp,
    ) -> SessionEntry {
        let info = Arc::new(SessionInfo {
            id: self.next.fetch_add(1, Ordering::Relaxed),
            identity,
            remote,
            connected_at,
            records_received: AtomicU64::new(0),
            records_acknowledged: AtomicU64::new(0),
            frames_in_flight: AtomicU64::new(0),
        });
        self.sessions.insert(info.id, Arc::clone(&info));
        SessionEntry {
            registry: Arc::clone(self),
            info,
        }
    }

    /// Number of sessions.
    pub fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Whether nobody is connected.
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    /// All sessions, oldest first.
    pub fn list(&self) -> Vec<Arc<SessionInfo>> {
        let mut list: Vec<_> = self
            .sessions
            .iter()
            .map(|entry| Arc::clone(entry.value()))
            .collect();
        list.sort_unstable_by_key(|info| info.id);
        list
    }
}

/// A session's own entry; leaves the registry when dropped.
#[derive(Debug)]
pub struct SessionEntry {
    registry: Arc<SessionRegistry>,
    info: Arc<SessionInfo>,
}

impl std::ops::Deref for SessionEntry {
    type Target = SessionInfo;

    fn deref(&self) -> &SessionInfo {
        &self.info
    }
}

impl Drop for SessionEntry {
    fn drop(&mut self) {
        self.registry.sessions.remove(&self.info.id);
    }
}
