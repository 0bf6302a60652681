//! Sessions driven step by step, for cases that a seed reaches only by chance.

use std::sync::Arc;

use muster_engine::{TenantIndex, Timestamp};
use muster_ingest::clock::{Clock, SimulatedTime};
use muster_ingest::config::Config;
use muster_ingest::phase::Phase;
use muster_ingest::shard::{Input, Stepped};
use muster_simulate::connection::Connection;
use muster_simulate::disk::SimulatedDisk;
use muster_simulate::fleet::{Device, Fleet};
use muster_simulate::server::{Server, StartOptions};
use muster_simulate::settings::Settings;
use muster_testkit::random::Random;
use muster_wire::limits::CHECK_IN_BYTES;
use muster_wire::{
    CheckInRecord, ClientHello, CloseCode, Decoder, Goodbye, Identity, Item, Role,
    encode_check_ins, encode_check_ins_header, encode_client_hello, encode_goodbye,
};

/// A serving server with one tenant.
fn server() -> Server {
    let settings = Settings {
        tenants: 1,
        ..Settings::sample(&mut Random::new(1, 1))
    };
    let text = include_str!("../../../ingest/tests/fixtures/minimal.toml");
    let config = Config::parse(text, std::path::Path::new("/")).expect("a valid configuration");
    let time = SimulatedTime::at(Timestamp::from_seconds(1));
    let options = StartOptions {
        settings: &settings,
        threads: 1,
        listen: &config.listen,
        tenants: &["contoso".to_owned()],
        clock: &Clock::Simulated(Arc::new(time)),
        hash_seed: 1,
    };
    let disk = SimulatedDisk::new(Random::new(1, 2), None);
    let mut server = Server::start(&disk, &options).expect("the disk is empty");
    run_until_idle(&mut server);
    server.serve_if_ready();
    assert_eq!(server.phase(), Phase::Serving);
    server
}

fn run_until_idle(server: &mut Server) {
    let mut worked = true;
    while worked {
        worked = false;
        for worker in 0..server.workers.len() {
            worked |= server.step_worker(worker, Input::Control) == Stepped::Worked;
        }
        worked |= server.forward_commits(None, &mut Random::new(1, 3));
        worked |= server.step_writer();
    }
}

/// The connection of a gateway that has sent Hello and `bytes`.
fn gateway(server: &Server, bytes: &[u8]) -> Connection {
    let identity = Identity::from_uris(["muster://contoso/gateway/gw-1"]).expect("an identity");
    let mut connection = Connection::new(identity, &server.context).expect("the tenant is known");
    let mut hello = Vec::new();
    encode_client_hello(&mut hello, &ClientHello::CURRENT);
    connection.to_server.extend(hello);
    connection.to_server.extend(bytes);
    connection
}

#[test]
fn a_draining_server_sends_goodbye_once_to_a_client_that_sent_goodbye() {
    let mut server = server();
    let mut bytes = Vec::new();
    let device = Device {
        tenant: TenantIndex(0),
        number: 0,
    };
    encode_check_ins(&mut bytes, &[Fleet::new(1, 1, 1).record(device, 1)]).unwrap();
    encode_goodbye(&mut bytes, Goodbye::new(CloseCode::Done, 0));
    let mut connection = gateway(&server, &bytes);
    let mut random = Random::new(1, 4);
    while !connection.to_server.is_empty() || connection.is_mid_chunk() {
        connection.step(&server.context, &mut random);
    }
    // The frame is in flight when the drain begins.
    server.context.phase.advance(Phase::Draining);
    connection.step(&server.context, &mut random);
    run_until_idle(&mut server);
    while connection.closed().is_none() {
        connection.step(&server.context, &mut random);
    }
    assert_eq!(connection.closed(), Some(CloseCode::Done));
    let sent: Vec<u8> = connection.to_client.drain(..).collect();
    let (mut decoder, mut rest, mut frames) = (Decoder::new(Role::Client), &sent[..], Vec::new());
    while let Some(item) = decoder.next(&mut rest).unwrap() {
        frames.push(match item {
            Item::ServerHello(_) => "hello",
            Item::Goodbye(_) => "goodbye",
            Item::Ack(ack) if ack.totals.accepted == 1 => "ack",
            other => panic!("{other:?}"),
        });
    }
    assert_eq!(frames, ["hello", "goodbye", "ack"]);
}

#[test]
fn an_ack_logs_each_reason_of_its_rejections_once() {
    let server = server();
    let kinds = [[0; CHECK_IN_BYTES], [255; CHECK_IN_BYTES]];
    let reasons = kinds.map(|bytes| CheckInRecord::validate(&bytes).unwrap_err());
    assert_ne!(reasons[0], reasons[1]);
    let records: Vec<_> = (0..64).map(|number| kinds[number % 2]).collect();
    let mut frame = encode_check_ins_header(records.len()).unwrap().to_vec();
    frame.extend_from_slice(records.as_flattened());
    let mut connection = gateway(&server, &frame);
    let mut random = Random::new(1, 5);
    let metrics = &server.context.metrics;
    while metrics.acks.get() == 0 && connection.closed().is_none() {
        connection.step(&server.context, &mut random);
    }
    assert_eq!(metrics.acknowledged_rejected.get(), 64);
    let later = server.context.log_time_ms() + 61_000;
    for reason in reasons {
        let suppressed = server.context.log.permit(reason.name(), later);
        assert_eq!(suppressed, Some(0), "{}", reason.name());
    }
}
