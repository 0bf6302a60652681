//! R18: Defender `onboardingStatus` of a device.

use muster_wire::Platform;

use super::states;

states! {
    /// `machine.onboardingStatus`.
    OnboardingStatus {
        /// The sensor is onboarded to this tenant's own organisation.
        Onboarded = 0 "onboarded",
        /// A supported system that is not onboarded to this tenant's organisation.
        CanBeOnboarded = 1 "canBeOnboarded",
        /// A system that the sensor does not support.
        Unsupported = 2 "unsupported",
        /// The device has not reported its system.
        #[default]
        InsufficientInfo = 3 "insufficientInfo",
    }
}

impl OnboardingStatus {
    /// R18, first matching row wins.
    pub fn of(platform: Platform, onboarded: bool, foreign_org: bool) -> Self {
        match (onboarded && !foreign_org, platform) {
            (true, _) => Self::Onboarded,
            (false, Platform::Unknown) => Self::InsufficientInfo,
            (false, Platform::Other) => Self::Unsupported,
            (false, _) => Self::CanBeOnboarded,
        }
    }
}
