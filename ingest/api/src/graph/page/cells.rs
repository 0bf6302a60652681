//! The five columns of the EDR onboarding status view, for pages and exports. Pure.

use crate::backend::Device;

use super::facets::{MANAGED_BY, Member, ONBOARDING, SENSOR};

/// The headings, exactly as the reference has them.
pub(super) const HEADINGS: [&str; 5] = [
    "Device name",
    "Managed by",
    "EDR onboarding status",
    "Last check-in (date and time)",
    "Defender sensor state (last known)",
];

/// A device as a row of the view.
#[derive(Debug)]
pub(super) struct Cells {
    /// Its name; its id until the inventory tells it.
    pub(super) name: String,
    pub(super) managed_by: &'static str,
    pub(super) onboarding: Option<&'static Member>,
    /// In seconds; 0 means never.
    pub(super) last_check_in: u32,
    pub(super) sensor: Option<&'static Member>,
}

impl Cells {
    pub(super) fn of(device: &Device) -> Self {
        Self {
            name: name(device),
            managed_by: MANAGED_BY
                .of(&device.facets)
                .map_or("Not known", |member| member.text),
            onboarding: ONBOARDING.of(&device.facets),
            last_check_in: device.record.last_check_in,
            sensor: SENSOR.of(&device.facets),
        }
    }
}

/// The name of a device; its id until the inventory tells it.
pub(super) fn name(device: &Device) -> String {
    let inventory = device.inventory.as_ref();
    let known = inventory.map(|known| known.device_name.as_str());
    let known = known.filter(|name| !name.trim().is_empty());
    known.map_or_else(|| device.record.device_id.to_string(), str::to_owned)
}
