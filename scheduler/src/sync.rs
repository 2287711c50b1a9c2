//! Atomics, locks and bells: the machine's, or those of a model checker that tries their orders.
//!
//! Owns nothing. What the lock-free parts are built from comes from here, so that `--cfg loom` and `--cfg shuttle` can put
//! their own in its place in tests (CONTRIBUTING.md says how). In every other build these are the plain ones, at no cost.

#[cfg(not(all(test, any(loom, shuttle))))]
mod plain {
    pub(crate) use std::sync::atomic;

    pub(crate) use parking_lot::{Mutex, MutexGuard};

    /// Wakes one thread that waits for what a lock guards.
    #[derive(Default)]
    pub(crate) struct Bell(parking_lot::Condvar);

    impl Bell {
        #[inline]
        pub(crate) fn ring(&self) {
            self.0.notify_one();
        }

        #[inline]
        pub(crate) fn wait<'a, T>(&self, mut guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
            self.0.wait(&mut guard);
            guard
        }
    }
}

#[cfg(not(all(test, any(loom, shuttle))))]
pub(crate) use plain::{Bell, Mutex, atomic};

#[cfg(all(test, any(loom, shuttle)))]
mod checked {
    #[cfg(loom)]
    use loom::sync;
    #[cfg(all(shuttle, not(loom)))]
    use shuttle::sync;

    pub(crate) use sync::atomic;

    /// A lock with the face of the plain one.
    #[derive(Debug, Default)]
    pub(crate) struct Mutex<T>(sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) fn new(inside: T) -> Mutex<T> {
            Mutex(sync::Mutex::new(inside))
        }

        pub(crate) fn lock(&self) -> sync::MutexGuard<'_, T> {
            self.0.lock().unwrap()
        }
    }

    /// See the plain one.
    pub(crate) struct Bell(sync::Condvar);

    impl Default for Bell {
        fn default() -> Bell {
            Bell(sync::Condvar::new())
        }
    }

    impl Bell {
        pub(crate) fn ring(&self) {
            self.0.notify_one();
        }

        pub(crate) fn wait<'a, T>(&self, guard: sync::MutexGuard<'a, T>) -> sync::MutexGuard<'a, T> {
            self.0.wait(guard).unwrap()
        }
    }
}

#[cfg(all(test, any(loom, shuttle)))]
pub(crate) use checked::{Bell, Mutex, atomic};
