//! How fast check-ins are made, without a server: what a run cannot exceed on one core.

use std::{hint::black_box, time::Duration};

use muster_wire::limits::{CHECK_IN_BYTES, CHECK_INS_PER_FRAME_MAX, HEADER_BYTES};

use muster_testkit::fleet::{Members, Part, Shape};

use crate::cli::RateArguments;

/// What was measured.
#[derive(Debug)]
pub struct Rate {
    /// Check-ins made.
    pub check_ins: u64,
    /// How long it took.
    pub elapsed: Duration,
}

/// Makes frames as for one gateway, oracle included, and drops them. `clock` is read before and
/// after.
pub fn measure(arguments: &RateArguments, clock: impl Fn() -> Duration) -> Rate {
    let members = Members::Numbered {
        first: 0,
        count: arguments.devices,
    };
    let mut part = Part::new(&Shape::new(arguments.seed), &members, arguments.check_ins);
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
