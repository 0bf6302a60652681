//! The part of the view that one tenant has: its cells, its change feed and its feed of arrivals.
//!
//! Owned by the view, under a lock of the tenant: the writer thread holds it for the transitions that a commit has of
//! this tenant, a reader to copy what it wants. Bounded by the devices of the tenant, and by the feeds.

use foldhash::HashMap;
use muster_engine::{FacetWord, Transition};

use super::feed::{Feed, Turnover};

/// Whether a device has come, or has a new inventory.
fn is_arrival(transition: &&Transition) -> bool {
    transition.after.is_some() && (transition.before.is_none() || transition.has_new_inventory)
}

/// Cells and changes of one tenant.
#[derive(Debug)]
pub(super) struct TenantView {
    /// The number of devices with each combination of facets; never 0.
    cells: HashMap<FacetWord, u64>,
    pub(super) feed: Feed,
    /// The changes of devices that are new or restored, or have a new inventory.
    pub(super) arrivals: Feed,
}

impl TenantView {
    pub(super) fn new(feed: Feed, arrivals: Feed) -> Self {
        Self {
            cells: HashMap::default(),
            feed,
            arrivals,
        }
    }

    /// Adds devices with these facets, whose changes readers need not know.
    pub(super) fn add(&mut self, facets: FacetWord, devices: u64) {
        *self.cells.entry(facets).or_default() += devices;
    }

    /// Applies the transitions of a batch.
    pub(super) fn apply(&mut self, transitions: &[Transition], at: u32) -> Turnover {
        for transition in transitions {
            if let Some(before) = transition.before {
                self.leave(before);
            }
            if let Some(after) = transition.after {
                self.add(after, 1);
            }
        }
        self.arrivals
            .append(transitions.iter().filter(is_arrival), at);
        self.feed.append(transitions, at)
    }

    /// A device leaves a cell. To leave one that does not exist is a broken invariant, never bad input.
    fn leave(&mut self, facets: FacetWord) {
        let devices = self.cells.get_mut(&facets);
        let devices = devices.expect("a device left a cell without devices");
        *devices -= 1;
        if *devices == 0 {
            self.cells.remove(&facets);
        }
    }

    /// Every cell with its number of devices, in no order.
    pub(super) fn cells(&self) -> impl ExactSizeIterator<Item = (FacetWord, u64)> {
        self.cells
            .iter()
            .map(|(facets, devices)| (*facets, *devices))
    }
}
