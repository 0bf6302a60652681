//! The outcome of a capacity run: ratios, raw figures and conditions, as one JSON object.
//!
//! Scripts rely on its field names. A ratio is computed for each round, and the median of the rounds is reported.

use serde_json::{Map, Value, json};

use super::connections::{CONNECT_FULL, CONNECT_RESUMED, persistent_figure};
use super::figures::Figures;
use super::gateways::{HALF, known_fleet_figure, memory_figure, rate_figure};
use super::knee::Knee;
use super::limits::{self, FLUSH_P99, PACED_P99, STREAM};
use super::peers::{Job, Peers};
use super::sizes::Sizes;
use super::storm::{IDLE, STORM};
use crate::machine::Machine;
use crate::parts::Size;
use crate::parts::quic::requests;

/// The note of a quick run, in the tables and in the object.
const QUICK_NOTE: &str = "a quick run shows that everything works; its figures mean little";

/// The results of a run.
#[derive(Debug)]
pub struct Outcome {
    pub(super) size: Size,
    pub(super) rounds: u32,
    pub(super) seconds: f64,
    pub(super) machine: Machine,
    pub(super) load_after: String,
    pub(super) file_system: String,
    pub(super) sizes: Sizes,
    pub(super) figures: Figures,
    pub(super) peers: Peers,
    pub(super) knee: Knee,
}

/// A ratio or a figure that has a goal.
pub(super) struct Headline {
    pub(super) name: &'static str,
    pub(super) value: Option<f64>,
    /// How the value is computed from the figures.
    pub(super) formula: String,
}

impl Outcome {
    /// The ratios and figures with a goal, in the order of the goals.
    pub(super) fn headlines(&self) -> Vec<Headline> {
        let [_, fleet, large] = self.sizes.fleets;
        let best = self.peers.best(&self.figures);
        let (muster, best) = best.unwrap_or_else(|| {
            let muster = Job::Long.muster_rate_figure();
            (muster, "the fastest peer".to_owned())
        });
        let ack_p99 = known_fleet_figure(HALF.0, "p99");
        let [few, few_windowed, many] = requests::cases(self.size)
            .map(|case| (persistent_figure(case), limits::requests_figure(case)));
        vec![
            self.ratio("ratio_gateway_to_quic", &rate_figure(fleet), STREAM),
            self.ratio("ratio_10m_to_1m", &rate_figure(large), &rate_figure(fleet)),
            self.ratio("ratio_device_to_raw", &few.0, &few.1),
            self.ratio("ratio_device_to_raw_many_connections", &many.0, &many.1),
            self.ratio(
                "ratio_device_to_raw_window_8",
                &few_windowed.0,
                &few_windowed.1,
            ),
            // Check-ins that share packets and acks, compared with requests that do not.
            self.ratio("ratio_device_coalesced_to_raw", &few_windowed.0, &few.1),
            self.ratio("ratio_connect_to_raw", CONNECT_FULL, limits::CONNECT_FULL),
            self.ratio("ratio_resumed_to_full", CONNECT_RESUMED, CONNECT_FULL),
            self.ratio("ratio_storm_to_connect", STORM, CONNECT_RESUMED),
            self.ratio(
                "ratio_raw_resumed_to_full",
                limits::CONNECT_RESUMED,
                limits::CONNECT_FULL,
            ),
            self.median("idle_connection_bytes", IDLE),
            self.median("bytes_per_device", &memory_figure(large)),
            self.median("ack_p99_ms_at_half_load", &ack_p99),
            self.median("flush_p99_us", FLUSH_P99),
            self.ratio_of_ms_to_us("ack_p99_to_paced_flush_p99", &ack_p99, PACED_P99),
            self.ratio("ratio_to_best_peer", muster, &best),
        ]
    }

    fn ratio(&self, name: &'static str, numerator: &str, denominator: &str) -> Headline {
        Headline {
            name,
            value: self.figures.ratio(numerator, denominator),
            formula: format!("{numerator} / {denominator}"),
        }
    }

    fn ratio_of_ms_to_us(
        &self,
        name: &'static str,
        numerator: &str,
        denominator: &str,
    ) -> Headline {
        let ratio = self.figures.ratio(numerator, denominator);
        Headline {
            name,
            value: ratio.map(|ratio| ratio * 1000.0),
            formula: format!("1000 * {numerator} / {denominator}"),
        }
    }

    fn median(&self, name: &'static str, figure: &str) -> Headline {
        Headline {
            name,
            value: self.figures.get(figure).map(|series| series.median()),
            formula: figure.to_owned(),
        }
    }

    pub(super) fn notes(&self) -> Vec<String> {
        let mut notes = self.figures.notes().to_vec();
        if self.size == Size::Quick {
            notes.push(QUICK_NOTE.to_owned());
        }
        notes
    }

    /// The JSON object.
    pub fn json(&self) -> Value {
        let machine = &self.machine;
        let mut json = json!({
            "size": self.size.name(),
            "rounds": self.rounds,
            "seconds": self.seconds.round(),
            "commit": machine.commit,
            "machine": {
                "cpu": machine.cpu,
                "cores": machine.cores,
                "memory_gib": machine.memory_gib,
                "kernel": machine.kernel,
            },
            "conditions": {
                "load_before": machine.load,
                "load_after": self.load_after,
                "file_system": self.file_system,
                "both_ends_share_cores": true,
                "durability": "fsync",
                "fleets": self.sizes.fleets,
                "peer_devices": self.sizes.peer_devices,
                "peer_check_ins": self.sizes.peer_check_ins,
                "peer_check_ins_long": self.sizes.peer_check_ins_long,
                "idle_connections": self.sizes.idle,
            },
            // A run that is not verified ends the program with an error.
            "verified": true,
            "peers": self.peers.json(&self.figures),
            "knee": self.knee.json(),
            "notes": self.notes(),
        });
        for headline in self.headlines() {
            json[headline.name] = headline.value.into();
        }
        let figures = self.figures.all().iter().map(|series| {
            let value = json!({
                "median": series.median(),
                "spread": series.spread(),
                "values": series.values,
            });
            (series.name.clone(), value)
        });
        json["figures"] = Value::Object(figures.collect::<Map<_, _>>());
        json
    }
}

#[cfg(test)]
mod tests {
    use super::super::{gateways::from_empty_figure, limits::PACED};
    use super::*;

    fn outcome(known_p99_ms: [f64; 3], paced_p99_us: [f64; 3]) -> Outcome {
        let mut figures = Figures::default();
        for (ack, flush) in known_p99_ms.into_iter().zip(paced_p99_us) {
            figures.add(known_fleet_figure("half", "p99"), ack);
            figures.add(from_empty_figure("half", "p99"), 10.0 * ack);
            figures.add(PACED[1], flush);
            figures.end_round().unwrap();
        }
        Outcome {
            size: Size::Quick,
            rounds: 3,
            seconds: 1.0,
            machine: Machine::read(),
            load_after: String::new(),
            file_system: String::new(),
            sizes: Sizes::of(Size::Quick),
            figures,
            peers: Peers::default(),
            knee: Knee::default(),
        }
    }

    #[test]
    fn acks_at_half_load_are_those_of_a_known_fleet_and_compared_with_the_disk_in_the_same_round() {
        let outcome = outcome([10.0, 80.0, 12.0], [5_000.0, 20_000.0, 4_000.0]);
        let json = outcome.json();
        assert_eq!(json["ack_p99_ms_at_half_load"], 12.0);
        assert_eq!(json["ack_p99_to_paced_flush_p99"], 3.0, "2, 4 and 3");
        let figures = &json["figures"];
        assert_eq!(figures["gateway_half_load_p99_ms"]["median"], 12.0);
        let from_empty = &figures["gateway_half_load_from_empty_p99_ms"];
        assert_eq!(from_empty["median"], 120.0);
        assert_eq!(figures["flush_paced_150k_p99_us"]["median"], 5_000.0);
    }

    #[test]
    fn the_table_has_both_latencies_and_the_disk() {
        let text = outcome([12.0; 3], [5_000.0; 3]).to_string();
        let row = |label: &str| {
            let row = text.lines().find(|line| line.contains(label)).unwrap();
            let cells = row.split('|').map(str::trim);
            cells.skip(3).take(2).collect::<Vec<_>>()
        };
        assert_eq!(row("| known fleet"), ["-", "12.0"]);
        assert_eq!(row("all frames, from an empty server"), ["-", "120"]);
        assert_eq!(row("append of 150 kB and sync"), ["-", "5.00"]);
    }
}
