//! Commands that fail: the exit code says who must act, and the message says what to do.

use std::net::{TcpListener, UdpSocket};
use std::process::Command;

use muster_testkit::muster::Muster;

use crate::harness::*;

const DEVICE: &str = "0fd1a9f4-7e0c-4a86-b1a4-6f1c4d2c9c01";

/// X17: exit code 1 "internal" for unknown device, tenant, backups off, no right to a port; `--target localhost:7440`,
/// `--server 127.0.0.1:7441`; `devices --data-dir nodir` -> own codes; host names are resolved; scheme optional; advice
/// fits the command. Here: an unknown device, an unknown tenant -> 10; backups off -> 11; nobody there -> 8, without
/// advice for a server.
#[test]
fn x17_each_kind_of_refusal_by_a_server_has_its_own_exit_code() {
    let place = Installation::new();
    let server = place.start();
    let base = server.ops.base.clone();
    let ask = |arguments: &[&str]| muster(&[arguments, &["--server", &base]].concat());
    let graph = Graph::new(&place, &server, "contoso", "Administrator");
    let unknown = graph.muster(&["devices", "show", DEVICE]);
    assert!(unknown.one_fault(10).contains("there is no device"));
    let unknown = ask(&["token", "create", "--tenant", "nobody", "--name", "x"]);
    assert!(unknown.one_fault(10).contains("no tenant with this name"));
    let off = ask(&["backup", "a"]);
    assert!(off.one_fault(11).contains("store.backup_directory"));
    drop(server.stop());
    graph.muster(&["counts"]).one_fault(8);
    let gone = ask(&["recount"]);
    let line = gone.one_fault(8);
    assert!(
        line.contains("--server") && !line.contains("muster serve"),
        "{line}"
    );
}

/// X17: exit code 1 "internal" for unknown device, tenant, backups off, no right to a port; `--target localhost:7440`,
/// `--server 127.0.0.1:7441`; `devices --data-dir nodir` -> own codes; host names are resolved; scheme optional; advice
/// fits the command. Here: `--server` without a scheme, and by the name of a host -> the server is asked.
#[test]
fn x17_a_server_is_named_with_or_without_a_scheme_by_address_or_name() {
    let place = Installation::new();
    let server = place.start();
    let (_, address) = server
        .ops
        .base
        .split_once("://")
        .expect("a URL has a scheme");
    let (_, port) = address.rsplit_once(':').expect("an address has a port");
    for named in [address, &format!("localhost:{port}"), &server.ops.base] {
        let asked = muster(&["recount", "--json", "--server", named]);
        assert_eq!((asked.code, asked.err.as_str()), (0, ""), "{named}");
    }
    drop(server.stop());
}

/// The command `muster` without the capability to bind ports below 1024, which root has.
fn without_privileged_ports() -> Command {
    let muster = Muster::beside_this_test();
    if !rustix::process::geteuid().is_root() {
        return Command::new(muster.path());
    }
    let mut command = Command::new("setpriv");
    command.args(["--bounding-set=-net_bind_service", "--"]);
    command.arg(muster.path());
    command
}

/// X17: exit code 1 "internal" for unknown device, tenant, backups off, no right to a port; `--target localhost:7440`,
/// `--server 127.0.0.1:7441`; `devices --data-dir nodir` -> own codes; host names are resolved; scheme optional; advice
/// fits the command. Here: a port in use, or one that the process has no right to -> 5, with what to do and the key to
/// set.
#[test]
fn x17_an_address_that_cannot_be_bound_has_its_own_exit_code() {
    let place = Installation::new();
    let refused = |quic_port, ops_port| {
        let settings = Settings {
            quic_port,
            ops_port,
            ..Settings::default()
        };
        let file = place.configure(&settings);
        let mut command = without_privileged_ports();
        command.args(["serve", "--config", text(&file)]).env_clear();
        let ended = CommandOutput::from_output(command.output().expect("the server starts"));
        ended.one_fault(5).to_owned()
    };
    let udp = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let tcp = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let (quic, ops) = (udp.local_addr(), tcp.local_addr());
    let (quic, ops) = (
        quic.expect("the socket is bound"),
        ops.expect("the socket is bound"),
    );
    for (line, key, advice) in [
        (
            refused(quic.port(), 0),
            "listen.address",
            "stop the process",
        ),
        (refused(0, ops.port()), "ops.address", "stop the process"),
        (refused(1, 0), "listen.address", "CAP_NET_BIND_SERVICE"),
        (refused(0, 1), "ops.address", "CAP_NET_BIND_SERVICE"),
    ] {
        assert!(line.contains(key) && line.contains(advice), "{line}");
    }
    assert!(!place.data().exists(), "nothing is created");
}

/// X17: exit code 1 "internal" for unknown device, tenant, backups off, no right to a port; `--target localhost:7440`,
/// `--server 127.0.0.1:7441`; `devices --data-dir nodir` -> own codes; host names are resolved; scheme optional; advice
/// fits the command. Here: a directory or backup that is not there -> 6, "does not exist", no other advice; nothing is
/// made.
#[test]
fn x17_a_missing_path_is_reported_as_missing() {
    let place = Installation::new();
    let (nowhere, data) = (place.path("nodir"), place.data());
    for arguments in [
        &["devices", "--data-dir", text(&nowhere)][..],
        &["recount", "--data-dir", text(&nowhere)],
        &["restore", text(&nowhere), "--data-dir", text(&data)],
    ] {
        let refused = muster(arguments);
        let line = refused.one_fault(6);
        assert_eq!(line, format!("{} does not exist", nowhere.display()));
    }
    assert!(!nowhere.exists() && !data.exists());
}
