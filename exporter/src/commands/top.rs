//! `top`: shows the cost of metrics, in series and bytes. The metrics come from a running exporter, a saved response or
//! manifests.

mod fetch;
mod input;
mod table;
mod tls;

use std::io::Write;

use clap::{Args, ValueEnum};

use super::output::{AnyError, write};
use crate::logging;
use crate::options::{LogOptions, RenderFlags};
use crate::report::{JsonReport, Report};
use fetch::Access;
use input::Input;

#[derive(Args, Debug)]
pub(crate) struct TopArgs {
    /// One of: host and telemetry port of a running exporter (`localhost:8081`, `https://ksm:8081`); saved responses of
    /// /metrics or of /debug/cardinality; files or directories with manifests. `-` is standard input
    #[arg(required = true, value_name = "INPUT")]
    inputs: Vec<String>,
    /// Column by which rows are sorted, the largest value first
    #[arg(long, value_enum, default_value_t = Order::Bytes)]
    by: Order,
    /// Maximum number of rows of each table; 0 shows all rows
    #[arg(long, value_name = "ROWS", default_value_t = 10)]
    limit: usize,
    /// Write the report as JSON
    #[arg(long)]
    json: bool,
    /// A file with the bearer token for an exporter with --auth-filter
    #[arg(long, value_name = "FILE")]
    token_file: Option<std::path::PathBuf>,
    /// A PEM file with the certificate authority of an exporter with TLS; without this flag, `top` trusts the
    /// authorities of the system
    #[arg(long, value_name = "FILE")]
    ca_file: Option<std::path::PathBuf>,
    #[command(flatten)]
    flags: RenderFlags,
}

/// The column by which rows are sorted. The row with the largest value comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Order {
    Bytes,
    Series,
}

/// Reads the input and writes the report to `out`.
///
/// # Errors
///
/// The function fails if the input cannot be read, or if it has no samples.
pub(super) fn run(args: &TopArgs, mut out: impl Write) -> Result<(), AnyError> {
    logging::start(LogOptions::of(&args.flags.0));
    let input = Input::of(&args.inputs)?;
    let access = Access {
        token_file: args.token_file.as_deref(),
        ca_file: args.ca_file.as_deref(),
    };
    let mut report = input.read(&args.flags, access)?;
    if report.series() == 0 {
        let inputs = args.inputs.join(", ");
        return Err(format!(
            "{inputs} has no samples; give the host and port of an exporter, a saved response, or \
             manifests"
        )
        .into());
    }
    let (series, bytes) = (report.series(), report.bytes());
    report.families.retain(|family| family.series > 0);
    args.by.sort(&mut report);
    let limit = match args.limit {
        0 => usize::MAX,
        limit => limit,
    };
    let text = if args.json {
        report.truncate(limit);
        let report = JsonReport {
            series,
            bytes,
            report,
        };
        serde_json::to_string_pretty(&report)? + "\n"
    } else {
        table::text(&report, limit)
    };
    Ok(write(&mut out, text.as_bytes())?)
}

// === impl Order ===

impl Order {
    /// Sorts the rows of all tables. The row with the largest value comes first.
    fn sort(self, report: &mut Report) {
        let key = |series: u64, bytes: u64| match self {
            Self::Bytes => std::cmp::Reverse((bytes, series)),
            Self::Series => std::cmp::Reverse((series, bytes)),
        };
        report
            .families
            .sort_by_key(|row| key(row.series, row.bytes));
        report
            .resources
            .sort_by_key(|row| key(row.series, row.bytes));
        report
            .namespaces
            .sort_by_key(|row| key(row.series, row.bytes));
        report.labels.sort_by_key(|row| key(row.series, row.bytes));
    }
}
