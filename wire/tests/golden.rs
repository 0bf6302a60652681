//! The bytes of every frame, compared with files that other implementations can use as well.
//!
//! `MUSTER_GOLDEN_WRITE=1 cargo nextest run -p muster-wire` rewrites the files. A changed file means a changed
//! protocol, which needs a new version. The same bytes are the examples in docs/reference/PROTOCOL.md.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{fs, path::PathBuf};

use muster_wire::{
    Ack, AckTotals, Busy, CheckIn, ClientHello, CloseCode, Decoder, DeviceId, Flags, Goodbye,
    Inventory, Item, ManagementAgent, Onboarding, Owner, PartnerThreatState, Platform,
    RejectReason, Rejection, Risk, Role, ServerHello, Stored, encode_ack, encode_busy,
    encode_check_ins, encode_client_hello, encode_goodbye, encode_inventory, encode_server_hello,
};

const SERVER_HELLO: ServerHello = ServerHello {
    version: 1,
    window_frames: 64,
    check_ins_per_frame_max: 4096,
    inventory_bytes_max: 8192,
    server_time_ms: 1_767_225_600_000,
    next_check_in_seconds: 28_800,
};

fn device(last: u8) -> DeviceId {
    let mut bytes = [0x11; 16];
    bytes[15] = last;
    DeviceId::from_bytes(bytes)
}

fn check_ins() -> [CheckIn; 2] {
    let healthy = CheckIn {
        device_id: device(0x01),
        seq: 42,
        sent_at_ms: 1_767_225_600_123,
        boot_id: 7,
        payload: 0xc0ff_ee00,
        flags: Flags::SENSOR_RUNNING
            | Flags::COMMAND_AND_CONTROL_OK
            | Flags::TELEMETRY_OK
            | Flags::REGISTERED
            | Flags::ENCRYPTED,
        risk: Risk::Low,
        partner_threat_state: PartnerThreatState::Secured,
        onboarding: Onboarding::Onboarded,
        platform: Platform::Windows,
        management_agent: ManagementAgent::MsSense,
    };
    let bare = CheckIn {
        device_id: device(0x02),
        seq: 1,
        sent_at_ms: 0,
        boot_id: 0,
        payload: 0,
        flags: Flags::NONE,
        risk: Risk::NotReported,
        partner_threat_state: PartnerThreatState::Unknown,
        onboarding: Onboarding::NotOnboarded,
        platform: Platform::Linux,
        management_agent: ManagementAgent::Unknown,
    };
    [healthy, bare]
}

fn inventory() -> Inventory {
    Inventory {
        device_id: device(0x01),
        os_version: Inventory::pack_version([10, 0, 22631, 4317]),
        revision: 3,
        owner: Owner::Company,
        device_name: "lap-0001".to_owned(),
        os_name: "Windows".to_owned(),
        model: "Notebook 14".to_owned(),
        manufacturer: String::new(),
        serial_number: "SN-000042".to_owned(),
        user_principal_name: "ana@contoso.example".to_owned(),
        tags: vec!["pilot".to_owned(), "building-7".to_owned()],
    }
}

fn ack() -> Ack {
    let totals = AckTotals {
        frames: 3,
        accepted: 4097,
        duplicate: 2,
        stale: 1,
        rejected: 1,
        next_check_in_seconds: 28_800,
    };
    let rejection = Rejection::new(device(0x02), 9, RejectReason::UnknownPlatform);
    let stale = Rejection::stale(device(0x01), 7, Stored::Seq(42));
    Ack {
        totals,
        rejections: vec![rejection, stale],
    }
}

const BUSY: Busy = Busy {
    retry_after_ms: 250,
};
const CLIENT_GOODBYE: Goodbye = Goodbye::new(CloseCode::Done, 0);
const SERVER_GOODBYE: Goodbye = Goodbye::new(CloseCode::Draining, 5000);

/// Every example: its name, the side that receives it, and its bytes.
fn examples() -> Vec<(&'static str, Role, Vec<u8>)> {
    let records = check_ins().map(|check_in| check_in.to_record().unwrap());
    let archive = inventory().to_bytes().unwrap();
    let ack = ack();
    vec![
        (
            "client_hello",
            Role::Server,
            encoded(|out| encode_client_hello(out, &ClientHello::CURRENT)),
        ),
        (
            "server_hello",
            Role::Client,
            encoded(|out| encode_server_hello(out, &SERVER_HELLO)),
        ),
        (
            "check_ins",
            Role::Server,
            encoded(|out| encode_check_ins(out, &records).unwrap()),
        ),
        (
            "inventory",
            Role::Server,
            encoded(|out| encode_inventory(out, &archive).unwrap()),
        ),
        (
            "ack",
            Role::Client,
            encoded(|out| encode_ack(out, &ack.totals, &ack.rejections)),
        ),
        ("busy", Role::Client, encoded(|out| encode_busy(out, BUSY))),
        (
            "client_goodbye",
            Role::Server,
            encoded(|out| encode_goodbye(out, CLIENT_GOODBYE)),
        ),
        (
            "server_goodbye",
            Role::Client,
            encoded(|out| encode_goodbye(out, SERVER_GOODBYE)),
        ),
    ]
}

fn encoded(encode: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    encode(&mut out);
    out
}

fn golden(name: &str) -> PathBuf {
    // Read at run time: a build that two clones share contains the path of only one of them.
    PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").unwrap())
        .join("tests/golden")
        .join(format!("{name}.bin"))
}

#[test]
fn every_frame_is_encoded_as_its_golden_file() {
    for (name, _, bytes) in examples() {
        if std::env::var_os("MUSTER_GOLDEN_WRITE").is_some() {
            fs::write(golden(name), &bytes).unwrap();
        }
        let expected = fs::read(golden(name)).unwrap();
        assert_eq!(bytes, expected, "{name} differs from its golden file");
    }
}

#[test]
fn every_golden_file_is_decoded() {
    for role in [Role::Server, Role::Client] {
        let names = examples()
            .into_iter()
            .filter(|(_, receiver, _)| *receiver == role);
        let stream: Vec<u8> = names
            .flat_map(|(name, ..)| fs::read(golden(name)).unwrap())
            .collect();
        let mut decoder = Decoder::new(role);
        let mut input = stream.as_slice();
        let mut items = Vec::new();
        while let Some(item) = decoder.next(&mut input).unwrap() {
            items.push(item);
        }
        decoder.finish().unwrap();
        let bytes = check_ins().map(|check_in| check_in.to_bytes());
        let expected = match role {
            Role::Server => vec![
                Item::ClientHello(ClientHello::CURRENT),
                Item::CheckInsBegin { count: 2 },
                Item::Records(&bytes),
                Item::CheckInsEnd,
                Item::Inventory(inventory().to_bytes().unwrap()),
                Item::Goodbye(CLIENT_GOODBYE),
            ],
            Role::Client => vec![
                Item::ServerHello(SERVER_HELLO),
                Item::Ack(ack()),
                Item::Busy(BUSY),
                Item::Goodbye(SERVER_GOODBYE),
            ],
        };
        assert_eq!(items, expected);
    }
}
