//! A disk without room: files that may not be larger, and a small disk. The run says so, readers see the old release,
//! and with room again the next run makes up for it.
#![cfg(target_os = "linux")]

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::nights::{CUSTOMER, Contents, Nights, Shape, answer, is_stress, undisturbed};
use crate::project::Answer;

/// What the disk says, as the run passes it on.
const TOO_LARGE: &str = "File too large (os error 27)";
const NO_SPACE: &str = "No space left on device (os error 28)";

/// A run that cannot write says why; says whether it published all the same.
fn check_refusal(lake: &Nights, refusal: &Answer, reason: &str, expected: &[Contents], about: &str) {
    let about = format!("{about}: {}", refusal.messages);
    assert_eq!(refusal.code, Some(1), "{about}");
    let place = lake.lake();
    for part in [CUSTOMER, place.to_str().unwrap(), reason] {
        assert!(refusal.messages.contains(part), "'{part}' is not in {about}");
    }
    let is_published = refusal.messages.contains("release 2 is published, but");
    assert_eq!(lake.latest_release(), 1 + u64::from(is_published), "{about}");
    assert!(is_published || refusal.messages.contains("hint: free space"), "{about}");
    lake.check_readers(lake.latest_release(), &expected[usize::from(is_published) + 1], &about);
}

#[test]
fn files_that_may_not_grow_fail_a_run_with_a_message() {
    let small = [0, 1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 24, 32, 48, 64, 128];
    let star = [0, 8, 12, 64, 128, 150, 512];
    let refused = limit(Shape::Small, &small[..]) + limit(Shape::Star, if is_stress() { &star } else { &star[3..4] });
    println!("{refused} runs with limited files were refused");
    assert!(refused > 5, "{refused}");
}

/// Runs second nights with files of at most so many times 512 bytes, and says how many were refused.
fn limit(shape: Shape, sizes: &[u32]) -> u32 {
    let expected = undisturbed(shape, 2);
    let mut refused = 0;
    for size in sizes {
        let lake = Nights::new(shape);
        lake.deliver(1);
        lake.run().exits(0);
        lake.deliver(2);
        let limited = answer(
            Command::new("sh")
                .args(["-c", &format!("ulimit -f {size} && exec \"$0\" \"$@\""), env!("CARGO_BIN_EXE_medallion")])
                .args(lake.arguments())
                .current_dir(lake.project.path("")),
        );
        let about = format!("{shape:?}, {size} times 512 bytes");
        if limited.code != Some(0) {
            check_refusal(&lake, &limited, TOO_LARGE, &expected, &about);
            refused += 1;
        }
        lake.run().exits(0);
        lake.check_whole(2, &expected[2], &about);
    }
    refused
}

/// A disk in memory, gone at the end.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// A large one; `None` if this user may not mount.
    fn mount(path: &Path) -> Option<Self> {
        fs::create_dir_all(path).unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=64m", "none"]).arg(path).output();
        mounted.is_ok_and(|mounted| mounted.status.success()).then(|| Self(path.to_owned()))
    }

    /// Leaves so many bytes of room, or none at all.
    fn leave(&self, bytes: u64) {
        let used = Command::new("df").args(["--output=used", "-B1"]).arg(&self.0).output().unwrap();
        let used: u64 = String::from_utf8(used.stdout).unwrap().lines().nth(1).unwrap().trim().parse().unwrap();
        let size = format!("remount,size={}", used + bytes);
        assert!(Command::new("mount").args(["-o", &size]).arg(&self.0).status().unwrap().success());
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_fails_a_run_with_a_message() {
    let kib = 1024;
    let small = [0, 4, 8, 16, 24, 32, 48, 64, 80, 96, 128, 160, 200].map(|room| room * kib);
    let star = [0, 64, 256, 512, 768, 1024, 1536].map(|room| room * kib);
    let star = if is_stress() { &star[..] } else { &star[3..4] };
    let refused = fill(Shape::Small, &small).and_then(|small| Some(small + fill(Shape::Star, star)?));
    match refused {
        Some(refused) => {
            println!("{refused} runs on a full disk were refused");
            assert!(refused > 3, "{refused}");
        }
        // Past the capture: who reads that the test passed has to know.
        None => writeln!(std::io::stderr(), "SKIPPED: a_full_disk_fails_a_run_with_a_message: mounting is not allowed")
            .unwrap(),
    }
}

/// Runs second nights with so much room on the lake's disk, and says how many were refused; `None` if that cannot be
/// tried here.
fn fill(shape: Shape, rooms: &[u64]) -> Option<u32> {
    let expected = undisturbed(shape, 2);
    let mut refused = 0;
    for room in rooms {
        let lake = Nights::new(shape);
        let disk = SmallDisk::mount(&lake.lake())?;
        lake.deliver(1);
        lake.run().exits(0);
        lake.deliver(2);
        disk.leave(*room);
        let limited = lake.run();
        let about = format!("{shape:?}, {room} bytes");
        if limited.code != Some(0) {
            check_refusal(&lake, &limited, NO_SPACE, &expected, &about);
            refused += 1;
        }
        disk.leave(32 << 20);
        lake.run().exits(0);
        lake.check_whole(2, &expected[2], &about);
    }
    Some(refused)
}
