//! NATS JetStream: a message for each frame in a stream for each connection, and consumers in this
//! program that dedup, keep the states and count.
//!
//! A stream is written by one goroutine and flushed for each message, so several streams flush side by
//! side. A run is over when the consumers have applied every acked message. Their states are in memory:
//! what is durable is the stream, and a restart reads all of it again.
//! Bounds: the frames in flight, the limits of the stream, one entry a device.

mod consumer;

use std::collections::VecDeque;
use std::future::IntoFuture;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};
use async_nats::jetstream::{self, context::PublishAckFuture, stream};
use bytes::Bytes;
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::drive::Client;
use crate::model::Holding;
use crate::peer::{Fact, Peer, Setting};
use crate::server::{self, Server};
use consumer::Consumer;

const SETTINGS: &str = include_str!("../settings/nats.conf");

/// The memory that its runtime tries to stay below.
const MEMORY: &str = "2GiB";

/// Where scripts/setup --peers puts it, below the home directory.
const CACHE: &str = ".cache/muster/peers/nats-server";

pub(crate) fn places() -> Vec<PathBuf> {
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let cached = home.map(|home| home.join(CACHE));
    cached.into_iter().chain(["nats-server".into()]).collect()
}

/// A running NATS server with the consumers of its streams.
pub(crate) struct Nats {
    server: Server,
    monitor_port: u16,
    consumers: Vec<Consumer>,
}

impl Peer for Nats {
    type Client = Publisher;

    const SIGNAL: &'static str = "TERM";

    async fn start(program: &Path, directory: TempDir, _: &Setting) -> anyhow::Result<Self> {
        let (port, monitor_port) = (server::free_port()?, server::free_port()?);
        let own = format!(
            "host: 127.0.0.1\nport: {port}\nhttp: \"127.0.0.1:{monitor_port}\"\ndirectory: \"{}\"\n",
            directory.path().display()
        );
        // A variable must be known before it is used.
        let settings = server::write_settings(directory.path(), &own, SETTINGS)?;
        let mut command = Command::new(program);
        command
            .arg("--config")
            .arg(settings)
            .env("GOMEMLIMIT", MEMORY);
        Ok(Self {
            server: Server::start(command, directory, port).await?,
            monitor_port,
            consumers: Vec::new(),
        })
    }

    async fn connect(&mut self, lane: usize) -> anyhow::Result<Publisher> {
        let context = self.context().await?;
        let subject = format!("check_ins.{lane}");
        let config = stream::Config {
            name: format!("check_ins_{lane}"),
            subjects: vec![subject.clone()],
            storage: stream::StorageType::File,
            discard: stream::DiscardPolicy::New,
            ..stream::Config::default()
        };
        context.create_stream(config).await.context("the stream")?;
        // Their own connections, so that what is consumed does not stand in the way of acks.
        let reader = self.context().await?;
        self.consumers.push(Consumer::start(&reader, lane).await?);
        Ok(Publisher {
            context,
            subject,
            waiting: VecDeque::new(),
        })
    }

    async fn applied(&mut self, frames: &[usize]) -> anyhow::Result<()> {
        for (consumer, frames) in self.consumers.iter_mut().zip(frames) {
            consumer.applied(*frames).await?;
        }
        Ok(())
    }

    async fn holding(&mut self) -> anyhow::Result<Holding> {
        let mut holding = Holding::default();
        for consumer in self.consumers.drain(..) {
            let of_lane = consumer.holding().await?;
            holding.states.extend(of_lane.states);
            for (verdict, count) in of_lane.counts {
                *holding.counts.entry(verdict).or_default() += count;
            }
        }
        Ok(holding)
    }

    async fn evidence(&mut self) -> anyhow::Result<Vec<Fact>> {
        let mut facts = Vec::new();
        let monitor = self.monitor("/varz").await?;
        for name in ["sync_always", "sync_interval"] {
            let value = &monitor["jetstream"]["config"][name];
            facts.push((format!("jetstream {name}"), value.to_string()));
        }
        let monitor = self.monitor("/jsz").await?;
        for name in ["messages", "bytes"] {
            facts.push((format!("jetstream {name}"), monitor[name].to_string()));
        }
        Ok(facts)
    }

    fn server(&self) -> &Server {
        &self.server
    }

    fn into_server(self) -> Server {
        self.server
    }
}

impl Nats {
    async fn context(&self) -> anyhow::Result<jetstream::Context> {
        let address = format!("127.0.0.1:{}", self.server.port());
        Ok(jetstream::new(
            async_nats::connect(address).await.context("connect")?,
        ))
    }

    /// One page of its monitoring port.
    async fn monitor(&self, page: &str) -> anyhow::Result<Value> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.monitor_port)).await?;
        let request = format!("GET {page} HTTP/1.0\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        let (_, body) = answer
            .split_once("\r\n\r\n")
            .context("an answer without a body")?;
        serde_json::from_str(body).context("the monitoring port")
    }
}

/// A connection that publishes to one stream.
pub(crate) struct Publisher {
    context: jetstream::Context,
    subject: String,
    waiting: VecDeque<PublishAckFuture>,
}

impl Client for Publisher {
    async fn send(&mut self, frame: Bytes) -> anyhow::Result<()> {
        let ack = self.context.publish(self.subject.clone(), frame).await?;
        self.waiting.push_back(ack);
        Ok(())
    }

    async fn acked(&mut self) -> anyhow::Result<()> {
        let Some(ack) = self.waiting.pop_front() else {
            bail!("no frame in flight");
        };
        ack.into_future().await.context("an ack of the stream")?;
        Ok(())
    }
}
