//! Check-ins that report the facets of their device's cell: the shortcut gives the same result as a full evaluation.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::Threshold;

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

fn policies() -> impl Strategy<Value = Arc<PolicySet>> {
    (select(Threshold::ALL), any::<bool>(), any::<bool>()).prop_map(
        |(threshold, blocked, secure_by_default)| {
            let mut policy = TenantPolicy::default();
            policy.secure_by_default = secure_by_default;
            for &platform in Platform::ALL {
                policy.set_threshold(platform, threshold);
                policy.set_blocked_on_missing(platform, blocked);
            }
            Arc::new(PolicySet::new(Revision(1), vec![policy]))
        },
    )
}

proptest! {
    /// Two shards get the same events; one of them never takes the shortcut. Records, cells and journals are equal.
    #[test]
    fn cached_facets_equal_a_full_evaluation(
        policy in policies(),
        reports in vec((0..3u16, changes(), 0..100_000u32), 1..80),
    ) {
        let mut shards = [(); 2].map(|()| shard_with(LIMITS, Arc::clone(&policy)));
        let mut fleet = [0, 1, 2].map(|number| check_in(number, 0));
        let mut seconds = NOW.as_seconds();
        for (number, change, passed) in reports {
            let report = &mut fleet[usize::from(number)];
            change.apply_to(report);
            report.seq += 1;
            seconds += passed;
            let records = [record(*report)];
            let [cached, full] = shards.each_mut().map(|shard| {
                let mut effects = Effects::default();
                shard.begin(Timestamp::from_seconds(seconds), &mut effects);
                let outcome = shard.apply_check_ins(TENANT, &records, &mut effects);
                shard.seal(&mut effects);
                let (device, cell) = shard.device(TENANT, &device_id(number)).unwrap();
                (outcome, *device, cell, effects.journal_value().to_vec())
            });
            prop_assert_eq!(cached, full);
            shards[1].evaluation = EvaluationProgress::default();
        }
    }
}

/// A full cell table refuses the move that a new policy requires. The next check-in must not reuse facets that were
/// derived under the old policy.
#[test]
fn a_device_that_was_not_moved_is_evaluated_under_the_policy_in_force() {
    let limits = ShardLimits {
        cells_max: 1,
        ..LIMITS
    };
    let (mut shard, mut effects) = (shard_with(limits, policy(1)), Effects::default());
    let medium = |seq| CheckIn {
        risk: Risk::Medium,
        ..check_in(1, seq)
    };
    let outcome = apply(
        &mut shard,
        &[record(medium(1)), record(medium(2))],
        &mut effects,
    );
    assert_eq!(outcome.accepted, 2);
    let mut strict = TenantPolicy::default();
    strict.set_threshold(Platform::Windows, Threshold::Clear);
    shard.begin(NOW, &mut effects);
    let strict = Arc::new(PolicySet::new(Revision(2), vec![strict]));
    assert_eq!(
        shard.apply_policy(strict, &mut effects),
        0,
        "no cell is left"
    );
    shard.seal(&mut effects);
    let outcome = apply(&mut shard, &[record(medium(3))], &mut effects);
    assert_eq!(outcome.rejected, 1);
    assert_eq!(
        effects.rejections[0].reason(),
        Some(RejectReason::CellLimit)
    );
}
