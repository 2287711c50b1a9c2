//! Numbers as people read them.

use std::time::Duration;

/// `1.9 ms`, `1.23 s`
pub fn took(time: Duration) -> String {
    let ms = time.as_secs_f64() * 1_000.0;
    if ms < 1_000.0 { format!("{ms:.1} ms") } else { format!("{:.2} s", ms / 1_000.0) }
}

/// `512 B`, `64 KiB`, `1.5 MiB`
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1_024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64;
    let mut unit = "B";
    for next in UNITS {
        if value < 1_024.0 {
            break;
        }
        value /= 1_024.0;
        unit = next;
    }
    if value >= 10.0 || value.fract() < 0.05 { format!("{value:.0} {unit}") } else { format!("{value:.1} {unit}") }
}

/// `3 s`, `4 m 05 s`, `2 h 07 m`, `3 d 4 h`
pub fn uptime(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} m {:02} s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{} h {:02} m", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds / 3_600 % 24),
    }
}

/// Time of day in UTC, with milliseconds.
pub fn clock(time_ns: u64) -> String {
    let ms = time_ns / 1_000_000;
    let s = ms / 1_000;
    format!("{:02}:{:02}:{:02}.{:03}", s / 3_600 % 24, s / 60 % 60, s % 60, ms % 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        assert_eq!(took(Duration::from_micros(1_940)), "1.9 ms");
        assert_eq!(took(Duration::from_millis(1_234)), "1.23 s");
        assert_eq!([size(0), size(512), size(65_536), size(1 << 20 | 1 << 19)], ["0 B", "512 B", "64 KiB", "1.5 MiB"]);
        assert_eq!(
            [uptime(3), uptime(245), uptime(7_620), uptime(273_600)],
            ["3 s", "4 m 05 s", "2 h 07 m", "3 d 4 h"]
        );
        assert_eq!(clock(1_700_000_000_123_456_789), "22:13:20.123");
    }
}
