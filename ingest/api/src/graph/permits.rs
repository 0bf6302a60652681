//! How many requests a principal has in progress, so that one script takes nothing from the others.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use muster_control::ObjectId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::auth::Principal;
use super::error::GraphError;

/// Requests of a principal in progress; further ones are refused with 429.
pub(super) const REQUESTS_OF_PRINCIPAL_MAX: usize = 16;

/// The permits of each principal that has requests in progress.
#[derive(Debug, Default)]
pub(super) struct Permits(Mutex<BTreeMap<ObjectId, Arc<Semaphore>>>);

impl Permits {
    pub(super) fn take(&self, principal: &Principal) -> Result<OwnedSemaphorePermit, GraphError> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Those without requests are not needed, so the map is bounded by the connections.
        all.retain(|_, permits| permits.available_permits() < REQUESTS_OF_PRINCIPAL_MAX);
        let own = all
            .entry(principal.id)
            .or_insert_with(|| Arc::new(Semaphore::new(REQUESTS_OF_PRINCIPAL_MAX)));
        let permit = Arc::clone(own).try_acquire_owned();
        permit.map_err(|_| GraphError::throttled(REQUESTS_OF_PRINCIPAL_MAX))
    }
}
