//! Tests of a scrape, with and without reports of all shards.

use super::fixture::{Conduct, Server};

fn value(page: &str, series: &str) -> f64 {
    let line = page
        .lines()
        .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("{series} is missing in\n{page}"))
        .parse()
        .unwrap()
}

#[tokio::test]
async fn a_scrape_reads_the_counters_of_all_threads() {
    let server = Server::new();
    server.backend.context.metrics.received.add(7);
    server.backend.context.metrics.rejected[0].add(2);
    server.backend.context.metrics.audit_drift.raise(2);
    let page = server.scrape().await;
    assert!(page.ends_with("# EOF\n"));
    for (series, expected) in [
        ("muster_session_records_received_total", 7.0),
        (
            "muster_session_records_rejected_total{reason=\"unknownPlatform\"}",
            2.0,
        ),
        ("muster_audit_drift", 2.0),
        ("muster_shard_devices{shard=\"1\"}", 6.0),
        ("muster_shard_report_missing{thread=\"0\"}", 0.0),
        ("muster_server_phase{phase=\"serving\"}", 1.0),
        ("muster_server_phase{phase=\"poisoned\"}", 0.0),
        (
            "muster_stage_latency_seconds_count{stage=\"inbox_to_apply\"}",
            2.0,
        ),
        (
            "muster_stage_latency_seconds_bucket{le=\"0.001\",stage=\"inbox_to_apply\"}",
            0.0,
        ),
        (
            "muster_stage_latency_seconds_bucket{le=\"0.002\",stage=\"inbox_to_apply\"}",
            2.0,
        ),
        (
            "muster_stage_latency_seconds_bucket{le=\"+Inf\",stage=\"inbox_to_apply\"}",
            2.0,
        ),
        ("muster_process_start_time_seconds", 1_767_225_600.0),
        ("muster_store_report_missing", 0.0),
    ] {
        assert_eq!(value(&page, series), expected, "{series}");
    }
    let median = value(
        &page,
        "muster_stage_latency_quantile_seconds{stage=\"inbox_to_apply\",quantile=\"0.5\"}",
    );
    assert!((median - 0.0015).abs() < 0.000_1, "{median}");
}

#[tokio::test]
async fn a_scrape_succeeds_without_the_shards_that_do_not_respond() {
    for conduct in Conduct::WITHOUT_REPLY {
        let server = Server::with(&[Conduct::Answers, conduct]);
        let page = server.scrape().await;
        assert_eq!(
            value(&page, "muster_shard_report_missing{thread=\"0\"}"),
            0.0
        );
        assert_eq!(
            value(&page, "muster_shard_report_missing{thread=\"1\"}"),
            1.0
        );
        assert_eq!(value(&page, "muster_shard_devices{shard=\"0\"}"), 5.0);
        assert!(!page.contains("muster_shard_devices{shard=\"1\"}"));
        assert!(
            !page.contains("stage=\"inbox_to_apply\""),
            "a partial sum would look like a restart"
        );
        assert!(page.contains("stage=\"durable_to_ack\""));
        assert!(page.contains("muster_store_directory_bytes"));
    }
}
