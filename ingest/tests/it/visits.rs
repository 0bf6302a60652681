//! Measures the core time of a connection that checks in once, with full and resumed handshakes.
//!
//! Ignored, because it is a measurement; docs/BENCHMARKS.md has the command and its results. Server and clients share
//! the cores, so rates are those of both; core time is measured separately.

use muster_client::{Connector, Endpoint};
use tokio::time::Instant;

use crate::harness::*;

const VISITORS: u64 = 16;
const VISITS_EACH: u64 = 125;
const VISITS: u64 = VISITORS * VISITS_EACH;

/// Rounds; each measures every kind.
const ROUNDS: u64 = 3;

/// CPU time of a process in seconds, as the kernel counts it.
fn core_seconds(process: &str) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{process}/stat")).expect("the process runs");
    let behind_name = text
        .rfind(')')
        .expect("the second field is a name in brackets");
    let fields: Vec<_> = text[behind_name..].split(' ').collect();
    // Fields 14 and 15 of the file, in hundredths of a second.
    let ticks = |index: usize| fields[index].parse::<f64>().expect("a number");
    (ticks(12) + ticks(13)) / 100.0
}

/// The kinds of connections: name, whether it resumes a session, and whether it sends early data.
const KINDS: [(&str, bool, bool); 3] = [
    ("whole", false, false),
    ("resumed", true, false),
    ("with early data", true, true),
];

/// A device of this kind.
fn visitor(
    place: &Installation,
    server: &Server,
    number: u64,
    (_, resume, early_data): (&str, bool, bool),
) -> Connector {
    let credentials = place.pki.device("contoso", device(number));
    let mut config = server.client_config(&place.pki, &credentials);
    config.resume = resume;
    config.early_data = early_data;
    let endpoint =
        wait(async { Endpoint::for_server(config.server) }).expect("a socket can be opened");
    Connector::new(&endpoint, config).expect("good credentials")
}

#[test]
#[ignore = "a measurement"]
fn cost_of_a_connection_that_checks_in_once() {
    let place = Installation::new();
    let server = place.start();
    let process = server.id().to_string();
    let mut seq = 0;
    for kind in KINDS.repeat(ROUNDS as usize) {
        let first = seq + 1;
        seq += 1 + VISITS_EACH;
        let check_in =
            |number, seq| random_check_in(&mut Random::new(number, 0), device(number), seq);
        let visitors: Vec<_> = (0..VISITORS)
            .map(|number| {
                let visitor = visitor(&place, &server, number, kind);
                let check_in = [check_in(number, first)];
                wait(visitor.check_in_once(&check_in)).expect("the server accepts the client");
                visitor
            })
            .collect();
        let before = [core_seconds(&process), core_seconds("self")];
        let began = Instant::now();
        let tasks: Vec<_> = (0..)
            .zip(visitors)
            .map(|(number, visitor)| {
                spawn(async move {
                    for seq in first + 1..=first + VISITS_EACH {
                        let check_in = [check_in(number, seq)];
                        visitor
                            .check_in_once(&check_in)
                            .await
                            .expect("the server accepts the client");
                    }
                })
            })
            .collect();
        for task in tasks {
            wait(task).expect("the task does not panic");
        }
        let seconds = began.elapsed().as_secs_f64();
        let after = [core_seconds(&process), core_seconds("self")];
        let [server_us, clients_us] =
            [0, 1].map(|end| (after[end] - before[end]) / VISITS as f64 * 1e6);
        let (kind, _, _) = kind;
        let rate = VISITS as f64 / seconds;
        eprintln!(
            "{VISITS} connections, {kind}: {rate:.0} a second, {server_us:.0} us of a core each in the server, \
             {clients_us:.0} us in the clients"
        );
    }
    let metrics = server.ops.metrics();
    let [resumed, early] = ["handshakes_resumed", "connections_early"]
        .map(|name| metrics.get(&format!("muster_net_{name}_total")));
    eprintln!(
        "{resumed} connections were resumed, {early} of them served before their handshake was complete"
    );
    server.stop();
}
