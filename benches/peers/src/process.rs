//! Figures of the kernel on processes and disks: CPU time, bytes, flushes.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

/// The unit of times in `/proc/PID/stat`: 10 ms on every platform that we build for.
const TICK: Duration = Duration::from_millis(10);

/// Cores, kernel and load average, without which a figure means nothing.
pub(crate) fn machine() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let kernel = read("/proc/sys/kernel/osrelease");
    let load = read("/proc/loadavg");
    let load = load.split(' ').next().unwrap_or_default();
    format!("{cores} cores, Linux {}, load {load} before", kernel.trim())
}

/// CPU time of a process and its children, including those that have ended.
pub(crate) fn core_time(process_id: u32) -> Duration {
    let mut ticks = 0;
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Ok(id) = entry.file_name().to_string_lossy().parse::<u32>() else {
            continue;
        };
        let Some(stat) = fs::read_to_string(entry.path().join("stat")).ok() else {
            continue;
        };
        let Some(stat) = Stat::parse(&stat) else {
            continue;
        };
        if id == process_id {
            ticks += stat.own + stat.ended_children;
        } else if stat.parent == process_id {
            ticks += stat.own;
        }
    }
    TICK * u32::try_from(ticks).unwrap_or(u32::MAX)
}

/// CPU time of this process.
pub(crate) fn own_core_time() -> Duration {
    let stat = fs::read_to_string("/proc/self/stat").ok();
    let ticks = stat.and_then(|stat| Some(Stat::parse(&stat)?.own));
    TICK * u32::try_from(ticks.unwrap_or(0)).unwrap_or(u32::MAX)
}

struct Stat {
    parent: u32,
    own: u64,
    ended_children: u64,
}

impl Stat {
    fn parse(text: &str) -> Option<Self> {
        // The name of the program is in parentheses and may contain any character; the rest are numbers.
        let (_, rest) = text.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
        Some(Self {
            parent: u32::try_from(number(1)?).ok()?,
            own: number(11)? + number(12)?,
            ended_children: number(13)? + number(14)?,
        })
    }
}

/// Disk space of all files in a directory and its subdirectories.
pub(crate) fn disk_bytes(directory: &Path) -> u64 {
    let mut bytes = 0;
    let mut directories = vec![directory.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory).into_iter().flatten().flatten() {
            match entry.metadata() {
                Ok(data) if data.is_dir() => directories.push(entry.path()),
                Ok(data) => bytes += data.blocks() * 512,
                Err(_) => (),
            }
        }
    }
    bytes
}

/// Flushes that the disk of a directory has completed, for all programs; `None` if the kernel does not report them.
pub(crate) fn disk_flushes(directory: &Path) -> Option<u64> {
    let device = fs::metadata(directory).ok()?.dev();
    let major = (device >> 8) & 0xfff;
    let minor = (device & 0xff) | ((device >> 12) & 0xf_ff00);
    flushes_of(&fs::read_to_string("/proc/diskstats").ok()?, major, minor)
}

fn flushes_of(diskstats: &str, major: u64, minor: u64) -> Option<u64> {
    diskstats.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
        let is_device = number(0)? == major && number(1)? == minor;
        // After major, minor and name come eleven fields of reads and writes, four of discards, then the flushes.
        is_device.then(|| number(18)).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stat_line_is_parsed_whatever_the_name_of_the_program_is() {
        let text = "7 (a) b (c) S 3 7 7 0 -1 4194304 9 9 9 9 100 20 3 4 20 0 1 0 55";
        let stat = Stat::parse(text).unwrap();
        assert_eq!((stat.parent, stat.own, stat.ended_children), (3, 120, 7));
        assert!(Stat::parse("7 (a) S").is_none());
    }

    #[test]
    fn flushes_are_those_of_the_given_device() {
        let text = "253 0 vdb 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 5 9\n254 0 vda 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 42 9\n";
        assert_eq!(flushes_of(text, 254, 0), Some(42));
        assert_eq!(flushes_of(text, 254, 1), None);
        assert_eq!(flushes_of("254 0 vda 1 2 3", 254, 0), None);
    }

    #[test]
    fn core_time_includes_the_process_and_excludes_unrelated_ones() {
        assert_eq!(core_time(u32::MAX), Duration::ZERO);
        assert!(core_time(std::process::id()) >= own_core_time() / 2);
    }
}
