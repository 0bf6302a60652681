//! The machine and its state, without which a figure means nothing.

use std::fs;
use std::path::Path;
use std::process::Command;

/// The machine as printed above the tables.
#[derive(Clone, Debug)]
pub(crate) struct Machine {
    pub(crate) cpu: String,
    pub(crate) cores: usize,
    pub(crate) memory_gib: u64,
    pub(crate) kernel: String,
    /// The load average over the last minute before the first bench.
    pub(crate) load: String,
    /// The commit, marked if tracked files differ from it.
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

    /// The conditions of a run that used a disk, in a line.
    pub(crate) fn conditions(&self, file_system: &str, load_after: &str) -> String {
        format!(
            "{}, {} cores, {} GiB, Linux {}, {file_system}, load {} before and {load_after} after, commit {}",
            self.cpu, self.cores, self.memory_gib, self.kernel, self.load, self.commit,
        )
    }
}

/// The load average over the last minute.
pub(crate) fn load() -> String {
    read("/proc/loadavg")
        .split(' ')
        .next()
        .map_or_else(unknown, str::to_owned)
}

/// The type of the file system of a directory: in memory a sync costs nothing.
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

/// The value of the first line of the form `name : value`.
fn field(text: &str, name: &str) -> Option<String> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// The commit of the clone in `MUSTER_CLONE`, which scripts/capacity sets, or of the clone that contains the working
/// directory. The clone that this binary was built in may be another one, because clones can share a target directory.
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
    // The working directory may belong to another project.
    git(&["ls-files", "--error-unmatch", ":/benches/baseline.txt"])?;
    let commit = git(&["rev-parse", "--short=10", "HEAD"])?;
    let changed = git(&["status", "--porcelain", "--untracked-files=no"])?;
    Some(if changed.is_empty() {
        commit
    } else {
        format!("{commit} with changes")
    })
}
