//! Runs this program under callgrind and reads the counts.
//!
//! The child process gets only PATH and its own directory, so that no valgrind option and no tunable of the C library
//! from the environment changes a count. The features of the processor, as valgrind shows them, select the variants of
//! memcpy and of checksums, so they are part of the context that must be equal.

use std::io::ErrorKind;
use std::process::Command;

use anyhow::{Context, ensure};

use super::baseline::{Baseline, Count};
use super::cases::CASES;

/// A pattern that matches the mangled name of `counted_work` in `cases.rs`.
const COUNTED: &str = "*counted_work*";

/// Counts every case in its own process; `None` if valgrind is not installed.
pub(super) fn count_all() -> anyhow::Result<Option<Baseline>> {
    let version = match Command::new("valgrind").arg("--version").output() {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        output => String::from_utf8(output.context("valgrind")?.stdout)?,
    };
    let mut counts = Vec::new();
    let mut processor = String::new();
    for (case, _) in CASES {
        let count;
        (count, processor) = count_case(case).with_context(|| case.to_owned())?;
        counts.push(count);
    }
    let context = [
        ("rustc", env!("MUSTER_RUSTC")),
        ("target", env!("MUSTER_TARGET")),
        ("rustflags", env!("MUSTER_RUSTFLAGS")),
        ("valgrind", version.trim()),
        ("processor", &processor),
    ];
    let context = context.map(|(key, value)| (key.to_owned(), value.to_owned()));
    Ok(Some(Baseline {
        context: context.to_vec(),
        counts,
    }))
}

/// Returns the count of a case, and the features of the processor that it saw.
fn count_case(case: &str) -> anyhow::Result<(Count, String)> {
    let folder = tempfile::tempdir()?;
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=counts"])
        .arg("--collect-atstart=no")
        .arg(format!("--toggle-collect={COUNTED}"))
        .arg(std::env::current_exe()?)
        .args(["count", case])
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .current_dir(folder.path())
        .output()
        .context("valgrind")?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "the case failed:\n{errors}");
    let stdout = String::from_utf8(output.stdout)?;
    let (check_ins, processor) = (stdout.trim().split_once(' ')).context("no output")?;
    let text = std::fs::read_to_string(folder.path().join("counts"))?;
    let total = text.lines().find_map(|line| line.strip_prefix("totals: "));
    let instructions = total.context("callgrind wrote no total")?.trim().parse()?;
    ensure!(instructions > 0, "callgrind did not find the counted work");
    let count = Count {
        case: case.to_owned(),
        instructions,
        check_ins: check_ins.parse()?,
    };
    Ok((count, processor.to_owned()))
}

/// The features of the processor, as this process sees them, that select the variants of library functions.
pub(super) fn processor() -> String {
    #[cfg(target_arch = "x86_64")]
    let features = [
        ("sse4.2", is_x86_feature_detected!("sse4.2")),
        ("pclmulqdq", is_x86_feature_detected!("pclmulqdq")),
        ("avx2", is_x86_feature_detected!("avx2")),
        ("avx512f", is_x86_feature_detected!("avx512f")),
    ];
    #[cfg(not(target_arch = "x86_64"))]
    let features = [(std::env::consts::ARCH, true)];
    let present = features.iter().filter(|(_, present)| *present);
    let names: Vec<&str> = present.map(|(name, _)| *name).collect();
    names.join(" ")
}
