//! Computes results of the tests from the samples that Prometheus has stored during rollouts. In this file, *the
//! series* is one series that each leader exports, and a *point* is one value of this series. There is a point every
//! 0.1 s.

use std::collections::BTreeSet;
use std::fmt::{Display, Formatter, Result};

use crate::prometheus::{Prometheus, value};

/// The maximum time range of a query, in seconds. A response of Prometheus has at most 11,000 points, so it covers at
/// most 1,100 seconds.
const DURATION: f64 = 1000.0;
/// The time between two points in the result of a query, in seconds.
const STEP: f64 = 0.1;

/// The results of one test.
#[derive(Default)]
pub(super) struct Measured {
    seconds: f64,
    /// The number of points at which the series exists.
    points: usize,
    /// The number of points at which the series exists more than once.
    pub(super) doubled: usize,
    /// The longest time without the series, in seconds.
    pub(super) longest_gap: f64,
    /// The time from the start of the measurement to the start of the longest gap, in seconds.
    gap_start: f64,
    /// The number of failed evaluations of rules.
    pub(super) failed: f64,
    rules: usize,
    /// The number of rules that had results.
    pub(super) with_results: usize,
    /// The rules with doubled results. An alert is doubled if it occurred twice at the same time. A recording rule is
    /// doubled if its result was about twice the result with one replica.
    pub(super) doubled_rules: Vec<String>,
}

impl Measured {
    /// Computes the results for the time from `start` to `end`. At the time `single`, Prometheus had only one replica
    /// as a target, so no result of a rule was doubled. Later results are compared with the results of that time.
    pub(super) fn new(
        prometheus: &Prometheus,
        series: &str,
        single: f64,
        [start, end]: [f64; 2],
    ) -> Self {
        let mut measured = Self {
            seconds: end - start,
            failed: prometheus.failed_evaluations().iter().sum(),
            ..Self::default()
        };
        measured.add_points(prometheus, series, start, end);
        measured.add_rules(prometheus, single, start, end);
        measured
    }

    fn add_points(&mut self, prometheus: &Prometheus, series: &str, start: f64, end: f64) {
        let (mut from, mut before) = (start, start);
        while from < end {
            let to = end.min(from + DURATION);
            let rows = prometheus.history(&format!("count({series})"), from, to);
            let points = rows
                .first()
                .map_or(&[][..], |row| row["values"].as_array().unwrap());
            for point in points {
                let at = point[0].as_f64().unwrap();
                self.points += 1;
                self.doubled += usize::from(point[1] != "1");
                self.add_gap(start, before, at);
                before = at;
            }
            from = to + STEP;
        }
        self.add_gap(start, before, end);
    }

    /// Records the gap between two neighbouring points of the series, if all earlier gaps were shorter.
    fn add_gap(&mut self, start: f64, before: f64, after: f64) {
        // Times have errors of rounding, so a difference is a whole number of steps only after rounding.
        let gap = (((after - before) / STEP).round() - 1.0) * STEP;
        if gap > self.longest_gap {
            (self.longest_gap, self.gap_start) = (gap, before - start);
        }
    }

    fn add_rules(&mut self, prometheus: &Prometheus, single: f64, start: f64, end: f64) {
        let answer = prometheus.api("/api/v1/rules");
        let groups = answer["data"]["groups"].as_array().unwrap();
        let rules = groups
            .iter()
            .flat_map(|group| group["rules"].as_array().unwrap());
        let text = |text: &serde_json::Value| text.as_str().unwrap().to_owned();
        let rules: BTreeSet<_> = rules
            .map(|rule| (text(&rule["name"]), rule["type"] == "alerting"))
            .collect();
        // Returns the number of seconds in which an expression has results.
        let seconds = |query: &str| {
            let range = format!("[{}s:1s] @ {end}", (end - start).ceil());
            let rows = prometheus.rows(&format!("count_over_time(({query}){range})"));
            rows.first().map_or(0.0, value)
        };
        for (name, is_alert) in &rules {
            let result = match is_alert {
                true => {
                    format!("sum without (instance, alertstate) (ALERTS{{alertname=\"{name}\"}})")
                }
                false => format!("sum without (instance) ({{__name__=\"{name}\"}})"),
            };
            // An alert about the exporter has one result per replica, so two results are correct while two replicas
            // run.
            let is_about_replicas = *is_alert && name.starts_with("KubeStateMetrics");
            let doubled = match is_alert {
                true => format!("{result} > 1"),
                false => {
                    let single = result.replace("})", &format!("}} @ {single})"));
                    format!("{result} > 1.9 * ({single} > 0)")
                }
            };
            self.with_results += usize::from(seconds(&format!("count({result})")) > 0.0);
            let doubled = seconds(&format!("count({doubled})"));
            if doubled > 0.0 && !is_about_replicas {
                self.doubled_rules.push(format!("{name} ({doubled} s)"));
            }
        }
        self.rules = rules.len();
    }
}

impl Display for Measured {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        writeln!(f, "  duration: {:.0} s", self.seconds)?;
        let (doubled, points) = (self.doubled, self.points);
        writeln!(
            f,
            "  series twice: at {doubled} of the {points} tenths of a second with the series"
        )?;
        let (gap, after) = (self.longest_gap, self.gap_start);
        writeln!(f, "  longest gap: {gap:.1} s, after {after:.0} s")?;
        writeln!(f, "  failed rule evaluations: {}", self.failed)?;
        writeln!(
            f,
            "  rules: {}, with results: {}",
            self.rules, self.with_results
        )?;
        let doubled = &self.doubled_rules;
        write!(
            f,
            "  rules with doubled results: {} {doubled:?}",
            doubled.len()
        )
    }
}
