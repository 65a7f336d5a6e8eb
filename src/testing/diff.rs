//! Describes the differences between rendered and expected samples, and shows them line by line.

use std::fmt::Write as _;

use super::line::Line;

/// The first line of a message about differences.
const DIFFER: &str = "the samples differ (- expected, + rendered)";

/// The common lines and the differences of two lists of samples.
#[derive(Default)]
struct Difference {
    /// Lines with a mark: `-` for an expected line that was not rendered, `+` for a rendered line that was not
    /// expected, and a space for other lines.
    lines: Vec<(char, String)>,
    /// The descriptions of the differences, one per item.
    remarks: Vec<String>,
}

/// Compares rendered samples and headers with those that a test expects.
///
/// # Errors
///
/// Returns a message with all differences. If a line of `expected` is not a sample, the message names only this line.
pub(super) fn compare_with_text(
    expected: &str,
    headers: &[&str],
    samples: &[&Line],
) -> Result<(), String> {
    let expected = Expected::parse(expected)?;
    let mut difference = Difference::default();
    if !expected.headers.is_empty() {
        difference.add_headers(&expected.headers, headers);
    }
    let wanted: Vec<_> = expected.samples.iter().collect();
    difference.add_samples(&wanted, samples);
    difference.into_result(DIFFER)
}

/// Checks that the rendered text contains the samples and headers that a test expects.
///
/// # Errors
///
/// Returns a message with all missing samples and headers. If a line of `expected` is not a sample, the message names
/// only this line.
pub(super) fn find_missing(
    expected: &str,
    headers: &[&str],
    samples: &[&Line],
) -> Result<(), String> {
    let expected = Expected::parse(expected)?;
    if expected.headers.is_empty() && expected.samples.is_empty() {
        return Err(String::from(
            "the list of expected samples is empty; add at least one sample",
        ));
    }
    let mut difference = Difference::default();
    let mut missing = expected.headers;
    missing.retain(|header| !headers.contains(header));
    difference.add_headers(&missing, &[]);
    difference.add_missing(&expected.samples, samples);
    difference.into_result("samples are missing (- expected, + the most similar one)")
}

/// The lines that a test expects.
struct Expected<'e> {
    headers: Vec<&'e str>,
    samples: Vec<Line>,
}

// === impl Expected ===

impl<'e> Expected<'e> {
    fn parse(text: &'e str) -> Result<Self, String> {
        let (mut headers, mut samples) = (Vec::new(), Vec::new());
        for (number, line) in (1..).zip(text.lines().map(str::trim)) {
            if line.starts_with("# HELP ") || line.starts_with("# TYPE ") {
                headers.push(line);
            } else if !line.is_empty() && !line.starts_with('#') {
                samples.push(Line::parse(line).map_err(|problem| {
                    format!(
                        "line {number} of the expected samples is not a sample: {problem}: {line}"
                    )
                })?);
            }
        }
        Ok(Self { headers, samples })
    }
}

/// Compares rendered samples with expected samples.
///
/// # Errors
///
/// Returns a message that names the differences.
pub(super) fn compare(expected: &[&Line], samples: &[&Line]) -> Result<(), String> {
    let mut difference = Difference::default();
    difference.add_samples(expected, samples);
    difference.into_result(DIFFER)
}

// === impl Difference ===

impl Difference {
    fn add_headers(&mut self, wanted: &[&str], rendered: &[&str]) {
        for header in wanted {
            let is_there = rendered.contains(header);
            self.lines
                .push((if is_there { ' ' } else { '-' }, (*header).to_owned()));
            if !is_there {
                self.remarks
                    .push(format!("the header `{header}` is missing"));
            }
        }
        for header in rendered.iter().filter(|header| !wanted.contains(header)) {
            self.lines.push(('+', (*header).to_owned()));
            self.remarks
                .push(format!("the header `{header}` is not expected"));
        }
    }

    fn add_samples(&mut self, wanted: &[&Line], rendered: &[&Line]) {
        // Equal samples are paired first. Otherwise, an expected sample could be paired with a similar rendered sample
        // that is equal to another expected sample.
        let mut left: Vec<Option<&Line>> = rendered.iter().copied().map(Some).collect();
        let mut take = |matches: &dyn Fn(&Line) -> bool| {
            let found = left.iter_mut().find(|own| own.is_some_and(matches));
            found.and_then(Option::take)
        };
        let found: Vec<_> = wanted
            .iter()
            .map(|want| take(&|own| own.is_same(want)).is_some())
            .collect();
        let mut left: Vec<&Line> = left.into_iter().flatten().collect();
        for (want, found) in wanted.iter().zip(found) {
            if found {
                self.lines.push((' ', want.to_string()));
                continue;
            }
            self.lines.push(('-', want.to_string()));
            let near = left
                .iter()
                .enumerate()
                .filter(|(_, own)| own.name == want.name);
            let near = near.min_by_key(|(_, own)| own.label_differences(want).len());
            match near.map(|(at, _)| at) {
                Some(at) => {
                    let own = left.remove(at);
                    self.lines.push(('+', own.to_string()));
                    self.remark(want, own);
                }
                None => self.remark_missing(want, rendered),
            }
        }
        for own in left {
            self.lines.push(('+', own.to_string()));
            self.remarks.push(format!("`{own}` is not expected"));
        }
    }

    /// Adds the missing samples, each with the most similar rendered sample.
    fn add_missing(&mut self, wanted: &[Line], rendered: &[&Line]) {
        let is_missing = |want: &&Line| !rendered.iter().any(|own| own.is_same(want));
        for want in wanted.iter().filter(is_missing) {
            self.lines.push(('-', want.to_string()));
            let near = rendered.iter().filter(|own| own.name == want.name);
            match near.min_by_key(|own| own.label_differences(want).len()) {
                Some(own) => {
                    self.lines.push(('+', own.to_string()));
                    self.remark(want, own);
                }
                None => self.remark_missing(want, rendered),
            }
        }
    }

    /// Describes how a rendered sample differs from the most similar expected sample.
    fn remark(&mut self, want: &Line, own: &Line) {
        if own.is_same_series(want) {
            let (value, expected) = (own.value, want.value);
            self.remarks.push(format!(
                "`{own}` has the value {value}, expected {expected}"
            ));
            return;
        }
        let mut problems: Vec<_> = own
            .label_differences(want)
            .into_iter()
            .map(|difference| match difference {
                (label, Some(value), Some(expected)) => {
                    format!("the label `{label}` is {value:?}, expected {expected:?}")
                }
                (label, None, expected) => {
                    format!(
                        "the label `{label}` is missing, expected {:?}",
                        expected.unwrap_or_default()
                    )
                }
                (label, Some(value), None) => {
                    format!("the label `{label}` with the value {value:?} is not expected")
                }
            })
            .collect();
        if !own.has_value_of(want) {
            problems.push(format!(
                "the value is {}, expected {}",
                own.value, want.value
            ));
        }
        self.remarks
            .push(format!("`{own}`: {}", problems.join("; ")));
    }

    fn remark_missing(&mut self, want: &Line, rendered: &[&Line]) {
        let mut remark = format!("`{want}` is missing");
        if !rendered.iter().any(|own| own.name == want.name) {
            let mut names: Vec<_> = rendered.iter().map(|own| own.name.as_str()).collect();
            names.dedup();
            let _ = match names.as_slice() {
                [] => write!(remark, ": nothing was rendered"),
                names => write!(
                    remark,
                    ": `{}` has no sample; families with samples: {}",
                    want.name,
                    names.join(", ")
                ),
            };
        }
        self.remarks.push(remark);
    }

    fn into_result(self, title: &str) -> Result<(), String> {
        if self.remarks.is_empty() {
            return Ok(());
        }
        let mut message = format!("{title}:\n");
        for (mark, line) in &self.lines {
            let _ = write!(message, "\n{mark} {line}");
        }
        message.push('\n');
        for remark in &self.remarks {
            let _ = write!(message, "\n{remark}");
        }
        Err(message)
    }
}
