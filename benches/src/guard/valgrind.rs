//! Runs this program under callgrind and reads what it counted.
//!
//! The child gets an empty environment and a folder of its own, so no option of valgrind and no tunable of the
//! C library that happens to be set changes a count. Which variant of memcpy or of a checksum runs follows from
//! the processor that valgrind shows, so that is part of what has to be the same.

use std::io::ErrorKind;
use std::process::Command;

use anyhow::{Context, ensure};

use super::baseline::{Baseline, Count};
use super::cases::CASES;

/// `counted_work` in `cases.rs`, however its name is mangled.
const COUNTED: &str = "*counted_work*";

/// Counts every case, each in a process of its own; `None` without valgrind.
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

/// The count of a case, and the processor that valgrind showed it.
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
    ensure!(output.status.success(), "cannot be counted:\n{errors}");
    let said = String::from_utf8(output.stdout)?;
    let (check_ins, processor) = said.trim().split_once(' ').context("it said nothing")?;
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

/// What of the processor decides which variant of a function runs, as the calling program sees it.
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
