//! The enumerations of check-ins and inventories: one table of codes, names and meanings for each.
//!
//! Purpose: codes are used on the wire and in storage, names in the API, metrics and documents. Bounds: every table is
//! closed; a record with an unknown code is rejected. What it does not do: rules; the engine decides what a state means
//! for compliance.

use std::fmt;

use rkyv::{Archive, Place, Serialize, rancor::Fallible};

macro_rules! code_table {
    (
        $(#[$attribute:meta])*
        $table:ident {
            $( $(#[$member_attribute:meta])* $member:ident = $code:literal, $name:literal; )+
        }
    ) => {
        $(#[$attribute])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum $table {
            $( $(#[$member_attribute])* $member = $code, )+
        }

        impl $table {
            /// Every member, in ascending order of code. Its position here is [`Self::index`].
            pub const ALL: &[Self] = &[ $( Self::$member, )+ ];

            /// The member by code. A table, because a `match` over sparse codes compiles to a jump that is mispredicted
            /// for mixed fleets.
            const BY_CODE: [Option<Self>; 256] = {
                let mut table = [None; 256];
                let mut index = 0;
                while index < Self::ALL.len() {
                    table[Self::ALL[index] as usize] = Some(Self::ALL[index]);
                    index += 1;
                }
                table
            };

            /// The index by code; 0 for codes without a member, which are never looked up.
            const INDEX_BY_CODE: [u8; 256] = {
                let mut table = [0; 256];
                let mut index = 0;
                while index < Self::ALL.len() {
                    table[Self::ALL[index] as usize] = index as u8;
                    index += 1;
                }
                table
            };

            /// The member with this code, or `None` if there is none.
            #[inline]
            #[must_use]
            pub const fn from_code(code: u8) -> Option<Self> {
                Self::BY_CODE[code as usize]
            }

            /// The member with this name (exact case), or `None` if there is none.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                match name {
                    $( $name => Some(Self::$member), )+
                    _ => None,
                }
            }

            /// The code on the wire and in storage.
            #[inline]
            #[must_use]
            pub const fn code(self) -> u8 {
                self as u8
            }

            /// The name in the API, in metrics and in documents.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $( Self::$member => $name, )+
                }
            }

            /// The position in [`Self::ALL`]: codes may have gaps, indexes have none.
            #[inline]
            #[must_use]
            pub const fn index(self) -> usize {
                Self::INDEX_BY_CODE[self as usize] as usize
            }
        }

        impl fmt::Display for $table {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.pad(self.name())
            }
        }

        // Archived as a plain byte that readers look up, so that an unknown code does not make a reference to the
        // record invalid.
        impl Archive for $table {
            type Archived = u8;
            type Resolver = ();

            fn resolve(&self, (): (), out: Place<u8>) {
                out.write(self.code());
            }
        }

        impl<S: Fallible + ?Sized> Serialize<S> for $table {
            fn serialize(&self, _: &mut S) -> Result<(), S::Error> {
                Ok(())
            }
        }
    };
}

code_table! {
    /// The operating system family of a device.
    Platform {
        /// Unknown to the sender.
        Unknown = 0, "unknown";
        /// Windows client.
        Windows = 1, "windows";
        /// Windows Server.
        WindowsServer = 2, "windowsServer";
        /// macOS.
        MacOs = 3, "macOS";
        /// Linux.
        Linux = 4, "linux";
        /// iOS and iPadOS.
        Ios = 5, "iOS";
        /// Android, managed by a device administrator.
        Android = 6, "android";
        /// Android Enterprise.
        AndroidEnterprise = 7, "androidEnterprise";
        /// Anything else.
        Other = 8, "other";
    }
}

code_table! {
    /// What manages a device (Graph `managementAgentType`).
    ManagementAgent {
        /// Exchange ActiveSync.
        Eas = 1, "eas";
        /// Mobile device management.
        Mdm = 2, "mdm";
        /// Exchange ActiveSync and mobile device management.
        EasMdm = 3, "easMdm";
        /// The Intune client.
        IntuneClient = 4, "intuneClient";
        /// Exchange ActiveSync and the Intune client.
        EasIntuneClient = 5, "easIntuneClient";
        /// Configuration Manager alone.
        ConfigurationManagerClient = 8, "configurationManagerClient";
        /// Configuration Manager and mobile device management (co-managed).
        ConfigurationManagerClientMdm = 10, "configurationManagerClientMdm";
        /// Configuration Manager, mobile device management and Exchange ActiveSync (co-managed).
        ConfigurationManagerClientMdmEas = 11, "configurationManagerClientMdmEas";
        /// Not known.
        Unknown = 16, "unknown";
        /// Jamf.
        Jamf = 32, "jamf";
        /// Google's cloud device policy controller.
        GoogleCloudDevicePolicyController = 64, "googleCloudDevicePolicyController";
        /// Microsoft Defender for Endpoint (security settings management). Graph's value is 1024.
        MsSense = 128, "msSense";
        /// Microsoft 365 managed mobile device management. Graph's value is 258.
        Microsoft365ManagedMdm = 129, "microsoft365ManagedMdm";
    }
}

code_table! {
    /// The risk score that the threat sensor reports for a device.
    Risk {
        /// The sensor has not reported a score.
        NotReported = 0, "notReported";
        /// No known risk.
        None = 1, "none";
        /// Informational.
        Informational = 2, "informational";
        /// Low.
        Low = 3, "low";
        /// Medium.
        Medium = 4, "medium";
        /// High.
        High = 5, "high";
    }
}

code_table! {
    /// The threat state of a device according to a threat defence partner (Graph
    /// `managedDevicePartnerReportedHealthState`).
    PartnerThreatState {
        /// Not reported.
        Unknown = 0, "unknown";
        /// The agent is on and has not reported a state.
        Activated = 1, "activated";
        /// The agent is off.
        Deactivated = 2, "deactivated";
        /// No threat.
        Secured = 3, "secured";
        /// A threat of low severity.
        LowSeverity = 4, "lowSeverity";
        /// A threat of medium severity.
        MediumSeverity = 5, "mediumSeverity";
        /// A threat of high severity.
        HighSeverity = 6, "highSeverity";
        /// The agent does not respond.
        Unresponsive = 7, "unresponsive";
        /// Compromised in a way that the user cannot fix.
        Compromised = 8, "compromised";
        /// The agent is misconfigured.
        Misconfigured = 9, "misconfigured";
    }
}

code_table! {
    /// The sensor's onboarding state (CSP `OnboardingState`).
    Onboarding {
        /// Not onboarded.
        NotOnboarded = 0, "notOnboarded";
        /// Onboarded.
        Onboarded = 1, "onboarded";
    }
}

code_table! {
    /// Who owns a device (Graph `managedDeviceOwnerType`).
    Owner {
        /// Not known.
        Unknown = 0, "unknown";
        /// The organization.
        Company = 1, "company";
        /// The user.
        Personal = 2, "personal";
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    macro_rules! assert_table {
        ($table:ident) => {
            for (index, member) in $table::ALL.iter().enumerate() {
                assert_eq!(member.index(), index);
                assert_eq!($table::from_code(member.code()), Some(*member));
                assert_eq!($table::from_name(member.name()), Some(*member));
            }
            assert!($table::ALL.is_sorted_by_key(|member| member.code()));
            let known = (0..=255)
                .filter(|code| $table::from_code(*code).is_some())
                .count();
            assert_eq!(known, $table::ALL.len());
        };
    }

    #[test]
    fn every_table_is_closed_dense_and_reversible() {
        assert_table!(Platform);
        assert_table!(ManagementAgent);
        assert_table!(Risk);
        assert_table!(PartnerThreatState);
        assert_table!(Onboarding);
        assert_table!(Owner);
    }
}
