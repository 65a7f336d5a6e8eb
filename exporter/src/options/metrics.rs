//! The options that select metrics.

use kube_state_metrics::custom_resources::KnownKind;
use kube_state_metrics::filter::{AllowlistConfig, FilterError, MetricList};
use kube_state_metrics::registry::{BuildError, BuildProblem, JoinConfig, Limits, Shard};
use kube_state_metrics::{BuiltIn, StateMetrics};

use super::custom_resources::{CustomResources, from_each};
use super::names;
use super::reader::{Reader, first_messages};
use super::row::Items;
use super::table;
use crate::humanize::{start_of, visible_line};

/// The maximum number of bytes of a name that a message shows.
const SHOWN: usize = 100;

/// The options that select metrics.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct MetricsOptions {
    pub(crate) resources: Vec<String>,
    pub(crate) allow: Vec<String>,
    pub(crate) deny: Vec<String>,
    pub(crate) opt_in: Vec<String>,
    pub(crate) labels: AllowlistConfig,
    pub(crate) annotations: AllowlistConfig,
    pub(crate) joins: JoinConfig,
    pub(crate) namespaces: Vec<String>,
    pub(crate) denied_namespaces: Vec<String>,
    pub(crate) shard: Shard,
    pub(crate) limits: Limits,
    pub(crate) custom: CustomResources,
}

// === impl MetricsOptions ===

impl MetricsOptions {
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        let custom = CustomResources::read(reader);
        Self {
            resources: resources(reader, custom.only),
            allow: reader.items(&table::METRIC_ALLOWLIST),
            deny: reader.items(&table::METRIC_DENYLIST),
            opt_in: reader.items(&table::METRIC_OPT_IN_LIST),
            shard: shard(reader),
            labels: reader.allowlists(&table::METRIC_LABELS_ALLOWLIST),
            annotations: reader.allowlists(&table::METRIC_ANNOTATIONS_ALLOWLIST),
            joins: reader.joins(&table::JOIN_LABELS),
            namespaces: namespaces(reader, &table::NAMESPACES),
            denied_namespaces: namespaces(reader, &table::NAMESPACES_DENYLIST),
            limits: limits(reader),
            custom,
        }
    }

    /// Builds empty stores.
    ///
    /// # Errors
    ///
    /// The function fails if patterns or resources are invalid. The error names all invalid items.
    pub(crate) fn build(&self) -> Result<StateMetrics, BuildError> {
        let builder = StateMetrics::builder()
            .resources(&self.resources)
            .allow_metrics(&self.allow)
            .deny_metrics(&self.deny)
            .opt_in_metrics(&self.opt_in)
            .label_allowlists(self.labels.clone())
            .annotation_allowlists(self.annotations.clone())
            .join_labels(self.joins.clone())
            .namespaces(&self.namespaces)
            .deny_namespaces(&self.denied_namespaces)
            .shard(self.shard)
            .limits(self.limits);
        match &self.custom.config {
            // The stores start with the built-in kinds only. Custom kinds are added when the exporter has read the
            // cluster or the manifests.
            Some(configured) => builder
                .custom_resources(&configured.config)
                .known_kinds(KnownKind::built_in())
                .build(),
            None => builder.build(),
        }
    }

    /// Builds the stores once and drops them, to find the problems that only the builder detects.
    pub(super) fn check(&self, reader: &mut Reader<'_>) {
        let known: Vec<_> = BuiltIn::ALL
            .iter()
            .map(|resource| resource.name())
            .collect();
        for (flag, allowlists) in [
            ("--metric-labels-allowlist", &self.labels),
            ("--metric-annotations-allowlist", &self.annotations),
        ] {
            let errors = allowlists.check_resources(&known).err().unwrap_or_default();
            let problems = errors.iter().map(|error| format!("{flag}: {error}"));
            reader.problems.extend(first_messages(problems, flag, ""));
        }
        match self.build() {
            Ok(metrics) => {
                reader
                    .warnings
                    .extend(metrics.warnings().iter().map(ToString::to_string));
                let configured = self.custom.config.as_ref();
                let from = configured.map_or("", |configured| configured.from());
                let differences = metrics.custom_resources().warnings();
                reader.warnings.extend(from_each(from, &differences));
            }
            Err(error) => {
                // The code above has already reported unknown resources with their flags.
                let reported = |problem: &&BuildProblem| {
                    matches!(
                        problem,
                        BuildProblem::Filter(FilterError::UnknownResource { .. })
                    )
                };
                let rest = error.problems().iter().filter(|problem| !reported(problem));
                // The number of errors about filters is already limited.
                let is_of_filter =
                    |problem: &&BuildProblem| matches!(problem, BuildProblem::Filter(_));
                let (of_filters, rest): (Vec<_>, Vec<_>) = rest.partition(is_of_filter);
                reader
                    .problems
                    .extend(of_filters.into_iter().map(with_flag));
                let rest = rest.into_iter().map(with_flag);
                let rest = first_messages(rest, "the metric options", "");
                reader.problems.extend(rest);
            }
        }
    }
}

/// Returns the flags that cause a problem, and the text of the problem.
fn with_flag(problem: &BuildProblem) -> String {
    let flag = match problem {
        BuildProblem::Filter(FilterError::AllowAndDeny { .. }) => {
            "--metric-allowlist, --metric-denylist"
        }
        BuildProblem::Filter(
            FilterError::Pattern { list, .. }
            | FilterError::Memory { list, .. }
            | FilterError::ManyInvalid { list },
        ) => match list {
            MetricList::Allow => "--metric-allowlist",
            MetricList::Deny => "--metric-denylist",
            MetricList::OptIn => "--metric-opt-in-list",
            _ => return problem.to_string(),
        },
        BuildProblem::UnknownJoinResource { .. }
        | BuildProblem::JoinedLabel { .. }
        | BuildProblem::TooManyJoinedLabels { .. } => "--join-labels",
        _ => return problem.to_string(),
    };
    format!("{flag}: {problem}")
}

/// Returns the resources to export. An unknown name is a problem. With `custom_only`, an unknown name causes only a
/// warning.
fn resources(reader: &mut Reader<'_>, custom_only: bool) -> Vec<String> {
    let (mut resources, mut unknown) = (Vec::new(), Vec::new());
    for name in reader.items(&table::RESOURCES) {
        match name.parse::<BuiltIn>() {
            Ok(_) => resources.push(name),
            Err(error) => unknown.push((name, error)),
        }
    }
    let source = reader.source(&table::RESOURCES.row);
    let known: Vec<_> = BuiltIn::ALL.iter().map(|known| known.name()).collect();
    let known = known.join(", ");
    let problems = unknown.into_iter().map(|(name, error)| {
        let similar = error.similar().map_or_else(String::new, |similar| {
            format!(" (did you mean `{similar}`?)")
        });
        format!("{source}: there is no resource `{name}`{similar}; available: {known}")
    });
    let problems = first_messages(problems, &source, "");
    if custom_only {
        reader.warnings.extend(problems);
    } else {
        reader.problems.extend(problems);
    }
    if custom_only {
        resources.clear();
    } else if resources.is_empty() {
        resources.extend(BuiltIn::defaults().map(|resource| resource.name().to_owned()));
    }
    resources
}

/// Returns a list of namespaces. A name that no namespace can have is a problem: no object would be in this namespace.
fn namespaces(reader: &mut Reader<'_>, option: &Items) -> Vec<String> {
    let names = reader.items(option);
    let source = reader.source(&option.row);
    let problems: Vec<_> = (names.iter())
        .filter_map(|name| {
            let problem = names::check_namespace(name).err()?;
            let shown = visible_line(start_of(name, SHOWN).to_owned());
            Some(format!("{source}: `{shown}` {problem}"))
        })
        .collect();
    let problems = first_messages(problems.into_iter(), &source, "");
    reader.problems.extend(problems);
    names
}

/// Returns the limits on the samples, labels and text of one object, and on the number of custom resource kinds.
fn limits(reader: &mut Reader<'_>) -> Limits {
    let size = |limit: u64| usize::try_from(limit).unwrap_or(usize::MAX);
    Limits::default()
        .samples_per_family(size(reader.value(&table::SAMPLE_LIMIT)))
        .labels_per_sample(size(reader.value(&table::LABEL_LIMIT)))
        .expression_cost(reader.value(&table::EXPRESSION_COST_LIMIT))
        .text_per_object(reader.value(&table::TEXT_LIMIT))
        .wildcard_kinds(size(reader.value(&table::CUSTOM_RESOURCE_KIND_LIMIT)))
}

fn shard(reader: &mut Reader<'_>) -> Shard {
    let before = reader.problems.len();
    let by_range = reader.value(&table::SERVER_SIDE_SHARDING);
    let shard = reader.value(&table::SHARD);
    let total = reader.value(&table::TOTAL_SHARDS);
    if reader.problems.len() > before {
        return Shard::default();
    }
    let shard = Shard::new(shard, total).unwrap_or_else(|error| {
        reader
            .problems
            .push(format!("--shard {shard}, --total-shards {total}: {error}"));
        Shard::default()
    });
    if by_range { shard.by_range() } else { shard }
}
