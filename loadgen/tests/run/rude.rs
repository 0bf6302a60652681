//! Peers that behave badly on purpose, against servers of bare QUIC and of the client's script.

use std::time::Duration;

use clap::Parser;
use muster_client::testing::Act;
use muster_loadgen::{
    cli::{Cli, Command as Subcommand},
    deaf, knock,
};

use super::binary;
use super::model_server::{Lie, ModelServer};

fn knocks(target: &str, attempts: u64) -> knock::Knocks {
    let words = [
        "muster-loadgen".to_owned(),
        "knock".to_owned(),
        format!("--target={target}"),
        format!("--attempts={attempts}"),
    ];
    match Cli::parse_from(words).command {
        Subcommand::Knock(arguments) => knock::knock(&arguments).expect("packets can be sent"),
        _ => unreachable!("the words say knock"),
    }
}

/// The scripted server takes up every handshake, at least until its own queue of attempts is full.
#[test]
fn every_knock_has_one_answer_or_none() {
    let server = ModelServer::start(&[Act::Acknowledge], Lie::None);
    let knocks = knocks(&server.address().to_string(), 50);
    assert!(knocks.taken_up > 0, "{knocks:?}");
    assert_eq!(
        knocks.retries + knocks.refusals + knocks.taken_up + knocks.unanswered,
        50
    );
}

#[test]
fn a_port_where_nobody_listens_answers_no_knock() {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let target = socket.local_addr().expect("it is bound").to_string();
    let knocks = knocks(&target, 20);
    assert_eq!(knocks.unanswered, 20);
    // Each is a handshake of its own: one datagram, its first bytes different.
    socket
        .set_read_timeout(Some(Duration::from_secs(10)))
        .expect("it is not zero");
    let mut ids = std::collections::HashSet::new();
    let mut datagram = [0; 2048];
    for _ in 0..20 {
        let (length, _) = socket.recv_from(&mut datagram).expect("all were sent");
        assert!(length >= 1200, "{length}: a first packet is padded");
        ids.insert(datagram[6..14].to_vec());
    }
    assert_eq!(ids.len(), 20);
}

#[test]
fn devices_that_never_read_send_the_window_they_were_given() {
    let server = ModelServer::start(&[Act::Acknowledge], Lie::None);
    let words = [
        "muster-loadgen".to_owned(),
        "deaf".to_owned(),
        format!("--target={}", server.address()),
        format!("--ca={}", server.ca().display()),
        format!("--identities={}", server.directory().display()),
        "--tenant=demo".to_owned(),
        "--connections=3".to_owned(),
        "--frame=2".to_owned(),
        "--seconds=5".to_owned(),
    ];
    let Subcommand::Deaf(arguments) = Cli::parse_from(words).command else {
        unreachable!("the words say deaf")
    };
    let crowd = deaf::run(&arguments).expect("the server takes them");
    assert_eq!(crowd.connected + crowd.failed, 3, "{crowd:?}");
    // The scripted server offers a window of eight.
    assert_eq!(crowd.frames_sent, 8 * crowd.connected, "{crowd:?}");
    assert_eq!(crowd.check_ins_sent, 2 * crowd.frames_sent);
    assert_eq!(
        crowd.stayed + crowd.closed.values().sum::<u64>(),
        crowd.connected
    );
}

#[test]
fn nobody_elses_server_is_knocked_at() {
    for words in [
        &["knock", "--target=192.0.2.1:1", "--attempts=1"][..],
        &[
            "deaf",
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
            .chain(words)
            .map(|word| (*word).to_owned())
            .collect();
        let output = binary(&all);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(text.contains("--i-own-this-target"), "{text}");
    }
}
