//! A sender: the devices of one connection, which outlive the servers they send to.
//!
//! Owner: the loop between cycles, its own task during one. It makes frames as fast as the window allows. Frames
//! that a server has not acknowledged when it terminates are kept, and resent or dropped in the next cycle. Bounds:
//! the window of frames, and one inventory per device.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use muster_client::{
    Bytes, Client, ClientConfig, ClientError, Endpoint, Pem, Progress, ProgressWatch,
};
use muster_testkit::clock;
use muster_testkit::fleet::{DeviceSet, FleetPart};
use muster_testkit::population;
use muster_testkit::random::Random;
use muster_wire::limits::{CHECK_IN_BYTES, HEADER_BYTES};
use muster_wire::{CheckInRecord, Digest, Inventory, encode_inventory};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::answers::{ExpectedAnswers, Numbers};
use crate::check::Finding;
use crate::ledger::{DeviceKey, Entry, Kind};
use crate::options::{FleetOptions, ResendPolicy};
use crate::sampling::log_uniform;
use crate::shared_ledger::SharedLedger;

/// How long acks may take through the kernel after their server has ended.
const LAST_ACKS_TIMEOUT: Duration = Duration::from_millis(100);

/// A command to all senders of a cycle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Send as fast as the server acknowledges.
    Send,
    /// Make no new frames; end when all frames are acknowledged.
    Finish,
    /// The server has ended: read the last acks and end.
    Stop,
}

/// The server that the senders of a cycle connect to, with what they share.
#[derive(Debug, Clone)]
pub struct Target {
    /// Address of the server.
    pub server: SocketAddr,
    /// File with the authority of its certificate.
    pub ca: PathBuf,
    /// The socket.
    pub endpoint: Endpoint,
    /// The ledger.
    pub ledger: Arc<SharedLedger>,
    /// The latest command.
    pub commands: watch::Receiver<Command>,
}

/// The outcome of a cycle for a sender.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The answers of the server.
    pub progress: Progress,
    /// Findings.
    pub findings: Vec<Finding>,
}

/// A frame and its records.
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
    part: FleetPart,
    /// The inventories of all devices, as last sent; revision 0 before the first.
    inventories: Vec<Inventory>,
    fleet: FleetOptions,
    frame_max: usize,
    random: Random,
    /// Unacknowledged frames, oldest first.
    unacknowledged: VecDeque<Frame>,
}

impl Sender {
    /// A sender for the devices `members` of a tenant, with this certificate.
    pub fn new(
        name: String,
        tenant: usize,
        identity: PathBuf,
        fleet: FleetOptions,
        members: &DeviceSet,
        seed: u64,
    ) -> Self {
        let part = FleetPart::new(&fleet.shape(seed), members, u64::MAX);
        let inventories = part.inventories().map(|inventory| Inventory {
            revision: 0,
            ..inventory
        });
        let (first, is_direct) = match *members {
            DeviceSet::Range { first, .. } => (first, false),
            DeviceSet::Single(_, number) => (number, true),
        };
        Self {
            name,
            tenant,
            identity,
            inventories: inventories.collect(),
            part,
            fleet,
            // A device has few check-ins at once.
            frame_max: if is_direct {
                fleet.frame_check_ins_max.min(4)
            } else {
                fleet.frame_check_ins_max
            },
            random: Random::new(seed.rotate_left(16), first),
            unacknowledged: VecDeque::new(),
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

    /// A server has ended: keeps or drops unacknowledged frames, as the policy says.
    pub fn server_ended(&mut self) {
        let resends = match self.fleet.resend {
            ResendPolicy::Always => true,
            ResendPolicy::Never => false,
            ResendPolicy::Random => !self.random.per_mille(500),
        };
        if !resends {
            self.unacknowledged.clear();
        }
    }

    /// Sends to a server that has recovered these numbers, until a command ends it.
    pub async fn run(mut self, target: Target, numbers: Numbers) -> (Self, Outcome) {
        let mut config = ClientConfig::new(
            target.server,
            Pem::file(&target.ca),
            Pem::file(&self.identity),
        );
        config.window_frames = self.fleet.window_frames;
        let mut commands = target.commands.clone();
        let stopped = async move {
            // An error means that the load is gone, which is like a stop.
            let _ = commands.wait_for(|command| *command == Command::Stop).await;
        };
        let connected = tokio::select! {
            biased;
            () = stopped => return (self, Outcome::default()),
            connected = Client::connect_over(&target.endpoint, config) => connected,
        };
        let mut outcome = Outcome::default();
        match connected {
            Ok(client) => {
                let mut session = Session {
                    sender: &mut self,
                    target,
                    watch: client.watch(),
                    answers: ExpectedAnswers::from_recovered(numbers),
                    in_flight: 0,
                    frames_acked: 0,
                    finding: None,
                };
                let failure = session.run(&client).await.err();
                outcome.findings.extend(session.finding.take());
                outcome.progress = client.progress();
                outcome
                    .findings
                    .extend(failure.map(|error| self.client_failure(&error)));
            }
            Err(error) => outcome.findings.push(self.client_failure(&error)),
        }
        (self, outcome)
    }

    /// The finding for a client that failed: it gives up only if the server violates the protocol or refuses it.
    fn client_failure(&self, error: &ClientError) -> Finding {
        Finding::Behavior(format!("{}: {error}", self.name))
    }

    fn make_frame(&mut self) -> Frame {
        if self.random.below(1000) < self.fleet.inventories
            && let Some(frame) = self.make_inventory()
        {
            return frame;
        }
        let mut bytes = Vec::new();
        let count = log_uniform(&mut self.random, 1, self.frame_max as u64) as usize;
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

    /// Makes a frame with the next revision of a random device's inventory, with another owner and tags, or with a
    /// repeated one.
    fn make_inventory(&mut self) -> Option<Frame> {
        let index = self.random.below(self.inventories.len() as u64) as usize;
        let repeats = self.random.below(1000) < self.fleet.duplicates;
        let inventory = self.inventories.get_mut(index)?;
        if inventory.revision == 0 || !repeats {
            inventory.revision += 1;
            let (owner, tags) = self.random.choose_weighted(population::INVENTORIES);
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

/// The session of a sender with one server.
struct Session<'a> {
    sender: &'a mut Sender,
    target: Target,
    watch: ProgressWatch,
    answers: ExpectedAnswers,
    /// How many of the unacknowledged frames, from the oldest, were handed to the client.
    in_flight: usize,
    frames_acked: u64,
    /// The first wrong answer.
    finding: Option<Finding>,
}

impl Session<'_> {
    async fn run(&mut self, client: &Client) -> Result<(), ClientError> {
        loop {
            let command = *self.target.commands.borrow_and_update();
            if command == Command::Stop {
                return self.read_last_acks(client).await;
            }
            let has_next = self.in_flight < self.sender.unacknowledged.len();
            if !has_next && command == Command::Send {
                let frame = self.sender.make_frame();
                self.target.ledger.sent(&frame.entries);
                self.sender.unacknowledged.push_back(frame);
            }
            let next = self.sender.unacknowledged.get(self.in_flight);
            let next = next.map(|frame| frame.bytes.clone());
            if next.is_none() && self.in_flight == 0 {
                return Ok(());
            }
            tokio::select! {
                biased;
                _ = self.target.commands.changed() => {}
                progress = self.watch.changed() => match progress {
                    Some(progress) => self.acknowledged(&progress),
                    None => return Err(failure(client).await),
                },
                sent = send(client, next.as_ref()), if next.is_some() => {
                    sent?;
                    self.answers.sent(&self.sender.unacknowledged[self.in_flight].entries);
                    self.in_flight += 1;
                }
            }
        }
    }

    /// Reads the acks that the server sent before it ended; they count like all others.
    async fn read_last_acks(&mut self, client: &Client) -> Result<(), ClientError> {
        while let Ok(progress) = timeout(LAST_ACKS_TIMEOUT, self.watch.changed()).await {
            match progress {
                Some(progress) => self.acknowledged(&progress),
                None => return Err(failure(client).await),
            }
        }
        Ok(())
    }

    fn acknowledged(&mut self, progress: &Progress) {
        for _ in self.frames_acked..progress.frames_acked {
            let Some(frame) = self.sender.unacknowledged.pop_front() else {
                break;
            };
            // The client rejects acks of frames that it has not sent, so a frame is in flight.
            self.in_flight -= 1;
            self.target.ledger.acknowledged(&frame.entries);
            self.answers.acknowledged();
        }
        self.frames_acked = progress.frames_acked;
        if self.finding.is_none() {
            self.finding = self.answers.check(&self.sender.name, progress);
        }
    }
}

/// Hands a frame to the client. Cancel safe.
async fn send(client: &Client, frame: Option<&Bytes>) -> Result<(), ClientError> {
    match frame {
        Some(frame) => client.send_frame(frame.clone()).await,
        None => Ok(()),
    }
}

/// The error of a client that has failed, which any call returns.
async fn failure(client: &Client) -> ClientError {
    client.flush().await.err().unwrap_or(ClientError::Stopped)
}
