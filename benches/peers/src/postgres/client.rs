//! A connection to PostgreSQL: a transaction per frame, with one flush.

use std::collections::HashMap;
use std::error::Error;
use std::pin::pin;

use anyhow::Context;
use bytes::{BufMut, Bytes, BytesMut};
use tokio::time::Instant;
use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{Config, NoTls, Statement};

use super::REST;
use crate::drive::Client;
use crate::job::{self, Id, State};
use crate::server;

/// Updates the row of a known device; the same for both methods.
const UPSERT: &str = "ON CONFLICT (device) DO UPDATE SET seq = excluded.seq, verdict = excluded.verdict, \
    rest = excluded.rest WHERE excluded.seq > devices.seq";

/// A device id as a `uuid` of PostgreSQL.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Uuid(pub(crate) Id);

impl ToSql for Uuid {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        out.put_slice(&self.0);
        Ok(IsNull::No)
    }

    fn accepts(kind: &Type) -> bool {
        *kind == Type::UUID
    }

    to_sql_checked!();
}

impl<'a> FromSql<'a> for Uuid {
    fn from_sql(_: &Type, bytes: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(bytes.try_into()?))
    }

    fn accepts(kind: &Type) -> bool {
        *kind == Type::UUID
    }
}

/// Opens a connection; its background task ends with it.
pub(crate) async fn open(port: u16) -> anyhow::Result<tokio_postgres::Client> {
    let mut config = Config::new();
    config
        .host("127.0.0.1")
        .port(port)
        .user("postgres")
        .dbname("postgres");
    let (client, connection) = config
        .connect(NoTls)
        .await
        .context("cannot connect to PostgreSQL")?;
    tokio::spawn(connection);
    Ok(client)
}

/// Opens the first connection, with retries: the port is open shortly before the server accepts sessions.
pub(super) async fn open_started(port: u16) -> anyhow::Result<tokio_postgres::Client> {
    let deadline = Instant::now() + server::START_TIMEOUT;
    loop {
        match open(port).await {
            Err(_) if Instant::now() < deadline => tokio::time::sleep(server::POLL_INTERVAL).await,
            result => return result,
        }
    }
}

/// A connection with its prepared statements.
pub(crate) struct Connection {
    client: tokio_postgres::Client,
    insert: Statement,
    /// The statement that fills the temporary table, for the method with `COPY`.
    copy: Option<Statement>,
    frame: Option<Bytes>,
}

impl Connection {
    pub(crate) async fn new(port: u16, lane: usize, uses_copy: bool) -> anyhow::Result<Self> {
        let client = open(port).await?;
        client
            .batch_execute(&format!("SET muster.lane = {lane}"))
            .await?;
        let (source, copy) = if uses_copy {
            client
                .batch_execute(
                    "CREATE TEMPORARY TABLE staging (device uuid, seq bigint, verdict smallint, rest bytea) \
                     ON COMMIT DELETE ROWS",
                )
                .await?;
            let copy = client.prepare("COPY staging FROM STDIN BINARY").await?;
            ("staging", Some(copy))
        } else {
            let source = "unnest($1::uuid[], $2::bigint[], $3::smallint[], $4::bytea[])";
            (source, None)
        };
        let insert = format!("INSERT INTO devices SELECT * FROM {source} {UPSERT}");
        Ok(Self {
            insert: client.prepare(&insert).await?,
            client,
            copy,
            frame: None,
        })
    }

    async fn insert_by_unnest(&self, rows: &HashMap<&Id, &State>) -> anyhow::Result<()> {
        let ids: Vec<Uuid> = rows.keys().map(|id| Uuid(**id)).collect();
        let seqs: Vec<i64> = rows.values().map(|state| seq(state)).collect();
        let verdicts: Vec<i16> = rows.values().map(|state| verdict(state)).collect();
        let rest: Vec<&[u8]> = rows.values().map(|state| &state[REST]).collect();
        self.client
            .execute(&self.insert, &[&ids, &seqs, &verdicts, &rest])
            .await?;
        Ok(())
    }

    async fn insert_by_copy(
        &mut self,
        rows: &HashMap<&Id, &State>,
        copy: &Statement,
    ) -> anyhow::Result<()> {
        let transaction = self.client.transaction().await?;
        let sink = transaction.copy_in(copy).await?;
        let mut writer = pin!(BinaryCopyInWriter::new(
            sink,
            &[Type::UUID, Type::INT8, Type::INT2, Type::BYTEA]
        ));
        for (id, state) in rows {
            let rest = &state[REST];
            writer
                .as_mut()
                .write(&[&Uuid(**id), &seq(state), &verdict(state), &rest])
                .await?;
        }
        writer.finish().await?;
        transaction.execute(&self.insert, &[]).await?;
        Ok(transaction.commit().await?)
    }
}

fn seq(state: &State) -> i64 {
    i64::from_le_bytes(job::seq(state).to_le_bytes())
}

fn verdict(state: &State) -> i16 {
    job::verdict(state).into()
}

impl Client for Connection {
    async fn send(&mut self, frame: Bytes) -> anyhow::Result<()> {
        self.frame = Some(frame);
        Ok(())
    }

    async fn wait_for_ack(&mut self) -> anyhow::Result<()> {
        let frame = self.frame.take().context("no frame in flight")?;
        let mut rows: HashMap<&Id, &State> = HashMap::with_capacity(frame.len() / 48);
        for (id, state) in job::records(&frame) {
            let row = rows.entry(id).or_insert(state);
            if job::seq(state) > job::seq(row) {
                *row = state;
            }
        }
        match self.copy.clone() {
            None => self.insert_by_unnest(&rows).await,
            Some(copy) => self.insert_by_copy(&rows, &copy).await,
        }
    }
}
