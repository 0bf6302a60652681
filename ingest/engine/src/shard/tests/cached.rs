//! Check-ins that report the facets their device has: the shortcut gives the same result as a full evaluation.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::properties::any_rules;
use super::*;
use crate::shard::evaluation::{evaluate, report_and_observe};

/// One difference from the device's previous report.
#[derive(Clone, Copy, Debug)]
enum Change {
    Nothing,
    Flag(u32),
    Risk(Risk),
    Partner(PartnerThreatState),
    Onboarding(Onboarding),
    Platform(Platform),
    Agent(ManagementAgent),
    BootId(u32),
    Payload(u32),
}

impl Change {
    fn apply_to(self, report: &mut CheckIn) {
        match self {
            Self::Nothing => {}
            Self::Flag(bit) => {
                report.flags = Flags::from_bits_truncate(report.flags.bits() ^ 1 << bit);
            }
            Self::Risk(risk) => report.risk = risk,
            Self::Partner(partner) => report.partner_threat_state = partner,
            Self::Onboarding(onboarding) => report.onboarding = onboarding,
            Self::Platform(platform) => report.platform = platform,
            Self::Agent(agent) => report.management_agent = agent,
            Self::BootId(boot_id) => report.boot_id = boot_id,
            Self::Payload(payload) => report.payload = payload,
        }
    }
}

fn changes() -> impl Strategy<Value = Change> {
    prop_oneof![
        6 => Just(Change::Nothing),
        6 => (0..16u32).prop_map(Change::Flag),
        1 => select(Risk::ALL).prop_map(Change::Risk),
        1 => select(PartnerThreatState::ALL).prop_map(Change::Partner),
        1 => select(Onboarding::ALL).prop_map(Change::Onboarding),
        1 => select(Platform::ALL).prop_map(Change::Platform),
        1 => select(ManagementAgent::ALL).prop_map(Change::Agent),
        1 => (0..2u32).prop_map(Change::BootId),
        1 => (0..2u32).prop_map(Change::Payload),
    ]
}

proptest! {
    /// Beside the shard each device has a record to which every check-in is applied without the shortcut.
    #[test]
    fn cached_facets_equal_a_full_evaluation(
        rules in any_rules(),
        reports in vec((0..3u16, changes(), 0..100_000u32), 1..80),
    ) {
        let rules = rules.for_targets(&[]);
        let policy = Arc::new(PolicySet::new(Revision(1), vec![rules.clone()]));
        let mut shard = shard_with(LIMITS, policy);
        let mut fleet =
            [0, 1, 2].map(|number| (check_in(number, 0), None::<(DeviceRecord, u32)>));
        let cold = ColdRecord::default();
        let mut seconds = NOW.as_seconds();
        for (number, change, passed) in reports {
            let (report, full) = &mut fleet[usize::from(number)];
            change.apply_to(report);
            report.seq += 1;
            seconds += passed;
            let report = record(*report);
            // Time passes first, so that some reports are no longer valid.
            let mut effects = Effects::default();
            shard.begin(Timestamp::from_seconds(seconds), &mut effects);
            shard.tick(u32::MAX, &mut effects);
            shard.seal(&mut effects);
            if let Some((record, _)) = full {
                let reported = Facets::from_word(record.facets).unwrap();
                record.facets = evaluate(record, &cold, reported, &rules, seconds).word();
            }
            let (record, first_seen) = full.get_or_insert_with(|| {
                let device_id = report.device_id();
                (DeviceRecord { device_id, ..DeviceRecord::default() }, seconds)
            });
            report_and_observe(record, &cold, &report, &rules, seconds);
            shard.begin(Timestamp::from_seconds(seconds), &mut effects);
            let outcome = shard.apply_check_ins(TENANT, &[report], &mut effects);
            shard.seal(&mut effects);
            prop_assert_eq!(outcome.accepted, 1);
            let (stored, cold) = shard.device(TENANT, &device_id(number)).unwrap();
            prop_assert_eq!((stored, cold.first_seen), (&*record, *first_seen));
        }
    }
}
