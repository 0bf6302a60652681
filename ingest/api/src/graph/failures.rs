//! Failed sign-ins by address: after [`FAILURES_MAX`] within a minute, further attempts are refused unread.
//!
//! Secrets have 256 random bits, so this does not protect them: it keeps one address from making work and noise.
//! Bounded: [`ADDRESSES_MAX`] addresses; beyond that the oldest is forgotten. An IPv6 client owns its /64 network.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Failures of an address within [`WINDOW_MS`].
const FAILURES_MAX: u32 = 10;

/// A minute, from the first failure on.
const WINDOW_MS: u64 = 60_000;

const ADDRESSES_MAX: usize = 4_096;

#[derive(Clone, Copy, Debug)]
struct Failed {
    since_ms: u64,
    count: u32,
}

/// The addresses that failed within the last minute.
#[derive(Debug, Default)]
pub(super) struct Failures(Mutex<HashMap<IpAddr, Failed>>);

impl Failures {
    fn all(&self) -> MutexGuard<'_, HashMap<IpAddr, Failed>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Seconds until the address may try again, if it may not now.
    pub(super) fn wait_seconds(&self, address: IpAddr, now_ms: u64) -> Option<u64> {
        let failed = self.all().get(&network(address)).copied()?;
        let ends_ms = failed.since_ms + WINDOW_MS;
        let is_refused = failed.count >= FAILURES_MAX && now_ms < ends_ms;
        is_refused.then(|| (ends_ms - now_ms).div_ceil(1_000))
    }

    /// Records a failure.
    pub(super) fn record(&self, address: IpAddr, now_ms: u64) {
        let mut all = self.all();
        let address = network(address);
        if !all.contains_key(&address) && all.len() >= ADDRESSES_MAX {
            all.retain(|_, failed| now_ms < failed.since_ms + WINDOW_MS);
            let oldest = all.iter().min_by_key(|(_, failed)| failed.since_ms);
            let oldest = oldest.map(|(address, _)| *address);
            if let Some(oldest) = oldest.filter(|_| all.len() >= ADDRESSES_MAX) {
                all.remove(&oldest);
            }
        }
        let begun = Failed {
            since_ms: now_ms,
            count: 0,
        };
        let failed = all.entry(address).or_insert(begun);
        if now_ms >= failed.since_ms + WINDOW_MS {
            *failed = begun;
        }
        failed.count += 1;
    }
}

fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => v4.into(),
            None => Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)).into(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    #[test]
    fn the_eleventh_attempt_within_a_minute_is_refused() {
        let failures = Failures::default();
        for second in 0..10 {
            assert_eq!(failures.wait_seconds(HERE, second * 1_000), None);
            failures.record(HERE, second * 1_000);
        }
        assert_eq!(failures.wait_seconds(HERE, 9_000), Some(51));
        assert_eq!(failures.wait_seconds(HERE, 60_000), None, "a minute later");
        failures.record(HERE, 60_000);
        assert_eq!(failures.wait_seconds(HERE, 60_000), None);
        let other = "127.0.0.2".parse().unwrap();
        assert_eq!(failures.wait_seconds(other, 9_000), None);
    }

    #[test]
    fn a_network_of_ipv6_counts_as_one_address() {
        let failures = Failures::default();
        for host in 1..=10 {
            failures.record(format!("2001:db8::{host}").parse().unwrap(), 0);
        }
        let wait = |address: &str| failures.wait_seconds(address.parse().unwrap(), 0);
        assert_eq!(wait("2001:db8::ffff"), Some(60));
        assert_eq!(wait("2001:db8:0:1::1"), None);
    }

    #[test]
    fn many_addresses_do_not_take_more_memory() {
        let failures = Failures::default();
        for number in 0..10_000_u32 {
            let address = std::net::Ipv4Addr::from_bits(number);
            failures.record(address.into(), number.into());
        }
        assert_eq!(failures.all().len(), ADDRESSES_MAX);
    }
}
