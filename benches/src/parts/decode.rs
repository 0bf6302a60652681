//! Decoder, validation, router, inbox and window: the work of the net runtime for a check-in, without QUIC.
//!
//! One thread; each shard batch is taken from its inbox at once and its buffer returned to the pool. The stream is
//! short and read repeatedly, so it stays in the CPU cache, as packets do in the server, where they have just been
//! decrypted.

use std::sync::Arc;

use anyhow::{bail, ensure};
use muster_engine::{Outcome, ShardMap, TenantIndex};
use muster_ingest::clock::{self, Clock, Stamp};
use muster_ingest::route::{
    BufferPool, InboxReceiver, Listed, Payload, RouteTable, Router, ThreadMap, Window,
    WindowCursor, inbox,
};
use muster_wire::{
    CheckInBytes, CheckInRecord, ClientHello, Decoder, Item, Role, VERSION_MAX, VERSION_MIN,
    encode_check_ins, encode_client_hello,
};

use super::{Name, PartsOptions};
use crate::fleet;
use crate::measure::{Digest, Row, Run, Stopwatch};

const SHARDS: u16 = 48;

/// Threads that run them.
const THREADS: u16 = 2;

/// Check-ins in the stream that is read repeatedly: 1.5 MB.
pub(crate) const STREAM_CHECK_INS: u64 = 32_000;

/// Stream bytes in a packet of 1452 bytes; not a multiple of the record size.
pub(crate) const CHUNK_BYTES: usize = 1415;

pub(super) fn run(options: &PartsOptions) -> anyhow::Result<Vec<Row>> {
    let check_ins = options.size.pick(320_000, 16_000_000);
    let cases = [
        (4000, "frames of 4,000 *"),
        (1000, "frames of 1,000"),
        (1, "frames of 1"),
    ];
    let mut rows = Vec::new();
    for (frame_len, case) in cases {
        let stream = stream(frame_len)?;
        let runs: anyhow::Result<Vec<Run>> = (0..options.repeats)
            .map(|_| one_run(&stream, check_ins / STREAM_CHECK_INS))
            .collect();
        rows.push(Row::new(Name::Decode, case, runs?)?);
    }
    Ok(rows)
}

pub(crate) fn stream(frame_len: usize) -> anyhow::Result<Vec<u8>> {
    let records: Vec<_> = (0..STREAM_CHECK_INS)
        .map(|number| fleet::check_in(number, 1))
        .collect();
    let mut stream = Vec::new();
    for frame in records.chunks(frame_len) {
        encode_check_ins(&mut stream, frame)?;
    }
    Ok(stream)
}

fn one_run(stream: &[u8], rounds: u64) -> anyhow::Result<Run> {
    let mut front = FrontDoor::new(Clock::System)?;
    front.read(stream)?; // grows the buffers
    let before = front.accepted();
    let running = Stopwatch::default().start();
    for _ in 0..rounds {
        front.read(stream)?;
    }
    let stopwatch = running.stop();
    let items = rounds * STREAM_CHECK_INS;
    ensure!(front.accepted() - before == items, "check-ins were lost");
    let mut digest = Digest::default();
    front.by_thread.iter().for_each(|count| digest.add(*count));
    Ok(stopwatch.run(items, digest.value()))
}

/// A session without its connection, and shards that only count check-ins.
pub(crate) struct FrontDoor {
    decoder: Decoder,
    router: Router,
    window: WindowCursor,
    routes: Arc<RouteTable>,
    receivers: Vec<InboxReceiver>,
    by_thread: Vec<u64>,
    accepted: u64,
}

impl FrontDoor {
    pub(crate) fn new(clock: Clock) -> anyhow::Result<Self> {
        let (inboxes, receivers): (Vec<_>, Vec<_>) = (0..THREADS).map(|_| inbox(16, 1)).unzip();
        let routes = Arc::new(RouteTable {
            map: ThreadMap::new(ShardMap::new(SHARDS), THREADS),
            inboxes: inboxes.into_boxed_slice(),
            pool: BufferPool::new(16),
        });
        let mut front = Self {
            decoder: Decoder::new(Role::Server),
            router: Router::new(Arc::clone(&routes), TenantIndex(0), clock),
            window: Window::open(64),
            routes,
            by_thread: vec![0; receivers.len()],
            receivers,
            accepted: 0,
        };
        let mut hello = Vec::new();
        let versions = ClientHello {
            version_min: VERSION_MIN,
            version_max: VERSION_MAX,
        };
        encode_client_hello(&mut hello, &versions);
        front.read(&hello)?;
        Ok(front)
    }

    fn read(&mut self, stream: &[u8]) -> anyhow::Result<()> {
        for chunk in stream.chunks(CHUNK_BYTES) {
            let read_at = clock::stamp();
            let mut rest = chunk;
            while let Some(item) = self.decoder.next(&mut rest)? {
                match item {
                    Item::CheckInsBegin { .. } => self.begin_frame(),
                    Item::Records(records) => self.route(records)?,
                    Item::Record(record) => self.route(std::slice::from_ref(&record))?,
                    Item::CheckInsEnd => self.end_frame(read_at)?,
                    Item::ClientHello(_) => (),
                    other => bail!("{other:?} was never sent"),
                }
            }
        }
        Ok(())
    }

    /// Number of check-ins that threads have received so far.
    pub(crate) fn accepted(&self) -> u64 {
        self.accepted
    }

    pub(crate) fn begin_frame(&mut self) {
        self.window.open_frame();
    }

    pub(crate) fn router(&mut self) -> &mut Router {
        &mut self.router
    }

    fn route(&mut self, records: &[CheckInBytes]) -> anyhow::Result<()> {
        for bytes in records {
            match CheckInRecord::validate(bytes) {
                Ok(record) => self.router.check_in(record),
                Err(reason) => bail!("a valid check-in was refused: {}", reason.name()),
            }
        }
        Ok(())
    }

    pub(crate) fn end_frame(&mut self, read_at: Stamp) -> anyhow::Result<()> {
        for thread in 0..self.router.threads() {
            let Some(batch) = self.router.batch(thread, &self.window, read_at) else {
                continue;
            };
            let left = self.router.inbox(thread).try_send(batch)?;
            ensure!(left.is_none(), "an inbox is full");
            self.consume(thread, read_at);
        }
        self.window.close_frame();
        while let Some(frame) = self.window.collect(&mut Listed::default()) {
            self.accepted += u64::from(frame.outcome.accepted);
        }
        Ok(())
    }

    fn consume(&mut self, thread: usize, now: Stamp) {
        while let Some(batch) = self.receivers[thread].try_take() {
            let count = match batch.payload {
                Payload::CheckIn(_) => 1,
                Payload::CheckIns(buffer) => {
                    let count = buffer.len() as u32;
                    self.routes.pool.give(buffer);
                    count
                }
                Payload::Inventory(_) => 0,
            };
            self.by_thread[thread] += u64::from(count);
            let accepted = Outcome {
                accepted: count,
                ..Outcome::default()
            };
            batch.completion.complete(accepted, now);
        }
    }
}
