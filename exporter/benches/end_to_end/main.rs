//! Measures the exporter from end to end, and compares it with a stand-in, that is a simple exporter of the usual
//! design.
//!
//! ```console
//! $ cargo bench -p kube-state-metrics-exporter --bench end_to_end -- 1000 10000
//! ```
//!
//! For each number of pods and each exporter, the benchmark starts a synthetic API server and the exporter as separate
//! processes. So the CPU time and the memory of an exporter do not include the API server. `--only crate` measures only
//! the exporter of this repository, and `--only usual` measures only the stand-in. `--scrapes N` and `--seconds S` make
//! a run longer. `--program PATH` measures another build of the exporter, such as a static program. The benchmark needs
//! Linux, because CPU times and memory come from `/proc`. docs/explanation/performance.md shows the results.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::cast_precision_loss
)]

mod apiserver;
mod measure;
mod process;
mod scrape;
mod standin;

#[path = "../../../benches/support/pods.rs"]
mod pods;

use std::error::Error;
use std::process::{Command, ExitCode};

use measure::{Exporter, Figures, Plan};
use process::Process;

type AnyError = Box<dyn Error>;

const USAGE: &str =
    "end_to_end [--only crate|usual] [--scrapes N] [--seconds S] [--program PATH] [PODS]...";

fn main() -> ExitCode {
    let mut args: Vec<_> = std::env::args().skip(1).collect();
    // Cargo adds this argument.
    args.retain(|arg| arg != "--bench");
    let words: Vec<_> = args.iter().map(String::as_str).collect();
    let done = match words[..] {
        ["apiserver", pods] => pods
            .parse()
            .map_err(AnyError::from)
            .and_then(|pods| Ok(apiserver::run(pods)?)),
        ["stand-in", url] => standin::run(url),
        _ => compare(&words),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("end_to_end: {error}");
            ExitCode::FAILURE
        }
    }
}

fn compare(words: &[&str]) -> Result<(), AnyError> {
    let (mut plan, mut only, mut sizes) = (Plan::default(), None, Vec::new());
    let mut words = words.iter();
    while let Some(&word) = words.next() {
        let mut value = || words.next().ok_or(USAGE);
        match word {
            "--only" => only = Some(*value()?),
            "--scrapes" => plan.scrapes = value()?.parse()?,
            "--seconds" => plan.seconds = value()?.parse()?,
            "--program" => plan.program = (*value()?).into(),
            size => sizes.push(size.parse().map_err(|_| USAGE)?),
        }
    }
    if sizes.is_empty() {
        sizes.push(10_000);
    }
    for size in sizes {
        let mut columns = Vec::new();
        for exporter in [Exporter::Crate, Exporter::Usual] {
            if only.is_none_or(|only| only == exporter.name()) {
                // Each exporter uses a separate API server, so that both exporters receive the same changes in the same
                // order.
                let mut api = Process::start(
                    Command::new(std::env::current_exe()?).args(["apiserver", &size.to_string()]),
                )?;
                columns.push((
                    exporter.name(),
                    measure::measure(exporter, size, &plan, &mut api)?,
                ));
            }
        }
        print(size, &columns);
    }
    Ok(())
}

/// Prints the results of the exporters as a Markdown table with one column for each exporter.
fn print(pods: usize, columns: &[(&str, Figures)]) {
    println!("\n{pods} pods\n");
    let names: Vec<_> = columns.iter().map(|(name, _)| *name).collect();
    println!(
        "| | {} |{}",
        names.join(" | "),
        if names.len() == 2 { " ratio |" } else { "" }
    );
    println!(
        "|---|{}{}",
        "---|".repeat(names.len()),
        if names.len() == 2 { "---|" } else { "" }
    );
    let Some((_, first)) = columns.first() else {
        return;
    };
    for (row, (name, unit, _)) in first.rows.iter().enumerate() {
        let values: Vec<_> = (columns.iter())
            .filter_map(|(_, figures)| Some(figures.rows.get(row)?.2))
            .collect();
        let cells: Vec<_> = values
            .iter()
            .map(|value| match value.is_nan() {
                true => String::new(),
                false => format!("{} {unit}", digits(*value)),
            })
            .collect();
        let ratio = match values[..] {
            [own, usual] if own > 0.0 && usual.is_finite() => {
                format!(" 1/{} |", digits(usual / own))
            }
            [_, _] => String::from(" |"),
            _ => String::new(),
        };
        println!("| {name} | {} |{ratio}", cells.join(" | "));
    }
}

/// Formats a value with three significant digits.
fn digits(value: f64) -> String {
    match value {
        value if value >= 100.0 => format!("{value:.0}"),
        value if value >= 10.0 => format!("{value:.1}"),
        value => format!("{value:.2}"),
    }
}
