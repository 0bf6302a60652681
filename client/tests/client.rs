//! The client against a scripted server, over real QUIC on the loopback interface.

use std::{sync::Arc, time::Duration};

use muster_client::{
    AckError, Client, ClientConfig, ClientError, Connector, Disconnect, Endpoint, Pem,
    testing::{Action, FakeServer, Outcome, ReceivedFrame, Script, TestPki, within},
};
use muster_wire::{
    CheckIn, CheckInRecord, CloseCode, DeviceId, Flags, FrameKind, Inventory, ManagementAgent,
    Onboarding, Owner, PartnerThreatState, Platform, RejectReason, Rejection, Risk,
};

const GATEWAY: &str = "muster://demo/gateway/g";

fn config(pki: &TestPki, server: &FakeServer) -> ClientConfig {
    let ca = Pem::text(pki.ca_pem());
    let identity = Pem::text(pki.identity(GATEWAY));
    ClientConfig {
        backoff_min: Duration::from_millis(1),
        backoff_max: Duration::from_millis(5),
        ..ClientConfig::new(server.address(), ca, identity)
    }
}

/// A server with this script, and a client connected to it.
async fn connected(script: Script) -> (FakeServer, Client) {
    let pki = TestPki::new();
    let server = FakeServer::start(&pki, script);
    let client = within(Client::connect(config(&pki, &server)))
        .await
        .expect("the server listens");
    (server, client)
}

fn record(seq: u64) -> CheckInRecord {
    let check_in = CheckIn {
        device_id: DeviceId::from_bytes([7; 16]),
        seq,
        sent_at_ms: 0,
        boot_id: 1,
        payload: 0,
        flags: Flags::REGISTERED,
        risk: Risk::Low,
        partner_threat_state: PartnerThreatState::Unknown,
        onboarding: Onboarding::Onboarded,
        platform: Platform::Linux,
        management_agent: ManagementAgent::MsSense,
    };
    check_in.to_record().expect("seq is not zero")
}

/// The sequence numbers that the server received on one connection.
fn sequences(frames: &[ReceivedFrame], connection: usize) -> Vec<u64> {
    frames
        .iter()
        .filter(|frame| frame.connection == connection)
        .flat_map(|frame| {
            frame
                .check_ins
                .iter()
                .map(|bytes| CheckInRecord::peek(bytes).1)
        })
        .collect()
}

#[tokio::test]
async fn frames_arrive_in_order_and_are_acknowledged() {
    let (server, client) = connected(Script::new([Action::Acknowledge])).await;
    for seq in 1..=100 {
        within(client.send(&[record(seq)])).await.unwrap();
    }
    within(client.flush()).await.unwrap();
    let progress = within(client.close()).await.unwrap();
    assert_eq!(
        (progress.frames_submitted, progress.frames_acked),
        (100, 100)
    );
    assert_eq!((progress.accepted, progress.connections), (100, 1));
    assert_eq!(progress.next_check_in_seconds, 0, "as in the acks");
    assert_eq!(
        sequences(&server.frames(), 0),
        (1..=100).collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn records_are_split_into_frames_that_the_server_allows() {
    let script = Script {
        check_ins_per_frame_max: 3,
        ..Script::new([Action::Acknowledge])
    };
    let (server, client) = connected(script).await;
    let records: Vec<_> = (1..=8).map(record).collect();
    within(client.send(&records)).await.unwrap();
    within(client.flush()).await.unwrap();
    let sizes: Vec<usize> = server
        .frames()
        .iter()
        .map(|frame| frame.check_ins.len())
        .collect();
    assert_eq!(sizes, [3, 3, 2]);
    assert_eq!(sequences(&server.frames(), 0), (1..=8).collect::<Vec<_>>());
}

#[tokio::test]
async fn an_inventory_arrives_unchanged() {
    let (server, client) = connected(Script::new([Action::Acknowledge])).await;
    let inventory = Inventory {
        device_id: DeviceId::from_bytes([7; 16]),
        os_version: Inventory::pack_version([10, 0, 22631, 1]),
        revision: 1,
        owner: Owner::Company,
        device_name: "laptop".to_owned(),
        os_name: "Windows".to_owned(),
        model: String::new(),
        manufacturer: String::new(),
        serial_number: String::new(),
        user_principal_name: String::new(),
        tags: vec!["Finance".to_owned()],
    };
    within(client.send_inventory(&inventory)).await.unwrap();
    within(client.flush()).await.unwrap();
    let frames = server.frames();
    assert_eq!(frames[0].kind, FrameKind::Inventory);
    assert_eq!(Inventory::from_bytes(&frames[0].inventory), Ok(inventory));
}

#[tokio::test]
async fn send_waits_for_a_full_window_and_close_returns_how_many_frames_are_unacknowledged() {
    let script = Script {
        window_frames: 2,
        ..Script::new([Action::NeverAcknowledge])
    };
    let pki = TestPki::new();
    let server = FakeServer::start(&pki, script);
    let close_timeout = Duration::from_millis(50);
    let config = ClientConfig {
        close_timeout,
        ..config(&pki, &server)
    };
    let client = within(Client::connect(config)).await.unwrap();
    // Two frames are in flight and one waits in the channel. The fourth does not fit.
    for seq in 1..=3 {
        within(client.send(&[record(seq)])).await.unwrap();
    }
    let fourth = [record(4)];
    let sent = tokio::time::timeout(Duration::from_millis(50), client.send(&fourth)).await;
    assert!(sent.is_err(), "the window is full");
    let error = within(client.close()).await.unwrap_err();
    assert!(
        matches!(error, ClientError::CloseTimeout { unacknowledged: 3 }),
        "{error}"
    );
    assert_eq!(sequences(&server.frames(), 0), [1, 2]);
}

#[tokio::test]
async fn frames_that_are_submitted_together_share_a_packet() {
    let script = Script {
        window_frames: 4,
        ..Script::new([Action::AcknowledgeTogether { frames: 4 }])
    };
    let (server, client) = connected(script).await;
    let mut watch = client.watch();
    // The fifth frame waits for an ack. When it arrives, the frames submitted then share a packet with the fifth.
    for seq in 1..=5 {
        within(client.send(&[record(seq)])).await.unwrap();
    }
    while within(watch.changed()).await.unwrap().frames_acked < 4 {}
    for seq in 6..=8 {
        within(client.send(&[record(seq)])).await.unwrap();
    }
    within(client.flush()).await.unwrap();
    let frames = server.frames();
    let chunks: Vec<u64> = frames.iter().map(|frame| frame.chunks).collect();
    assert_eq!(chunks, [2, 2, 2, 2, 3, 3, 3, 3], "the first is the Hello");
}

#[tokio::test]
async fn unacknowledged_frames_are_sent_again_after_a_lost_connection() {
    let disconnect = Action::Disconnect {
        frames: 3,
        acked: 0,
    };
    let (server, client) = connected(Script::new([disconnect, Action::Acknowledge])).await;
    for seq in 1..=5 {
        within(client.send(&[record(seq)])).await.unwrap();
    }
    within(client.flush()).await.unwrap();
    let progress = within(client.close()).await.unwrap();
    assert_eq!(progress.frames_acked, 5);
    assert_eq!(progress.connections, 2);
    assert!(progress.frames_resent >= 3, "{progress:?}");
    assert_eq!(sequences(&server.frames(), 0), [1, 2, 3]);
    assert_eq!(
        sequences(&server.frames(), 1),
        [1, 2, 3, 4, 5],
        "all of them, with the same sequence numbers"
    );
}

#[tokio::test]
async fn a_client_survives_several_lost_connections() {
    let disconnect = Action::Disconnect {
        frames: 2,
        acked: 1,
    };
    let actions = [
        disconnect,
        disconnect,
        Action::Refuse(CloseCode::Overloaded),
        disconnect,
        Action::Acknowledge,
    ];
    let (server, client) = connected(Script::new(actions)).await;
    for seq in 1..=20 {
        within(client.send(&[record(seq)])).await.unwrap();
    }
    within(client.flush()).await.unwrap();
    let progress = client.progress();
    assert_eq!(progress.frames_acked, 20);
    assert_eq!(progress.connections, 4, "the refused one does not count");
    let mut arrived: Vec<u64> = (0..5)
        .flat_map(|at| sequences(&server.frames(), at))
        .collect();
    arrived.sort_unstable();
    arrived.dedup();
    assert_eq!(arrived, (1..=20).collect::<Vec<_>>());
}

#[tokio::test]
async fn busy_pauses_new_frames_for_the_requested_time() {
    let (server, client) = connected(Script::new([Action::Busy {
        retry_after_ms: 150,
    }]))
    .await;
    within(client.send(&[record(1)])).await.unwrap();
    within(client.flush()).await.unwrap();
    within(client.send(&[record(2)])).await.unwrap();
    within(client.flush()).await.unwrap();
    let frames = server.frames();
    assert!(frames[1].received_at - frames[0].received_at >= Duration::from_millis(150));
    assert_eq!(client.progress().busy, 1);
}

#[tokio::test]
async fn a_client_leaves_a_draining_server_and_reconnects_after_the_requested_time() {
    let drain = Action::Drain {
        frames: 1,
        retry_after_ms: 150,
    };
    let (server, client) = connected(Script::new([drain, Action::Acknowledge])).await;
    for seq in 1..=3 {
        within(client.send(&[record(seq)])).await.unwrap();
        within(client.flush()).await.unwrap();
    }
    let frames = server.frames();
    assert_eq!(
        frames
            .iter()
            .map(|frame| frame.connection)
            .collect::<Vec<_>>(),
        [0, 1, 1]
    );
    assert!(frames[1].received_at - frames[0].received_at >= Duration::from_millis(150));
}

#[tokio::test]
async fn a_client_with_nothing_to_send_does_not_reconnect() {
    let drain = Action::Drain {
        frames: 1,
        retry_after_ms: 0,
    };
    let (_server, client) = connected(Script::new([drain, Action::Acknowledge])).await;
    within(client.send(&[record(1)])).await.unwrap();
    within(client.flush()).await.unwrap();
    let mut watch = client.watch();
    while watch.progress().is_connected {
        within(watch.changed()).await.unwrap();
    }
    let progress = within(client.close()).await.unwrap();
    assert_eq!(progress.connections, 1);
}

#[tokio::test]
async fn a_refusal_that_is_not_retryable_ends_the_client() {
    let pki = TestPki::new();
    let server = FakeServer::start(
        &pki,
        Script::new([Action::Refuse(CloseCode::UnknownTenant)]),
    );
    let error = within(Client::connect(config(&pki, &server)))
        .await
        .unwrap_err();
    let ClientError::Refused { code } = error else {
        panic!("{error}")
    };
    assert_eq!(code, CloseCode::UnknownTenant);
}

#[tokio::test]
async fn a_refusal_after_a_lost_connection_is_returned_by_every_method() {
    let actions = [
        Action::Disconnect {
            frames: 1,
            acked: 0,
        },
        Action::Refuse(CloseCode::IdentityInvalid),
    ];
    let (_server, client) = connected(Script::new(actions)).await;
    within(client.send(&[record(1)])).await.unwrap();
    for error in [
        within(client.flush()).await.unwrap_err(),
        within(client.send(&[record(2)])).await.unwrap_err(),
        within(client.close()).await.unwrap_err(),
    ] {
        let code = CloseCode::IdentityInvalid;
        assert!(
            matches!(&error, ClientError::Refused { code: found } if *found == code),
            "{error}"
        );
    }
}

#[tokio::test]
async fn an_ack_for_more_frames_than_were_sent_is_an_error() {
    let (_server, client) = connected(Script::new([Action::AcknowledgeTooMany])).await;
    within(client.send(&[record(1)])).await.unwrap();
    let error = within(client.flush()).await.unwrap_err();
    assert!(
        matches!(
            error,
            ClientError::Ack(AckError::Ahead { acked: 2, sent: 1 })
        ),
        "{error}"
    );
}

fn reject_three_times(frame: &ReceivedFrame) -> Outcome {
    let (device_id, seq) = CheckInRecord::peek(&frame.check_ins[0]);
    let rejection = Rejection::new(device_id, seq, RejectReason::IdentityMismatch);
    Outcome {
        rejections: vec![rejection; 3],
        ..Outcome::default()
    }
}

#[tokio::test]
async fn rejections_beyond_the_capacity_are_only_counted() {
    let pki = TestPki::new();
    let script = Script {
        outcome: Arc::new(reject_three_times),
        ..Script::new([Action::Acknowledge])
    };
    let server = FakeServer::start(&pki, script);
    let config = ClientConfig {
        rejections_max: 2,
        ..config(&pki, &server)
    };
    let mut client = within(Client::connect(config)).await.unwrap();
    within(client.send(&[record(9)])).await.unwrap();
    within(client.flush()).await.unwrap();
    let progress = client.progress();
    assert_eq!((progress.rejected, progress.rejections_dropped), (3, 1));
    let mut rejections = client.take_rejections().unwrap();
    let first = within(rejections.recv()).await.unwrap();
    assert_eq!(
        (first.seq, first.reason()),
        (9, Some(RejectReason::IdentityMismatch))
    );
    assert!(rejections.try_recv().is_some() && rejections.try_recv().is_none());
    assert!(
        client.take_rejections().is_none(),
        "it can be taken only once"
    );
}

#[tokio::test]
async fn a_server_with_a_certificate_of_another_authority_is_not_trusted() {
    let pki = TestPki::new();
    let server = FakeServer::start(&pki, Script::new([Action::Acknowledge]));
    let ca = Pem::text(TestPki::new().ca_pem());
    let config = ClientConfig {
        ca,
        ..config(&pki, &server)
    };
    let error = within(Client::connect(config)).await.unwrap_err();
    assert!(matches!(error, ClientError::ServerNotTrusted(_)), "{error}");
}

#[tokio::test]
async fn a_server_with_a_certificate_for_another_name_is_not_trusted() {
    let pki = TestPki::new();
    let server = FakeServer::start(&pki, Script::new([Action::Acknowledge]));
    let config = ClientConfig {
        server_name: "example.org".to_owned(),
        ..config(&pki, &server)
    };
    let error = within(Client::connect(config)).await.unwrap_err();
    assert!(matches!(error, ClientError::ServerNotTrusted(_)), "{error}");
}

#[tokio::test]
async fn an_identity_of_another_authority_is_refused() {
    let pki = TestPki::new();
    let server = FakeServer::start(&pki, Script::new([Action::Acknowledge]));
    let identity = Pem::text(TestPki::new().identity(GATEWAY));
    let config = ClientConfig {
        identity,
        ..config(&pki, &server)
    };
    let error = within(Client::connect(config)).await.unwrap_err();
    assert!(
        matches!(error, ClientError::CertificateRefused { .. }),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_client_gives_up_after_offline_timeout_if_the_server_never_responds() {
    let pki = TestPki::new();
    // Bound but never read, so nothing responds on this port.
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let ca = Pem::text(pki.ca_pem());
    let identity = Pem::text(pki.identity(GATEWAY));
    let config = ClientConfig {
        offline_timeout: Some(Duration::from_secs(3600)),
        ..ClientConfig::new(silent.local_addr().unwrap(), ca, identity)
    };
    let start = tokio::time::Instant::now();
    let error = Client::connect(config).await.unwrap_err();
    let ClientError::Unreachable {
        attempts,
        last: Disconnect::Timeout,
        ..
    } = error
    else {
        panic!("{error}")
    };
    // An hour of paused time: delays of at most 60 s and attempts of 10 s.
    assert!(start.elapsed() <= Duration::from_secs(3600 + 10));
    assert!(attempts >= 3600 / 70, "{attempts}");
}

#[tokio::test]
async fn dropping_a_client_stops_it() {
    let (server, client) = connected(Script::new([Action::NeverAcknowledge])).await;
    within(client.send(&[record(1)])).await.unwrap();
    let mut watch = client.watch();
    drop(client);
    while within(watch.changed()).await.is_some() {}
    assert!(server.frames().len() <= 1);
}

/// A server with this script, and a connector to it.
fn connector(script: Script) -> (FakeServer, Connector) {
    let pki = TestPki::new();
    let server = FakeServer::start(&pki, script);
    let endpoint = Endpoint::for_server(server.address()).expect("a socket");
    let connector = Connector::new(&endpoint, config(&pki, &server)).expect("good credentials");
    (server, connector)
}

#[tokio::test]
async fn check_in_once_is_durable_and_closes_its_connection() {
    let (server, connector) = connector(Script::new([Action::Acknowledge]));
    for seq in 1..=3 {
        let progress = within(connector.check_in_once(&[record(seq)])).await;
        let progress = progress.unwrap();
        assert_eq!((progress.frames_submitted, progress.frames_acked), (1, 1));
        assert_eq!((progress.accepted, progress.connections), (1, 1));
        assert!(!progress.is_connected);
    }
    for connection in 0..3 {
        assert_eq!(
            sequences(&server.frames(), connection),
            [connection as u64 + 1]
        );
    }
}

#[tokio::test]
async fn check_in_once_sends_again_after_a_lost_connection() {
    let (server, connector) = connector(Script::new([
        Action::Disconnect {
            frames: 1,
            acked: 0,
        },
        Action::Acknowledge,
    ]));
    let progress = within(connector.check_in_once(&[record(1)])).await.unwrap();
    assert_eq!((progress.frames_acked, progress.accepted), (1, 1));
    for connection in [0, 1] {
        assert_eq!(sequences(&server.frames(), connection), [1]);
    }
}

#[tokio::test]
async fn check_in_once_returns_an_error_for_no_records_or_too_many() {
    let (server, connector) = connector(Script::new([Action::Acknowledge]));
    for records in [vec![], vec![record(1); 4097]] {
        let result = within(connector.check_in_once(&records)).await;
        assert!(matches!(result, Err(ClientError::InvalidFrame(_))));
    }
    assert!(server.frames().is_empty(), "nothing was sent");
}
