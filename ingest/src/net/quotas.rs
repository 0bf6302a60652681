//! Quotas that connections share: handshakes, connections, each tenant's share of them, and memory for the large
//! receive windows of gateways.
//!
//! Owner: the listener; the task of each connection acquires permits. A [`Permit`] is released when it is dropped,
//! however the task ends. Nothing here waits: without a permit the caller refuses or continues with less.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::context::ListenerContext;
use super::tenants::ServedTenant;
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

/// The quotas that the connections of all tenants share. Those of one tenant are in [`ServedTenant`]; its share depends
/// on how many tenants exist when a permit is acquired.
#[derive(Debug)]
pub(super) struct Quotas {
    /// Bytes of receive windows beyond those every connection has.
    windows: Arc<AtomicUsize>,
    windows_max: usize,
}

impl Quotas {
    pub(super) fn new(config: &ListenConfig) -> Self {
        Self {
            windows: Arc::default(),
            windows_max: config.receive_windows_max.get() as usize,
        }
    }

    /// Acquires a connection permit for a tenant; `None` if the tenant's share is in use.
    pub(super) fn of_tenant(
        &self,
        tenant: &ServedTenant,
        context: &ListenerContext,
    ) -> Option<Permit> {
        let tenants = context.tenants.count();
        let max = context.config.connections_of_tenant(tenants) as usize;
        Permit::acquire(&tenant.connections, 1, max)
    }

    /// Acquires memory for the larger receive window of a tenant's gateway; `None` if the total or the tenant's share
    /// is in use.
    pub(super) fn window(
        &self,
        tenant: &ServedTenant,
        bytes: usize,
        context: &ListenerContext,
    ) -> Option<(Permit, Permit)> {
        let tenants = context.tenants.count();
        let max = context.config.receive_windows_of_tenant(tenants) as usize;
        let share = Permit::acquire(&tenant.windows, bytes, max)?;
        Some((
            share,
            Permit::acquire(&self.windows, bytes, self.windows_max)?,
        ))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use muster_engine::{ShardMap, TenantIndex};

    use super::*;
    use crate::clock::Clock;
    use crate::config::{Config, GATEWAY_RECEIVE_WINDOW};
    use crate::net::ServedTenants;
    use crate::phase::PhaseSwitch;
    use crate::route::{BufferPool, RouteTable, ThreadMap};

    /// How many large windows each tenant gets if one after the other acquires all it can.
    fn windows(total: &str, tenants: u16) -> Vec<usize> {
        let text = format!(
            "[listen]\ncertificate = \"c\"\nkey = \"k\"\nclient_ca = \"a\"\nreceive_windows_max = \"{total}\"\n\
             [store]\ndirectory = \"data\"\n"
        );
        let config = Config::parse(&text, Path::new("/")).unwrap().listen;
        let quotas = Quotas::new(&config);
        let named = (0..tenants).map(|tenant| (tenant.to_string(), TenantIndex(tenant)));
        let context = ListenerContext {
            config,
            tenants: Arc::new(ServedTenants::new(named)),
            routes: Arc::new(RouteTable {
                map: ThreadMap::new(ShardMap::new(1), 1),
                inboxes: Box::new([]),
                pool: BufferPool::new(1),
            }),
            registry: Arc::default(),
            metrics: Arc::default(),
            phase: PhaseSwitch::default(),
            log: ListenerContext::new_log(),
            clock: Clock::System,
        };
        let take = |tenant: u16| {
            let tenant = context.tenants.get(&tenant.to_string()).unwrap();
            quotas.window(&tenant, GATEWAY_RECEIVE_WINDOW as usize, &context)
        };
        let taken: Vec<Vec<_>> = (0..tenants)
            .map(|tenant| std::iter::from_fn(|| take(tenant)).collect())
            .collect();
        let counts = taken.iter().map(Vec::len).collect();
        drop(taken);
        assert!(take(0).is_some(), "all were released");
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
