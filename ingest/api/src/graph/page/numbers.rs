//! The numbers of the overview: cards of lines, each a count with its share and a link to exactly these devices.
//!
//! One source for the page and its live stream. Pure, over cells: its cost is that of the number of cells. A card that
//! the role does not allow has the name of the missing right instead of numbers.

use muster_control::Action;
use muster_engine::Counts;

use super::facets::{
    EDR, Facet, MANAGED_BY, Member, PLATFORM, REASON, RISK, SENSOR, SUMMARY, Tone, WINDOWS,
};
use super::session::Session;
use crate::backend::Cell;
use crate::graph::error::GraphError;

/// A number with its link.
#[derive(Clone, Debug)]
pub(super) struct Line {
    /// Identifies it on the page.
    pub(super) id: String,
    pub(super) text: &'static str,
    pub(super) tone: Tone,
    pub(super) count: u64,
    /// What its share is of.
    pub(super) total: u64,
    /// Devices of the lines before it, for a bar of all lines.
    pub(super) before: u64,
    /// The list of these devices; `None` if the role may not see it.
    pub(super) link: Option<String>,
}

/// A group of numbers.
#[derive(Clone, Debug)]
pub(super) struct Card {
    pub(super) lines: Vec<Line>,
    /// Devices that it is about, each in one line.
    pub(super) total: u64,
}

/// A card, or the right that the role lacks.
pub(super) type Allowed<T> = Result<T, Action>;

/// The numbers of a tenant, as far as a role allows.
#[derive(Clone, Debug)]
pub(super) struct Numbers {
    /// All devices, those enrolled, and those at high risk.
    pub(super) devices: Allowed<Vec<Line>>,
    /// C1 with its buckets.
    pub(super) windows: Allowed<Card>,
    /// The devices that only Defender manages, which C1 does not count.
    pub(super) defender_alone: Allowed<Line>,
    /// C2, then its onboarded devices by platform.
    pub(super) edr: Allowed<Card>,
    /// C4.
    pub(super) compliance: Allowed<Card>,
    /// What compliance hides.
    pub(super) reasons: Allowed<Vec<Line>>,
    /// C7.
    pub(super) sensor: Allowed<Card>,
    /// C8.
    pub(super) risk: Allowed<Card>,
    /// By platform.
    pub(super) platform: Allowed<Card>,
    /// By what manages them.
    pub(super) managed_by: Allowed<Card>,
}

/// Makes lines.
struct Lines<'a> {
    counts: Counts,
    cells: &'a [Cell],
    is_linked: bool,
}

impl Lines<'_> {
    /// The devices with a member of a facet.
    fn count(&self, facet: &Facet, member: &Member) -> u64 {
        let has = |cell: &&Cell| (facet.of)(&cell.facets) == Some(member.name);
        self.cells.iter().filter(has).map(|cell| cell.count).sum()
    }

    fn line(&self, facet: &'static Facet, name: &str, total: u64) -> Option<Line> {
        let member = facet.member(name)?;
        let link = format!("/devices?{}={}", facet.name, member.name);
        Some(Line {
            id: format!("{}.{}", facet.name, member.name),
            text: member.text,
            tone: member.tone,
            count: self.count(facet, member),
            total,
            before: 0,
            link: self.is_linked.then_some(link),
        })
    }

    /// A line for each member but some.
    fn card(&self, facet: &'static Facet, without: &[&str]) -> Card {
        let members = facet.members.iter().map(|member| member.name);
        let members = members.filter(|name| !without.contains(name));
        let mut lines: Vec<_> = members
            .filter_map(|name| self.line(facet, name, 0))
            .collect();
        let mut total = 0;
        for line in &mut lines {
            line.before = total;
            total += line.count;
        }
        lines.iter_mut().for_each(|line| line.total = total);
        Card { lines, total }
    }

    fn whole(&self, id: &str, text: &'static str, count: u64, link: &str) -> Line {
        Line {
            id: id.to_owned(),
            text,
            tone: Tone::Neutral,
            count,
            total: self.counts.devices(),
            before: 0,
            link: self.is_linked.then(|| link.to_owned()),
        }
    }
}

impl Numbers {
    /// The numbers that the holder of a session may see, over the devices that exist for it whichever number it reads.
    pub(super) async fn of(session: &Session) -> Result<Self, GraphError> {
        let (call, principal) = (&session.call, &session.call.principal);
        let read = [
            Action::ReadOnboarding,
            Action::ReadComplianceReports,
            Action::ReadDeviceReports,
        ];
        let read: Vec<_> = read
            .into_iter()
            .filter(|action| principal.may(*action))
            .collect();
        let sight = call.sight(&call.control(), &read);
        let cells = call.cells(sight.as_ref()).await?;
        let mut counts = Counts::default();
        for cell in &cells {
            counts.add(&cell.facets, cell.count);
        }
        let lines = Lines {
            counts,
            cells: &cells,
            is_linked: session.lists_devices(),
        };
        let may = |action: Action| principal.may(action).then_some(()).ok_or(action);
        let onboarding = may(Action::ReadOnboarding);
        let compliance = may(Action::ReadComplianceReports);
        let reports = may(Action::ReadDeviceReports);
        let reasons = [
            "compliantWithoutData",
            "compliantWithoutPolicy",
            "validityExpired",
        ];
        let reason = |name: &&str| lines.line(&REASON, name, lines.counts.enrolled());
        let alone = || lines.line(&WINDOWS, "mdeManaged", lines.counts.devices());
        Ok(Self {
            devices: reports.map(|()| lines.devices()),
            windows: onboarding.map(|()| lines.card(&WINDOWS, &["mdeManaged"])),
            defender_alone: onboarding.and_then(|()| alone().ok_or(Action::ReadOnboarding)),
            edr: onboarding.map(|()| lines.card(&EDR, &[])),
            compliance: compliance.map(|()| lines.card(&SUMMARY, &[])),
            reasons: compliance.map(|()| reasons.iter().filter_map(reason).collect()),
            sensor: onboarding.map(|()| lines.card(&SENSOR, &["neverOnboarded"])),
            risk: onboarding.map(|()| lines.card(&RISK, &[])),
            platform: reports.map(|()| lines.card(&PLATFORM, &[])),
            managed_by: reports.map(|()| lines.card(&MANAGED_BY, &[])),
        })
    }

    /// Every line, for the stream.
    pub(super) fn lines(&self) -> impl Iterator<Item = &Line> {
        let cards = [
            &self.windows,
            &self.edr,
            &self.compliance,
            &self.sensor,
            &self.risk,
            &self.platform,
            &self.managed_by,
        ];
        let cards = cards.into_iter().flatten().flat_map(|card| &card.lines);
        let lists = [&self.devices, &self.reasons];
        let lists = lists.into_iter().flatten().flatten();
        cards.chain(lists).chain(self.defender_alone.iter())
    }
}

impl Lines<'_> {
    fn devices(&self) -> Vec<Line> {
        let (all, enrolled) = (self.counts.devices(), self.counts.enrolled());
        let link = |facet: &Facet| {
            let members = facet.members.iter().map(|member| member.name);
            let pairs: Vec<_> = members
                .map(|name| format!("{}={name}", facet.name))
                .collect();
            format!("/devices?{}", pairs.join("&"))
        };
        vec![
            self.whole("all.devices", "Devices", all, "/devices"),
            self.whole("all.enrolled", "enrolled", enrolled, &link(&SUMMARY)),
        ]
    }
}
