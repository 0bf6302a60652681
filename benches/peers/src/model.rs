//! The model of what a peer must hold after a run, and the comparison with what it holds.
//!
//! Slow and obvious: the state with the highest seq of each device, counted at the end. Bounds: one entry per device,
//! and [`FAULTS_MAX`] faults; further faults are only counted.

use std::collections::{BTreeMap, HashMap};

use crate::job::{self, Id, State};

/// Maximum number of faults that are reported one by one.
pub const FAULTS_MAX: usize = 5;

/// Number of devices by verdict; a verdict without devices has no entry.
pub type Counts = BTreeMap<u8, u64>;

/// The data that a peer holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// The latest state of every device.
    pub states: HashMap<Id, State>,
    /// The counts that the peer maintained during the run, not counts of its states afterwards.
    pub counts: Counts,
}

/// The model of a correct peer.
#[derive(Debug, Default)]
pub struct Model {
    states: HashMap<Id, State>,
}

impl Model {
    /// Applies a frame that was acknowledged.
    pub fn apply(&mut self, frame: &[u8]) {
        for (id, state) in job::records(frame) {
            let known = self.states.entry(*id).or_insert(*state);
            if job::seq(state) > job::seq(known) {
                *known = *state;
            }
        }
    }

    /// Number of devices.
    pub fn devices(&self) -> usize {
        self.states.len()
    }

    /// The contents that a peer must hold.
    pub fn contents(&self) -> Contents {
        let mut counts = Counts::new();
        for state in self.states.values() {
            *counts.entry(job::verdict(state)).or_default() += 1;
        }
        Contents {
            states: self.states.clone(),
            counts,
        }
    }

    /// The differences between the contents of a peer and the expected contents.
    pub fn faults(&self, found: &Contents) -> Vec<String> {
        let mut faults = Faults::default();
        let expected = self.contents();
        let verdicts = expected.counts.keys().chain(found.counts.keys());
        for verdict in verdicts.collect::<std::collections::BTreeSet<_>>() {
            let count = |counts: &Counts| counts.get(verdict).copied().unwrap_or(0);
            let (right, actual) = (count(&expected.counts), count(&found.counts));
            if right != actual {
                faults.add(|| format!("verdict {verdict:#04x}: counted {actual}, must be {right}"));
            }
        }
        for (id, right) in &expected.states {
            match found.states.get(id) {
                Some(actual) if actual == right => (),
                Some(actual) => faults.add(|| {
                    let (actual, right) = (job::seq(actual), job::seq(right));
                    format!(
                        "device {}: wrong state, seq {actual}, must be {right}",
                        hex(id)
                    )
                }),
                None => faults.add(|| format!("device {}: absent", hex(id))),
            }
        }
        for id in found.states.keys() {
            if !expected.states.contains_key(id) {
                faults.add(|| format!("device {}: never sent", hex(id)));
            }
        }
        faults.into_texts()
    }
}

#[derive(Default)]
struct Faults {
    texts: Vec<String>,
    omitted: u64,
}

impl Faults {
    fn add(&mut self, text: impl FnOnce() -> String) {
        if self.texts.len() < FAULTS_MAX {
            self.texts.push(text());
        } else {
            self.omitted += 1;
        }
    }

    fn into_texts(mut self) -> Vec<String> {
        if self.omitted > 0 {
            self.texts.push(format!("and {} more", self.omitted));
        }
        self.texts
    }
}

fn hex(id: &Id) -> String {
    format!("{:032x}", u128::from_be_bytes(*id))
}

#[cfg(test)]
mod tests;
