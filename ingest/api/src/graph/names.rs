//! The devices of a tenant in the order of their names, so that lists by name read no device that they do not show.
//!
//! Made by the first list of a tenant that needs it, from all its devices, and kept true by the feed of arrivals: devices
//! that are new or restored, or have a new inventory. Every use catches up first, so what is acknowledged is in it. Nothing
//! is removed from it: whoever reads a device that it names checks that this is still its name. It is given up when nothing
//! has used it for [`UNUSED_SECONDS_MAX`], when the feed has passed it, or when it has [`STALE_FACTOR`] times as many names as
//! there are devices; the next list makes another one.
//!
//! Shared by all requests; a lock for each tenant, held to catch up and to copy a part of the order. Bounded: the bytes of
//! all tenants together, in [`Names::new`]. A tenant whose names do not fit has no order, and is tried again after
//! [`REFUSED_SECONDS`].

mod key_set;
mod order;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use muster_engine::TenantIndex;
use muster_wire::DeviceId;
use tokio::time::interval;

use self::order::NameOrder;
use crate::backend::{Backend, Position, ROWS_MAX};
use crate::error::ApiError;

pub(super) use self::order::{Named, Range, name_of};

/// How often an order that is in use catches up, so that a list finds little to catch up with.
const FOLLOW_EVERY: Duration = Duration::from_millis(250);

/// An order that nothing has used for this long is given up, in seconds.
const UNUSED_SECONDS_MAX: u32 = 3_600;

/// How long a tenant whose names did not fit has no order, in seconds.
const REFUSED_SECONDS: u32 = 600;

/// Names for each device, most of them outdated, at which an order is given up.
const STALE_FACTOR: u64 = 2;

/// Names up to which it is not.
const STALE_MIN: u64 = 10_000;

/// The orders of all tenants.
#[derive(Debug)]
pub(super) struct Names {
    tenants: Mutex<BTreeMap<TenantIndex, Arc<OfTenant>>>,
    bytes: Arc<AtomicUsize>,
    bytes_max: usize,
}

/// The order of a tenant, if it has one.
#[derive(Debug)]
struct OfTenant {
    tenant: TenantIndex,
    state: tokio::sync::Mutex<State>,
    bytes: Arc<AtomicUsize>,
    bytes_max: usize,
}

#[derive(Debug)]
enum State {
    None,
    Ready(Box<Ready>),
    /// The names did not fit at this time, in seconds.
    Refused(u32),
}

/// An order, and where it is in the feed.
#[derive(Debug)]
struct Ready {
    order: NameOrder,
    position: u64,
    /// In seconds.
    used_at: u32,
    /// What is counted in `bytes`.
    counted: usize,
    bytes: Arc<AtomicUsize>,
}

impl Drop for Ready {
    fn drop(&mut self) {
        self.bytes.fetch_sub(self.counted, Ordering::Relaxed);
    }
}

impl Names {
    /// Orders that take at most `bytes_max` together.
    pub(super) fn new(bytes_max: usize) -> Self {
        Self {
            tenants: Mutex::default(),
            bytes: Arc::default(),
            bytes_max,
        }
    }

    fn of(&self, tenant: TenantIndex) -> Arc<OfTenant> {
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        let of_tenant = tenants.entry(tenant).or_insert_with(|| {
            Arc::new(OfTenant {
                tenant,
                state: tokio::sync::Mutex::new(State::None),
                bytes: Arc::clone(&self.bytes),
                bytes_max: self.bytes_max,
            })
        });
        Arc::clone(of_tenant)
    }

    /// Makes the order of a tenant, or lets it catch up. Returns whether there is one. Goes on if the caller does not wait
    /// for it.
    ///
    /// # Errors
    /// The devices cannot be read.
    pub(super) async fn prepare(
        &self,
        backend: &Arc<dyn Backend>,
        tenant: TenantIndex,
    ) -> Result<bool, ApiError> {
        let (of_tenant, backend) = (self.of(tenant), Arc::clone(backend));
        let prepared = tokio::spawn(async move { of_tenant.prepare(&backend).await });
        prepared
            .await
            .map_err(|error| ApiError::Internal(error.to_string()))?
    }

    /// The next names in the order, at most `limit`; `None` if there is no order, which [`Names::prepare`] makes.
    pub(super) async fn next(
        &self,
        tenant: TenantIndex,
        range: &Range,
        after: Option<&Named>,
        descending: bool,
        limit: usize,
    ) -> Option<Vec<Named>> {
        match &*self.of(tenant).state.lock().await {
            State::Ready(ready) => Some(ready.order.next(range, after, descending, limit)),
            State::None | State::Refused(_) => None,
        }
    }

    /// The number of names in a range, counted up to `max`; `None` if there is no order.
    pub(super) async fn count(&self, tenant: TenantIndex, range: &Range, max: u64) -> Option<u64> {
        match &*self.of(tenant).state.lock().await {
            State::Ready(ready) => Some(ready.order.count(range, max)),
            State::None | State::Refused(_) => None,
        }
    }
}

impl OfTenant {
    async fn prepare(self: Arc<Self>, backend: &Arc<dyn Backend>) -> Result<bool, ApiError> {
        let mut state = self.state.lock().await;
        match &mut *state {
            State::Refused(at) if now(&**backend).abs_diff(*at) < REFUSED_SECONDS => {
                return Ok(false);
            }
            State::Ready(ready) => {
                ready.used_at = now(&**backend);
                if ready.catch_up(&**backend, self.tenant).await? && self.fits(ready) {
                    return Ok(true);
                }
            }
            State::None | State::Refused(_) => {}
        }
        *state = State::None;
        let Some(mut ready) = self.make(&**backend).await? else {
            tracing::warn!(
                tenant = self.tenant.0,
                "the names of the devices do not fit into memory, so lists by name read all devices"
            );
            *state = State::Refused(now(&**backend));
            return Ok(false);
        };
        // Otherwise the feed has passed the order while it was made: the next list makes another one.
        if !ready.catch_up(&**backend, self.tenant).await? {
            return Ok(false);
        }
        *state = State::Ready(ready);
        drop(state);
        tokio::spawn(follow(Arc::downgrade(&self), Arc::clone(backend)));
        Ok(true)
    }

    /// Makes the order from all devices; `None` if it does not fit.
    async fn make(&self, backend: &dyn Backend) -> Result<Option<Box<Ready>>, ApiError> {
        let mut ready = Box::new(Ready {
            order: NameOrder::default(),
            // Before the devices are read: what changes meanwhile is caught up with.
            position: backend.arrivals_head(self.tenant),
            used_at: now(backend),
            counted: 0,
            bytes: Arc::clone(&self.bytes),
        });
        let mut from = Some(Position::default());
        while let Some(at) = from {
            let all = Box::new(|_| true);
            let positions = backend.scan(self.tenant, None, at, ROWS_MAX, all).await?;
            from = positions.last().map(|last| last.next());
            for (_, device) in backend.rows(self.tenant, positions).await? {
                ready.order.insert(&device);
            }
            if !self.fits(&mut ready) {
                return Ok(None);
            }
        }
        Ok(Some(ready))
    }

    /// Counts the memory of an order. Returns whether all fit.
    fn fits(&self, ready: &mut Ready) -> bool {
        let bytes = ready.order.bytes();
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        let before = std::mem::replace(&mut ready.counted, bytes);
        self.bytes.fetch_sub(before, Ordering::Relaxed);
        self.bytes.load(Ordering::Relaxed) <= self.bytes_max
    }

    /// Lets the order catch up, or gives it up. Returns whether there still is one.
    async fn follow(&self, backend: &dyn Backend) -> bool {
        let mut state = self.state.lock().await;
        let State::Ready(ready) = &mut *state else {
            return false;
        };
        let is_used = now(backend).abs_diff(ready.used_at) < UNUSED_SECONDS_MAX;
        let caught_up = is_used && ready.catch_up(backend, self.tenant).await.unwrap_or(true);
        let is_kept = caught_up && self.fits(ready) && !ready.is_outdated(backend, self.tenant);
        if !is_kept {
            *state = State::None;
        }
        is_kept
    }
}

/// The service time in seconds.
fn now(backend: &dyn Backend) -> u32 {
    backend.clock().time.as_seconds()
}

/// Follows the feed as long as there is an order and an API.
async fn follow(of_tenant: Weak<OfTenant>, backend: Arc<dyn Backend>) {
    let mut every = interval(FOLLOW_EVERY);
    loop {
        every.tick().await;
        let Some(of_tenant) = of_tenant.upgrade() else {
            return;
        };
        if !of_tenant.follow(&*backend).await {
            return;
        }
    }
}

impl Ready {
    /// Adds the devices that have arrived since. Returns false if the feed no longer has all of them.
    async fn catch_up(
        &mut self,
        backend: &dyn Backend,
        tenant: TenantIndex,
    ) -> Result<bool, ApiError> {
        let head = backend.arrivals_head(tenant);
        while self.position < head {
            let Ok(arrived) = backend.arrivals_since(tenant, self.position, ROWS_MAX) else {
                return Ok(false);
            };
            let Some(last) = arrived.last() else {
                break;
            };
            let position = last.position + 1;
            let ids: Vec<DeviceId> = arrived.iter().map(|change| change.device_id).collect();
            for device in backend.devices_by_id(tenant, ids).await? {
                self.order.insert(&device);
            }
            self.position = position;
        }
        Ok(true)
    }

    /// Whether most of its names are outdated.
    fn is_outdated(&self, backend: &dyn Backend, tenant: TenantIndex) -> bool {
        let names = self.order.len();
        if names <= STALE_MIN {
            return false;
        }
        let cells = backend.cells(Some(tenant));
        let devices: u64 = cells.iter().map(|cell| cell.count).sum();
        names > STALE_FACTOR * devices
    }
}
