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
use tokio::sync::Notify;

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
    left: Notify,
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

    /// Waits until no session is open.
    pub async fn emptied(&self) {
        loop {
            // Before the check: a session that ends in between is not missed.
            let left = self.left.notified();
            if self.is_empty() {
                return;
            }
            left.await;
        }
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
        self.registry.left.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use super::*;

    #[tokio::test]
    async fn whoever_waits_for_the_last_session_is_woken() {
        let registry = Arc::<SessionRegistry>::default();
        registry.emptied().await;
        let identity: Identity = "muster://contoso/gateway/gw-1".parse().unwrap();
        let enter = || {
            let remote = SocketAddr::from(([127, 0, 0, 1], 1));
            registry.enter(identity.clone(), remote, Timestamp::default())
        };
        let (one, other) = (enter(), enter());
        let mut emptied = pin!(registry.emptied());
        for entry in [one, other] {
            tokio::select! {
                biased;
                () = &mut emptied => panic!("a session is open"),
                () = tokio::task::yield_now() => (),
            }
            drop(entry);
        }
        emptied.await;
    }
}
