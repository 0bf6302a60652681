//! What a session says, without a connection and without shards.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use muster_engine::{PolicySet, ShardMap};
use muster_wire::limits::CHECK_IN_BYTES;
use muster_wire::{
    CheckInRecord, ClientHello, VERSION_MAX, VERSION_MIN, encode_check_ins_header,
    encode_client_hello,
};

use super::*;
use crate::clock::Clock;
use crate::config::Config;
use crate::phase::PhaseSwitch;
use crate::route::{BufferPool, RouteTable, inbox};

const CONFIG: &str = r#"
    [listen]
    certificate = "server.pem"
    key = "server.key"
    client_ca = "ca.pem"
    [store]
    directory = "data"
    [[tenants]]
    name = "contoso"
"#;

fn context() -> Arc<ListenerContext> {
    let (inbox, _) = inbox(4, 1);
    Arc::new(ListenerContext {
        config: Config::parse(CONFIG, Path::new("/")).unwrap().listen,
        tenants: [("contoso".to_owned(), 0)].into(),
        policy: Arc::new(PolicySet::default()),
        routes: Arc::new(RouteTable {
            map: ShardMap::new(1),
            inboxes: [inbox].into(),
            pool: BufferPool::new(1),
        }),
        registry: Arc::default(),
        metrics: Arc::default(),
        phase: PhaseSwitch::default(),
        log: ListenerContext::new_log(),
        clock: Clock::System,
    })
}

/// The session of a gateway that has said Hello.
fn gateway(context: &Arc<ListenerContext>) -> SessionCore {
    let identity = "muster://contoso/gateway/gw-1".parse().unwrap();
    let speaker = Speaker::admit(identity, context).unwrap();
    let remote = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
    let mut hello = Vec::new();
    let versions = ClientHello {
        version_min: VERSION_MIN,
        version_max: VERSION_MAX,
    };
    encode_client_hello(&mut hello, &versions);
    let mut opening = Opening::default();
    let version = opening.take(&mut hello.as_slice()).unwrap().unwrap();
    opening.open(version, speaker, remote, Arc::clone(context))
}

#[test]
fn an_ack_logs_each_reason_of_its_rejections_once() {
    let context = context();
    let mut session = gateway(&context);
    let kinds = [[0; CHECK_IN_BYTES], [255; CHECK_IN_BYTES]];
    let reasons = kinds.map(|bytes| CheckInRecord::validate(&bytes).unwrap_err());
    assert_ne!(reasons[0], reasons[1]);
    let records: Vec<_> = (0..64).map(|number| kinds[number % 2]).collect();
    let mut frame = encode_check_ins_header(records.len()).unwrap().to_vec();
    frame.extend_from_slice(records.as_flattened());
    assert_eq!(session.take(&mut frame.as_slice()), Ok(Take::NeedsMore));
    assert!(session.acknowledge());
    assert_eq!(session.totals().rejected, 64);
    let later = context.clock.wall().as_millis() + 61_000;
    for reason in reasons {
        let held_back = context.log.permit(reason.name(), later);
        assert_eq!(held_back, Some(0), "{}", reason.name());
    }
}
