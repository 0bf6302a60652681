//! A data directory and its cycles: start, check, load, termination, check.
//!
//! Owner: the loop. Its seed determines everything except the timing of threads. A directory with a finding is not used
//! again, so that its files stay as they are.

mod cycle;
mod restored;
mod tenants;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use muster_testkit::fleet::DeviceSet;
use muster_testkit::ops::TenantOps;
use muster_testkit::random::Random;
use muster_testkit::server::{Addresses, Server};
use tokio::time::{sleep, timeout};

pub use self::cycle::Cycle;
use self::tenants::KnownTenants;
use crate::answers::Numbers;
use crate::check::{self, Comparison, Finding, Observed};
use crate::configuration;
use crate::disk_backend::{DiskBackend, is_power_lost};
use crate::environment::{TENANTS, TestEnvironment};
use crate::error::CrashError;
use crate::ledger::Kind;
use crate::listing::ListedDevice;
use crate::load::{self, kill};
use crate::muster;
use crate::options::DirectoryOptions;
use crate::sampling::uniform;
use crate::sender::Sender;
use crate::shared_ledger::SharedLedger;
use crate::termination::Termination;

/// How long a process that no longer answers may take to exit.
const EXIT_TIMEOUT: Duration = Duration::from_secs(1);

/// A data directory.
#[derive(Debug)]
pub struct Directory {
    seed: u64,
    path: PathBuf,
    data: PathBuf,
    options: DirectoryOptions,
    random: Random,
    threads: u64, // of shards, of the next server
    tenants: usize,
    known_tenants: KnownTenants,
    senders: Vec<Sender>,
    ledger: Arc<SharedLedger>,
    /// The devices that the last check listed.
    listing: Vec<ListedDevice>,
    /// Whether a server was ever ready on it; before that it may be incomplete.
    was_ready: bool,
    /// Whether the next ready server gets other rules.
    is_change_due: bool,
    /// Whether all changes of rules were in force in every shard when the last server terminated.
    are_rules_settled: bool,
    /// Whether the listing is durable and recorded in the ledger as recovered.
    is_recorded: bool,
}

impl Directory {
    /// Creates an empty directory, with the fleet of these options.
    ///
    /// # Errors
    /// If its files cannot be created.
    pub fn create(
        environment: &TestEnvironment,
        name: &str,
        seed: u64,
        options: DirectoryOptions,
        disk: &mut dyn DiskBackend,
    ) -> Result<Self, CrashError> {
        let path = environment.folder(name)?;
        let data = disk.prepare(&path, seed).map_err(CrashError::file(&path))?;
        let ledger = Arc::new(SharedLedger::open(&path.join("ledger.txt"))?);
        let tenants = options.fleet.tenants;
        let mut directory = Self {
            seed,
            data,
            options,
            random: Random::new(seed, 1),
            threads: 2,
            tenants,
            known_tenants: KnownTenants::default(),
            senders: Vec::new(),
            ledger,
            listing: Vec::new(),
            was_ready: false,
            is_change_due: false,
            are_rules_settled: true,
            is_recorded: true,
            path,
        };
        for tenant in 0..tenants {
            directory.add_fleet(environment, tenant);
        }
        Ok(directory)
    }

    /// The directory with the data and all files that belong to it.
    pub const fn path(&self) -> &PathBuf {
        &self.path
    }

    /// Samples the termination of the next cycle.
    pub fn sample_termination(&mut self) -> Termination {
        Termination::sample(&mut self.random)
    }

    fn add_fleet(&mut self, environment: &TestEnvironment, tenant: usize) {
        let fleet = self.options.fleet;
        let identities = &environment.identities[tenant];
        // Tenants have different devices behind their gateways.
        let seed = self.seed.wrapping_add(tenant as u64);
        let mut first = 0;
        for (number, identity) in identities.gateways.iter().take(fleet.gateways).enumerate() {
            let members = DeviceSet::Range {
                first,
                count: fleet.devices_per_gateway,
            };
            first += fleet.devices_per_gateway;
            let name = format!("{}/gateway-{number}", TENANTS[tenant]);
            let identity = identity.clone();
            let sender = Sender::new(name, tenant, identity, fleet, &members, seed);
            self.senders.push(sender);
        }
        for (file, number) in identities
            .devices
            .iter()
            .take(fleet.direct_devices)
            .zip(first..)
        {
            let Some(id) = file.device_id() else { continue };
            let members = DeviceSet::Single(id, number);
            let name = format!("{}/{id}", TENANTS[tenant]);
            let identity = file.path.clone();
            let sender = Sender::new(name, tenant, identity, fleet, &members, seed);
            self.senders.push(sender);
        }
    }

    /// Samples the changes before a restart: a new tenant, other rules, another number of threads.
    fn sample_changes(&mut self, environment: &TestEnvironment) {
        self.threads = uniform(&mut self.random, 1, 4);
        if self.tenants < TENANTS.len() && self.random.per_mille(50) {
            self.add_fleet(environment, self.tenants);
            self.tenants += 1;
        }
        self.is_change_due |= self.random.below(1000) < self.options.policy_changes;
    }

    fn start(
        &self,
        environment: &TestEnvironment,
        termination: &Termination,
    ) -> Result<Server, CrashError> {
        let mut command = self.command(environment, &self.data)?;
        command.envs(termination.environment());
        Server::start_logged(command, &self.path.join("server.log")).map_err(CrashError::start)
    }

    fn command(&self, environment: &TestEnvironment, data: &Path) -> Result<Command, CrashError> {
        let file = self.path.join("muster.toml");
        let settings = &self.options.settings;
        let pki = environment.pki();
        let text = configuration::to_toml(settings, self.threads, data, &pki);
        fs::write(&file, text).map_err(CrashError::file(&file))?;
        let path = file.to_string_lossy();
        Ok(environment.muster.command(["serve", "--config", &*path]))
    }

    /// Runs one cycle, up to the check of the disk after the server has terminated.
    ///
    /// # Errors
    /// If the tool cannot continue.
    pub async fn cycle(
        &mut self,
        environment: &TestEnvironment,
        number: u64,
        termination: &Termination,
        disk: &mut dyn DiskBackend,
    ) -> Result<Cycle, CrashError> {
        if number > 0 {
            self.sample_changes(environment);
        }
        if *termination == Termination::FaultAtStart {
            disk.inject_fault();
        }
        let mut server = self.start(environment, termination)?;
        disk.server_started();
        let before = self.acknowledged()?;
        let mut cycle = match termination {
            Termination::DuringStartUp(time) => {
                sleep(*time).await;
                Cycle::ended(kill(&mut server, disk))
            }
            _ => match server.ready().await {
                Some((addresses, recovery)) => {
                    let cycle = self.serve(environment, &mut server, &addresses, termination, disk);
                    Cycle {
                        recovery: Some(recovery),
                        ..cycle.await?
                    }
                }
                None => Cycle::not_ready(server.end().await, termination, is_power_lost(disk)),
            },
        };
        drop(server);
        if cycle.findings.is_empty() && !is_power_lost(disk) {
            cycle.findings.extend(termination.check_end(cycle.ended));
        }
        disk.server_ended().map_err(CrashError::file(&self.data))?;
        // The disk is checked even if there are findings, so that losses are counted.
        let (observed, findings) = self.check_on_disk(environment, disk)?;
        cycle.observed = observed;
        cycle.findings.extend(findings);
        cycle.acknowledged = self.acknowledged()? - before;
        for sender in &mut self.senders {
            sender.server_ended();
        }
        Ok(cycle)
    }

    fn acknowledged(&self) -> Result<u64, CrashError> {
        self.ledger.with(|ledger| ledger.acknowledged_total())
    }

    /// Checks a server that is ready and runs it under load until it terminates.
    async fn serve(
        &mut self,
        environment: &TestEnvironment,
        server: &mut Server,
        addresses: &Addresses,
        termination: &Termination,
        disk: &mut dyn DiskBackend,
    ) -> Result<Cycle, CrashError> {
        let created = self.create_tenants(&addresses.ops).await;
        let mut findings = match created {
            Ok(()) => self.check_running(environment, &addresses.ops),
            Err(finding) => vec![finding],
        };
        if is_power_lost(disk) {
            // Without its disk the server may answer anything, and may not have applied its policy set.
            findings.clear();
            self.are_rules_settled = false;
        }
        if !self.is_recorded && findings.is_empty() && !is_power_lost(disk) {
            // The server has recovered the listed state, so later ones must not be older.
            self.record_recovered()?;
        }
        if findings.is_empty() && self.is_change_due && !is_power_lost(disk) {
            let changed = self.change_rules(&addresses.ops).await;
            if !is_power_lost(disk) {
                findings.extend(changed.err());
            }
        }
        self.are_rules_settled &= !termination.changes_rules();
        if !findings.is_empty() {
            // A server that reaches its kill point during the checks may fail to answer.
            let may_end = matches!(termination, Termination::AtKillPoint(..));
            if may_end && timeout(EXIT_TIMEOUT, server.gone()).await.is_ok() {
                findings.retain(|finding| !matches!(finding, Finding::Behavior(_)));
                let ended = server.end().await;
                return Ok(Cycle {
                    findings,
                    ..Cycle::ended(ended)
                });
            }
            let ended = kill(server, disk);
            return Ok(Cycle {
                findings,
                ..Cycle::ended(ended)
            });
        }
        let ledger = Arc::clone(&self.ledger);
        let senders = self.take_senders();
        let result = load::run(
            environment,
            server,
            addresses,
            senders,
            &ledger,
            termination,
            disk,
        )
        .await?;
        self.senders = result.senders;
        Ok(Cycle {
            findings: result.findings,
            progress: result.progress,
            response: result.response,
            ..Cycle::ended(result.ended)
        })
    }

    /// Takes the senders, each with the recovered numbers of its devices.
    fn take_senders(&mut self) -> Vec<(Sender, Numbers)> {
        let by_device: BTreeMap<_, _> = self
            .listing
            .iter()
            .map(|listed| (listed.device, listed))
            .collect();
        let mut senders = Vec::with_capacity(self.senders.len());
        for sender in self.senders.drain(..) {
            let mut numbers = Numbers::new();
            for listed in sender.devices().filter_map(|key| by_device.get(&key)) {
                for kind in Kind::ALL {
                    numbers.insert((listed.device.1, kind), listed.last(kind).0);
                }
            }
            senders.push((sender, numbers));
        }
        senders
    }

    /// Compares a server that has just become ready with the listing of its disk.
    fn check_running(&mut self, environment: &TestEnvironment, ops: &str) -> Vec<Finding> {
        let comparison = if self.are_rules_settled {
            Comparison::Full
        } else {
            Comparison::Reported
        };
        self.was_ready = true;
        self.are_rules_settled = true;
        let recount = match environment.muster.recount_online(ops) {
            Ok(recount) => recount,
            Err(refusal) => return vec![Finding::Behavior(refusal.to_string())],
        };
        let listed = self.listing.len() as u64;
        let mut findings: Vec<Finding> = check::recount("of the running server", recount, listed)
            .into_iter()
            .collect();
        let mut cells = BTreeMap::new();
        for (tenant, name) in TENANTS.iter().enumerate().take(self.tenants) {
            match TenantOps::new(ops, name).cells() {
                Ok(found) => drop(cells.insert(tenant, found)),
                Err(error) => findings.push(Finding::Behavior(error.to_string())),
            }
        }
        findings.extend(check::cells(comparison, &self.listing, &cells));
        findings
    }

    /// Compares the disk of a terminated server with the ledger.
    fn check_on_disk(
        &mut self,
        environment: &TestEnvironment,
        disk: &dyn DiskBackend,
    ) -> Result<(Observed, Vec<Finding>), CrashError> {
        let read = muster::devices(&environment.muster, &self.data).and_then(|listing| {
            let recount = environment.muster.recount_offline(&self.data)?;
            Ok((listing, recount))
        });
        let (listing, recount) = match read {
            Ok(read) => read,
            // A server that was never ready may leave an incomplete directory, which the next one completes.
            Err(_) if !self.was_ready => return Ok((Observed::default(), Vec::new())),
            Err(refusal) => {
                let finding = Finding::Behavior(format!("after the server ended: {refusal}"));
                return Ok((Observed::default(), vec![finding]));
            }
        };
        let (observed, mut findings) = self
            .ledger
            .with(|ledger| check::devices(ledger, &listing))?;
        findings.extend(check::recount("on disk", recount, observed.devices));
        self.listing = listing;
        self.is_recorded = false;
        if findings.is_empty() && disk.is_durable() {
            self.record_recovered()?;
        }
        Ok((observed, findings))
    }

    /// Records the listing in the ledger: later states must not be older.
    fn record_recovered(&mut self) -> Result<(), CrashError> {
        self.is_recorded = true;
        self.ledger
            .with(|ledger| check::record_recovered(ledger, &self.listing))
    }
}
