//! The binary `muster-simulate`: worlds by seed, one line of JSON at the end, and how to see a failure again.
#![expect(clippy::print_stdout, reason = "standard output is the report")]

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use muster_simulate::plant::Plant;
use muster_simulate::seeds::{self, Failed, Plan, Report};
use muster_simulate::trace::Event;
use muster_simulate::world::Options;
use serde_json::json;

/// Exit code of a run in which a check did not hold, or that came to no world.
const FAILED: u8 = 7;

/// The server of Muster on one thread, with simulated disk and clock, by seed.
#[derive(Parser, Debug)]
#[command(version)]
struct Arguments {
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many seeds. Without it and --seconds: 1000.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    seeds: Option<u64>,
    /// For how long to go on with further seeds.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: Option<u64>,
    /// Prints every step; for one seed.
    #[arg(long)]
    trace: bool,
    /// Prints nothing but the JSON object at the end.
    #[arg(long)]
    json: bool,
    /// Puts a defect in, which some seed should find.
    #[arg(long)]
    plant: Option<Plant>,
    /// Worlds at a time; 0 takes one for each core.
    #[arg(long, default_value_t = 0)]
    threads: usize,
}

fn show(number: u64, event: &Event) {
    println!("{number:>6} {event}");
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
    let plan = Plan {
        first: arguments.seed,
        seeds: match (arguments.seeds, arguments.seconds) {
            (Some(seeds), _) => seeds,
            (None, Some(_)) => u64::MAX,
            (None, None) => 1000,
        },
        time: arguments.seconds.map(Duration::from_secs),
        threads: match arguments.threads {
            _ if arguments.trace => 1,
            0 => cores,
            threads => threads,
        },
    };
    let options = Options {
        plant: arguments.plant,
        shown: arguments.trace.then_some(show as fn(u64, &Event)),
    };
    let report = seeds::run(plan, options);
    if !arguments.json {
        report
            .failed
            .iter()
            .for_each(|failed| explain(failed, arguments.plant));
    }
    println!("{}", to_json(&report));
    // Nobody may be reading; the exit code says it too.
    let _ = std::io::stdout().flush();
    match report.holds() {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(FAILED),
    }
}

fn explain(failed: &Failed, plant: Option<Plant>) {
    let Failed {
        seed,
        violation,
        last,
    } = failed;
    println!("seed {seed} fails: {violation}");
    println!("its last steps:");
    last.iter().for_each(|line| println!("{line}"));
    let plant = plant.and_then(|plant| {
        let value = clap::ValueEnum::to_possible_value(&plant)?;
        Some(format!(" --plant {}", value.get_name()))
    });
    let plant = plant.unwrap_or_default();
    println!("again: scripts/simulate --seed {seed} --seeds 1 --trace{plant}");
}

fn to_json(report: &Report) -> serde_json::Value {
    let summary = &report.summary;
    let failed: Vec<_> = report
        .failed
        .iter()
        .map(|failed| json!({"seed": failed.seed, "check": failed.violation.check}))
        .collect();
    json!({
        "seeds": report.seeds,
        "steps": summary.steps,
        "crashes": summary.crashes,
        "recoveries": summary.recoveries,
        "drains": summary.drains,
        "acked": summary.acked,
        "policy_revisions": summary.policy_revisions,
        "checkpoints": summary.checkpoints,
        "trims": summary.trims,
        "recounts": summary.recounts,
        "hash": format!("{:016x}", summary.hash),
        "failed": failed,
    })
}
