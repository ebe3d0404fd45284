//! The comparison of two runs.

use serde_json::json;

use crate::figures::{Ratio, Run};

fn run(figures: &[(&str, &str, [f64; 3])]) -> Run {
    let figures = figures.iter().map(|(name, better, [all, low, high])| {
        json!({"name": name, "better": better, "all": all, "low": low, "high": high})
    });
    serde_json::from_value(json!({
        "environment": {"commit": "abc", "date": "today", "cpuModel": "a CPU", "cpus": 2, "loadAverage": null},
        "conditions": {
            "tickets": 1, "rounds": 2, "roundSeconds": 1.0, "connections": 4, "inFlight": 4, "pool": 16, "log": "info"
        },
        "comparable": figures.collect::<Vec<_>>(), "curves": [], "pages": {"deep": 90},
    }))
    .expect("a run")
}

fn worse(before: &[(&str, &str, [f64; 3])], now: &[(&str, &str, [f64; 3])]) -> Vec<String> {
    let text = run(now).compared_with(&run(before), "the baseline").unwrap_or_default();
    let rows = text.lines().filter(|line| line.ends_with("| **worse** |"));
    rows.map(|row| row.split('|').nth(1).unwrap_or_default().trim().to_owned()).collect()
}

#[test]
fn a_figure_is_worse_only_beyond_the_spread_of_both_runs() {
    let before = [("cpu", "lower", [1.0, 0.9, 1.1])];
    assert_eq!(worse(&before, &[("cpu", "lower", [1.2, 1.11, 1.3])]), ["cpu"]);
    assert!(worse(&before, &[("cpu", "lower", [1.2, 1.05, 1.4])]).is_empty());
    assert!(worse(&before, &[("cpu", "lower", [0.5, 0.4, 0.6])]).is_empty());
    let before = [("goodput", "higher", [0.9, 0.8, 1.0])];
    assert_eq!(worse(&before, &[("goodput", "higher", [0.7, 0.6, 0.79])]), ["goodput"]);
    assert!(worse(&before, &[("goodput", "higher", [2.0, 1.9, 2.1])]).is_empty());
}

#[test]
fn one_statement_more_is_worse() {
    let of = |count: f64| [("statements", "lower", [count; 3])];
    assert_eq!(worse(&of(12.0), &of(13.0)), ["statements"]);
    assert!(worse(&of(12.0), &of(12.0)).is_empty() && worse(&of(12.0), &of(11.0)).is_empty());
}

#[test]
fn only_figures_of_both_runs_are_compared() {
    let (one, other) = (("a", "lower", [1.0; 3]), ("b", "lower", [1.0; 3]));
    assert!(run(&[one]).compared_with(&run(&[other]), "the baseline").is_none());
    let text = run(&[one]).compared_with(&run(&[one, other]), "the baseline").expect("a table");
    assert!(text.contains("0 of 1 figures are worse") && text.contains("; 1 were not measured"), "{text}");
    assert!(!text.contains("options differ"), "{text}");
}

#[test]
fn other_options_are_reported() {
    let (now, mut before) = (run(&[("a", "lower", [1.0; 3])]), run(&[("a", "lower", [1.0; 3])]));
    before.conditions.tickets = 1_000_000;
    let text = now.compared_with(&before, "the baseline").expect("a table");
    assert!(text.contains("options differ") && text.contains("1000000"), "{text}");
}

#[test]
fn a_stored_run_keeps_all_its_figures() {
    let before = run(&[("a", "higher", [0.5, 0.25, 0.75])]);
    let stored = serde_json::to_string(&before).expect("JSON");
    let read: Run = serde_json::from_str(&stored).expect("a run");
    assert_eq!(read.comparable[0].ratio, before.comparable[0].ratio);
    assert_eq!(read.measured["pages"], json!({"deep": 90}));
}

#[test]
fn the_spread_of_a_ratio_is_that_of_its_rounds() {
    assert_eq!(Ratio::of(1.0, [0.9, 1.2, 1.0]), Ratio { all: 1.0, low: 0.9, high: 1.2 });
    assert_eq!(Ratio::of(3.0, []), Ratio { all: 3.0, low: 3.0, high: 3.0 });
}
