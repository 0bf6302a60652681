//! How readers follow the changes and the arrivals of a tenant: positions in its feeds, and what came since one.
//!
//! A part of the view. Bounded by the feeds: a reader whose position has left one lists all devices again.

use std::sync::atomic::Ordering;

use muster_api::{DeviceChange, TooOld};
use muster_engine::{ProfileId, SlotIndex, TenantIndex, Timestamp, Transition};
use muster_wire::DeviceId;

use super::feed::{Feed, Turnover};
use super::tenant::TenantView;
use super::{View, lock};

impl View {
    /// The position that the next change of a device of this tenant will have.
    pub fn changes_head(&self, tenant: TenantIndex) -> u64 {
        self.head(tenant, |of_tenant| &of_tenant.feed)
    }

    /// The position that the next arrival of a device of this tenant will have.
    pub fn arrivals_head(&self, tenant: TenantIndex) -> u64 {
        self.head(tenant, |of_tenant| &of_tenant.arrivals)
    }

    fn head(&self, tenant: TenantIndex, feed: impl Fn(&TenantView) -> &Feed) -> u64 {
        let of_tenants = self.tenants(Some(tenant));
        let of_tenant = of_tenants.first();
        of_tenant.map_or(self.first_position, |(_, of_tenant)| {
            feed(&lock(of_tenant)).head()
        })
    }

    /// Up to `limit` changes of devices of a tenant from a position on.
    ///
    /// # Errors
    /// The feed does not have that position.
    pub fn changes_since(
        &self,
        tenant: TenantIndex,
        position: u64,
        limit: usize,
    ) -> Result<Vec<DeviceChange>, TooOld> {
        self.since(tenant, position, limit, |of_tenant| &of_tenant.feed)
    }

    /// Up to `limit` arrivals of devices of a tenant from a position on.
    ///
    /// # Errors
    /// The feed does not have that position.
    pub fn arrivals_since(
        &self,
        tenant: TenantIndex,
        position: u64,
        limit: usize,
    ) -> Result<Vec<DeviceChange>, TooOld> {
        self.since(tenant, position, limit, |of_tenant| &of_tenant.arrivals)
    }

    fn since(
        &self,
        tenant: TenantIndex,
        position: u64,
        limit: usize,
        feed: impl Fn(&TenantView) -> &Feed,
    ) -> Result<Vec<DeviceChange>, TooOld> {
        match self.tenants(Some(tenant)).first() {
            Some((_, of_tenant)) => feed(&lock(of_tenant)).since(position, limit),
            None if position == self.first_position => Ok(Vec::new()),
            None => Err(TooOld),
        }
    }

    /// Tells whoever follows the changes of devices that an operator has changed one.
    pub(crate) fn note_change(&self, tenant: TenantIndex, device_id: DeviceId, time: Timestamp) {
        let change = Transition {
            slot: SlotIndex(0),
            device_id,
            tenant,
            before: None,
            after: None,
            profile: ProfileId::default(),
            has_new_inventory: false,
        };
        let of_tenant = self.tenant(tenant);
        let turnover = lock(&of_tenant).feed.append([&change], time.as_seconds());
        self.tally(turnover);
    }

    /// Adds what entered and left a feed to the metrics.
    pub(super) fn tally(&self, turnover: Turnover) {
        let left = turnover.expired + turnover.evicted;
        self.changes.fetch_add(turnover.entered, Ordering::Relaxed);
        self.changes.fetch_sub(left, Ordering::Relaxed);
        self.evicted.fetch_add(turnover.evicted, Ordering::Relaxed);
    }

    /// Empties the feed of a tenant that was deleted: nobody reads it again.
    pub(crate) fn end_feed(&self, tenant: TenantIndex) {
        for (_, of_tenant) in self.tenants(Some(tenant)) {
            let mut of_tenant = lock(&of_tenant);
            of_tenant.arrivals.clear();
            let left = of_tenant.feed.clear();
            self.changes.fetch_sub(left, Ordering::Relaxed);
        }
    }

    /// Changes in all feeds.
    pub(crate) fn changes(&self) -> u64 {
        self.changes.load(Ordering::Relaxed)
    }

    /// Changes that left their feed because their tenant had too many.
    pub(crate) fn evicted(&self) -> u64 {
        self.evicted.load(Ordering::Relaxed)
    }
}
