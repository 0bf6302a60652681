//! The order, compared with a sorted list of all names.

use proptest::prelude::*;

use super::*;
use crate::tests::fixture::device;

/// Some of the names are alike, differ in case, are empty, or look like the id of another device.
fn any_name() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => (0..40_u32).prop_map(|number| format!("Device-{number:02}")),
        2 => (0..40_u32).prop_map(|number| format!("DEVICE-{number:02}")),
        2 => Just("iPhone".to_owned()),
        2 => Just(String::new()),
        2 => (0..8_u8).prop_map(|byte| DeviceId::from_bytes([byte << 4; ID]).to_string()),
        1 => "[Ä-Öa-c\u{10ffff}]{1,3}",
    ]
}

fn named_device(number: u8, name: String) -> Device {
    let mut device = device();
    device.record.device_id = DeviceId::from_bytes([number; ID]);
    if let Some(inventory) = &mut device.inventory {
        inventory.device_name = name;
    }
    device
}

fn any_range() -> impl Strategy<Value = Range> {
    let text = || {
        prop_oneof![
            any_name().prop_map(|name| fold_text(&name)),
            (any_name(), 0..12_usize)
                .prop_map(|(name, length)| { fold_text(&name).chars().take(length).collect() }),
        ]
    };
    prop_oneof![
        Just(Range::All),
        text().prop_map(Range::Prefix),
        text().prop_map(Range::Equal),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn pages_are_those_of_a_sorted_list(
        names in prop::collection::vec(any_name(), 0..120),
        range in any_range(),
        descending: bool,
        limit in 1..40_usize,
    ) {
        let mut order = NameOrder::default();
        let mut sorted = Vec::new();
        for (number, name) in (1..).zip(names) {
            let device = named_device(number, name);
            order.insert(&device);
            sorted.push(name_of(&device));
        }
        sorted.sort();
        if descending {
            sorted.sort_by(|one, other| other.name.cmp(&one.name).then(one.id.cmp(&other.id)));
        }
        prop_assert_eq!(order.len(), sorted.len() as u64);
        sorted.retain(|named| range.contains(&named.name));
        for max in [0, 1, 7, 1_000] {
            prop_assert_eq!(order.count(&range, max), max.min(sorted.len() as u64));
        }
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = order.next(&range, after.as_ref(), descending, limit);
            prop_assert!(page.len() <= limit);
            let Some(last) = page.last() else {
                break;
            };
            after = Some(last.clone());
            found.extend(page);
        }
        prop_assert_eq!(found, sorted);
    }

    #[test]
    fn the_first_id_of_a_text_is_found(text in "[-0-9a-g]{0,38}", bytes: [u8; ID]) {
        let id = DeviceId::from_bytes(bytes);
        let is_before = id.to_string().as_str() < text.as_str();
        prop_assert_eq!(first_id(&text).is_none_or(|first| bytes < first), is_before);
    }
}
