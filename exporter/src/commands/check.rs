//! `check`: validates a Custom Resource State configuration, and prints the metrics that the configuration defines for
//! objects.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use config_file::ReadError;
use kube_state_metrics::custom_resources::{Config, ConfigProblem};
use kube_state_metrics::registry::check::{CheckReport, check_as};
use kube_state_metrics::source::manifests::ManifestSource;

use super::format::MetricsFormat;
use super::output::{list, write};
use crate::file_limits;
use crate::humanize::{visible, visible_line};
use crate::instance::limit_line;

#[derive(Args, Debug)]
pub(crate) struct CheckArgs {
    /// Configuration file, as for --custom-resource-state-config-file; `-` is standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Print the metrics of the objects in these manifests: files or directories; `-` is standard input
    #[arg(long, value_name = "PATH", allow_hyphen_values = true)]
    objects: Vec<PathBuf>,
    /// Treat warnings, such as unknown keys, as errors
    #[arg(long)]
    strict: bool,
    /// Exposition format
    #[arg(long, value_enum, allow_hyphen_values = true, default_value_t = MetricsFormat::Text)]
    format: MetricsFormat,
}

/// The error that ends `check`. Before this error, `check` has written each problem to standard error.
#[derive(Debug, thiserror::Error)]
pub(super) enum CheckError {
    #[error("cannot read the configuration {file}: {source}")]
    Read { file: String, source: ReadError },
    #[error("the configuration and the objects cannot both be standard input; give one as a file")]
    Stdin,
    #[error("{file}: {}", counted(*errors, "error"))]
    Errors { file: String, errors: usize },
    #[error("{file}: {}, which --strict treats as errors", counted(*warnings, "warning"))]
    Strict { file: String, warnings: usize },
    #[error("some objects could not be read; the lines above name them")]
    Skipped,
    #[error("no object could be read from {0}; give files or directories with manifests")]
    Nothing(String),
    #[error("cannot write the output: {0}")]
    Write(#[from] io::Error),
}

/// Checks the configuration. Writes metrics to `out`, and problems to `err`.
///
/// # Errors
///
/// The function fails if the configuration is invalid, or if an object cannot be read. With `--strict`, the function
/// also fails if there is a warning, or if an object exceeds a limit. The function does not fail if a value of an
/// object cannot be read, because optional fields may be absent from some objects. The function writes such values to
/// `err`.
pub(super) fn run(
    args: &CheckArgs,
    mut out: impl Write,
    mut err: impl Write,
) -> Result<(), CheckError> {
    let stdin = Path::new("-");
    if args.file == stdin && args.objects.iter().any(|path| path == stdin) {
        return Err(CheckError::Stdin);
    }
    let file = config_file::shown_path(&args.file).into_owned();
    let config = if args.file == stdin {
        let read = config_file::read_at_most(io::stdin(), 0, file_limits::CUSTOM_RESOURCES);
        read.and_then(config_file::text)
    } else {
        config_file::read_text(&args.file, file_limits::CUSTOM_RESOURCES)
    };
    let config = config.map_err(|source| CheckError::Read {
        file: file.clone(),
        source,
    })?;
    let (objects, problems) = ManifestSource::new(&args.objects).objects();
    for problem in &problems {
        write_line(&mut err, format!("error: {problem}"))?;
    }
    let nothing = objects.is_empty() && !args.objects.is_empty();
    let report = check_as(args.format.into(), &config, objects);
    write_report(&report, &file, args.strict, &mut err)?;
    if !report.errors.is_empty() {
        let errors = report.errors.iter().map(ConfigProblem::count).sum();
        return Err(CheckError::Errors { file, errors });
    }
    let warnings = report
        .warnings
        .iter()
        .map(ConfigProblem::count)
        .sum::<usize>();
    if args.objects.is_empty() {
        // The default 0 is never used: the check found no errors, so `parse` succeeds.
        let families = Config::parse(&config).map_or(0, |config| config.family_names().count());
        let families = counted(families, "metric");
        let warnings = counted(warnings, "warning");
        write(
            &mut out,
            format!("{file}: {families}, no errors, {warnings}\n").as_bytes(),
        )?;
    } else if nothing {
        return Err(CheckError::Nothing(list(&args.objects)));
    } else {
        write(&mut out, report.exposition.as_bytes())?;
    }
    let warnings = warnings + report.exceeded.len();
    if args.strict && warnings > 0 {
        return Err(CheckError::Strict { file, warnings });
    }
    if problems.is_empty() && report.undecoded.is_empty() {
        Ok(())
    } else {
        Err(CheckError::Skipped)
    }
}

/// Writes the problems and notes of a report.
fn write_report(
    report: &CheckReport,
    file: &str,
    strict: bool,
    err: &mut impl Write,
) -> Result<(), CheckError> {
    for problem in &report.errors {
        // `visible` keeps line breaks, because a message about the configuration may have several lines.
        let problem = visible(problem.to_string());
        writeln!(err, "error: {file}: {problem}")?;
    }
    let word = if strict { "error" } else { "warning" };
    for problem in &report.warnings {
        let problem = visible(problem.to_string());
        writeln!(err, "{word}: {file}: {problem}")?;
    }
    for (resource, exceeded) in &report.exceeded {
        writeln!(err, "{word}: {}", limit_line(resource, exceeded))?;
    }
    for problem in &report.undecoded {
        write_line(err, format!("error: {problem}"))?;
    }
    for (kind, count) in &report.ignored {
        let objects = counted(*count, "object");
        let note = format!("note: nothing is configured for {kind}: {objects}");
        write_line(err, note)?;
    }
    for note in &report.notes {
        write_line(err, format!("note: {note}"))?;
    }
    if report.repeated > 0 {
        let samples = counted(
            usize::try_from(report.repeated).unwrap_or(usize::MAX),
            "sample",
        );
        writeln!(
            err,
            "note: {samples} dropped because other samples have the same labels; add labels that distinguish the samples"
        )?;
    }
    for own in &report.unread {
        let family = &own.family;
        for example in &own.examples {
            write_line(err, format!("unread: {family}: {example}"))?;
        }
        let more = own.count.saturating_sub(own.examples.len() as u64);
        if more > 0 {
            writeln!(err, "unread: {family}: {more} more")?;
        }
    }
    Ok(())
}

/// Writes a line. Names and values of objects may contain characters that control a terminal or begin a new line. The
/// function writes such characters as escapes.
fn write_line(err: &mut impl Write, line: String) -> io::Result<()> {
    writeln!(err, "{}", visible_line(line))
}

fn counted(count: usize, what: &str) -> String {
    let ending = if count == 1 { "" } else { "s" };
    format!("{count} {what}{ending}")
}
