//! Every bound of the control plane, with its reason. A command that exceeds one is refused and changes nothing. The
//! number of tenants at a time is bounded by the configuration of the server.

/// Tenants that were ever created: an index is never reused, and a policy set has 62 bytes for each. The index has 16
/// bits.
pub const TENANTS_CREATED_MAX: usize = 10_000;

/// Compliance policies of a tenant. Each change of a tenant compiles all of them, and each takes at most 40 KiB.
pub const POLICIES_MAX: usize = 200;

/// Assignments of a policy. A change of a tenant compiles those of all its policies.
pub const ASSIGNMENTS_MAX: usize = 100;

/// Groups of a tenant, without the built-in ones. Each takes at most 18 KiB without its members.
pub const GROUPS_MAX: usize = 1_000;

/// Users of a tenant whom operators have made. Each takes at most 10 KiB, and every request for a list reads all of them.
/// Those whom only devices name are not stored.
pub const USERS_MAX: usize = 5_000;

/// Characters of a user principal name. The inventory of a device has room for fewer.
pub const PRINCIPAL_NAME_MAX: usize = 256;

/// API tokens of a tenant. Each takes about 1 KiB, and every request looks one up by its hash.
pub const TOKENS_MAX: usize = 1_000;

/// Members of all groups of a tenant together. Each takes about 32 bytes, also if a device is in several groups.
pub const MEMBERS_MAX: usize = 1_000_000;

/// Principals that are members of groups, of a tenant, each as often as it is one. A change of the tenant copies them.
pub const PRINCIPAL_MEMBERS_MAX: usize = 10_000;

/// Members that one command adds or removes: 16 KB of its entry, and a body of 64 KiB has no room for more.
pub const MEMBERS_PER_COMMAND_MAX: usize = 1_000;

/// Entries of a tenant. A change every ten minutes reaches it after two years. A start reads this many, of 700 bytes
/// each, in 0.2 to 0.4 seconds on the reference machine, so snapshots are not needed.
pub const ENTRIES_MAX: u32 = 100_000;

/// Actions on devices of a tenant, which do not count as changes of objects, so that a fleet whose clock was wrong leaves
/// room for these. A start reads this many, of 90 bytes each, faster than as many changes.
pub const DEVICE_ACTIONS_MAX: u32 = 100_000;

/// Records of refused requests, sign-ins and downloads of a tenant. Whoever has a token makes them, also one without
/// rights: the server records at most one every ten minutes for a long time, which reaches this after two years. Beyond
/// it they are only counted in the metrics. A start reads this many, of 150 bytes each, faster than as many changes.
pub const ACCESSES_MAX: u32 = 100_000;

/// Exports of a tenant that are recorded. Beyond it they are refused, because each has to be recorded.
pub const EXPORTS_RECORDED_MAX: u32 = 100_000;

/// Characters of a text of a request in the record of an access.
pub const ACCESS_TEXT_MAX: usize = 512;

/// Characters of a display name, as in Graph.
pub const DISPLAY_NAME_MAX: usize = 256;

/// Characters of the URL of an issuer of OpenID Connect.
pub const ISSUER_URL_MAX: usize = 512;

/// Characters of the id of a user at its issuer, as in OpenID Connect.
pub const USER_ID_MAX: usize = 255;

/// Characters of the notes on a device.
pub const NOTES_MAX: usize = 1_000;

/// Characters of a description, as in Graph.
pub const DESCRIPTION_MAX: usize = 1_024;

/// Characters of the mail nickname of a group, as in Graph.
pub const MAIL_NICKNAME_MAX: usize = 64;

/// Faults that a refusal lists; it counts the rest. A body of 64 KiB can have about ten thousand.
pub const FAULTS_MAX: usize = 100;

/// Characters of the name of an unknown property that a fault shows.
pub const SHOWN_NAME_MAX: usize = 64;

/// Names of known properties that a fault shows; of an object with more of them, it names the type.
pub const KNOWN_NAMES_MAX: usize = 32;

/// Characters of a text that a compliance policy requires, as a version of an antivirus.
pub const REQUIREMENT_TEXT_MAX: usize = 64;

/// Bytes of a list or object that a compliance policy has and that is not evaluated, such as its restricted apps. A
/// policy has at most three of them.
pub const REQUIREMENT_JSON_BYTES_MAX: usize = 4_096;

/// Actions for devices that fail a compliance policy. Intune offers six kinds.
pub const SCHEDULED_ACTIONS_MAX: usize = 10;

/// Groups that get a copy of a notification.
pub const COPIES_MAX: usize = 10;

/// Characters of the id of a collection of Configuration Manager.
pub const COLLECTION_ID_MAX: usize = 40;

/// Scope tags of a tenant. Each takes at most 6 KiB.
pub const SCOPE_TAGS_MAX: usize = 500;

/// Scope tags of an object.
pub const TAGS_OF_OBJECT_MAX: usize = 50;

/// Assignment filters of a tenant, as many as in Intune. Each takes at most 32 KiB, half of which is its parsed rule.
pub const FILTERS_MAX: usize = 200;

/// Characters of the rule of a filter or of a dynamic group, as in Intune.
pub const RULE_CHARACTERS_MAX: usize = 3_072;

/// Depth of the parentheses of a rule: its parser and its evaluation need stack for each.
pub const RULE_DEPTH_MAX: usize = 32;

/// Role definitions of a tenant, without the built-in ones. Each takes at most 40 KiB.
pub const ROLE_DEFINITIONS_MAX: usize = 200;

/// Role assignments of a tenant. Each takes at most 16 KiB.
pub const ROLE_ASSIGNMENTS_MAX: usize = 500;

/// Actions that a role allows, and those that it does not, together. Intune has about 200.
pub const ROLE_ACTIONS_MAX: usize = 256;

/// Characters of the name of an action.
pub const ACTION_NAME_MAX: usize = 80;

/// Groups that a role assignment has as members, and as many that limit it.
pub const ROLE_GROUPS_MAX: usize = 100;
