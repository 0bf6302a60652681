//! Quotas that connections share: handshakes, connections, each tenant's share of them, and memory for the large
//! receive windows of gateways.
//!
//! Owner: the listener; the task of each connection acquires permits. A [`Permit`] is released when it is dropped,
//! however the task ends. Nothing here waits: without a permit the caller refuses or continues with less.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use muster_engine::TenantIndex;

use super::context::ListenerContext;
use crate::config::ListenConfig;

/// A share of a quota, released on drop.
#[derive(Debug)]
pub(super) struct Permit {
    taken: Arc<AtomicUsize>,
    count: usize,
}

impl Permit {
    /// Acquires `count` units of a quota of `max`; `None` if fewer are available.
    pub(super) fn acquire(taken: &Arc<AtomicUsize>, count: usize, max: usize) -> Option<Self> {
        let fits = |before: usize| before.checked_add(count).filter(|after| *after <= max);
        taken
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits)
            .ok()?;
        let taken = Arc::clone(taken);
        Some(Self { taken, count })
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.taken.fetch_sub(self.count, Ordering::Relaxed);
    }
}

/// The quotas of all connections.
#[derive(Debug)]
pub(super) struct Quotas {
    /// Connections by tenant index.
    tenants: Vec<Arc<AtomicUsize>>,
    tenant_max: usize,
    /// Bytes of receive windows beyond those every connection has: of all tenants, and by tenant index.
    windows: Arc<AtomicUsize>,
    windows_max: usize,
    tenants_windows: Vec<Arc<AtomicUsize>>,
    tenant_windows_max: usize,
}

impl Quotas {
    pub(super) fn new(context: &ListenerContext) -> Self {
        let tenants = context
            .tenants
            .values()
            .map(|index| usize::from(*index) + 1);
        let indexes = tenants.max().unwrap_or(0);
        Self::of(&context.config, context.tenants.len(), indexes)
    }

    /// Quotas for `tenants` tenants, whose indexes are all below `indexes`.
    fn of(config: &ListenConfig, tenants: usize, indexes: usize) -> Self {
        let by_tenant = || (0..indexes).map(|_| Arc::default()).collect();
        Self {
            tenants: by_tenant(),
            tenant_max: config.connections_of_tenant(tenants) as usize,
            windows: Arc::default(),
            windows_max: config.receive_windows_max.get() as usize,
            tenants_windows: by_tenant(),
            tenant_windows_max: config.receive_windows_of_tenant(tenants) as usize,
        }
    }

    /// Acquires a connection permit for a tenant; `None` if the tenant's share is in use.
    pub(super) fn of_tenant(&self, tenant: TenantIndex) -> Option<Permit> {
        Permit::acquire(self.tenants.get(usize::from(tenant))?, 1, self.tenant_max)
    }

    /// Acquires memory for the larger receive window of a tenant's gateway; `None` if the total or the tenant's share
    /// is in use.
    pub(super) fn window(&self, tenant: TenantIndex, bytes: usize) -> Option<(Permit, Permit)> {
        let of_tenant = self.tenants_windows.get(usize::from(tenant))?;
        let share = Permit::acquire(of_tenant, bytes, self.tenant_windows_max)?;
        Some((
            share,
            Permit::acquire(&self.windows, bytes, self.windows_max)?,
        ))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Config;
    use crate::config::GATEWAY_RECEIVE_WINDOW;

    /// How many large windows each tenant gets if one after the other acquires all it can.
    fn windows(total: &str, tenants: u16) -> Vec<usize> {
        let text = format!(
            "[listen]\ncertificate = \"c\"\nkey = \"k\"\nclient_ca = \"a\"\nreceive_windows_max = \"{total}\"\n\
             [store]\ndirectory = \"data\"\n[[tenants]]\nname = \"contoso\"\n"
        );
        let config = Config::parse(&text, Path::new("/")).unwrap().listen;
        let quotas = Quotas::of(&config, usize::from(tenants), usize::from(tenants));
        let take = |tenant| quotas.window(tenant, GATEWAY_RECEIVE_WINDOW as usize);
        let taken: Vec<Vec<_>> = (0..tenants)
            .map(|tenant| std::iter::from_fn(|| take(TenantIndex(tenant))).collect())
            .collect();
        let counts = taken.iter().map(Vec::len).collect();
        drop(taken);
        assert!(take(TenantIndex(0)).is_some(), "all were released");
        counts
    }

    #[test]
    fn a_tenant_whose_gateways_take_all_windows_they_can_leaves_the_others_some() {
        assert_eq!(windows("256MiB", 2), [48, 16]);
        assert_eq!(windows("256MiB", 1), [64], "the only tenant gets all");
        assert_eq!(windows("4MiB", 2), [1, 0], "a window is not split");
    }

    #[test]
    fn permits_never_exceed_the_quota_and_are_released_on_drop() {
        let taken = Arc::default();
        let (one, two) = (Permit::acquire(&taken, 2, 5), Permit::acquire(&taken, 3, 5));
        assert!(one.is_some() && two.is_some());
        assert!(Permit::acquire(&taken, 1, 5).is_none());
        assert_eq!(
            taken.load(Ordering::Relaxed),
            5,
            "a refused acquisition takes nothing"
        );
        drop(one);
        assert!(Permit::acquire(&taken, 3, 5).is_none());
        assert!(
            Permit::acquire(&taken, 2, 5).is_some(),
            "the refused acquisition kept nothing"
        );
        drop(two);
        assert_eq!(taken.load(Ordering::Relaxed), 0);
        assert!(Permit::acquire(&taken, usize::MAX, usize::MAX - 1).is_none());
    }
}
