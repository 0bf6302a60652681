//! What a peer must hold after a run, and the comparison with what it holds.
//!
//! Slow and obvious: the state with the highest seq of each device, counted at the end. Bounds: one
//! entry a device, and [`FAULTS_MAX`] faults; the rest of the faults is a number.

use std::collections::{BTreeMap, HashMap};

use crate::job::{self, Id, State};

/// Faults that are named.
pub const FAULTS_MAX: usize = 5;

/// Devices by verdict; a verdict without devices has no entry.
pub type Counts = BTreeMap<u8, u64>;

/// What a peer holds, as it was read back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holding {
    /// The latest state of every device.
    pub states: HashMap<Id, State>,
    /// The counts as the peer kept them, never counted anew for the comparison.
    pub counts: Counts,
}

/// The exact answer.
#[derive(Debug, Default)]
pub struct Model {
    states: HashMap<Id, State>,
}

impl Model {
    /// Takes a frame that was acked.
    pub fn apply(&mut self, frame: &[u8]) {
        for (id, state) in job::records(frame) {
            let known = self.states.entry(*id).or_insert(*state);
            if job::seq(state) > job::seq(known) {
                *known = *state;
            }
        }
    }

    /// Devices.
    pub fn devices(&self) -> usize {
        self.states.len()
    }

    /// What a peer must hold.
    pub fn holding(&self) -> Holding {
        let mut counts = Counts::new();
        for state in self.states.values() {
            *counts.entry(job::verdict(state)).or_default() += 1;
        }
        Holding {
            states: self.states.clone(),
            counts,
        }
    }

    /// Every difference between what a peer holds and what it must hold; none if it did its job.
    pub fn faults(&self, found: &Holding) -> Vec<String> {
        let mut faults = Faults::default();
        let expected = self.holding();
        let verdicts = expected.counts.keys().chain(found.counts.keys());
        for verdict in verdicts.collect::<std::collections::BTreeSet<_>>() {
            let of = |counts: &Counts| counts.get(verdict).copied().unwrap_or(0);
            let (must, has) = (of(&expected.counts), of(&found.counts));
            if must != has {
                faults.add(|| format!("verdict {verdict:#04x}: counted {has}, must be {must}"));
            }
        }
        for (id, must) in &expected.states {
            match found.states.get(id) {
                Some(has) if has == must => (),
                Some(has) => faults.add(|| {
                    let (has, must) = (job::seq(has), job::seq(must));
                    format!("device {}: wrong state, seq {has}, must be {must}", hex(id))
                }),
                None => faults.add(|| format!("device {}: absent", hex(id))),
            }
        }
        for id in found.states.keys() {
            if !expected.states.contains_key(id) {
                faults.add(|| format!("device {}: never sent", hex(id)));
            }
        }
        faults.named()
    }
}

#[derive(Default)]
struct Faults {
    named: Vec<String>,
    more: u64,
}

impl Faults {
    fn add(&mut self, text: impl FnOnce() -> String) {
        if self.named.len() < FAULTS_MAX {
            self.named.push(text());
        } else {
            self.more += 1;
        }
    }

    fn named(mut self) -> Vec<String> {
        if self.more > 0 {
            self.named.push(format!("and {} more", self.more));
        }
        self.named
    }
}

fn hex(id: &Id) -> String {
    format!("{:032x}", u128::from_be_bytes(*id))
}

#[cfg(test)]
mod tests;
