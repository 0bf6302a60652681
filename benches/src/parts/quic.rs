//! Bare quinn on loopback: the server's endpoint and TLS with certificates on both sides, but no processing of the
//! data.
//!
//! This file has the bulk stream; `requests` and `handshakes` have their own.

mod environment;
pub(crate) mod handshakes;
pub(crate) mod requests;

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, ensure};
use bytes::Bytes;
use muster_wire::limits::{CHECK_IN_BYTES, CHECK_INS_BYTES_MAX};
use quinn::{Endpoint, VarInt};

use self::environment::{Client, Environment, client_config};
use super::{Name, PartsOptions};
use crate::measure::{Digest, Row, Run, Stopwatch};

/// The receive window that the server grants a gateway once it has its certificate.
const GATEWAY_RECEIVE_WINDOW: u32 = 4 << 20;

/// Chunks that the server takes from a gateway's stream at once.
const CHUNKS: usize = 64;

/// Bytes of the warm-up, which is not timed.
const WARM_UP_BYTES: u64 = 8 << 20;

pub(super) fn run(options: &PartsOptions) -> anyhow::Result<Vec<Row>> {
    let check_ins = options.size.pick(500_000, 20_000_000);
    let environment = Environment::create(&options.directory)?;
    let runs: anyhow::Result<Vec<Run>> = (0..options.repeats)
        .map(|_| one_run(&environment, check_ins))
        .collect();
    let row = Row::new(Name::Quic, "bulk stream, 48 B records, both ends *", runs?)?;
    Ok(vec![row])
}

fn one_run(environment: &Environment, check_ins: u64) -> anyhow::Result<Run> {
    let pair = environment.pair(environment.server_tls(&Arc::default())?)?;
    let config = client_config(environment.client_tls()?, Client::Gateway)?;
    let sender = pair
        .client_runtime
        .spawn(send(pair.address, config, check_ins));
    let run = pair
        .server_runtime
        .block_on(receive(pair.server.clone(), check_ins))?;
    pair.client_runtime.block_on(sender)??;
    Ok(run)
}

async fn receive(endpoint: Endpoint, check_ins: u64) -> anyhow::Result<Run> {
    let incoming = endpoint.accept().await.context("the endpoint ended")?;
    let connection = incoming.await?;
    connection.set_receive_window(VarInt::from_u32(GATEWAY_RECEIVE_WINDOW));
    // On a worker thread of the runtime, as a session is, and not on the thread in block_on.
    let receiver = tokio::spawn({
        let connection = connection.clone();
        async move {
            let (_send, mut stream) = connection.accept_bi().await?;
            let mut chunks = vec![Bytes::new(); CHUNKS];
            let (mut bytes, mut running, mut first) = (0, None, 0);
            while let Some(count) = stream.read_chunks(&mut chunks).await? {
                bytes += chunks[..count]
                    .iter()
                    .map(|chunk| chunk.len() as u64)
                    .sum::<u64>();
                if bytes >= WARM_UP_BYTES && running.is_none() {
                    first = bytes;
                    running = Some(Stopwatch::default().start());
                }
            }
            let expected = WARM_UP_BYTES + check_ins * CHECK_IN_BYTES as u64;
            ensure!(bytes == expected, "{bytes} of {expected} bytes arrived");
            let running = running.context("the stream ended early")?;
            // The read that ended the warm-up went beyond it, so slightly less than the whole work was timed.
            let timed_fraction = (bytes - first) as f64 / (bytes - WARM_UP_BYTES) as f64;
            let mut run = running.stop().run(check_ins, Digest::of(bytes));
            run.wall = run.wall.div_f64(timed_fraction);
            run.core = run.core.div_f64(timed_fraction);
            anyhow::Ok(run)
        }
    });
    let run = receiver.await??;
    connection.close(VarInt::from_u32(0), b"done");
    endpoint.wait_idle().await;
    Ok(run)
}

async fn send(
    address: SocketAddr,
    config: quinn::ClientConfig,
    check_ins: u64,
) -> anyhow::Result<()> {
    let endpoint = Endpoint::client(([127, 0, 0, 1], 0).into())?;
    let connection = endpoint.connect_with(config, address, "localhost")?.await?;
    let (mut stream, _receive) = connection.open_bi().await?;
    let frame = Bytes::from(vec![0x5a; CHECK_INS_BYTES_MAX]);
    let mut left = WARM_UP_BYTES + check_ins * CHECK_IN_BYTES as u64;
    while left > 0 {
        let count = left.min(frame.len() as u64);
        stream.write_chunk(frame.slice(..count as usize)).await?;
        left -= count;
    }
    stream.finish()?;
    connection.closed().await;
    endpoint.wait_idle().await;
    Ok(())
}
