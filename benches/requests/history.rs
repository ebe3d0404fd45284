//! The files of runs: the baseline in the repository, and the last runs of this checkout.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Context as _;
use mainstay_kernel::clock::Clock;

use crate::{
    figures::{Environment, Run},
    options::Options,
    pictures,
};

/// The file of the last run, in the directory that cargo has for benches.
const LAST: &str = "bench.json";
/// The directory of the pictures, below the root of the repository.
const PICTURES: &str = "docs/curves";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn baseline() -> PathBuf {
    root().join("benches/baseline.json")
}

/// Describes this checkout and this machine.
pub(crate) fn environment() -> Environment {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let described = Command::new("git")
        .current_dir(root())
        .args(["describe", "--always", "--dirty", "--exclude=*", "--abbrev=12"])
        .output();
    let commit = described.ok().filter(|output| output.status.success());
    let commit =
        commit.map_or("unknown".to_owned(), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    let cpus = read("/proc/cpuinfo");
    let cpu_model = cpus.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    Environment {
        commit,
        date: Clock::default().now().format("%Y-%m-%d %H:%M UTC").to_string(),
        cpu_model: cpu_model.map_or("unknown CPU", |(_, model)| model.trim()).to_owned(),
        cpus: std::thread::available_parallelism().map_or(0, usize::from),
        load_average: read("/proc/loadavg").split(' ').next().and_then(|average| average.parse().ok()),
    }
}

/// Writes the file of a run, after a comparison with the baseline and with the previous run of this checkout.
pub(crate) fn keep(run: &Run, options: &Options) -> anyhow::Result<()> {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
    fs::create_dir_all(directory)?;
    let last = directory.join(LAST);
    // The previous run is absent in a new checkout, and unreadable after a change of its format.
    let previous = read(&last).ok();
    let file = options.json.as_ref().unwrap_or(&last);
    write(run, file)?;
    println!("\nThe figures are in {}", file.display());
    let before = match &options.baseline {
        Some(file) => Some(read(file)?),
        None if baseline().exists() => Some(read(&baseline())?),
        None => None,
    };
    for (name, before) in [("the baseline", before), ("the previous run", previous)] {
        if let Some(table) = before.and_then(|before| run.compared_with(&before, name)) {
            println!("\n{table}");
        }
    }
    Ok(())
}

/// Replaces the baseline and its pictures.
pub(crate) fn save_baseline(run: &Run) -> anyhow::Result<()> {
    write(run, &baseline())?;
    draw()
}

/// Replaces the pictures by those of the baseline.
pub(crate) fn draw() -> anyhow::Result<()> {
    let (directory, curves) = (root().join(PICTURES), read(&baseline())?.curves);
    if directory.exists() {
        fs::remove_dir_all(&directory)?;
    }
    fs::create_dir_all(&directory)?;
    for (name, svg) in pictures::draw(&curves) {
        fs::write(directory.join(name), svg)?;
    }
    Ok(())
}

fn read(file: &Path) -> anyhow::Result<Run> {
    let text = fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} has no figures of a run", file.display()))
}

fn write(run: &Run, file: &Path) -> anyhow::Result<()> {
    let text = serde_json::to_string_pretty(run)? + "\n";
    fs::write(file, text).with_context(|| format!("writing {}", file.display()))
}
