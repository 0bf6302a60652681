//! A net runtime that ends in the middle of its sessions, as after a deadline: what they received stays in the
//! accounts.
//!
//! The runtime, its listener and its sessions are the server's; nobody takes what they put into the inbox.

#[path = "../support/context.rs"]
mod context;

use std::sync::Arc;

use muster_engine::ShardMap;
use muster_ingest::config::Config;
use muster_ingest::net::{self, Listener};
use muster_ingest::pki::tls;
use muster_ingest::route::{BufferPool, RouteTable, inbox};
use muster_wire::CloseCode;

use crate::harness::*;

#[test]
fn a_session_that_the_end_of_its_runtime_cuts_off_is_in_the_accounts() {
    let place = Installation::new();
    let config = Config::load(&place.configure(&Settings::default()))
        .expect("valid")
        .listen;
    let (inbox, _receiver) = inbox(16, 1);
    let routes = RouteTable {
        map: ShardMap::new(1),
        inboxes: [inbox].into(),
        pool: BufferPool::new(1),
    };
    let context = context::context(config, Arc::new(routes), Arc::default());
    let files = context.config.tls();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime starts");
    let endpoint = {
        let _inside = runtime.enter();
        let socket = net::bind(&context.config).expect("a port is free");
        let tls = tls::server_config(&files).expect("good files");
        net::endpoint(&context.config, tls, [0; 32], socket).expect("it starts")
    };
    let address = endpoint.local_addr().expect("it is bound");
    runtime.spawn(Listener::new(endpoint, Arc::clone(&context)).run());

    let mut session = Session::open(address, &place.pki, &place.pki.gateway("contoso", "gw-1"));
    let records: Vec<_> = (0..7)
        .map(|number| random_check_in(&mut Random::new(number, 0), device(number), 1))
        .collect();
    session.check_ins(&records);
    let metrics = &context.metrics;
    eventually("the frame is read", || {
        (metrics.received.get() == 7).then_some(())
    });
    assert_eq!(context.registry.len(), 1);
    drop(runtime);

    assert!(context.registry.is_empty());
    let lost: u64 = metrics.unacknowledged.labelled().map(|(_, n)| n).sum();
    assert_eq!(lost, 7, "received and never acknowledged");
    assert_eq!(metrics.sessions_opened.get(), 1);
    // The runtime drops its tasks in any order: the session's own, or that of its connection first.
    let internal = metrics.closed[CloseCode::Internal.index()].get();
    assert_eq!(internal + metrics.closed_otherwise.get(), 1);
    assert_eq!(metrics.connections.get(), 1);
}
