//! Misbehaving clients, against a scripted server and a socket that never answers.

use std::time::Duration;

use clap::Parser;
use muster_client::testing::Action;
use muster_loadgen::{
    cli::{Cli, Command as Subcommand},
    handshake_flood, non_reading,
};

use super::binary;
use super::model_server::{InjectedFault, ModelServer};

fn flood(target: &str, attempts: u64) -> handshake_flood::FloodResult {
    let arguments = [
        "muster-loadgen".to_owned(),
        "handshake-flood".to_owned(),
        format!("--target={target}"),
        format!("--attempts={attempts}"),
    ];
    match Cli::parse_from(arguments).command {
        Subcommand::HandshakeFlood(arguments) => {
            handshake_flood::run(&arguments).expect("packets can be sent")
        }
        _ => unreachable!("the arguments name handshake-flood"),
    }
}

/// The scripted server continues every handshake, at least until its queue of attempts is full.
#[test]
fn every_attempt_is_counted_once() {
    let server = ModelServer::start(&[Action::Acknowledge], InjectedFault::None);
    let result = flood(&server.address().to_string(), 50);
    assert!(result.continued > 0, "{result:?}");
    assert_eq!(
        result.retries + result.refusals + result.continued + result.unanswered,
        50
    );
}

#[test]
fn a_socket_that_never_answers_leaves_every_attempt_unanswered() {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let target = socket.local_addr().expect("it is bound").to_string();
    let result = flood(&target, 20);
    assert_eq!(result.unanswered, 20);
    // Each attempt is a separate connection: one datagram with its own connection id.
    socket
        .set_read_timeout(Some(Duration::from_secs(10)))
        .expect("it is not zero");
    let mut ids = std::collections::HashSet::new();
    let mut datagram = [0; 2048];
    for _ in 0..20 {
        let (length, _) = socket.recv_from(&mut datagram).expect("all were sent");
        assert!(length >= 1200, "{length}: an Initial packet is padded");
        ids.insert(datagram[6..14].to_vec());
    }
    assert_eq!(ids.len(), 20);
}

#[test]
fn non_reading_clients_send_the_window_of_the_server() {
    let server = ModelServer::start(&[Action::Acknowledge], InjectedFault::None);
    let arguments = [
        "muster-loadgen".to_owned(),
        "non-reading".to_owned(),
        format!("--target={}", server.address()),
        format!("--ca={}", server.ca().display()),
        format!("--identities={}", server.directory().display()),
        "--tenant=demo".to_owned(),
        "--connections=3".to_owned(),
        "--frame=2".to_owned(),
        "--seconds=5".to_owned(),
    ];
    let Subcommand::NonReading(arguments) = Cli::parse_from(arguments).command else {
        unreachable!("the arguments name non-reading")
    };
    let result = non_reading::run(&arguments).expect("the server accepts them");
    assert_eq!(result.connected + result.failed, 3, "{result:?}");
    // The window of the scripted server is 8 frames.
    assert_eq!(result.frames_sent, 8 * result.connected, "{result:?}");
    assert_eq!(result.check_ins_sent, 2 * result.frames_sent);
    assert_eq!(
        result.stayed + result.closed.values().sum::<u64>(),
        result.connected
    );
}

#[test]
fn a_target_that_is_not_this_machine_is_refused() {
    for arguments in [
        &["handshake-flood", "--target=192.0.2.1:1", "--attempts=1"][..],
        &[
            "non-reading",
            "--target=192.0.2.1:1",
            "--ca=x",
            "--identities=x",
            "--tenant=x",
            "--connections=1",
            "--seconds=1",
        ],
    ] {
        let all: Vec<String> = ["muster-loadgen"]
            .iter()
            .chain(arguments)
            .map(|argument| (*argument).to_owned())
            .collect();
        let output = binary(&all);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(text.contains("--i-own-this-target"), "{text}");
    }
}
