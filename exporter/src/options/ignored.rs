//! Flags that have nothing to change here.

use super::flags::IgnoredFlags;
use super::parse;
use super::reader::Reader;
use crate::config_file::ConfigFile;

/// Checks flags that change nothing, and says so.
pub(super) fn check(reader: &mut Reader<'_>, flags: &IgnoredFlags, file: &ConfigFile) {
    let memory = parse::switch;
    let key = "auto-gomemlimit";
    if reader.value(
        "--auto-gomemlimit",
        &flags.auto_gomemlimit,
        key,
        &file.auto_gomemlimit,
        memory,
        false,
    ) {
        reader.value(
            "--auto-gomemlimit-ratio",
            &flags.auto_gomemlimit_ratio,
            "auto-gomemlimit-ratio",
            &file.auto_gomemlimit_ratio,
            parse::ratio,
            0.9,
        );
        reader
            .warnings
            .push("--auto-gomemlimit has no effect: there is no garbage collector to limit".into());
    }
    let gzip = &flags.enable_gzip_encoding;
    if !reader.value(
        "--enable-gzip-encoding",
        gzip,
        "enable_gzip_encoding",
        &file.enable_gzip_encoding,
        memory,
        true,
    ) {
        reader.warnings.push(
            "--enable-gzip-encoding=false has no effect: clients that accept gzip get it".into(),
        );
    }
    let log_files = [
        ("--logtostderr", &flags.logtostderr),
        ("--alsologtostderr", &flags.alsologtostderr),
        (
            "--alsologtostderrthreshold",
            &flags.alsologtostderrthreshold,
        ),
        ("--stderrthreshold", &flags.stderrthreshold),
        (
            "--legacy_stderr_threshold_behavior",
            &flags.legacy_stderr_threshold_behavior,
        ),
        ("--log_dir", &flags.log_dir),
        ("--log_file", &flags.log_file),
        ("--log_file_max_size", &flags.log_file_max_size),
        ("--log_backtrace_at", &flags.log_backtrace_at),
        ("--add_dir_header", &flags.add_dir_header),
        ("--skip_headers", &flags.skip_headers),
        ("--skip_log_headers", &flags.skip_log_headers),
        ("--one_output", &flags.one_output),
    ];
    for (flag, value) in log_files {
        // What the program does anyway needs no word.
        let harmless = flag == "--logtostderr" && value.as_deref() == Some("true");
        if value.is_some() && !harmless {
            reader.warnings.push(format!(
                "{flag} has no effect: log lines of one format go to standard error; see \
                 --log-format"
            ));
        }
    }
    if flags.vmodule.is_some() {
        reader
            .warnings
            .push("--vmodule has no effect: use -v, or PUT /debug/log-level".into());
    }
}
