//! Describes the machine of a run, because measurements cannot be interpreted without it.

use std::fs;

use serde_json::{Value, json};

/// The description as a JSON object.
pub fn describe() -> Value {
    let memory_kib = field(&read("/proc/meminfo"), "MemTotal")
        .and_then(|text| text.trim_end_matches(" kB").parse::<u64>().ok());
    let load = read("/proc/loadavg");
    json!({
        "cpu": field(&read("/proc/cpuinfo"), "model name"),
        "cores": std::thread::available_parallelism().map_or(1, usize::from),
        "memory_gib": memory_kib.map(|kib| kib.div_ceil(1 << 20)),
        "kernel": read("/proc/sys/kernel/osrelease").trim(),
        "load_of_last_minute": load.split(' ').next().and_then(|text| text.parse::<f64>().ok()),
        "generator_version": env!("CARGO_PKG_VERSION"),
    })
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// The value of the first line `name : value`.
fn field(text: &str, name: &str) -> Option<String> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_a_name_and_a_value() {
        let text = "vendor_id\t: x\nmodel name\t: A CPU @ 2 GHz\nMemTotal:   12 kB\n";
        assert_eq!(field(text, "model name").as_deref(), Some("A CPU @ 2 GHz"));
        assert_eq!(field(text, "MemTotal").as_deref(), Some("12 kB"));
        assert_eq!(field(text, "nothing"), None);
    }
}
