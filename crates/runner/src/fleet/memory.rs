//! How a machine's memory and cores are shared between customers that run at the same time.

use sysinfo::{MemoryRefreshKind, System};

/// With less a query cannot even spill.
const LEAST: u64 = 32 << 20;

/// The memory that each of `jobs` customers may use for SQL, in bytes: four fifths of what is available, of the machine
/// or of the container this runs in, in equal parts. The rest is for reading and cleansing, which know no limit.
#[must_use]
pub fn memory_share(jobs: usize) -> u64 {
    share(available(), jobs)
}

fn available() -> u64 {
    let mut system = System::new();
    system.refresh_memory_specifics(MemoryRefreshKind::nothing().with_ram());
    let machine = system.available_memory();
    match system.cgroup_limits() {
        Some(container) if container.total_memory > 0 => machine.min(container.free_memory),
        _ => machine,
    }
}

fn share(available: u64, jobs: usize) -> u64 {
    let part = available / 5 * 4 / (jobs.max(1) as u64);
    // Whole mebibytes are easier to read.
    (part >> 20 << 20).max(LEAST)
}

/// How many threads each of `jobs` customers gets on a machine of `cores`: twice its part, because they take turns in
/// waiting for the disk, and no more than there are.
#[must_use]
pub fn threads_share(cores: usize, jobs: usize) -> usize {
    (2 * cores).div_ceil(jobs.max(1)).clamp(1, cores.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_shared_in_equal_parts_of_whole_mebibytes() {
        assert_eq!(share(10 << 30, 1), 8 << 30);
        assert_eq!(share(10 << 30, 4), 2 << 30);
        assert_eq!(share((10 << 30) + 999_999, 4), 2 << 30);
        assert_eq!(share(100 << 20, 8), 32 << 20, "no less than a query needs");
        assert!(memory_share(1) >= memory_share(2));
    }

    #[test]
    fn threads_are_shared_so_that_all_cores_are_busy() {
        assert_eq!((1..=5).map(|jobs| threads_share(2, jobs)).collect::<Vec<_>>(), [2, 2, 2, 1, 1]);
        assert_eq!([1, 2, 4, 8, 16, 64].map(|jobs| threads_share(8, jobs)), [8, 8, 4, 2, 1, 1]);
    }
}
