//! Redis: a string key per device, one hash of counts, and a server-side function call per frame.
//!
//! The client implements the protocol itself: the job needs only a few commands, and a cheap client favours the peer.
//! Bounds: the frames in flight, and replies of [`REPLY_BYTES_MAX`].

use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::Command;

use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::drive::Client;
use crate::model::Contents;
use crate::peer::{Fact, Peer, Setting};
use crate::server::{self, Server};

const SETTINGS: &str = include_str!("../settings/redis.conf");
const FUNCTION: &str = include_str!("../settings/redis.lua");

/// Maximum size of a reply; no expected reply is larger.
const REPLY_BYTES_MAX: usize = 64 << 20;

/// Keys per scan when the contents are read back.
const SCAN_COUNT: &str = "5000";

/// Maximum nesting of replies; that of a scan is the deepest.
const DEPTH_MAX: usize = 4;

pub(crate) fn program_paths() -> Vec<PathBuf> {
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
        let run_settings = format!(
            "port {port}\nbind 127.0.0.1\ndir {}\n",
            directory.path().display()
        );
        let settings = server::write_settings(directory.path(), SETTINGS, &run_settings)?;
        let mut command = Command::new(program);
        command.arg(settings);
        let server = Server::start(command, directory, port).await?;
        let mut control = Connection::open(port).await?;
        let load: [&[u8]; 3] = [b"FUNCTION", b"LOAD", FUNCTION.as_bytes()];
        control
            .call(&load)
            .await
            .context("cannot load the function")?;
        Ok(Self { server, control })
    }

    async fn connect(&mut self, _: usize) -> anyhow::Result<Connection> {
        Connection::open(self.server.port()).await
    }

    async fn wait_until_applied(&mut self, _: &[usize]) -> anyhow::Result<()> {
        // The function replies when it is done, so everything acknowledged is applied.
        Ok(())
    }

    async fn read_back(&mut self) -> anyhow::Result<Contents> {
        let mut contents = Contents::default();
        let mut cursor = b"0".to_vec();
        loop {
            let scan: [&[u8]; 4] = [b"SCAN", &cursor, b"COUNT", SCAN_COUNT.as_bytes()];
            let [next, keys] = self.control.call(&scan).await?.list_with_len()?;
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
                    let id = (*id).try_into().context("a key is not a device id")?;
                    let state = state
                        .as_slice()
                        .try_into()
                        .context("a state of unexpected size")?;
                    contents.states.insert(id, state);
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
                contents
                    .counts
                    .insert(u8::try_from(number(&pair[0])?)?, count);
            }
        }
        Ok(contents)
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
        for (section, name) in [
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
                .find_map(|text| text.strip_prefix(name)?.strip_prefix(':'));
            facts.push((name.to_owned(), value.unwrap_or("unknown").to_owned()));
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

    async fn wait_for_ack(&mut self) -> anyhow::Result<()> {
        match self.reply(0).await? {
            Reply::Number(accepted) if accepted >= 0 => Ok(()),
            other => bail!("unexpected reply of the function: {other:?}"),
        }
    }
}

impl Connection {
    async fn open(port: u16) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))
            .await
            .context("cannot connect to Redis")?;
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
            ensure!(depth < DEPTH_MAX, "a reply is nested too deeply");
            let mut line = String::new();
            self.stream.read_line(&mut line).await?;
            let line = line.trim_end();
            let (kind, rest) = line
                .split_at_checked(1)
                .context("the connection was closed")?;
            match kind {
                ":" => Ok(Reply::Number(rest.parse()?)),
                "+" => Ok(Reply::Text(rest.as_bytes().to_vec())),
                "$" => {
                    let bytes: usize = rest.parse().context("a value is absent")?;
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
                _ => bail!("error of Redis: {line}"),
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
            other => bail!("expected a text, not {other:?}"),
        }
    }

    fn list(self) -> anyhow::Result<Vec<Self>> {
        match self {
            Self::List(list) => Ok(list),
            other => bail!("expected a list, not {other:?}"),
        }
    }

    fn texts(self) -> anyhow::Result<Vec<Vec<u8>>> {
        self.list()?.into_iter().map(Self::text).collect()
    }

    fn list_with_len<const COUNT: usize>(self) -> anyhow::Result<[Self; COUNT]> {
        let list = self.list()?;
        let count = list.len();
        list.try_into()
            .ok()
            .with_context(|| format!("expected a list of {COUNT}, not of {count}"))
    }
}
