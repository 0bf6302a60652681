//! The machine and the state it is in: without them a figure means nothing.

use std::fs;
use std::path::Path;
use std::process::Command;

/// What is printed above every table.
#[derive(Clone, Debug)]
pub(crate) struct Machine {
    pub(crate) cpu: String,
    pub(crate) cores: usize,
    pub(crate) memory_gib: u64,
    pub(crate) kernel: String,
    /// Load of the last minute before the first bench.
    pub(crate) load: String,
    /// The commit, with a mark if files differ from it.
    pub(crate) commit: String,
}

impl Machine {
    pub(crate) fn read() -> Self {
        let cpu_info = read("/proc/cpuinfo");
        let memory_kib = field(&read("/proc/meminfo"), "MemTotal")
            .and_then(|text| text.trim_end_matches(" kB").parse::<u64>().ok());
        Self {
            cpu: field(&cpu_info, "model name").unwrap_or_else(unknown),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory_gib: memory_kib.unwrap_or_default().div_ceil(1 << 20),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            load: load(),
            commit: commit().unwrap_or_else(unknown),
        }
    }
}

/// Load of the last minute.
pub(crate) fn load() -> String {
    read("/proc/loadavg")
        .split(' ')
        .next()
        .map_or_else(unknown, str::to_owned)
}

/// What kind of file system a directory is on: one in memory makes every sync free.
pub(crate) fn file_system(directory: &Path) -> String {
    let output = Command::new("stat")
        .args(["-f", "-c", "%T"])
        .arg(directory)
        .output();
    let name = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    name.unwrap_or_else(|_| unknown())
}

fn unknown() -> String {
    "unknown".to_owned()
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// The value of the first line `name : value`.
fn field(text: &str, name: &str) -> Option<String> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// The commit of the clone in `MUSTER_CLONE`, which scripts/capacity sets, or around the working directory. The clone this
/// was built in is no answer: clones share builds.
fn commit() -> Option<String> {
    let clone = std::env::var_os("MUSTER_CLONE").unwrap_or_else(|| ".".into());
    let git = |arguments: &[&str]| {
        let output = Command::new("git")
            .arg("-C")
            .arg(&clone)
            .args(arguments)
            .output()
            .ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        output.status.success().then(|| text.trim().to_owned())
    };
    // Not that of another project which happens to be around here.
    git(&["ls-files", "--error-unmatch", ":/benches/baseline.txt"])?;
    let commit = git(&["rev-parse", "--short=10", "HEAD"])?;
    let changed = git(&["status", "--porcelain", "--untracked-files=no"])?;
    Some(match changed.is_empty() {
        true => commit,
        false => format!("{commit} with changes"),
    })
}
