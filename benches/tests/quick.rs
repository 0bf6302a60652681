//! Every bench still works: one run each of its quick size. No figure is looked at.

use muster_benches::parts::{self, Name, Plan, Size};

#[test]
fn every_bench_runs_and_comes_to_a_result() {
    let mut plan = Plan::new(Size::Quick);
    plan.repeats = 1;
    let figures = parts::run(&plan).unwrap();
    let timed = |name| {
        figures
            .rows
            .iter()
            .filter(move |row| row.part == name && row.latency_us().is_some())
            .count()
    };
    assert_eq!((timed(Name::Requests), timed(Name::Handshakes)), (3, 3));
    for name in Name::ALL {
        let rows = figures.rows.iter().filter(|row| row.part == name);
        let starred = rows.filter(|row| row.case.ends_with('*')).count();
        let passed = usize::from(Name::PASSED.contains(&name));
        assert_eq!(starred, passed, "{} stands once in the sum", name.name());
    }
    for row in &figures.rows {
        assert!(row.rate() > 0.0 && row.items() > 0, "{}", row.case);
        if let Some([p50, p99]) = row.latency_us() {
            assert!(0.0 < p50 && p50 <= p99, "{}", row.case);
        }
    }
    assert!(figures.flushes.iter().all(|flushes| flushes.count() > 0));
}
