//! The registry of open sessions, one entry each, for operators.
//!
//! Owner: the server. Bounded by `listen.connections_max`. A session updates only its own entry, with atomics; one
//! segment of the map is locked when a session begins or ends, and each in turn while the sessions are listed.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dashmap::DashMap;
use muster_engine::Timestamp;
use muster_wire::Identity;

/// One open session, as operators see it.
#[derive(Debug)]
pub struct SessionInfo {
    /// Number of the session, counted since the server started.
    pub id: u64,
    /// Identity of the client, from its certificate.
    pub identity: Identity,
    /// Address of the client when the session opened.
    pub remote: SocketAddr,
    /// When the session opened.
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
    /// Registers a session until the returned entry is dropped.
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

    /// Whether no session is open.
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

/// A session's own entry; removed from the registry when dropped.
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
