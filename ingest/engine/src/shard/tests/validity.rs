//! Validity of reports (R7 row 5): by the passing of time alone, and ended by any check-in.

use super::*;
use crate::Compliance;

const DAY: u32 = 24 * 3600;

fn at(seconds: u32) -> Timestamp {
    Timestamp::from_seconds(NOW.as_seconds() + seconds)
}

fn facets(shard: &Shard) -> Facets {
    let (device, _) = shard.device(TENANT, &device_id(1)).unwrap();
    Facets::from_word(device.facets).unwrap()
}

/// State by the rules, and whether the validity decides.
fn after_tick(shard: &mut Shard, seconds: u32) -> (Compliance, bool) {
    let mut effects = Effects::default();
    shard.begin(at(seconds), &mut effects);
    shard.tick(u32::MAX, &mut effects);
    shard.seal(&mut effects);
    let facets = facets(shard);
    (facets.compliance, facets.validity_expired)
}

const VALID: (Compliance, bool) = (Compliance::Compliant, false);
const EXPIRED: (Compliance, bool) = (Compliance::Noncompliant, true);

#[test]
fn a_silent_device_is_noncompliant_once_its_report_is_no_longer_valid() {
    let (mut shard, mut effects) = (shard(), Effects::default());
    apply(&mut shard, &[record(check_in(1, 1))], &mut effects);
    assert_eq!(after_tick(&mut shard, 30 * DAY), VALID, "exactly the limit");
    assert_eq!(after_tick(&mut shard, 30 * DAY + 1), EXPIRED);
    // The same report again, which repeats everything that the device has reported.
    shard.begin(at(31 * DAY), &mut effects);
    shard.apply_check_ins(TENANT, &[record(check_in(1, 2))], &mut effects);
    shard.seal(&mut effects);
    let facets = facets(&shard);
    assert_eq!((facets.compliance, facets.validity_expired), VALID);
    assert_eq!(after_tick(&mut shard, 61 * DAY), VALID);

    // A shorter validity counts at once.
    let mut rules = TenantPolicy::with_threshold(Threshold::Medium);
    rules.validity_seconds = DAY;
    shard.begin(at(33 * DAY), &mut effects);
    shard.apply_policy(
        Arc::new(PolicySet::new(Revision(2), vec![rules])),
        &mut effects,
    );
    shard.seal(&mut effects);
    assert_eq!(after_tick(&mut shard, 33 * DAY), EXPIRED);
    assert_eq!(
        after_tick(&mut shard, 32 * DAY),
        VALID,
        "the clock went back"
    );
}

#[test]
fn validity_matters_where_a_policy_applies() {
    let silent = |platform, management_agent, rules: TenantPolicy| {
        let policy = Arc::new(PolicySet::new(Revision(1), vec![rules]));
        let (mut shard, mut effects) = (shard_with(LIMITS, policy), Effects::default());
        let report = CheckIn {
            platform,
            management_agent,
            ..check_in(1, 1)
        };
        apply(&mut shard, &[record(report)], &mut effects);
        after_tick(&mut shard, 400 * DAY)
    };
    use ManagementAgent as Agent;
    let medium = || TenantPolicy::with_threshold(Threshold::Medium);
    let mut switched_off = medium();
    switched_off.change_platform(Platform::Windows, |rules| {
        rules.connector = crate::Connector::PlatformToggleOff;
    });
    for (platform, agent, rules, expected) in [
        (Platform::Windows, Agent::Mdm, medium(), EXPIRED),
        (Platform::Windows, Agent::Mdm, switched_off, EXPIRED),
        (
            Platform::Windows,
            Agent::Mdm,
            TenantPolicy::default(),
            VALID,
        ),
        (Platform::MacOs, Agent::Mdm, medium(), VALID),
        (
            Platform::Linux,
            Agent::Mdm,
            medium(),
            (Compliance::Unknown, false),
        ),
        (
            Platform::Windows,
            Agent::MsSense,
            medium(),
            (Compliance::Unknown, false),
        ),
        (
            Platform::Windows,
            Agent::ConfigurationManagerClient,
            medium(),
            (Compliance::ConfigManager, false),
        ),
    ] {
        assert_eq!(
            silent(platform, agent, rules),
            expected,
            "{platform:?} {agent:?}"
        );
    }
}
