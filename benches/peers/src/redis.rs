//! Redis: a string key for each device, one hash of counts, and a function of the server for each frame.
//!
//! It speaks the protocol itself: the job needs two commands of it, and the cheapest client favours the
//! peer. Bounds: the frames in flight, and a reply of [`REPLY_BYTES_MAX`].

use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::Command;

use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::drive::Client;
use crate::model::Holding;
use crate::peer::{Fact, Peer, Setting};
use crate::server::{self, Server};

const SETTINGS: &str = include_str!("../settings/redis.conf");
const FUNCTION: &str = include_str!("../settings/redis.lua");

/// A reply larger than this is not one that was asked for.
const REPLY_BYTES_MAX: usize = 64 << 20;

/// Keys that are read back at a time.
const KEYS_READ: &str = "5000";

/// Replies in replies: the list of a scan is the deepest.
const DEPTH_MAX: usize = 4;

pub(crate) fn places() -> Vec<PathBuf> {
    vec!["redis-server".into()]
}

/// A running Redis.
#[derive(Debug)]
pub(crate) struct Redis {
    server: Server,
    control: Connection,
}

impl Peer for Redis {
    type Client = Connection;

    const SIGNAL: &'static str = "TERM";

    async fn start(program: &Path, directory: TempDir, _: &Setting) -> anyhow::Result<Self> {
        let port = server::free_port()?;
        let own = format!(
            "port {port}\nbind 127.0.0.1\ndir {}\n",
            directory.path().display()
        );
        let settings = server::write_settings(directory.path(), SETTINGS, &own)?;
        let mut command = Command::new(program);
        command.arg(settings);
        let server = Server::start(command, directory, port).await?;
        let mut control = Connection::open(port).await?;
        let load: [&[u8]; 3] = [b"FUNCTION", b"LOAD", FUNCTION.as_bytes()];
        control.call(&load).await.context("the function")?;
        Ok(Self { server, control })
    }

    async fn connect(&mut self, _: usize) -> anyhow::Result<Connection> {
        Connection::open(self.server.port()).await
    }

    async fn applied(&mut self, _: &[usize]) -> anyhow::Result<()> {
        // An ack comes after the function.
        Ok(())
    }

    async fn holding(&mut self) -> anyhow::Result<Holding> {
        let mut holding = Holding::default();
        let mut cursor = b"0".to_vec();
        loop {
            let scan: [&[u8]; 4] = [b"SCAN", &cursor, b"COUNT", KEYS_READ.as_bytes()];
            let [next, keys] = self.control.call(&scan).await?.list_of()?;
            let ids: Vec<Vec<u8>> = keys.texts()?;
            let ids: Vec<&[u8]> = ids
                .iter()
                .map(Vec::as_slice)
                .filter(|key| *key != b"counts")
                .collect();
            if !ids.is_empty() {
                let mut get: Vec<&[u8]> = vec![b"MGET"];
                get.extend(&ids);
                let states = self.control.call(&get).await?.texts()?;
                for (id, state) in ids.iter().zip(states) {
                    let id = (*id).try_into().context("a key that is no device")?;
                    let state = state
                        .as_slice()
                        .try_into()
                        .context("a state of another size")?;
                    holding.states.insert(id, state);
                }
            }
            cursor = next.text()?;
            if cursor == b"0" {
                break;
            }
        }
        let counts = self.control.call(&[b"HGETALL", b"counts"]).await?.texts()?;
        for pair in counts.as_chunks::<2>().0 {
            let number =
                |text: &[u8]| -> anyhow::Result<u64> { Ok(std::str::from_utf8(text)?.parse()?) };
            let count = number(&pair[1])?;
            if count > 0 {
                holding
                    .counts
                    .insert(u8::try_from(number(&pair[0])?)?, count);
            }
        }
        Ok(holding)
    }

    async fn evidence(&mut self) -> anyhow::Result<Vec<Fact>> {
        let mut facts = Vec::new();
        for name in ["appendonly", "appendfsync", "no-appendfsync-on-rewrite"] {
            let reply = self
                .control
                .call(&[b"CONFIG", b"GET", name.as_bytes()])
                .await?
                .texts()?;
            let value = reply
                .get(1)
                .map(|value| String::from_utf8_lossy(value).into_owned());
            facts.push((name.to_owned(), value.unwrap_or_default()));
        }
        for (section, line) in [
            ("persistence", "aof_last_write_status"),
            ("commandstats", "cmdstat_fcall"),
        ] {
            let text = self
                .control
                .call(&[b"INFO", section.as_bytes()])
                .await?
                .text()?;
            let text = String::from_utf8_lossy(&text).into_owned();
            let value = text
                .lines()
                .find_map(|own| own.strip_prefix(line)?.strip_prefix(':'));
            facts.push((line.to_owned(), value.unwrap_or("unknown").to_owned()));
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

/// A connection that speaks RESP, version 2.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: BufReader<TcpStream>,
    request: Vec<u8>,
}

impl Client for Connection {
    async fn send(&mut self, frame: Bytes) -> anyhow::Result<()> {
        self.request(&[b"FCALL", b"check_in", b"0", &frame]).await
    }

    async fn acked(&mut self) -> anyhow::Result<()> {
        match self.reply(0).await? {
            Reply::Number(accepted) if accepted >= 0 => Ok(()),
            other => bail!("not the answer of the function: {other:?}"),
        }
    }
}

impl Connection {
    async fn open(port: u16) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))
            .await
            .context("connect")?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream: BufReader::new(stream),
            request: Vec::new(),
        })
    }

    async fn call(&mut self, arguments: &[&[u8]]) -> anyhow::Result<Reply> {
        self.request(arguments).await?;
        self.reply(0).await
    }

    async fn request(&mut self, arguments: &[&[u8]]) -> anyhow::Result<()> {
        self.request.clear();
        self.request
            .extend_from_slice(format!("*{}\r\n", arguments.len()).as_bytes());
        for argument in arguments {
            self.request
                .extend_from_slice(format!("${}\r\n", argument.len()).as_bytes());
            self.request.extend_from_slice(argument);
            self.request.extend_from_slice(b"\r\n");
        }
        Ok(self.stream.write_all(&self.request).await?)
    }

    fn reply(
        &mut self,
        depth: usize,
    ) -> Pin<Box<dyn Future<Output = anyhow::Result<Reply>> + Send + '_>> {
        Box::pin(async move {
            ensure!(depth < DEPTH_MAX, "a reply too deep");
            let mut line = String::new();
            self.stream.read_line(&mut line).await?;
            let line = line.trim_end();
            let (kind, rest) = line.split_at_checked(1).context("the connection ended")?;
            match kind {
                ":" => Ok(Reply::Number(rest.parse()?)),
                "+" => Ok(Reply::Text(rest.as_bytes().to_vec())),
                "$" => {
                    let bytes: usize = rest.parse().context("an absent value")?;
                    ensure!(bytes <= REPLY_BYTES_MAX, "a reply of {bytes} bytes");
                    let mut text = vec![0; bytes + 2];
                    self.stream.read_exact(&mut text).await?;
                    text.truncate(bytes);
                    Ok(Reply::Text(text))
                }
                "*" => {
                    let mut list = Vec::new();
                    for _ in 0..rest.parse::<usize>()? {
                        list.push(self.reply(depth + 1).await?);
                    }
                    Ok(Reply::List(list))
                }
                _ => bail!("redis answers {line}"),
            }
        })
    }
}

#[derive(Debug)]
enum Reply {
    Number(i64),
    Text(Vec<u8>),
    List(Vec<Self>),
}

impl Reply {
    fn text(self) -> anyhow::Result<Vec<u8>> {
        match self {
            Self::Text(text) => Ok(text),
            other => bail!("a text was asked for, not {other:?}"),
        }
    }

    fn list(self) -> anyhow::Result<Vec<Self>> {
        match self {
            Self::List(list) => Ok(list),
            other => bail!("a list was asked for, not {other:?}"),
        }
    }

    fn texts(self) -> anyhow::Result<Vec<Vec<u8>>> {
        self.list()?.into_iter().map(Self::text).collect()
    }

    fn list_of<const COUNT: usize>(self) -> anyhow::Result<[Self; COUNT]> {
        let list = self.list()?;
        let count = list.len();
        list.try_into()
            .ok()
            .with_context(|| format!("a list of {count}, not of {COUNT}"))
    }
}
