//! What connections share and may run out of: places of handshakes and connections, each tenant's share
//! of them, and memory for the large receive windows of gateways.
//!
//! Owned by the listener, used by the task of each connection. What is taken is given back when the
//! [`Place`] is dropped, however the task ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use muster_engine::TenantIndex;

use super::listener::ListenerContext;

/// Part of something limited, for as long as it lives.
#[derive(Debug)]
pub(super) struct Place {
    taken: Arc<AtomicUsize>,
    count: usize,
}

impl Place {
    /// Takes `count` if no more than `max` are then taken.
    pub(super) fn take(taken: &Arc<AtomicUsize>, count: usize, max: usize) -> Option<Self> {
        let fits = |before: usize| before.checked_add(count).filter(|after| *after <= max);
        taken
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits)
            .ok()?;
        let taken = Arc::clone(taken);
        Some(Self { taken, count })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.taken.fetch_sub(self.count, Ordering::Relaxed);
    }
}

/// What all connections share.
#[derive(Debug)]
pub(super) struct Places {
    /// By tenant index: its connections.
    tenants: Vec<Arc<AtomicUsize>>,
    tenant_max: usize,
    /// Bytes of receive windows beyond what every connection has.
    windows: Arc<AtomicUsize>,
    windows_max: usize,
}

impl Places {
    pub(super) fn new(context: &ListenerContext) -> Self {
        let tenants = context
            .tenants
            .values()
            .map(|index| usize::from(*index) + 1);
        let config = &context.config;
        Self {
            tenants: (0..tenants.max().unwrap_or(0))
                .map(|_| Arc::default())
                .collect(),
            tenant_max: config.connections_of_tenant(context.tenants.len()) as usize,
            windows: Arc::default(),
            windows_max: config.receive_windows_max.get() as usize,
        }
    }

    /// A place for a connection of a tenant; `None` if it has its share.
    pub(super) fn of_tenant(&self, tenant: TenantIndex) -> Option<Place> {
        Place::take(self.tenants.get(usize::from(tenant))?, 1, self.tenant_max)
    }

    /// Memory for a larger receive window; `None` if there is none left.
    pub(super) fn window(&self, bytes: usize) -> Option<Place> {
        Place::take(&self.windows, bytes, self.windows_max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_more_than_there_are_and_each_comes_back() {
        let taken = Arc::default();
        let (one, two) = (Place::take(&taken, 2, 5), Place::take(&taken, 3, 5));
        assert!(one.is_some() && two.is_some());
        assert!(Place::take(&taken, 1, 5).is_none());
        assert_eq!(
            taken.load(Ordering::Relaxed),
            5,
            "what is refused takes nothing"
        );
        drop(one);
        assert!(Place::take(&taken, 3, 5).is_none());
        assert!(
            Place::take(&taken, 2, 5).is_some(),
            "and was given back at once"
        );
        drop(two);
        assert_eq!(taken.load(Ordering::Relaxed), 0);
        assert!(Place::take(&taken, usize::MAX, usize::MAX - 1).is_none());
    }
}
