//! Every bench works: one run of its quick size. Figures are not compared with anything.

use muster_benches::parts::{self, Name, PartsOptions, Size};

#[test]
fn every_bench_runs_and_has_a_result() {
    let mut options = PartsOptions::new(Size::Quick);
    options.repeats = 1;
    let figures = parts::run(&options).unwrap();
    let rows_with_latency = |name| {
        figures
            .rows
            .iter()
            .filter(move |row| row.part == name && row.latency_us().is_some())
            .count()
    };
    assert_eq!(rows_with_latency(Name::Requests), 3);
    assert_eq!(rows_with_latency(Name::Handshakes), 3);
    for name in Name::ALL {
        let rows = figures.rows.iter().filter(|row| row.part == name);
        let starred = rows.filter(|row| row.case.ends_with('*')).count();
        let expected = usize::from(Name::CHECK_IN_PATH.contains(&name));
        assert_eq!(starred, expected, "rows of {} in the sum", name.name());
    }
    for row in &figures.rows {
        assert!(row.rate() > 0.0 && row.items() > 0, "{}", row.case);
        if let Some([p50, p99]) = row.latency_us() {
            assert!(0.0 < p50 && p50 <= p99, "{}", row.case);
        }
    }
    assert!(figures.flushes.iter().all(|flushes| flushes.count() > 0));
}
