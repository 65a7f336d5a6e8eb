//! [`Schema`]: the base labels and families of a store. A schema renders an object to *cells*, which contain the text
//! of its labels and samples. The fields of an object are divided into groups. If only some groups change, the store
//! renders only the families that depend on these groups.

use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock};

use super::base_labels::BaseLabels;
use super::page::PageLayout;
use super::row_cells::RowCells;
use super::update_plan::UpdatePlan;
#[cfg(feature = "protobuf")]
use crate::decode::{DecodeError, Encoded, Encoding};
use crate::decode::{Dependency, FieldGroups, Fields, GroupSet, MAX_GROUPS, Scanner};
use crate::family::referenced_labels::DICTIONARY_COLUMNS;
use crate::family::{
    Allowlisted, BaseLabel, BaseSource, Family, FamilyDescriptor, SampleBuffer, SamplePolicy,
    Samples, work,
};
use crate::filter::LabelAllowlist;
use crate::joins::{RowJoins, SourceFeed};
use crate::limits::Limits;
use crate::resource::{CollectedResource, ResourceInfo, Scope};

/// The base labels and families of a store.
#[derive(Debug)]
pub(crate) struct Schema<K> {
    resource: ResourceInfo,
    bases: Vec<BaseLabels<K>>,
    families: Vec<ActiveFamily<K>>,
    /// The base labels and families to render for a whole object: all of them.
    whole: UpdatePlan,
    /// Finds the groups of fields that have changed in an object. `None` if each event may change all families.
    scanner: Option<Scanner>,
    /// For each set of changed groups of fields, the base labels and families to render. The index of a set is
    /// [`GroupSet::index`].
    plans: Vec<OnceLock<UpdatePlan>>,
    limits: Limits,
    /// The joined labels of the samples.
    joins: Option<Arc<RowJoins>>,
    /// The handle with which the store updates sources of labels when its objects change; `None` if no other samples
    /// get labels from these objects.
    source: Option<SourceFeed>,
    /// The changes of an object that may change the data for joined labels. This data consists of the object's
    /// references to other objects, and of its values that are joined to other samples.
    joined_dependency: Dependency,
    /// The fields of the protobuf message of the kind.
    #[cfg(feature = "protobuf")]
    message: Option<&'static kube_protobuf::Message>,
}

/// A family that the filters include.
#[derive(Debug)]
pub(crate) struct ActiveFamily<K> {
    pub(crate) family: Family<K>,
    /// The index of the family's base labels in `Schema::bases`.
    pub(crate) base: usize,
    allowlist: Option<Arc<LabelAllowlist>>,
    /// The changes of an object after which the family must be generated again. They include all changes of the base
    /// labels. With longer base labels, the object may exceed a limit on its text, and lose samples of this family.
    dependency: Dependency,
    /// Whether a sample of the family can already have a label with the name of a joined label. Such a sample does not
    /// get the joined label. If the flag is false, the family cannot write a label with the name of a joined label.
    pub(crate) own_wins: bool,
}

// === impl Schema ===

impl<K: CollectedResource> Schema<K> {
    pub(crate) fn new(resource: ResourceInfo) -> Self {
        Self {
            #[cfg(feature = "protobuf")]
            message: kube_protobuf::message_of(&resource.api_version(), resource.kind()),
            resource,
            bases: Vec::new(),
            families: Vec::new(),
            whole: UpdatePlan {
                bases: Vec::new(),
                families: Vec::new(),
                columns: Vec::new(),
                fields: Fields::union(Vec::new()),
            },
            scanner: None,
            plans: Vec::new(),
            limits: Limits::default(),
            joins: None,
            source: None,
            joined_dependency: Dependency::default(),
        }
    }

    /// Sets the limits for the output of the families.
    pub(crate) fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets the joined labels of the samples, and the handle that updates the sources of labels. The caller must add
    /// families after this call.
    pub(crate) fn with_joins(
        mut self,
        joins: Option<Arc<RowJoins>>,
        source: Option<SourceFeed>,
    ) -> Self {
        self.joins = joins;
        self.source = source;
        self
    }

    pub(super) fn limits(&self) -> Limits {
        self.limits
    }

    /// The joined labels of the samples.
    pub(crate) fn joins(&self) -> Option<&Arc<RowJoins>> {
        self.joins.as_ref()
    }

    /// The handle with which the store updates sources of labels when its objects change; `None` if no other samples
    /// get labels from these objects.
    pub(crate) fn source(&self) -> Option<&SourceFeed> {
        self.source.as_ref()
    }

    /// The fields of the protobuf message of the kind; `None` if the kind has no protobuf encoding.
    #[cfg(feature = "protobuf")]
    pub(crate) fn message(&self) -> Option<&'static kube_protobuf::Message> {
        self.message
    }

    /// Whether a protobuf message has all fields that the families read.
    ///
    /// Returns false if a configured family reads a value with nested fields as a whole, such as `spec`. Such a value
    /// may contain fields that this crate does not know.
    #[cfg(feature = "protobuf")]
    pub(crate) fn is_in(&self, message: &'static kube_protobuf::Message) -> bool {
        if self.resource.is_configured() {
            self.fields().are_values_of(message)
        } else {
            self.fields().are_in(message)
        }
    }

    /// Returns an object in protobuf with its message type, so that it can be decoded.
    #[cfg(feature = "protobuf")]
    pub(crate) fn protobuf<'a>(&self, object: &'a [u8]) -> Result<Encoded<'a>, DecodeError> {
        match self.message {
            Some(message) => Ok(Encoding::Protobuf(message).object(object)),
            None => Err(DecodeError::no_protobuf(self.resource.kind())),
        }
    }

    /// Adds families with their base labels. `constants` contains the names of the constant labels.
    ///
    /// A family of labels or annotations with an empty allowlist never has samples, so the family is not added.
    pub(crate) fn add(
        &mut self,
        labels: Vec<BaseLabel<K>>,
        constants: &[Cow<'static, str>],
        families: impl IntoIterator<Item = Family<K>>,
        allowlists: &Allowlists,
    ) {
        let base = self.bases.len();
        let names = labels.iter().map(|label| &label.name);
        let reserved_names = constants.iter().chain(names).cloned().collect();
        self.bases.push(BaseLabels {
            labels,
            reserved_names,
            dependency: Dependency::default(),
        });
        for family in families {
            let allowlist = match family.descriptor().allowlisted() {
                None => None,
                Some(Allowlisted::Labels) => Some(Arc::clone(&allowlists.labels)),
                Some(Allowlisted::Annotations) => Some(Arc::clone(&allowlists.annotations)),
            };
            if allowlist.as_ref().is_some_and(|list| list.is_empty()) {
                continue;
            }
            let own_wins = self.has_joined_names_in(family.descriptor());
            self.families.push(ActiveFamily {
                family,
                base,
                allowlist,
                dependency: Dependency::default(),
                own_wins,
            });
        }
        self.group_fields();
    }

    /// Divides the fields that the base labels and families read into groups.
    fn group_fields(&mut self) {
        let reads = self.reads_of_bases().chain(self.reads_of_families());
        let joined = self.reads_of_joins();
        let groups = FieldGroups::new(reads.chain([Some(joined.clone())]).collect());
        self.joined_dependency = groups.dependency(Some(joined.iter().copied()));
        for base in &mut self.bases {
            let reads = base.reads().map(|reads| groups.dependency(reads));
            base.dependency = reads.fold(Dependency::default(), Dependency::with);
        }
        for active in &mut self.families {
            let base = self.bases.get(active.base).map(|base| base.dependency);
            let dependency = groups.dependency(active.family.descriptor().reads());
            active.dependency = dependency.with(base.unwrap_or_default());
        }
        let may_skip = self
            .families
            .iter()
            .any(|active| !active.dependency.each_event);
        let header = [
            self.resource.api_version().into_owned(),
            self.resource.kind().to_owned(),
        ];
        self.scanner = may_skip.then(|| {
            Scanner::new(
                groups,
                header,
                #[cfg(feature = "protobuf")]
                self.message,
            )
        });
        self.plans = (0..1 << MAX_GROUPS).map(|_| OnceLock::new()).collect();
        let bases = (0..self.bases.len()).collect();
        self.whole = self.plan_of(bases, (0..self.families.len()).collect(), joined);
    }

    /// Whether a change of these groups of fields may change the data for joined labels. This data consists of the
    /// object's references to other objects, and of its values that are joined to other samples. After such an event,
    /// the whole object is rendered.
    pub(super) fn changes_joins(&self, changed: GroupSet) -> bool {
        self.joined_dependency.is_on(changed)
    }

    /// The fields of an object that are needed for joined labels, in samples of this object and in samples of other
    /// objects.
    fn reads_of_joins(&self) -> Vec<&'static str> {
        let of_row = self.joins.iter().flat_map(|joins| joins.reads::<K>());
        let of_source = self.source.iter().flat_map(SourceFeed::reads);
        of_row.chain(of_source).collect()
    }

    /// The base labels and families to render if the groups of fields in `changed` have changed.
    pub(super) fn plan(&self, changed: GroupSet) -> &UpdatePlan {
        let Some(plan) = self.plans.get(changed.index()) else {
            return &self.whole;
        };
        plan.get_or_init(|| {
            let families = self.families.iter().enumerate();
            let families = families.filter(|(_, active)| active.dependency.is_on(changed));
            let families: Vec<_> = families.map(|(at, _)| at).collect();
            let is_used = |base| families.iter().any(|&at| self.families[at].base == base);
            let bases = self.bases.iter().enumerate();
            let bases = bases.filter(|(at, base)| base.dependency.is_on(changed) || is_used(*at));
            self.plan_of(bases.map(|(at, _)| at).collect(), families, Vec::new())
        })
    }

    /// Returns the plan for these base labels and families. `joined` contains the fields that joined labels need.
    fn plan_of(
        &self,
        bases: Vec<usize>,
        families: Vec<usize>,
        joined: Vec<&'static str>,
    ) -> UpdatePlan {
        let reads = self.reads_of_bases_at(&bases);
        let read = families.iter().map(|&at| self.families[at].reads());
        let fields = Fields::union(reads.chain(read).chain([Some(joined)]).collect());
        let columns = families.iter().map(|&family| self.column(family));
        UpdatePlan {
            columns: bases.iter().copied().chain(columns).collect(),
            fields,
            bases,
            families,
        }
    }

    /// Whether a sample of a family can already have a label with the name of a joined label. A configured family can
    /// always have such a label. Another family can have such a label if it declares labels by a prefix, such as
    /// `label_*`, and this prefix matches a joined label.
    fn has_joined_names_in(&self, family: &FamilyDescriptor) -> bool {
        let joined = self.joins.iter().flat_map(|joins| joins.names());
        let mut patterns = family.labels().filter_map(|label| label.strip_suffix('*'));
        let mut joined = joined.peekable();
        joined.peek().is_some() && self.resource.is_configured()
            || patterns.any(|prefix| joined.clone().any(|name| name.starts_with(prefix)))
    }

    pub(crate) fn resource(&self) -> &ResourceInfo {
        &self.resource
    }

    /// The fields that any enabled family or base label reads.
    pub(crate) fn fields(&self) -> &Fields {
        &self.whole.fields
    }

    /// Finds the groups of fields that have changed in an object. `None` if each event may change all families.
    pub(super) fn scanner(&self) -> Option<&Scanner> {
        self.scanner.as_ref()
    }

    pub(crate) fn families(&self) -> &[ActiveFamily<K>] {
        &self.families
    }

    /// The numbers of columns and fingerprints in the pages of the store.
    pub(super) fn layout(&self) -> PageLayout {
        PageLayout {
            // The columns are: base labels, families, references to sources of labels, and the dictionary.
            columns: self.bases.len()
                + self.families.len()
                + usize::from(self.joins.is_some())
                + DICTIONARY_COLUMNS,
            groups: self.scanner().map_or(0, |scanner| scanner.groups().count()),
        }
    }

    /// The index of the column of a family.
    pub(crate) fn column(&self, family: usize) -> usize {
        self.bases.len() + family
    }

    /// The names of the labels that precede a family's labels: the constant labels, then the base labels.
    pub(crate) fn base_labels(&self, base: usize) -> &[Cow<'static, str>] {
        self.bases
            .get(base)
            .map_or(&[], |base| &base.reserved_names)
    }

    /// Whether a family's samples have base labels.
    pub(crate) fn has_base_labels(&self, base: usize) -> bool {
        self.bases
            .get(base)
            .is_some_and(|base| !base.labels.is_empty())
    }

    /// Whether the base labels of each object are unique.
    pub(crate) fn base_is_identity(&self, base: usize) -> bool {
        let Some(base) = self.bases.get(base) else {
            return false;
        };
        let has = |wanted: fn(&BaseSource<K>) -> bool| {
            base.labels.iter().any(|label| wanted(&label.source))
        };
        let namespaced = self.resource.scope() == Scope::Namespaced;
        has(|source| matches!(source, BaseSource::Name))
            && (!namespaced || has(|source| matches!(source, BaseSource::Namespace)))
    }

    /// Renders all cells of an object. Samples that exceed a limit or are not valid are dropped, and the buffer counts
    /// them.
    ///
    /// If a generator panics, the object has no samples of that family. If the function of a base label panics, the
    /// label is empty. Other samples are not affected. If rendering the object exceeds the limit of work of the current
    /// thread, the cells are incomplete; see `work::is_interrupted`.
    pub(crate) fn render(&self, object: &K, buffer: &mut SampleBuffer, cells: &mut RowCells) {
        cells.clear();
        buffer.clear();
        self.render_plan(object, &self.whole, buffer, cells);
        if !work::is_interrupted() {
            if let Some(joins) = &self.joins {
                let max_joined = self.max_joined_len(joins, buffer);
                joins.write_links(object, &self.resource, max_joined, &mut cells.text);
                cells.ends.push(cells.text.len());
            }
            let dictionary = buffer.dictionary();
            dictionary.lists().for_each(|list| cells.push(list));
        }
    }

    /// Renders the cells of the base labels and families in a plan. `buffer` must have the dictionary of the row.
    pub(super) fn render_update(
        &self,
        object: &K,
        plan: &UpdatePlan,
        buffer: &mut SampleBuffer,
        cells: &mut RowCells,
    ) {
        cells.begin_columns(&plan.columns);
        self.render_plan(object, plan, buffer, cells);
    }

    fn render_plan(
        &self,
        object: &K,
        plan: &UpdatePlan,
        buffer: &mut SampleBuffer,
        cells: &mut RowCells,
    ) {
        let bases = plan.bases.iter().filter_map(|&at| self.bases.get(at));
        bases.for_each(|base| base.render(object, buffer, cells));
        let start = cells.text.len();
        for active in plan.families.iter().filter_map(|&at| self.families.get(at)) {
            let base_at = plan.bases.iter().position(|&base| base == active.base);
            let policy = SamplePolicy::new(
                active.family.descriptor().metric_type(),
                self.base_labels(active.base),
                active.allowlist.as_deref(),
                self.limits,
                base_at.map_or(0, |at| cells.len_of(at)),
            );
            let policy = policy.within_work(work::left());
            let policy = match &self.joins {
                Some(joins) => policy.with_joined(joins.names(), active.own_wins),
                None => policy,
            };
            let start_of_family = buffer.text().len();
            let mut samples = Samples::new(buffer, policy);
            let generator = active.family.generator();
            let generated = catch_unwind(AssertUnwindSafe(|| {
                generator.generate(object, &mut samples)
            }));
            if generated.is_err() {
                buffer.discard_after_panic(start_of_family);
            }
            work::spend(buffer.work_of_family());
            if work::is_interrupted() {
                return;
            }
            cells.ends.push(start + buffer.text().len());
        }
        cells.text.extend_from_slice(buffer.text());
    }

    fn reads_of_bases(&self) -> impl Iterator<Item = Option<Vec<&str>>> {
        self.bases.iter().flat_map(BaseLabels::reads)
    }

    fn reads_of_bases_at(&self, bases: &[usize]) -> impl Iterator<Item = Option<Vec<&str>>> {
        let bases = bases.iter().filter_map(|&at| self.bases.get(at));
        bases.flat_map(BaseLabels::reads)
    }

    fn reads_of_families(&self) -> impl Iterator<Item = Option<Vec<&str>>> {
        self.families.iter().map(ActiveFamily::reads)
    }
}

// === impl ActiveFamily ===

impl<K: CollectedResource> ActiveFamily<K> {
    /// The paths that the family reads; `None` if the family may read all fields.
    fn reads(&self) -> Option<Vec<&str>> {
        self.family.descriptor().reads().map(Iterator::collect)
    }
}

/// The keys that the label and annotation families of one resource export.
#[derive(Clone, Debug, Default)]
pub(crate) struct Allowlists {
    pub(crate) labels: Arc<LabelAllowlist>,
    pub(crate) annotations: Arc<LabelAllowlist>,
}
