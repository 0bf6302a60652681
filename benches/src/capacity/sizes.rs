//! The amount of work of a capacity run: enough for figures to quote, or enough to show that everything works.

use crate::parts::Size;

/// The numbers that make up a size.
#[derive(Clone, Debug)]
pub(super) struct Sizes {
    pub(super) size: Size,
    /// Devices behind gateways: a small, a medium and a large fleet.
    pub(super) fleets: [u64; 3],
    /// Check-ins after the first one of every device.
    pub(super) check_ins: u64,
    /// Duration of a run at a fixed rate, after the first check-in of every device.
    pub(super) rate_seconds: u64,
    /// Rates of the knee sweep, in percent of the highest rate.
    pub(super) knee: &'static [u64],
    /// Duration of each run of the knee sweep.
    pub(super) knee_seconds: u64,
    /// Connections whose idle memory is measured.
    pub(super) idle: u64,
    /// Connections opened before them, so that memory that all connections share is already allocated.
    pub(super) idle_warm_up: u64,
    /// Devices in the job of the peers.
    pub(super) peer_devices: u64,
    /// Check-ins in the short job of the peers.
    pub(super) peer_check_ins: u64,
    /// Check-ins in the long job, for a peer that is ten times as fast.
    pub(super) peer_check_ins_long: u64,
    /// Flushes of each size per burst.
    pub(super) flushes: u64,
    /// Duration of paced appends, in milliseconds.
    pub(super) paced_ms: u64,
    /// Interval at which the counters of a server are sampled during a run, in milliseconds.
    pub(super) sample_ms: u64,
}

impl Sizes {
    pub(super) const fn of(size: Size) -> Self {
        match size {
            Size::Quick => Self {
                size,
                fleets: [2_000, 10_000, 100_000],
                check_ins: 500_000,
                rate_seconds: 1,
                knee: &[50, 100],
                knee_seconds: 1,
                idle: 80,
                idle_warm_up: 20,
                // The maximum of `muster-peers run --quick`.
                peer_devices: 2_000,
                peer_check_ins: 20_000,
                peer_check_ins_long: 20_000,
                flushes: 20,
                paced_ms: 500,
                sample_ms: 10,
            },
            Size::Full => Self {
                size,
                fleets: [100_000, 1_000_000, 10_000_000],
                check_ins: 20_000_000,
                rate_seconds: 15,
                knee: &[30, 50, 60, 70, 80, 90, 100, 110],
                knee_seconds: 8,
                idle: 4_000,
                idle_warm_up: 200,
                peer_devices: 200_000,
                peer_check_ins: 2_000_000,
                peer_check_ins_long: 20_000_000,
                flushes: 300,
                paced_ms: 4_000,
                sample_ms: 100,
            },
        }
    }

    /// The fleet that rates and ratios are quoted for.
    pub(super) const fn fleet(&self) -> u64 {
        self.fleets[1]
    }

    /// Devices that need their own certificate: the idle connections are the largest number at a time.
    pub(super) const fn devices_connected(&self) -> u64 {
        self.idle_warm_up + self.idle
    }
}

/// The size of a fleet as it appears in the names of figures.
pub(super) fn label(devices: u64) -> String {
    match devices {
        1_000_000.. if devices.is_multiple_of(1_000_000) => format!("{}m", devices / 1_000_000),
        1_000.. if devices.is_multiple_of(1_000) => format!("{}k", devices / 1_000),
        _ => devices.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_use_k_and_m_for_round_numbers() {
        let labels = [999, 2_000, 100_000, 1_500_000, 10_000_000].map(label);
        assert_eq!(labels, ["999", "2k", "100k", "1500k", "10m"]);
    }
}
