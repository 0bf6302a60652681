//! Resource usage of processes on this machine, from /proc.

use std::{fs, path::Path};

/// Clock ticks per second in /proc (USER_HZ), the same on every Linux system.
const TICKS_PER_SECOND: f64 = 100.0;

/// The resident bytes (`VmRSS`) of a process; `None` if it does not exist or the system has no /proc.
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

/// The CPU time of all threads of a process, in core seconds; without a process id, of this process.
pub fn core_seconds(pid: Option<u32>) -> Option<f64> {
    let pid = pid.map_or_else(|| "self".to_owned(), |pid| pid.to_string());
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    parse_stat(&stat).map(|(_, seconds)| seconds)
}

/// The CPU time of the threads of this process whose name has this prefix, in core seconds.
pub fn core_seconds_of_threads(name: &str) -> f64 {
    let seconds_of = |task: &Path| {
        let (found, seconds) = parse_stat(&fs::read_to_string(task.join("stat")).ok()?)?;
        found.starts_with(name).then_some(seconds)
    };
    let tasks = fs::read_dir("/proc/self/task").into_iter().flatten();
    tasks
        .filter_map(|task| seconds_of(&task.ok()?.path()))
        .sum()
}

/// Parses the name and the core seconds from a `stat` line. The name is in parentheses and may contain parentheses.
fn parse_stat(stat: &str) -> Option<(String, f64)> {
    let (before, after) = stat.rsplit_once(") ")?;
    let (_, name) = before.split_once('(')?;
    let mut fields = after.split_ascii_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((name.to_owned(), (user + system) / TICKS_PER_SECOND))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resident_bytes_are_parsed() {
        assert_eq!(
            parse("Name:\tx\nVmRSS:\t   1234 kB\nThreads:\t1\n"),
            Some(1234 * 1024)
        );
        assert_eq!(parse("Name:\tx\n"), None);
    }

    #[test]
    fn a_process_that_does_not_exist_has_no_usage() {
        assert_eq!(resident_bytes(u32::MAX), None);
        assert_eq!(core_seconds(Some(u32::MAX)), None);
    }

    #[test]
    fn core_seconds_are_user_and_system_ticks() {
        let line = "7 (a (b) c) S 1 7 7 0 -1 4194304 100 0 0 0 150 50 0 0 20 0 3 0 1 2 3";
        assert_eq!(parse_stat(line), Some(("a (b) c".to_owned(), 2.0)));
        assert_eq!(parse_stat("7 (a"), None);
        assert!(core_seconds(None).is_some());
    }
}
