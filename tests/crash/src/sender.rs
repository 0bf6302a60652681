//! The devices of one connection, which outlive the servers they send to.
//!
//! Owner: the loop between cycles, a task of its own during one. Frames are made as fast as the window
//! allows. What was handed over and not acknowledged when a server died is kept, to be sent again or to be
//! forgotten in the next cycle. Bounds: the window of frames, and one inventory a device.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use muster_client::{
    Bytes, Client, ClientConfig, ClientError, Endpoint, Pem, Progress, ProgressWatch,
};
use muster_loadgen::clock;
use muster_loadgen::fleet::{Members, Part};
use muster_loadgen::mix;
use muster_loadgen::random::Random;
use muster_wire::limits::{CHECK_IN_BYTES, HEADER_BYTES};
use muster_wire::{CheckInRecord, Digest, Inventory, encode_inventory};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::answers::{Answers, Numbers};
use crate::book::Book;
use crate::check::Finding;
use crate::draw::spread;
use crate::ledger::{DeviceKey, Entry, Kind};
use crate::options::{FleetOptions, Memory};

/// How long acks of a server that is gone may still be on their way through the kernel.
const LAST_ACKS: Duration = Duration::from_millis(100);

/// What the senders of a cycle are to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Send as much as the server takes.
    Send,
    /// Send what waits, make nothing new, end when everything is acknowledged.
    Finish,
    /// The server is gone: read the last acks and end.
    Stop,
}

/// Where to send, and who is told.
#[derive(Debug, Clone)]
pub struct Target {
    /// The server.
    pub server: SocketAddr,
    /// The authority of its certificate.
    pub ca: PathBuf,
    /// The socket.
    pub endpoint: Endpoint,
    /// The ledger.
    pub book: Arc<Book>,
    /// What to do.
    pub orders: watch::Receiver<Order>,
}

/// What a sender saw in a cycle.
#[derive(Debug, Default)]
pub struct Outcome {
    /// What the server answered.
    pub progress: Progress,
    /// What it should not have.
    pub findings: Vec<Finding>,
}

/// One frame and what it says.
#[derive(Debug)]
struct Frame {
    bytes: Bytes,
    entries: Vec<Entry>,
}

/// The devices of one connection.
#[derive(Debug)]
pub struct Sender {
    name: String,
    tenant: usize,
    identity: PathBuf,
    part: Part,
    /// The inventories of all devices, as last sent; revision 0 before the first.
    stock: Vec<Inventory>,
    fleet: FleetOptions,
    frame_max: usize,
    random: Random,
    /// Handed over or about to be, and not acknowledged; oldest first.
    waiting: VecDeque<Frame>,
}

impl Sender {
    /// The devices `members` of a tenant, on connections with this certificate.
    pub fn new(
        name: String,
        tenant: usize,
        identity: PathBuf,
        fleet: FleetOptions,
        members: &Members,
        seed: u64,
    ) -> Self {
        let part = Part::new(&fleet.shape(seed), members, u64::MAX);
        let stock = part.inventories().map(|inventory| Inventory {
            revision: 0,
            ..inventory
        });
        let (first, is_direct) = match *members {
            Members::Numbered { first, .. } => (first, false),
            Members::One(_, number) => (number, true),
        };
        Self {
            name,
            tenant,
            identity,
            stock: stock.collect(),
            part,
            fleet,
            // A device has little to say at once.
            frame_max: if is_direct {
                fleet.frame.min(4)
            } else {
                fleet.frame
            },
            random: Random::new(seed.rotate_left(16), first),
            waiting: VecDeque::new(),
        }
    }

    /// Its name in findings.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its devices.
    pub fn devices(&self) -> impl Iterator<Item = DeviceKey> {
        self.part.devices().map(|(id, _)| (self.tenant, id))
    }

    /// A server died. The devices remember what they had not got an ack for, or they do not.
    pub fn outlive(&mut self) {
        let forgets = match self.fleet.memory {
            Memory::Resend => false,
            Memory::Forget => true,
            Memory::Either => self.random.per_mille(500),
        };
        if forgets {
            self.waiting.clear();
        }
    }

    /// Sends to a server that begins with these numbers until it is told to end.
    pub async fn run(mut self, target: Target, numbers: Numbers) -> (Self, Outcome) {
        let mut config = ClientConfig::new(
            target.server,
            Pem::file(&target.ca),
            Pem::file(&self.identity),
        );
        config.window_frames = self.fleet.window;
        let mut orders = target.orders.clone();
        let stopped = async move {
            // An error says that nobody gives orders any more, which is one.
            let _ = orders.wait_for(|order| *order == Order::Stop).await;
        };
        let connected = tokio::select! {
            biased;
            () = stopped => return (self, Outcome::default()),
            connected = Client::connect_over(&target.endpoint, config) => connected,
        };
        let mut outcome = Outcome::default();
        match connected {
            Ok(client) => {
                let mut sending = Sending {
                    sender: &mut self,
                    target,
                    watch: client.watch(),
                    answers: Answers::from_state(numbers),
                    in_flight: 0,
                    frames_acked: 0,
                    finding: None,
                };
                let failure = sending.run(&client).await.err();
                outcome.findings.extend(sending.finding.take());
                outcome.progress = client.progress();
                outcome
                    .findings
                    .extend(failure.map(|error| self.fault(&error)));
            }
            Err(error) => outcome.findings.push(self.fault(&error)),
        }
        (self, outcome)
    }

    /// A client ends for good only if the server breaks the protocol or refuses it.
    fn fault(&self, error: &ClientError) -> Finding {
        Finding::Conduct(format!("{}: {error}", self.name))
    }

    fn make(&mut self) -> Frame {
        if self.random.below(1000) < self.fleet.inventories
            && let Some(frame) = self.make_inventory()
        {
            return frame;
        }
        let mut bytes = Vec::new();
        let count = spread(&mut self.random, 1, self.frame_max as u64) as usize;
        self.part.make_frame(&mut bytes, count, clock::millis());
        let (records, _) = bytes[HEADER_BYTES..].as_chunks::<CHECK_IN_BYTES>();
        let entry = |bytes| {
            let record = CheckInRecord::validate(bytes).ok()?;
            Some(Entry {
                device: (self.tenant, record.device_id()),
                kind: Kind::CheckIn,
                number: record.seq(),
                digest: record.digest(),
            })
        };
        let entries = records.iter().filter_map(entry).collect();
        Frame {
            bytes: bytes.into(),
            entries,
        }
    }

    /// The next revision of some device's inventory, with another owner and tags; now and then the one
    /// before once more.
    fn make_inventory(&mut self) -> Option<Frame> {
        let place = self.random.below(self.stock.len() as u64) as usize;
        let repeats = self.random.below(1000) < self.fleet.duplicates;
        let inventory = self.stock.get_mut(place)?;
        if inventory.revision == 0 || !repeats {
            inventory.revision += 1;
            let (owner, tags) = self.random.pick(mix::COHORTS);
            inventory.owner = owner;
            inventory.tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
        }
        let archive = inventory.to_bytes().ok()?;
        let entry = Entry {
            device: (self.tenant, inventory.device_id),
            kind: Kind::Inventory,
            number: u64::from(inventory.revision),
            digest: Digest::of(&archive),
        };
        let mut bytes = Vec::new();
        encode_inventory(&mut bytes, &archive).ok()?;
        Some(Frame {
            bytes: bytes.into(),
            entries: vec![entry],
        })
    }
}

/// A sender while it is connected.
struct Sending<'a> {
    sender: &'a mut Sender,
    target: Target,
    watch: ProgressWatch,
    answers: Answers,
    /// How many of the frames that wait, from the oldest, were handed over.
    in_flight: usize,
    frames_acked: u64,
    /// The first answer that was wrong.
    finding: Option<Finding>,
}

impl Sending<'_> {
    async fn run(&mut self, client: &Client) -> Result<(), ClientError> {
        loop {
            let order = *self.target.orders.borrow_and_update();
            if order == Order::Stop {
                return self.last_acks(client).await;
            }
            let has_next = self.in_flight < self.sender.waiting.len();
            if !has_next && order == Order::Send {
                let frame = self.sender.make();
                self.target.book.sent(&frame.entries);
                self.sender.waiting.push_back(frame);
            }
            let next = self.sender.waiting.get(self.in_flight);
            let next = next.map(|frame| frame.bytes.clone());
            if next.is_none() && self.in_flight == 0 {
                return Ok(());
            }
            tokio::select! {
                biased;
                _ = self.target.orders.changed() => {}
                progress = self.watch.changed() => match progress {
                    Some(progress) => self.acknowledged(&progress),
                    None => return Err(ended(client).await),
                },
                handed_over = hand_over(client, next.as_ref()), if next.is_some() => {
                    handed_over?;
                    self.answers.handed_over(&self.sender.waiting[self.in_flight].entries);
                    self.in_flight += 1;
                }
            }
        }
    }

    /// Acks that the server sent before it died count like all others.
    async fn last_acks(&mut self, client: &Client) -> Result<(), ClientError> {
        while let Ok(progress) = timeout(LAST_ACKS, self.watch.changed()).await {
            match progress {
                Some(progress) => self.acknowledged(&progress),
                None => return Err(ended(client).await),
            }
        }
        Ok(())
    }

    fn acknowledged(&mut self, progress: &Progress) {
        for _ in self.frames_acked..progress.frames_acked {
            let Some(frame) = self.sender.waiting.pop_front() else {
                break;
            };
            // The client refuses acks of frames it has not sent, so there is one in flight.
            self.in_flight -= 1;
            self.target.book.acknowledged(&frame.entries);
            self.answers.acknowledged();
        }
        self.frames_acked = progress.frames_acked;
        if self.finding.is_none() {
            self.finding = self.answers.check(&self.sender.name, progress);
        }
    }
}

/// Cancel safe.
async fn hand_over(client: &Client, frame: Option<&Bytes>) -> Result<(), ClientError> {
    match frame {
        Some(frame) => client.send_frame(frame.clone()).await,
        None => Ok(()),
    }
}

/// Why a client has ended; its own call says why.
async fn ended(client: &Client) -> ClientError {
    client.flush().await.err().unwrap_or(ClientError::Stopped)
}
