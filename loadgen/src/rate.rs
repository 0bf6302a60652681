//! Measures how fast check-ins are made on one core, without a server. A run cannot exceed this rate per core.

use std::{hint::black_box, time::Duration};

use muster_wire::limits::{CHECK_IN_BYTES, CHECK_INS_PER_FRAME_MAX, HEADER_BYTES};

use muster_testkit::fleet::{DeviceSet, FleetPart, Shape};

use crate::cli::RateArguments;

/// The result.
#[derive(Debug)]
pub struct Rate {
    /// Check-ins made.
    pub check_ins: u64,
    /// The duration.
    pub elapsed: Duration,
}

/// Makes the frames of one gateway, including the expected state of the devices, and drops them. `clock` is read before
/// and after.
pub fn measure(arguments: &RateArguments, clock: impl Fn() -> Duration) -> Rate {
    let devices = DeviceSet::Range {
        first: 0,
        count: arguments.devices,
    };
    let mut part = FleetPart::new(&Shape::new(arguments.seed), &devices, arguments.check_ins);
    let start = clock();
    let mut check_ins = 0;
    loop {
        let mut frame = Vec::with_capacity(HEADER_BYTES + CHECK_INS_PER_FRAME_MAX * CHECK_IN_BYTES);
        let made = part.make_frame(&mut frame, CHECK_INS_PER_FRAME_MAX, 0);
        if made == 0 {
            break;
        }
        check_ins += made as u64;
        black_box(&frame);
    }
    Rate {
        check_ins,
        elapsed: clock().saturating_sub(start),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_check_in_is_made() {
        let arguments = RateArguments {
            devices: 10,
            check_ins: 10_000,
            seed: 1,
        };
        let rate = measure(&arguments, || Duration::ZERO);
        assert_eq!(rate.check_ins, 10_000);
    }
}
