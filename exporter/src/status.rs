//! What is known of each resource, in words for pages and programs.

use std::fmt::Write;

use serde::Serialize;

/// Whether to be ready, and the state of every resource.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Status {
    pub(crate) ready: bool,
    /// What a page says of it: `reading manifests`, `watching https://…`.
    pub(crate) source: String,
    /// What keeps from being ready, or is odd though ready.
    pub(crate) remarks: Vec<String>,
    pub(crate) resources: Vec<ResourceStatus>,
}

/// The state of one resource.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ResourceStatus {
    pub(crate) resource: String,
    pub(crate) api_version: String,
    pub(crate) kind: String,
    /// `synced` where all is well.
    pub(crate) state: String,
    pub(crate) objects: u64,
    pub(crate) series: u64,
    pub(crate) memory_bytes: u64,
    /// Seconds since something was heard of it.
    pub(crate) last_event_seconds: Option<f64>,
    /// Objects that could not be read.
    pub(crate) errors: u64,
    pub(crate) last_error: Option<String>,
}

// === impl Status ===

impl Status {
    /// Objects of all resources.
    pub(crate) fn objects(&self) -> u64 {
        self.resources.iter().map(|resource| resource.objects).sum()
    }

    /// Series of all resources.
    pub(crate) fn series(&self) -> u64 {
        self.resources.iter().map(|resource| resource.series).sum()
    }

    /// Memory of all stores.
    pub(crate) fn memory_bytes(&self) -> u64 {
        self.resources
            .iter()
            .map(|resource| resource.memory_bytes)
            .sum()
    }

    /// The body of `/readyz`: `OK` or what is missing, and each resource where `verbose`.
    pub(crate) fn text(&self, verbose: bool) -> String {
        let mut text = String::from(if self.ready { "OK" } else { "not ready" });
        for remark in &self.remarks {
            let _ = write!(text, "\n{remark}");
        }
        if verbose {
            for resource in &self.resources {
                let mark = if resource.is_synced() { '+' } else { '-' };
                let (name, state) = (&resource.resource, &resource.state);
                let _ = write!(
                    text,
                    "\n[{mark}] {name}: {state}, {} objects",
                    resource.objects
                );
                if let Some(error) = resource
                    .last_error
                    .as_ref()
                    .filter(|_| !resource.is_synced())
                {
                    let _ = write!(text, ": {error}");
                }
            }
        }
        if text != "OK" {
            text.push('\n');
        }
        text
    }
}

// === impl ResourceStatus ===

impl ResourceStatus {
    /// The plural name alone.
    pub(crate) fn plural(&self) -> &str {
        self.resource.split('.').next().unwrap_or_default()
    }

    pub(crate) fn is_synced(&self) -> bool {
        self.state == "synced"
    }
}

/// A number with its thousands apart, such as `1,234`.
pub(crate) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A size in the unit that suits it, such as `1.5 MiB`.
pub(crate) fn size(bytes: u64) -> String {
    let mut size = bytes as f64;
    let mut unit = "B";
    for larger in ["KiB", "MiB", "GiB"] {
        if size < 1024.0 {
            break;
        }
        size /= 1024.0;
        unit = larger;
    }
    if unit == "B" || size >= 100.0 {
        format!("{size:.0} {unit}")
    } else {
        format!("{size:.1} {unit}")
    }
}

/// A time span in the unit that suits it, such as `3m 20s`.
pub(crate) fn span(seconds: f64) -> String {
    let whole = seconds.max(0.0) as u64;
    match whole {
        0..60 => format!("{whole}s"),
        60..3600 => format!("{}m {}s", whole / 60, whole % 60),
        3600..86_400 => format!("{}h {}m", whole / 3600, whole % 3600 / 60),
        _ => format!("{}d {}h", whole / 86_400, whole % 86_400 / 3600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_easy_to_read() {
        assert_eq!(
            [0, 999, 1000, 1_234_567].map(thousands),
            ["0", "999", "1,000", "1,234,567"]
        );
        let sizes = [0, 1023, 1536, 200 << 20, 3 << 30].map(size);
        assert_eq!(sizes, ["0 B", "1023 B", "1.5 KiB", "200 MiB", "3.0 GiB"]);
        let spans = [0.4, 59.9, 200.0, 7300.0, 100_000.0].map(span);
        assert_eq!(spans, ["0s", "59s", "3m 20s", "2h 1m", "1d 3h"]);
    }
}
