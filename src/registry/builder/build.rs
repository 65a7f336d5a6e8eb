//! [`Builder::build`]: checks the registered collectors and options, and creates the stores.

use std::collections::BTreeSet;
use std::sync::Arc;

use parking_lot::RwLock;

use super::{Allowlists, Builder};
use crate::exposition::{ConstantLabels, Plan};
use crate::families::BuiltIn;
use crate::filter::{AllowlistConfig, MetricFilter};
use crate::registry::current_plan::CurrentPlan;
use crate::registry::errors::{BuildError, BuildProblem};
use crate::registry::join_settings::JoinSettings;
use crate::registry::registration::{
    RegisterBuiltIn, Registration, check_labels, check_repeated_families, merge,
};
use crate::registry::settings::Settings;
use crate::registry::state_metrics::StateMetrics;
use crate::resource::ResourceInfo;
use crate::store::AnyStore;

// === impl Builder ===

impl Builder {
    /// Checks the names, patterns and resources, and creates the stores.
    ///
    /// # Errors
    ///
    /// Returns all problems together: invalid names, patterns and resources, and conflicts between families or labels.
    pub fn build(mut self) -> Result<StateMetrics, BuildError> {
        let mut problems: Vec<BuildProblem> = Vec::new();
        let unknown = std::mem::take(&mut self.unknown).into_iter();
        problems.extend(unknown.map(Into::into));

        let registrations = self.take_registrations(&mut problems);
        check_repeated_families(&registrations, &mut problems);
        let resources: Vec<_> = registrations
            .iter()
            .map(|registration| registration.resource().clone())
            .collect();
        let settings = self.settings(&resources, &mut problems);
        self.check_host_fed(&resources, &settings, &mut problems);
        let stores = create_stores(registrations, &settings, &mut problems);

        #[cfg(feature = "custom-resources")]
        let (configured, stores) = {
            let (configured, added) = self.configured.start(&settings, &stores);
            let stores = [stores, added].concat();
            crate::registry::configured::link_stores(&stores);
            (configured, stores)
        };
        let plan = Plan::new(stores, &settings.constants).unwrap_or_else(|conflicts| {
            problems.extend(conflicts.into_iter().map(Into::into));
            Plan::default()
        });
        if !problems.is_empty() {
            return Err(BuildError::new(problems));
        }
        let warnings = [settings.labels.warnings(), settings.annotations.warnings()].concat();
        let metrics = StateMetrics::new(CurrentPlan::new(plan), settings, warnings);
        #[cfg(feature = "custom-resources")]
        let metrics = metrics.with_configured(configured);
        Ok(metrics)
    }

    /// Returns all collectors. The collectors of built-in resources come first, sorted by the names of the resources.
    /// The collectors of the application follow.
    fn take_registrations(
        &mut self,
        problems: &mut Vec<BuildProblem>,
    ) -> Vec<Box<dyn Registration>> {
        let mut replaced = std::mem::take(&mut self.replaced);
        for (&built_in, registration) in &replaced {
            let (wanted, given) = (built_in.info(), registration.resource());
            if *given != wanted {
                problems.push(BuildProblem::WrongReplacement {
                    given: given.to_string(),
                    built_in: wanted.to_string(),
                });
            }
        }
        let mut built_in = std::mem::take(&mut self.built_in);
        built_in.extend(replaced.keys());
        let built_in = built_in.into_iter().map(|resource| {
            let replacement = replaced.remove(&resource);
            replacement.unwrap_or_else(|| resource.visit(RegisterBuiltIn))
        });
        let mut registrations: Vec<_> = built_in.collect();
        registrations.append(&mut self.registrations);
        registrations
    }

    /// Reports each name that was passed to `fed_by_host`, but is not the name of a registered resource.
    ///
    /// If there is a configuration of custom resources, it may add resources later. So any valid name is then accepted.
    fn check_host_fed(
        &self,
        resources: &[ResourceInfo],
        settings: &Settings,
        problems: &mut Vec<BuildProblem>,
    ) {
        let is_complete = self.is_complete();
        for name in &settings.host_fed.names {
            let is_registered = resources.iter().any(|resource| name.matches(resource))
                || settings.joins.has_source(name);
            if !is_registered && (is_complete || !name.is_valid()) {
                let registered: Vec<_> = resources.iter().map(ToString::to_string).collect();
                problems.push(BuildProblem::UnknownHostFed {
                    resource: name.to_string(),
                    registered: registered.join(", "),
                });
            }
        }
    }

    /// Whether no further resources can be added later, because there is no configuration of custom resources.
    fn is_complete(&self) -> bool {
        #[cfg(feature = "custom-resources")]
        return self.configured.config.is_none();
        #[cfg(not(feature = "custom-resources"))]
        true
    }

    /// The options that all stores have in common.
    fn settings(
        &mut self,
        resources: &[ResourceInfo],
        problems: &mut Vec<BuildProblem>,
    ) -> Settings {
        let mut known: Vec<_> = BuiltIn::ALL
            .iter()
            .map(|built_in| built_in.info())
            .collect();
        known.extend_from_slice(resources);
        let labels = std::mem::take(&mut self.labels).resolve(&known, problems);
        let annotations = std::mem::take(&mut self.annotations).resolve(&known, problems);
        let metrics = MetricFilter::new(&self.allow, &self.deny, &self.opt_in);
        let metrics = metrics.unwrap_or_else(|errors| {
            problems.extend(errors.into_iter().map(Into::into));
            MetricFilter::default()
        });
        let constants: ConstantLabels = std::mem::take(&mut self.constants);
        let names = constants.iter().map(|(name, _)| &**name);
        check_labels(problems, "the constant labels", names);
        let constant_names: Vec<_> = (constants.iter())
            .map(|(name, _)| name.clone().into())
            .collect();
        let if_complete = |resources| Some(resources).filter(|_| self.is_complete());
        let (registered, known) = (if_complete(resources), if_complete(&known));
        let joins = std::mem::take(&mut self.joins);
        let joins = JoinSettings::new(joins, registered, known, &constant_names, problems);
        Settings {
            metrics,
            labels,
            annotations,
            constant_names,
            constants,
            host_fed: std::mem::take(&mut self.host_fed),
            joins,
            limits: self.limits,
            filter: RwLock::new(std::mem::take(&mut self.filter)),
        }
    }
}

fn create_stores(
    registrations: Vec<Box<dyn Registration>>,
    settings: &Settings,
    problems: &mut Vec<BuildProblem>,
) -> Vec<Arc<dyn AnyStore>> {
    let mut stores = Vec::new();
    for registration in merge(registrations) {
        registration.check(&settings.constant_names, problems);
        registration.check_joins(settings, problems);
        stores.push(settings.store(registration));
    }
    stores
}

// === impl Allowlists ===

impl Allowlists {
    /// Returns the allowlists by the plural names of resources. Reports names that belong to no resource.
    fn resolve(self, known: &[ResourceInfo], problems: &mut Vec<BuildProblem>) -> AllowlistConfig {
        let mut allowlists = self.parsed;
        for (name, patterns) in self.added {
            let matching = known.iter().filter(|resource| name.matches(resource));
            let matching: BTreeSet<_> = matching.map(ResourceInfo::plural).collect();
            if matching.is_empty() {
                // The name is `*`, or it belongs to no resource. In the second case, `check_resources` below reports
                // the name.
                allowlists.insert(name.to_string(), patterns);
                continue;
            }
            for plural in matching {
                allowlists.insert(plural, patterns.clone());
            }
        }
        let plurals: BTreeSet<_> = known.iter().map(ResourceInfo::plural).collect();
        let plurals: Vec<_> = plurals.into_iter().collect();
        let errors = allowlists
            .check_resources(&plurals)
            .err()
            .unwrap_or_default();
        problems.extend(errors.into_iter().map(Into::into));
        allowlists
    }
}
