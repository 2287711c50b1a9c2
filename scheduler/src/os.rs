//! The two things that we ask of the operating system directly: a thread's processor time, and to be weaker than others.
//!
//! The only file with `unsafe` in it.
#![expect(unsafe_code, reason = "the only way to ask the operating system")]

/// Processor time that the calling thread has used, in nanoseconds.
pub(crate) fn thread_cpu_ns() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid place for one timespec, and the clock is one that every thread has.
    let failed = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    if failed != 0 {
        return 0;
    }
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// How nice the calling thread is.
#[cfg(target_os = "linux")]
pub(crate) fn nice() -> i32 {
    // SAFETY: no pointers; 0 stands for the calling thread, which exists.
    unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) }
}

/// Makes the calling thread, and no other, as nice as that. False: the system does not allow it. Without a special right a
/// thread can become nicer but never less nice again.
#[cfg(target_os = "linux")]
pub(crate) fn set_nice(nice: i32) -> bool {
    // SAFETY: no pointers; the thread's own id is valid as long as it makes this call.
    unsafe {
        let tid = libc::syscall(libc::SYS_gettid) as libc::id_t;
        libc::setpriority(libc::PRIO_PROCESS, tid, nice) == 0
    }
}

/// Elsewhere niceness belongs to the whole process, so threads keep theirs and only the lane limits overrunners.
#[cfg(not(target_os = "linux"))]
pub(crate) fn nice() -> i32 {
    0
}

/// Elsewhere niceness belongs to the whole process, so threads keep theirs and only the lane limits overrunners.
#[cfg(not(target_os = "linux"))]
pub(crate) fn set_nice(_nice: i32) -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_threads_processor_time_grows_while_it_works_and_hardly_while_it_sleeps() {
        let before = thread_cpu_ns();
        std::thread::sleep(std::time::Duration::from_millis(50));
        let slept = thread_cpu_ns() - before;
        assert!(slept < 40_000_000, "{slept}");
        let start = std::time::Instant::now();
        while thread_cpu_ns() - before < slept + 1_000_000 {
            assert!(start.elapsed().as_secs() < 20, "it never grew");
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn only_the_thread_that_asks_becomes_nicer() {
        let before = nice();
        std::thread::spawn(|| {
            assert!(set_nice(19));
            assert_eq!(nice(), 19);
        })
        .join()
        .unwrap();
        assert_eq!(nice(), before);
    }
}
