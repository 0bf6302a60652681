//! Metrics of this process, read from the kernel at each scrape: memory and open files. Bounds: constant size.

use rustix::process::{Resource, getrlimit};

/// Resident memory in bytes; 0 where the kernel does not report it (not Linux).
pub(super) fn resident_bytes() -> u64 {
    // `status`, not `statm`: its unit is kB, not the size of a memory page.
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    resident_kilobytes(&status).unwrap_or(0) * 1024
}

/// Files and sockets that are open; 0 where the kernel does not report it.
pub(super) fn open_files() -> u64 {
    // The listing itself is one of them.
    std::fs::read_dir("/proc/self/fd").map_or(0, |open| (open.count() as u64).saturating_sub(1))
}

/// As many of them as the system allows.
pub(super) fn open_files_max() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

fn resident_kilobytes(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resident_memory_is_read_from_its_line() {
        assert_eq!(
            resident_kilobytes("VmPeak:\t 9 kB\nVmRSS:\t  1234 kB\n"),
            Some(1234)
        );
        assert_eq!(resident_kilobytes("VmPeak:\t 9 kB\n"), None);
        if cfg!(target_os = "linux") {
            assert!(resident_bytes() > 0);
        }
    }
}
