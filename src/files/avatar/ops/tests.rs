//! The memory of concurrent decoding, measured under a resource limit: a process that exceeds it is killed.

use std::{
    env,
    fs::{self, File},
    io::{Seek as _, Write as _},
    process::Command,
};

use futures_util::future::join_all;
use nix::sys::resource::{Resource, setrlimit};

use super::*;
use crate::files::picture::tests::samples::{png_with_bomb, progressive_jpeg};

/// Set in the child process that has the limit.
const CHILD: &str = "MAINSTAY_TEST_WITHIN_MEMORY";
/// The memory of the process apart from pictures: thread stacks, and memory that the allocator retains.
const MARGIN: u64 = 64 << 20;

#[test]
fn pictures_at_once_stay_within_their_memory() {
    #[expect(clippy::disallowed_methods, reason = "how this test tells its child what it is")]
    let is_child = env::var_os(CHILD).is_some();
    if is_child {
        return within_limit();
    }
    let name = "files::avatar::ops::tests::pictures_at_once_stay_within_their_memory";
    let mut child = Command::new(env::current_exe().expect("this test"));
    let output = child.args(["--exact", name, "--nocapture"]).env(CHILD, "1").output().expect("started");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}: {}{}", output.status, text(&output.stdout), text(&output.stderr));
    assert!(text(&output.stdout).contains("1 passed"), "{}", text(&output.stdout));
}

/// Returns the private writable memory of this process, in bytes.
fn data_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmData:")).expect("its data");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") << 10
}

fn within_limit() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("threads");
    let limit = data_bytes() + picture::MEMORY + MARGIN;
    setrlimit(Resource::RLIMIT_DATA, limit, limit).expect("a lower limit");
    // Without optimization, a busy machine draws a large picture for longer than a request waits.
    let painter = Painter { max_wait: Duration::from_secs(300), ..Painter::default() };
    let at_once = |file: Vec<u8>, count| {
        let drawings = (0..count).map(|_| draw(&painter, spooled(&file)));
        runtime.block_on(join_all(drawings))
    };
    // Each has 392 kB, and a decoder needs 275 MB for it.
    for result in at_once(progressive_jpeg(5000, 5000, 4, 0), 2) {
        let error = result.expect_err("more than all pictures may take");
        assert_eq!(error.reason(), Reason::UnsupportedMediaType);
        assert!(error.message().contains("memory"), "{}", error.message());
    }
    // An unread profile of 300 MiB.
    for pictures in at_once(png_with_bomb(b"iCCP", b"profile\0\0", 300), 8) {
        assert_eq!(pictures.expect("a picture").len(), SIZES.len());
    }
    // Each needs more than half of the memory, so one waits for the other.
    for pictures in at_once(progressive_jpeg(3000, 3400, 4, 0), 2) {
        assert_eq!(pictures.expect("a picture").len(), SIZES.len());
    }
}

fn spooled(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().expect("a file");
    file.write_all(bytes).expect("space");
    file.rewind().expect("a file");
    file
}

/// A scan takes a few bytes in the file, and decoding it visits every block of the picture.
#[tokio::test]
async fn a_picture_of_many_scans_is_refused() {
    let jpeg = progressive_jpeg(2000, 2000, 1, 20_000);
    assert!(jpeg.len() < MAX_BYTES, "{}", jpeg.len());
    // Decoding all scans would take hours.
    let began = std::time::Instant::now();
    draw(&Painter::default(), spooled(&jpeg)).await.expect_err("too many scans");
    assert!(began.elapsed() < Duration::from_secs(120), "{:?}", began.elapsed());
}
