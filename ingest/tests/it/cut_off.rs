//! A net runtime that ends while sessions are open, as after a deadline: the records that they received are counted as
//! unacknowledged.
//!
//! The runtime, listener and sessions are those of the server; no shard drains the inbox.

#[path = "../support/context.rs"]
mod context;

use std::sync::Arc;

use muster_engine::ShardMap;
use muster_ingest::config::Config;
use muster_ingest::net::{self, Listener};
use muster_ingest::pki::tls;
use muster_ingest::route::{BufferPool, RouteTable, ThreadMap, inbox};
use muster_wire::CloseCode;

use crate::harness::*;

#[test]
fn the_records_of_a_session_that_is_cut_off_with_its_runtime_are_counted() {
    let place = Installation::new();
    let config = Config::load(&place.configure(&Settings::default()))
        .expect("the configuration is valid")
        .listen;
    let (inbox, _receiver) = inbox(16, 1);
    let routes = RouteTable {
        map: ThreadMap::new(ShardMap::new(1), 1),
        inboxes: [inbox].into(),
        pool: BufferPool::new(1),
    };
    let context = context::context(config, Arc::new(routes), Arc::default());
    let files = context.config.tls();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("the runtime starts");
    let endpoint = {
        let _inside = runtime.enter();
        let socket = net::bind(&context.config).expect("a free port");
        let tls = tls::server_config(&files).expect("the certificates are valid");
        net::endpoint(&context.config, tls, [0; 32], socket).expect("the endpoint starts")
    };
    let address = endpoint.local_addr().expect("the socket is bound");
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
    // The runtime drops its tasks in any order: the task of the session or that of its connection first.

    let internal = metrics.closed[CloseCode::Internal.index()].get();
    assert_eq!(internal + metrics.closed_otherwise.get(), 1);
    assert_eq!(metrics.connections.get(), 1);
}
