//! Known vulnerabilities of similar products, each with a test that Muster does not have it: device managers, servers
//! of agents, certificate authorities, and the QUIC and TLS libraries that we use.
//!
//! | advisory | the vulnerability | the test here |
//! |---|---|---|
//! | Fleet GHSA-2rc4-7jc6-qffh | a missing client certificate was trusted | [`identity`], and `bad_input/certificates.rs` |
//! | Fleet CVE-2022-24841, CVE-2026-25963 | the caller chose the tenant | [`identity`], [`operators`] |
//! | Fleet CVE-2026-46356 | forwarding headers were trusted | [`operators`] |
//! | Fleet CVE-2026-26062, CVE-2026-34388 | an unknown enum value crashed the server | `odd_values.rs`, `bad_input/records.rs` |
//! | Fleet #41321, Elastic ESA-2023-25, Search Guard CVE-2026-4819 | secrets in databases and logs | [`secrets`] |
//! | Wazuh CVE-2025-24016, CVE-2026-25769 | unsafe deserialization, trusted sizes | [`identity`], `muster-fuzz`: `inventory` |
//! | Wazuh CVE-2026-30893 | path traversal by an agent | [`operators`], [`identity`] |
//! | Wazuh CVE-2026-28221 | a buffer overflow before authentication | [`packets`], `muster-fuzz`: `decoder`, `certificate` |
//! | Wazuh CVE-2026-25771 | failing credentials blocked all clients | [`identity`] |
//! | Wazuh #15230, wazuh-qa#3742 | empty and oversized credentials were partly accepted | [`secrets`], `start_up.rs` |
//! | Elastic CVE-2026-4498 | debug routes with the privileges of the service | [`operators`] |
//! | step-ca GHSA-h8cp-697h-8c8p, CVE-2025-66406 | a leaf certificate could issue certificates | [`identity`] |
//! | quinn RUSTSEC-2023-0063, GHSA-vr26-jcq5-fjj8, RUSTSEC-2026-0037, RUSTSEC-2026-0185 | one packet crashed the endpoint | [`packets`], `deny.toml` |
//! | rustls-webpki RUSTSEC-2026-0049, -0098, -0099, -0104; crossbeam-channel RUSTSEC-2025-0024 | revocation lists, name constraints; double free | `deny.toml` |
//!
//! Not tested, because the feature does not exist here: tokens (Fleet CVE-2026-24899), single sign-on (Fleet
//! CVE-2025-27509), script templates (Fleet CVE-2026-26191), CSV (Fleet 4.12; all responses are JSON), enrolment by
//! token (step-ca), revocation lists, files shared in a cluster (Wazuh). Add a row and a test when one of them is
//! built.

mod identity;
mod operators;
mod packets;
mod secrets;
