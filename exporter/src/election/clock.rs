//! The clock with which replicas measure the times of an election.

use super::machine::Uptime;

/// The time since the machine started. The result includes times in which the machine was suspended, because the Lease
/// also expires during such times. Changes of the system date have no effect.
pub(super) fn uptime() -> Uptime {
    #[cfg(target_os = "linux")]
    let clock = rustix::time::ClockId::Boottime;
    #[cfg(not(target_os = "linux"))]
    let clock = rustix::time::ClockId::Monotonic;
    let time = rustix::time::clock_gettime(clock);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    Uptime::new(seconds, u32::try_from(time.tv_nsec).unwrap_or_default())
}
