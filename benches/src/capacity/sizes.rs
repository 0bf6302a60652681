//! How much work a run of capacity is: enough to quote, or enough to see that everything works.

use crate::parts::Size;

/// The numbers of a size.
#[derive(Clone, Debug)]
pub(super) struct Sizes {
    pub(super) size: Size,
    /// Devices behind gateways: few, many, ten times as many.
    pub(super) fleets: [u64; 3],
    /// Check-ins after the first one of every device.
    pub(super) check_ins: u64,
    /// How long a run at a fixed rate is, after the first check-in of every device.
    pub(super) rate_seconds: u64,
    /// Shares of the highest rate, in percent.
    pub(super) knee: &'static [u64],
    /// How long each of them is.
    pub(super) knee_seconds: u64,
    /// Connections that stay idle, and come back at once.
    pub(super) idle: u64,
    /// Connections before them, which touch what all of them share.
    pub(super) idle_before: u64,
    /// The job of the peers.
    pub(super) peer_devices: u64,
    pub(super) peer_check_ins: u64,
    /// The same for a peer that takes them ten times as fast.
    pub(super) peer_check_ins_long: u64,
    /// Flushes of the disk at a time, of each length.
    pub(super) flushes: u64,
    /// How long the disk gets appends at the pace of a server at a time, in milliseconds.
    pub(super) paced_ms: u64,
    /// How often the counters of a server are read during a run, in milliseconds.
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
                idle_before: 20,
                // What `muster-peers run --quick` makes of any job.
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
                idle_before: 200,
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

    /// Devices that need a certificate of their own: those that stay idle are the most.
    pub(super) const fn devices_connected(&self) -> u64 {
        self.idle_before + self.idle
    }
}

/// The number of a fleet in the name of a figure.
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
    fn fleets_are_named_by_their_number() {
        let labels = [999, 2_000, 100_000, 1_500_000, 10_000_000].map(label);
        assert_eq!(labels, ["999", "2k", "100k", "1500k", "10m"]);
    }
}
