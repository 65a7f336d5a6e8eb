//! Which metrics there are.

use std::collections::BTreeMap;

use kube_state_metrics::custom_resources::KnownKind;
use kube_state_metrics::filter::{AllowlistConfig, FilterError};
use kube_state_metrics::{BuildError, BuildProblem, BuiltIn, Shard, StateMetrics};

use super::flags::{ContentFlags, Flags, LogFlags};
use super::parse;
use super::reader::Reader;
use super::{CustomResources, Options, OptionsError};
use crate::config_file::{ConfigFile, Keys};

/// What is shown of the objects.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct MetricsOptions {
    pub(crate) resources: Vec<String>,
    pub(crate) allow: Vec<String>,
    pub(crate) deny: Vec<String>,
    pub(crate) opt_in: Vec<String>,
    pub(crate) labels: AllowlistConfig,
    pub(crate) annotations: AllowlistConfig,
    pub(crate) namespaces: Vec<String>,
    pub(crate) denied_namespaces: Vec<String>,
    pub(crate) shard: Shard,
    pub(crate) custom: CustomResources,
}

// === impl MetricsOptions ===

impl MetricsOptions {
    /// Reads it from flags and file.
    pub(super) fn read(reader: &mut Reader<'_>, flags: &ContentFlags, file: &ConfigFile) -> Self {
        /// The keys of a map of the file, unless it is absent or empty.
        fn keys(map: Option<&Keys>) -> Option<Vec<String>> {
            map.map(|map| map.0.clone()).filter(|keys| !keys.is_empty())
        }
        let list =
            |flag: &[String], keys: Option<Vec<String>>| keys.unwrap_or_else(|| parse::items(flag));
        let custom = CustomResources::read(reader, flags, file);
        let mut resources = list(&flags.resources, keys(file.resources.as_ref()));
        let unknown = resources
            .iter()
            .filter(|name| name.parse::<BuiltIn>().is_err());
        for name in unknown.cloned().collect::<Vec<_>>() {
            let from = reader.from("--resources", "resources", file.resources.is_some());
            let known: Vec<_> = BuiltIn::ALL.iter().map(|known| known.name()).collect();
            let known = known.join(", ");
            let problem = format!("{from}: there is no resource `{name}`; there are {known}");
            if custom.only {
                // None is shown, whatever its name.
                reader.warnings.push(problem);
            } else {
                reader.problems.push(problem);
            }
        }
        resources.retain(|name| name.parse::<BuiltIn>().is_ok());
        if resources.is_empty() {
            resources.extend(BuiltIn::defaults().map(|resource| resource.name().to_owned()));
        }
        if custom.only {
            resources.clear();
        }
        let shard = shard(reader, flags, file);
        Self {
            resources,
            allow: list(
                &flags.metric_allowlist,
                keys(file.metric_allowlist.as_ref()),
            ),
            deny: list(&flags.metric_denylist, keys(file.metric_denylist.as_ref())),
            opt_in: list(
                &flags.metric_opt_in_list,
                keys(file.metric_opt_in_list.as_ref()),
            ),
            labels: allowlists(
                reader,
                "--metric-labels-allowlist",
                flags.metric_labels_allowlist.as_deref(),
                file.labels.as_ref(),
            ),
            annotations: allowlists(
                reader,
                "--metric-annotations-allowlist",
                flags.metric_annotations_allowlist.as_deref(),
                file.annotations.as_ref(),
            ),
            namespaces: list(
                &flags.namespaces,
                file.namespaces.as_ref().map(parse::items),
            ),
            denied_namespaces: list(
                &flags.namespaces_denylist,
                file.namespaces_denylist.as_ref().map(parse::items),
            ),
            shard,
            custom,
        }
    }

    /// What `render` shows.
    pub(crate) fn from_flags(
        content: &ContentFlags,
        logging: &LogFlags,
    ) -> Result<(Self, Vec<String>), OptionsError> {
        let flags = Flags {
            content: content.clone(),
            logging: logging.clone(),
            ..Flags::default()
        };
        Options::new(&flags, None).map(|(options, warnings)| (options.metrics, warnings))
    }

    /// The stores for it.
    ///
    /// # Errors
    ///
    /// Names every pattern and resource that is wrong.
    pub(crate) fn build(&self) -> Result<StateMetrics, BuildError> {
        let builder = StateMetrics::builder()
            .resources(&self.resources)
            .allow_metrics(&self.allow)
            .deny_metrics(&self.deny)
            .opt_in_metrics(&self.opt_in)
            .label_allowlists(self.labels.clone())
            .annotation_allowlists(self.annotations.clone())
            .namespaces(&self.namespaces)
            .deny_namespaces(&self.denied_namespaces)
            .shard(self.shard);
        match &self.custom.config {
            // Kinds that only the cluster or the manifests know come later.
            Some(own) => builder
                .custom_resources(&own.config)
                .known_kinds(KnownKind::built_in())
                .build(),
            None => builder.build(),
        }
    }

    /// Builds the stores once, for what only that can tell.
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
            reader
                .problems
                .extend(errors.iter().map(|error| format!("{flag}: {error}")));
        }
        match self.build() {
            Ok(metrics) => {
                reader
                    .warnings
                    .extend(metrics.warnings().iter().map(ToString::to_string));
            }
            Err(error) => {
                // These are told above, with their flag.
                let told = |problem: &&BuildProblem| {
                    matches!(
                        problem,
                        BuildProblem::Filter(FilterError::UnknownResource { .. })
                    )
                };
                let rest = error.problems().iter().filter(|problem| !told(problem));
                reader.problems.extend(rest.map(ToString::to_string));
            }
        }
    }
}

fn shard(reader: &mut Reader<'_>, flags: &ContentFlags, file: &ConfigFile) -> Shard {
    let count = parse::number;
    let before = reader.problems.len();
    let by_range = reader.value(
        "--server-side-sharding",
        &flags.server_side_sharding,
        "server_side_sharding",
        &file.server_side_sharding,
        parse::switch,
        false,
    );
    let shard = reader.value("--shard", &flags.shard, "shard", &file.shard, count, 0);
    let total = "total_shards";
    let total = reader.value(
        "--total-shards",
        &flags.total_shards,
        total,
        &file.total_shards,
        count,
        1,
    );
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

fn allowlists(
    reader: &mut Reader<'_>,
    flag: &'static str,
    value: Option<&str>,
    file: Option<&BTreeMap<String, Vec<String>>>,
) -> AllowlistConfig {
    if let Some(lists) = file.filter(|lists| !lists.is_empty()) {
        let mut config = AllowlistConfig::default();
        for (resource, patterns) in lists {
            config.insert(resource, patterns);
        }
        return config;
    }
    AllowlistConfig::parse(value.unwrap_or_default()).unwrap_or_else(|error| {
        reader.problems.push(format!("{flag}: {error}"));
        AllowlistConfig::default()
    })
}
