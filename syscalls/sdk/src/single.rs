//! Statics of a guest, which has one thread.

/// A value that only one thread can reach, because there is only one.
pub struct Single<T>(T);

// SAFETY: a guest has one thread: the target has no atomics (checked below), and the kernel refuses a module with shared
// memory (SPEC.md, 1).
unsafe impl<T> Sync for Single<T> {}

#[cfg(target_feature = "atomics")]
compile_error!("a Pando guest has one thread; build without the `atomics` target feature");

impl<T> Single<T> {
    /// Around `value`.
    pub const fn new(value: T) -> Single<T> {
        Single(value)
    }

    /// The value.
    pub fn get(&self) -> &T {
        &self.0
    }
}
