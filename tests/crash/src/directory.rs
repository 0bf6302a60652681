//! One data directory through its cycles: start, check, load, death, check.
//!
//! Owner: the loop. Everything on it follows from its seed but for the timing of threads. A directory that
//! has a finding is not used again: its files are what is to be looked at.

mod copy;
mod cycle;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use muster_loadgen::fleet::Members;
use muster_loadgen::ops::Ops;
use muster_loadgen::random::Random;
use tokio::time::{sleep, timeout};

pub use self::cycle::Cycle;
use crate::answers::Numbers;
use crate::book::Book;
use crate::check::{self, Depth, Finding, Seen};
use crate::configuration;
use crate::error::CrashError;
use crate::ledger::Kind;
use crate::listing::ListedDevice;
use crate::load::{self, strike};
use crate::medium::{Medium, is_lost};
use crate::moment::Moment;
use crate::options::Options;
use crate::policy::Policy;
use crate::process::{Addresses, Server};
use crate::sender::Sender;
use crate::site::{Site, TENANTS};

/// How long a process that has stopped to answer takes to go.
const GOING: Duration = Duration::from_secs(1);

/// A data directory.
#[derive(Debug)]
pub struct Directory {
    seed: u64,
    folder: PathBuf,
    data: PathBuf,
    options: Options,
    random: Random,
    tenants: usize,
    policy: Policy,
    senders: Vec<Sender>,
    book: Arc<Book>,
    /// The devices as the last check found them.
    listing: Vec<ListedDevice>,
    /// Whether a server was ever ready on it: before that there may be nothing to read.
    was_ready: bool,
    /// The policy set by which the last ready server judged.
    judged_by: Option<Policy>,
    /// Whether what the last check found can be taken away no more by a loss of power.
    is_settled: bool,
}

impl Directory {
    /// An empty directory with the fleet of these options.
    ///
    /// # Errors
    /// If its files cannot be made.
    pub fn make(
        site: &Site,
        name: &str,
        seed: u64,
        options: Options,
        medium: &mut dyn Medium,
    ) -> Result<Self, CrashError> {
        let folder = site.folder(name)?;
        let data = medium
            .prepare(&folder, seed)
            .map_err(CrashError::file(&folder))?;
        let book = Arc::new(Book::open(&folder.join("ledger.txt"))?);
        let tenants = options.fleet.tenants;
        let mut directory = Self {
            seed,
            data,
            options,
            random: Random::new(seed, 1),
            tenants,
            policy: Policy::default_for(tenants),
            senders: Vec::new(),
            book,
            listing: Vec::new(),
            was_ready: false,
            judged_by: None,
            is_settled: true,
            folder,
        };
        for tenant in 0..tenants {
            directory.add_fleet(site, tenant);
        }
        Ok(directory)
    }

    /// The folder with everything that belongs to it.
    pub const fn folder(&self) -> &PathBuf {
        &self.folder
    }

    /// A moment for the next cycle.
    pub fn draw_moment(&mut self) -> Moment {
        Moment::draw(&mut self.random)
    }

    fn add_fleet(&mut self, site: &Site, tenant: usize) {
        let fleet = self.options.fleet;
        let identities = &site.identities[tenant];
        // Tenants have other devices behind their gateways, and the same streams of chance.
        let seed = self.seed.wrapping_add(tenant as u64);
        let mut first = 0;
        for (number, identity) in identities.gateways.iter().take(fleet.gateways).enumerate() {
            let members = Members::Numbered {
                first,
                count: fleet.devices_per_gateway,
            };
            first += fleet.devices_per_gateway;
            let name = format!("{}/gateway-{number}", TENANTS[tenant]);
            let identity = identity.clone();
            let sender = Sender::new(name, tenant, identity, fleet, &members, seed);
            self.senders.push(sender);
        }
        for (file, number) in identities.devices.iter().take(fleet.direct).zip(first..) {
            let Some(id) = file.device_id() else { continue };
            let members = Members::One(id, number);
            let name = format!("{}/{id}", TENANTS[tenant]);
            let identity = file.path.clone();
            let sender = Sender::new(name, tenant, identity, fleet, &members, seed);
            self.senders.push(sender);
        }
    }

    /// What is new with the next start: another policy set, another tenant.
    fn restart(&mut self, site: &Site) {
        if self.tenants < TENANTS.len() && self.random.per_mille(50) {
            self.add_fleet(site, self.tenants);
            self.tenants += 1;
            self.policy = std::mem::take(&mut self.policy).with_tenants(self.tenants);
        }
        if self.random.below(1000) < self.options.policy_changes {
            self.policy = Policy::draw(&mut self.random, self.tenants);
        }
    }

    fn start(&self, site: &Site, moment: &Moment) -> Result<Server, CrashError> {
        let mut command = self.command(site, &self.data)?;
        command.envs(moment.environment());
        Server::start(command, &self.folder.join("server.log"))
    }

    fn command(&self, site: &Site, data: &Path) -> Result<Command, CrashError> {
        let file = self.folder.join("muster.toml");
        let settings = &self.options.settings;
        let text = configuration::to_toml(settings, &self.policy, data, &site.pki());
        fs::write(&file, text).map_err(CrashError::file(&file))?;
        let path = file.to_string_lossy();
        Ok(site.muster.command(["serve", "--config", &*path]))
    }

    /// One cycle, up to the check of what the server left.
    ///
    /// # Errors
    /// If the tool itself cannot go on.
    pub async fn cycle(
        &mut self,
        site: &Site,
        number: u64,
        moment: &Moment,
        medium: &mut dyn Medium,
    ) -> Result<Cycle, CrashError> {
        if number > 0 {
            self.restart(site);
        }
        if *moment == Moment::FaultAtStart {
            medium.fail();
        }
        let mut server = self.start(site, moment)?;
        medium.started(number);
        let before = self.acknowledged()?;
        let mut cycle = match moment {
            Moment::StartUp(time) => {
                sleep(*time).await;
                Cycle::ended(strike(&mut server, medium))
            }
            _ => match server.ready().await {
                Some((addresses, recovery)) => {
                    let cycle = self.serve(site, &mut server, &addresses, moment, medium);
                    Cycle {
                        recovery: Some(recovery),
                        ..cycle.await?
                    }
                }
                None => Cycle::not_ready(server.end().await, moment, is_lost(medium)),
            },
        };
        drop(server);
        if cycle.findings.is_empty() && !is_lost(medium) {
            cycle.findings.extend(cycle.ended.unordered(moment));
        }
        medium.settle().map_err(CrashError::file(&self.data))?;
        // Whatever else is wrong, what was lost is counted.
        let (seen, findings) = self.check_on_disk(site, medium)?;
        cycle.seen = seen;
        cycle.findings.extend(findings);
        cycle.acknowledged = self.acknowledged()? - before;
        for sender in &mut self.senders {
            sender.outlive();
        }
        Ok(cycle)
    }

    fn acknowledged(&self) -> Result<u64, CrashError> {
        self.book.with(|ledger| ledger.acknowledged_total())
    }

    /// From ready to the end of a server.
    async fn serve(
        &mut self,
        site: &Site,
        server: &mut Server,
        addresses: &Addresses,
        moment: &Moment,
        medium: &mut dyn Medium,
    ) -> Result<Cycle, CrashError> {
        let mut findings = self.check_running(site, &addresses.ops);
        if is_lost(medium) {
            // It cannot vouch for what it says any more, and need not; nor for having judged by its policy set.
            findings.clear();
            self.judged_by = None;
        }
        if !self.is_settled && findings.is_empty() && !is_lost(medium) {
            // It has vouched for what it found, so that must stay.
            self.settle()?;
        }
        if !findings.is_empty() {
            // A server may meet its kill point while it is asked; then it owes no answer.
            let may_go = matches!(moment, Moment::KillPoint(..));
            if may_go && timeout(GOING, server.gone()).await.is_ok() {
                findings.retain(|finding| !matches!(finding, Finding::Conduct(_)));
                let ended = server.end().await;
                return Ok(Cycle {
                    findings,
                    ..Cycle::ended(ended)
                });
            }
            let ended = strike(server, medium);
            return Ok(Cycle {
                findings,
                ..Cycle::ended(ended)
            });
        }
        let book = Arc::clone(&self.book);
        let senders = self.with_numbers();
        let result = load::run(site, server, addresses, senders, &book, moment, medium).await?;
        self.senders = result.senders;
        Ok(Cycle {
            findings: result.findings,
            progress: result.progress,
            shown: result.shown,
            ..Cycle::ended(result.ended)
        })
    }

    /// Every sender with the state of its devices as it was recovered.
    fn with_numbers(&mut self) -> Vec<(Sender, Numbers)> {
        let mut by_device: BTreeMap<_, _> = BTreeMap::new();
        for listed in &self.listing {
            by_device.insert(listed.device, listed);
        }
        let numbers = |sender: &Sender| {
            let mut numbers = Numbers::new();
            for listed in sender.devices().filter_map(|key| by_device.get(&key)) {
                for kind in Kind::ALL {
                    numbers.insert((listed.device.1, kind), listed.last(kind).0);
                }
            }
            numbers
        };
        let senders = std::mem::take(&mut self.senders).into_iter();
        senders
            .map(|sender| {
                let numbers = numbers(&sender);
                (sender, numbers)
            })
            .collect()
    }

    /// Holds a server that has just become ready against what was on disk.
    fn check_running(&mut self, site: &Site, ops: &str) -> Vec<Finding> {
        let depth = match &self.judged_by {
            Some(policy) if *policy == self.policy => Depth::Full,
            _ => Depth::Said,
        };
        self.was_ready = true;
        self.judged_by = Some(self.policy.clone());
        let recount = match site.muster.recount_online(ops) {
            Ok(recount) => recount,
            Err(refusal) => return vec![Finding::Conduct(refusal.to_string())],
        };
        let listed = self.listing.len() as u64;
        let mut findings: Vec<Finding> = check::recount("of the running server", recount, listed)
            .into_iter()
            .collect();
        let mut cells = BTreeMap::new();
        for (tenant, name) in TENANTS.iter().enumerate().take(self.tenants) {
            match Ops::new(ops, name).cells() {
                Ok(found) => drop(cells.insert(tenant, found)),
                Err(error) => findings.push(Finding::Conduct(error.to_string())),
            }
        }
        findings.extend(check::cells(depth, &self.listing, &cells));
        findings
    }

    /// Holds what a server has left against the ledger.
    fn check_on_disk(
        &mut self,
        site: &Site,
        medium: &dyn Medium,
    ) -> Result<(Seen, Vec<Finding>), CrashError> {
        let read = site.muster.devices(&self.data).and_then(|listing| {
            let recount = site.muster.recount_offline(&self.data)?;
            Ok((listing, recount))
        });
        let (listing, recount) = match read {
            Ok(read) => read,
            // A server that was never ready may have left half a directory, which the next one must be
            // able to complete.
            Err(_) if !self.was_ready => return Ok((Seen::default(), Vec::new())),
            Err(refusal) => {
                let finding = Finding::Conduct(format!("after the end of a server, {refusal}"));
                return Ok((Seen::default(), vec![finding]));
            }
        };
        let (seen, mut findings) = self.book.with(|ledger| check::devices(ledger, &listing))?;
        findings.extend(check::recount("on disk", recount, seen.devices));
        self.listing = listing;
        self.is_settled = false;
        if findings.is_empty() && medium.is_durable() {
            self.settle()?;
        }
        Ok((seen, findings))
    }

    /// Nothing may fall behind the devices as they were listed.
    fn settle(&mut self) -> Result<(), CrashError> {
        self.is_settled = true;
        self.book
            .with(|ledger| check::settle(ledger, &self.listing))
    }
}
