//! Seed inputs of every target: valid input that mutation starts from, encoded by the product's own crates.
//!
//! Deterministic: the bytes do not depend on machine or time.

mod control_plane;

use muster_engine::{
    ColdRecord, Context, DeviceRecord, Effects, Facets, PAGE_RECORDS, PolicySet, Revision,
    Sequence, Shard, ShardId, ShardLimits, TargetId, TenantIndex, TenantPolicy, Threshold,
    Timestamp, page,
};
use muster_wire::{
    AckTotals, Busy, CheckIn, CheckInRecord, ClientHello, CloseCode, DeviceId, Flags, Goodbye,
    Inventory, ManagementAgent, Onboarding, Owner, PartnerThreatState, Platform, RejectReason,
    Rejection, Risk, ServerHello, Stored, encode_ack, encode_busy, encode_check_ins,
    encode_client_hello, encode_goodbye, encode_inventory, encode_server_hello,
};

use self::control_plane::{control_documents, control_entries};

/// The smallest valid configuration.
const CONFIGURATION: &str = r#"
[store]
directory = "data"
[listen]
certificate = "server.pem"
key = "server.key"
client_ca = "ca.pem"
"#;

/// Optional keys of every type, which follow it.
const OPTIONAL_KEYS: &str = r#"
address = "127.0.0.1:0"
window_frames_device = 2
hello_timeout = "5s"
udp_receive_buffer = "4MiB"
[log]
level = "info,quinn=warn"
format = "json"
"#;

/// Queries with every option and every part of the grammar of filters.
const QUERIES: [&str; 4] = [
    "$filter=(startswith(name,'FIN') or endsWith(tolower(name),'1')) and not (state eq 'compliant') and at ge \
     2026-11-30T08:15:00.5Z&$orderby=name desc,at&$top=50&$count=true&$select=id,name,first/size",
    "%24filter=resources/any(r:r/size gt -1.5) and tags/any(t:t in ('a','b''c')) and first/size ne null&%24skip=6",
    "$expand=a,b($expand=c;$select=d),microsoft.graph.phone/e&$search=%22FIN%22 OR name:1&$skiptoken=x",
    "$filter=isof('microsoft.graph.phone') and flags has 'compliant' and contains(name,'I') eq true and null ne id",
];

/// Rules with every part of their language.
const RULES: [&str; 3] = [
    r#"(device.manufacturer -eq "Dell") and (device.deviceOwnership -eq "Corporate" or device.model -notIn ["a", 'b"c', ""])"#,
    r#"device.osVersion -ge '10.0.22631' -and device.deviceName -startsWith "FIN" or device.isRooted -ne "True""#,
    r#"((DEVICE.operatingSystemSKU -In ['Enterprise'] and device.enrollmentProfileName -notContains "x"))"#,
];

/// The seed inputs of a target; none for an unknown target.
pub fn of(target: &str) -> Vec<Vec<u8>> {
    match target {
        "decoder" => vec![client_stream()],
        "answers" => vec![server_stream()],
        "hello" => {
            let (client, server) = (client_stream(), server_stream());
            vec![client[10..26].to_vec(), server[10..42].to_vec()]
        }
        "control_entry" => control_entries(),
        "control_document" => control_documents(),
        "check_in" => (1..4)
            .map(|seq| check_in(seq).as_bytes().to_vec())
            .collect(),
        "inventory" => vec![
            archive(1, &[]),
            archive(2, &["berlin", "a tag of more than eight"]),
        ],
        "identity" => vec![
            b"muster://contoso/device/00112233-4455-6677-8899-aabbccddeeff".to_vec(),
            b"https://contoso.example/\nmuster://contoso/gateway/gw-1".to_vec(),
        ],
        "query_options" => QUERIES.map(|query| query.as_bytes().to_vec()).to_vec(),
        "filter_rule" => RULES.map(|rule| rule.as_bytes().to_vec()).to_vec(),
        "stored_records" => stored_records(),
        "recovery" => vec![disk()],
        "shard" => vec![events(), events_between_pages()],
        "configuration" => ["", OPTIONAL_KEYS]
            .map(|keys| format!("{CONFIGURATION}{keys}").into_bytes())
            .to_vec(),
        "stored_values" => vec![
            b"\x00\x01\x00\x02\x00\x00\x00\x05\x00payload".to_vec(),
            [&[1][..], b"bytes", &[7, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0]].concat(),
            [&[2][..], &[3; 16]].concat(),
            b"\x03muster-store 1\nshards 4\n".to_vec(),
        ],
        _ => Vec::new(),
    }
}

fn device(number: u8) -> DeviceId {
    let mut id = [0; 16];
    id[15] = number;
    DeviceId::from_bytes(id)
}

fn check_in(seq: u64) -> CheckInRecord {
    check_in_of(device(1), seq)
}

/// The check-in of a healthy device.
pub(crate) fn check_in_of(device_id: DeviceId, seq: u64) -> CheckInRecord {
    let check_in = CheckIn {
        device_id,
        seq,
        sent_at_ms: 1_800_000_000_000,
        boot_id: 1,
        payload: 2,
        flags: Flags::SENSOR_RUNNING | Flags::COMMAND_AND_CONTROL_OK | Flags::REGISTERED,
        risk: Risk::Low,
        partner_threat_state: PartnerThreatState::Secured,
        onboarding: Onboarding::Onboarded,
        platform: Platform::Windows,
        management_agent: ManagementAgent::Mdm,
    };
    check_in.to_record().expect("neither id nor seq is zero")
}

fn archive(revision: u32, tags: &[&str]) -> Vec<u8> {
    let inventory = Inventory {
        device_id: device(1),
        os_version: Inventory::pack_version([10, 0, 22631, 4317]),
        revision,
        owner: Owner::Company,
        device_name: "device-1".to_owned(),
        os_name: "Windows".to_owned(),
        model: "Notebook 14".to_owned(),
        manufacturer: String::new(),
        serial_number: "SN-000042".to_owned(),
        user_principal_name: "somebody@contoso.example".to_owned(),
        tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
    };
    inventory.to_bytes().expect("within the limits")
}

/// Two bytes for the chunk sizes, then a stream.
fn client_stream() -> Vec<u8> {
    let mut out = vec![1, 2];
    encode_client_hello(&mut out, &ClientHello::CURRENT);
    encode_check_ins(&mut out, &[check_in(1), check_in(2)]).expect("a frame");
    encode_inventory(&mut out, &archive(1, &["berlin"])).expect("a frame");
    encode_goodbye(&mut out, Goodbye::new(CloseCode::Done, 0));
    out
}

fn server_stream() -> Vec<u8> {
    let mut out = vec![1, 2];
    let hello = ServerHello {
        version: 1,
        window_frames: 4,
        check_ins_per_frame_max: 4096,
        inventory_bytes_max: 8192,
        server_time_ms: 1_800_000_000_000,
        next_check_in_seconds: 300,
    };
    encode_server_hello(&mut out, &hello);
    let totals = AckTotals {
        frames: 2,
        accepted: 3,
        rejected: 1,
        ..AckTotals::default()
    };
    let rejections = [
        Rejection::new(device(1), 5, RejectReason::UnknownRisk),
        Rejection::ahead(device(1), u64::MAX, Stored::Seq(5)),
        Rejection::stale(device(2), 1, Stored::Revision(7)),
    ];
    encode_ack(&mut out, &totals, &rejections);
    encode_busy(
        &mut out,
        Busy {
            retry_after_ms: 500,
        },
    );
    encode_goodbye(&mut out, Goodbye::new(CloseCode::Draining, 1000));
    encode_ack(&mut out, &totals, &[]);
    out
}

/// A journal value with every kind of segment that a shard writes.
fn journal_value() -> Vec<u8> {
    let limits = ShardLimits { devices_max: 10 };
    let mut shard = Shard::new(ShardId(0), limits, 1);
    let mut effects = Effects::default();
    let policy = PolicySet::new(
        Revision(1),
        vec![TenantPolicy::with_threshold(Threshold::Medium); 2],
    );
    shard.begin(Timestamp::from_seconds(1_800_000_000), &mut effects);
    shard.tick(u32::MAX, &mut effects);
    shard.apply_policy(policy.into(), &mut effects);
    let repeated = check_in(2).with_seq(9).expect("the seq is not zero");
    shard.apply_check_ins(
        TenantIndex(0),
        &[check_in(1), check_in(2), repeated],
        &mut effects,
    );
    let bytes = archive(1, &["berlin"]);
    let inventory = Inventory::from_bytes(&bytes).expect("the archive is valid");
    shard.apply_inventory(TenantIndex(0), &inventory, &bytes, &mut effects);
    shard.reset_sequence(TenantIndex(0), &device(1), &mut effects);
    let targets = [TargetId(3), TargetId(5)];
    shard.set_targets(TenantIndex(0), &device(1), &targets, &mut effects);
    shard.remove_device(TenantIndex(0), &device(1), &mut effects);
    shard.restore_device(TenantIndex(0), &device(1), &mut effects);
    shard.remove_device(TenantIndex(0), &device(1), &mut effects);
    shard.seal(&mut effects);
    effects.journal_value().to_vec()
}

fn stored_records() -> Vec<Vec<u8>> {
    let kind = |kind: u8, bytes: &[u8]| [&[kind], bytes].concat();
    let policy = PolicySet::new(
        Revision(3),
        vec![TenantPolicy::with_threshold(Threshold::Medium); 2],
    );
    vec![
        kind(0, &journal_value()),
        kind(1, &[&[1][..], &page_header(), &record().encode()].concat()),
        kind(2, &Context::default().encode()),
        kind(3, &policy.encode()),
    ]
}

fn record() -> DeviceRecord {
    DeviceRecord {
        device_id: device(1),
        seq: 1,
        facets: Facets::default().word(),
        last_check_in: 1_800_000_000,
        ..DeviceRecord::default()
    }
}

fn page_header() -> Vec<u8> {
    let empty = [DeviceRecord::default(); PAGE_RECORDS];
    let cold = [ColdRecord::default(); PAGE_RECORDS];
    page::encode(Sequence(1), &empty, &cold)[..12].to_vec()
}

/// A disk for the target `recovery`: a page with one device, and a journal value with a policy change and time.
fn disk() -> Vec<u8> {
    let mut out = Vec::new();
    let mut value = |kind: u8, number: Option<u8>, units: usize, bytes: &[u8]| {
        out.extend([kind, (bytes.len() / units) as u8]);
        out.extend(number);
        out.extend_from_slice(bytes);
    };
    let page = [page_header(), record().encode().to_vec()].concat();
    value(0, Some(0), 1, &page);
    value(2, None, 1, &Context::default().encode());
    let mut journal = vec![1, 0, 0, 0];
    journal.extend(1_800_000_000_u32.to_le_bytes());
    journal.extend(1_800_000_000_000_u64.to_le_bytes());
    journal.extend([3, 0, 0, 0, 1, 0, 0, 0]);
    journal.extend([4, 0, 0, 0, 255, 255, 255, 255]);
    journal.extend([9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255]);
    value(3, None, 4, &journal);
    out
}

/// Events for the target `shard`: rounds of check-ins, time and a crash, with a checkpoint whose pages are written by
/// some of the commits, so that crashes come before, between and after its pages.
fn events_between_pages() -> Vec<u8> {
    /// In the high bits of an event: its commit writes one page.
    const PAGE: u8 = 8;
    let mut out = Vec::new();
    for (seq, pages) in (1..).zip([0, PAGE, 0, PAGE, 0, PAGE, PAGE, 0]) {
        for device in 0..4 {
            out.extend([if device == 0 { pages } else { 0 }, 0, device]);
            out.extend(&check_in(seq).as_bytes()[16..24]);
            out.extend(&check_in(seq).as_bytes()[40..48]);
        }
        out.extend([5 + pages, 60, 0]);
        out.push(7);
    }
    out
}

/// Events for the target `shard`: a check-in, an inventory, a reset, an hour, a crash.
fn events() -> Vec<u8> {
    let mut out = vec![0, 0, 0];
    out.extend(&check_in(1).as_bytes()[16..24]);
    out.extend(&check_in(1).as_bytes()[40..48]);
    out.extend([4, 0, 0, 1, 0, 0, 0, 1, 3]);
    out.extend([3, 0, 0]);
    out.extend([5, 60, 0]);
    out.push(7);
    out
}
