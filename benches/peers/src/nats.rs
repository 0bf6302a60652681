//! NATS JetStream: a message per frame, a stream per connection, and consumers in this program that deduplicate, keep
//! the states and count.
//!
//! One goroutine writes a stream and syncs after each message, so several streams sync concurrently. A run ends when
//! the consumers have applied every acknowledged message. They keep the states in memory: the durable data is the
//! stream, which a restarted consumer would read from its beginning. Bounds: the frames in flight, the limits of the
//! stream, one entry per device.

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
use crate::model::Contents;
use crate::peer::{Fact, Peer, Setting};
use crate::server::{self, Server};
use consumer::Consumer;

const SETTINGS: &str = include_str!("../settings/nats.conf");

/// The soft memory limit of the Go runtime.
const MEMORY_LIMIT: &str = "2GiB";

/// Where scripts/setup --peers installs the server, relative to the home directory.
const CACHED_PROGRAM: &str = ".cache/muster/peers/nats-server";

pub(crate) fn program_paths() -> Vec<PathBuf> {
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let cached = home.map(|home| home.join(CACHED_PROGRAM));
    cached.into_iter().chain(["nats-server".into()]).collect()
}

/// A running NATS server and the consumers of its streams.
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
        let run_settings = format!(
            "host: 127.0.0.1\nport: {port}\nhttp: \"127.0.0.1:{monitor_port}\"\ndirectory: \"{}\"\n",
            directory.path().display()
        );
        // The settings of the run come first, because a variable must be defined before it is used.
        let settings = server::write_settings(directory.path(), &run_settings, SETTINGS)?;
        let mut command = Command::new(program);
        command
            .arg("--config")
            .arg(settings)
            .env("GOMEMLIMIT", MEMORY_LIMIT);
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
        context
            .create_stream(config)
            .await
            .context("cannot create the stream")?;
        // Consumers have their own connections, so that their messages do not delay acks.
        let consumer_context = self.context().await?;
        self.consumers
            .push(Consumer::start(&consumer_context, lane).await?);
        Ok(Publisher {
            context,
            subject,
            in_flight: VecDeque::new(),
        })
    }

    async fn wait_until_applied(&mut self, frames: &[usize]) -> anyhow::Result<()> {
        for (consumer, frames) in self.consumers.iter_mut().zip(frames) {
            consumer.wait_until_applied(*frames).await?;
        }
        Ok(())
    }

    async fn read_back(&mut self) -> anyhow::Result<Contents> {
        let mut contents = Contents::default();
        for consumer in self.consumers.drain(..) {
            let lane_contents = consumer.stop().await?;
            contents.states.extend(lane_contents.states);
            for (verdict, count) in lane_contents.counts {
                *contents.counts.entry(verdict).or_default() += count;
            }
        }
        Ok(contents)
    }

    async fn evidence(&mut self) -> anyhow::Result<Vec<Fact>> {
        let mut facts = Vec::new();
        let server_info = self.monitor("/varz").await?;
        for name in ["sync_always", "sync_interval"] {
            let value = &server_info["jetstream"]["config"][name];
            facts.push((format!("jetstream {name}"), value.to_string()));
        }
        let jetstream_info = self.monitor("/jsz").await?;
        for name in ["messages", "bytes"] {
            facts.push((
                format!("jetstream {name}"),
                jetstream_info[name].to_string(),
            ));
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
            async_nats::connect(address)
                .await
                .context("cannot connect to NATS")?,
        ))
    }

    /// Requests one page of the monitoring port.
    async fn monitor(&self, page: &str) -> anyhow::Result<Value> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.monitor_port)).await?;
        let request = format!("GET {page} HTTP/1.0\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut response = String::new();
        stream.read_to_string(&mut response).await?;
        let (_, body) = response
            .split_once("\r\n\r\n")
            .context("the response of the monitoring port has no body")?;
        serde_json::from_str(body).context("cannot parse the response of the monitoring port")
    }
}

/// A connection that publishes to one stream.
pub(crate) struct Publisher {
    context: jetstream::Context,
    subject: String,
    in_flight: VecDeque<PublishAckFuture>,
}

impl Client for Publisher {
    async fn send(&mut self, frame: Bytes) -> anyhow::Result<()> {
        let ack = self.context.publish(self.subject.clone(), frame).await?;
        self.in_flight.push_back(ack);
        Ok(())
    }

    async fn wait_for_ack(&mut self) -> anyhow::Result<()> {
        let Some(ack) = self.in_flight.pop_front() else {
            bail!("no frame in flight");
        };
        ack.into_future()
            .await
            .context("the stream refused a frame")?;
        Ok(())
    }
}
