//! The memory of the instances.

use std::time::{Duration, Instant};

use tokio::sync::oneshot;

/// Samples of a process: seconds, and resident megabytes.
pub(super) type Series = Vec<(f64, f64)>;

const SAMPLE_INTERVAL: Duration = Duration::from_millis(500);

/// Samples processes until it is stopped.
pub(super) struct Sampler {
    stop: oneshot::Sender<()>,
    samples: tokio::task::JoinHandle<Vec<Series>>,
}

/// Starts to sample processes.
pub(super) fn sample(pids: Vec<u32>) -> Sampler {
    let (stop, mut stopped) = oneshot::channel();
    let samples = tokio::spawn(async move {
        let (since, mut all) = (Instant::now(), vec![Series::new(); pids.len()]);
        while tokio::time::timeout(SAMPLE_INTERVAL, &mut stopped).await.is_err() {
            for (series, pid) in all.iter_mut().zip(&pids) {
                series.extend(resident_mb(*pid).map(|mb| (since.elapsed().as_secs_f64(), mb)));
            }
        }
        all
    });
    Sampler { stop, samples }
}

impl Sampler {
    pub(super) async fn stop(self) -> Vec<Series> {
        // The task ends at the latest with the run.
        self.stop.send(()).ok();
        self.samples.await.expect("no panic")
    }
}

/// Returns the resident memory of a process; `None` where there is no /proc.
fn resident_mb(pid: u32) -> Option<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    line.split_whitespace().nth(1)?.parse().ok().map(|kb: f64| kb / 1024.0)
}

/// The mean of a series, and its slope in megabytes per minute, by least squares. The first third is the warm-up.
pub(super) fn trend(series: &Series) -> Option<(f64, f64)> {
    let series = &series[series.len() / 3..];
    let count = series.len() as f64;
    let mean = |value: fn(&(f64, f64)) -> f64| series.iter().map(value).sum::<f64>() / count;
    let (mean_time, mean_mb) = (mean(|sample| sample.0), mean(|sample| sample.1));
    let squares: f64 = series.iter().map(|sample| (sample.0 - mean_time).powi(2)).sum();
    let slope: f64 = series.iter().map(|sample| (sample.0 - mean_time) * (sample.1 - mean_mb)).sum::<f64>() / squares;
    slope.is_finite().then_some((mean_mb, slope * 60.0))
}

#[test]
fn a_trend_is_per_minute() {
    let series: Series = (0..90).map(|second| (f64::from(second), 100.0 + f64::from(second))).collect();
    let (mean, slope) = trend(&series).expect("a trend");
    assert!((slope - 60.0).abs() < 1e-6 && mean > 140.0, "{mean} {slope}");
}
