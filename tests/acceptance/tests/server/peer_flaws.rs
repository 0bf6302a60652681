//! Flaws that peers of Muster had, each as a test that Muster does not have it: device managers, agents'
//! servers, certificate authorities, and the transport below us.
//!
//! | advisory | what went wrong there | the test here |
//! |---|---|---|
//! | Fleet GHSA-2rc4-7jc6-qffh | no client certificate passed for trust | [`identity`], and `bad_input/certificates.rs` |
//! | Fleet CVE-2022-24841, CVE-2026-25963 | the caller named the tenant | [`identity`], [`operators`] |
//! | Fleet CVE-2026-46356 | forwarding headers were believed | [`operators`] |
//! | Fleet CVE-2026-26062, CVE-2026-34388 | one odd enum value killed the server | `odd_values.rs`, `bad_input/records.rs` |
//! | Fleet #41321, Elastic ESA-2023-25, Search Guard CVE-2026-4819 | secrets in databases and logs | [`secrets`] |
//! | Wazuh CVE-2025-24016, CVE-2026-25769 | peers' data became objects, sizes were believed | [`identity`], `muster-fuzz`: `inventory` |
//! | Wazuh CVE-2026-30893 | a path from a peer was followed | [`operators`], [`identity`] |
//! | Wazuh CVE-2026-28221 | an overflow before any authentication | [`packets`], `muster-fuzz`: `decoder`, `certificate` |
//! | Wazuh CVE-2026-25771 | failing credentials stalled everybody | [`identity`] |
//! | Wazuh #15230, wazuh-qa#3742 | empty and oversized credentials half accepted | [`secrets`], `start_up.rs` |
//! | Elastic CVE-2026-4498 | debug routes with the rights of the service | [`operators`] |
//! | step-ca GHSA-h8cp-697h-8c8p, CVE-2025-66406 | a certificate could make certificates | [`identity`] |
//! | quinn RUSTSEC-2023-0063, GHSA-vr26-jcq5-fjj8, RUSTSEC-2026-0037, RUSTSEC-2026-0185 | one packet killed the endpoint | [`packets`], `deny.toml` |
//! | rustls-webpki RUSTSEC-2026-0049, -0098, -0099, -0104; crossbeam-channel RUSTSEC-2025-0024 | lists of revocation, name constraints; double free | `deny.toml` |
//!
//! Not here, because what they need is not built: tokens (Fleet CVE-2026-24899), single sign-on (Fleet
//! CVE-2025-27509), scripts made from templates (Fleet CVE-2026-26191), CSV (Fleet 4.12; all answers are JSON),
//! enrolment by token (step-ca), lists of revocation, files between members of a cluster (Wazuh). Whoever builds
//! one of them adds its row and its test.

mod identity;
mod operators;
mod packets;
mod secrets;
