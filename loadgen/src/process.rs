//! How much memory a process on this machine has, as the kernel says.

use std::fs;

/// Resident bytes (`VmRSS`) of a process; `None` if it is gone or the system has no /proc.
pub fn resident_bytes(pid: u32) -> Option<u64> {
    parse(&fs::read_to_string(format!("/proc/{pid}/status")).ok()?)
}

fn parse(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_the_kernel_is_read() {
        assert_eq!(
            parse("Name:\tx\nVmRSS:\t   1234 kB\nThreads:\t1\n"),
            Some(1234 * 1024)
        );
        assert_eq!(parse("Name:\tx\n"), None);
    }

    #[test]
    fn a_process_that_is_not_there_has_no_memory() {
        assert_eq!(resident_bytes(u32::MAX), None);
    }
}
