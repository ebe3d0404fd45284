//! Process metrics from `/proc`, named as in Prometheus' client libraries. The crate for them needs 20 packages for
//! systems that are not supported. On systems other than Linux, these metrics have no series.

use std::fs;

use metrics::gauge;

/// The ticks per second in `/proc`, which are a constant of the Linux ABI.
const TICKS_PER_SECOND: f64 = 100.0;
const KIB: f64 = 1024.0;

pub(crate) fn observe() {
    if let Some(status) = read("status") {
        let kib = |name: &str| field(&status, name).map(|value| value * KIB);
        set("process_resident_memory_bytes", kib("VmRSS:"));
        set("process_virtual_memory_bytes", kib("VmSize:"));
        set("process_threads", field(&status, "Threads:"));
    }
    if let Some(stat) = read("stat") {
        // The second field is the name of the program in parentheses, and may contain anything.
        let fields: Vec<f64> = stat
            .rsplit(')')
            .next()
            .unwrap_or_default()
            .split_whitespace()
            .map(|text| text.parse().unwrap_or(0.0))
            .collect();
        let ticks = |at: usize| fields.get(at).copied();
        let cpu = ticks(11).zip(ticks(12)).map(|(user, system)| (user + system) / TICKS_PER_SECOND);
        set("process_cpu_seconds_total", cpu);
        let boot = fs::read_to_string("/proc/stat").ok().and_then(|stat| field(&stat, "btime"));
        set("process_start_time_seconds", boot.zip(ticks(19)).map(|(boot, start)| boot + start / TICKS_PER_SECOND));
    }
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        #[expect(clippy::cast_precision_loss, reason = "no process has so many files")]
        set("process_open_fds", Some(open.count() as f64));
    }
    set("process_max_fds", read("limits").and_then(|limits| field(&limits, "Max open files")));
}

fn read(name: &str) -> Option<String> {
    fs::read_to_string(format!("/proc/self/{name}")).ok()
}

fn field(text: &str, name: &str) -> Option<f64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_whitespace().next()?.parse().ok()
}

fn set(name: &'static str, value: Option<f64>) {
    if let Some(value) = value {
        gauge!(name).set(value);
    }
}
