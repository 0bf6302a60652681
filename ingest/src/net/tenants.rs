//! The tenants whose devices are admitted, by name: what sessions know of tenants.
//!
//! Shared by the listener, its sessions and the control plane, which adds a tenant once every shard has its rules, and
//! removes one when it is deleted. Locked for the lookup of one name per connection. Bounded by the tenants that exist.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use muster_engine::TenantIndex;

/// What the connections of one tenant share.
#[derive(Debug)]
pub struct ServedTenant {
    /// Its index.
    pub index: TenantIndex,
    /// Set when it is deleted: its sessions close then.
    is_gone: AtomicBool,
    /// Connections.
    pub(super) connections: Arc<AtomicUsize>,
    /// Bytes of receive windows beyond those that every connection has.
    pub(super) windows: Arc<AtomicUsize>,
}

impl ServedTenant {
    fn new(index: TenantIndex) -> Arc<Self> {
        Arc::new(Self {
            index,
            is_gone: AtomicBool::new(false),
            connections: Arc::default(),
            windows: Arc::default(),
        })
    }

    /// Whether the tenant has been deleted.
    pub fn is_gone(&self) -> bool {
        self.is_gone.load(Ordering::Acquire)
    }
}

/// The tenants whose devices are admitted.
#[derive(Debug, Default)]
pub struct ServedTenants(RwLock<HashMap<String, Arc<ServedTenant>>>);

impl ServedTenants {
    /// Admits the devices of these tenants.
    pub fn new(tenants: impl IntoIterator<Item = (String, TenantIndex)>) -> Self {
        let served = tenants.into_iter();
        let served = served.map(|(name, index)| (name, ServedTenant::new(index)));
        Self(RwLock::new(served.collect()))
    }

    /// A tenant by its name; `None` if its devices are not admitted.
    pub fn get(&self, name: &str) -> Option<Arc<ServedTenant>> {
        self.read().get(name).cloned()
    }

    /// Number of tenants.
    pub fn count(&self) -> usize {
        self.read().len()
    }

    /// Admits the devices of a tenant.
    pub fn add(&self, name: &str, index: TenantIndex) {
        self.write()
            .insert(name.to_owned(), ServedTenant::new(index));
    }

    /// Refuses the devices of a tenant from now on. Its sessions see that it is gone when they are woken.
    pub fn remove(&self, name: &str) {
        if let Some(tenant) = self.write().remove(name) {
            tenant.is_gone.store(true, Ordering::Release);
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, HashMap<String, Arc<ServedTenant>>> {
        // No method panics halfway through a change.
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, HashMap<String, Arc<ServedTenant>>> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_that_is_removed_and_added_again_is_another_one() {
        let served = ServedTenants::new([("contoso".to_owned(), TenantIndex(0))]);
        let first = served.get("contoso").unwrap();
        assert_eq!((first.index, first.is_gone()), (TenantIndex(0), false));
        served.remove("contoso");
        assert!(first.is_gone() && served.get("contoso").is_none());
        served.add("contoso", TenantIndex(1));
        let second = served.get("contoso").unwrap();
        assert_eq!((second.index, second.is_gone()), (TenantIndex(1), false));
        assert!(first.is_gone(), "a session of the first one still closes");
        assert_eq!(served.count(), 1);
    }
}
