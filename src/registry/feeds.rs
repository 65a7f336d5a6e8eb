//! The writers for the resources that a host feeds.

use super::state_metrics::StateMetrics;
use crate::errors::debug_is_display;
use crate::joins::SourceFeed;
use crate::resource::{CollectedResource, ResourceName};
use crate::store::{JoinWriter, MetricsStore, ObjectWriter, Writer};

/// The reason why a host cannot get a writer of a resource.
///
/// ```
/// use k8s_openapi::api::core::v1::{Node, Pod};
/// use kube_state_metrics::registry::FeedError;
/// use kube_state_metrics::{BuiltIn, StateMetrics};
///
/// let metrics = StateMetrics::builder()
///     .built_in([BuiltIn::Nodes, BuiltIn::Pods])
///     .fed_by_host(BuiltIn::Nodes)
///     .build()?;
/// assert!(metrics.feed::<Node>().is_ok());
/// let error = metrics.feed::<Pod>().unwrap_err();
/// assert!(matches!(&error, FeedError::FedBySources { resource } if resource == "pods"));
/// assert!(error.to_string().contains(".fed_by_host(\"pods\")"));
/// # Ok::<(), kube_state_metrics::registry::BuildError>(())
/// ```
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FeedError {
    /// No collector of this type or resource is registered.
    #[error("no collector of {wanted} is registered; add a collector to the builder")]
    NotRegistered {
        /// The name of the requested type or resource.
        wanted: String,
    },
    /// Several registered resources have this type.
    #[error(
        "several resources have the type {kind}: {}; select one of them with `feed_of`",
        resources.join(", ")
    )]
    Ambiguous {
        /// The name of the type.
        kind: String,
        /// The resources that have this type.
        resources: Vec<String>,
    },
    /// The builder does not declare that the host feeds the resource.
    #[error(
        "the sources of the crate, such as a watch, feed {resource}; if the host feeds it, declare \
         this with `.fed_by_host(\"{resource}\")` or `.all_fed_by_host()` on the builder"
    )]
    FedBySources {
        /// The resource.
        resource: String,
    },
    /// A configuration adds families to the resource, and these families need the objects as JSON.
    #[error(
        "{resource} also has families from a configuration, which need JSON; feed JSON with `feeds_of`, or \
         replace the declaration of the builder by `Collector::fed_by_host` on the Rust collector, so \
         that the sources of the crate feed the configured families"
    )]
    NeedsJson {
        /// The resource.
        resource: String,
    },
}

debug_is_display!(FeedError);

// === impl StateMetrics ===

impl StateMetrics {
    /// Returns a writer of typed objects for the resource of `K`.
    ///
    /// First declare in the builder that the host feeds the resource, with [`fed_by_host`](super::Builder::fed_by_host)
    /// or [`all_fed_by_host`](super::Builder::all_fed_by_host). If the host passes a list to a writer, this list
    /// replaces only the objects of this writer. So a host with one watch per namespace needs one writer per watch. The
    /// writer's [`store`](Writer::store) has the methods of [`CacheStore`](crate::CacheStore).
    ///
    /// # Errors
    ///
    /// The method fails if
    ///
    /// - no collector of `K` is registered
    /// - several resources have the type `K`, which is possible with [`DynamicObject`](kube::core::DynamicObject)
    /// - the builder does not declare that the host feeds the resource
    /// - a configuration adds families that need JSON
    pub fn feed<K: CollectedResource>(&self) -> Result<Writer<K>, FeedError> {
        self.checked_writer(&self.store_of_type::<K>()?)
    }

    /// Returns a writer of typed objects for the given resource.
    ///
    /// Use this method if several resources have the type `K`.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`feed`](Self::feed).
    ///
    /// ```
    /// use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
    /// use kube_state_metrics::resource::Scope;
    /// use kube_state_metrics::{Collector, Family, StateMetrics};
    ///
    /// let collector = |kind, name| {
    ///     let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("acme.dev", "v1", kind));
    ///     let size = Family::gauge(name, "Size.")
    ///         .generate(|object: &DynamicObject, s| s.maybe_value(object.data["size"].as_f64()));
    ///     Collector::dynamic(&resource, Scope::Namespaced).family(size).fed_by_host()
    /// };
    /// let metrics = StateMetrics::builder()
    ///     .collector(collector("Widget", "widget_size"))
    ///     .collector(collector("Gadget", "gadget_size"))
    ///     .build()?;
    /// assert!(metrics.feed::<DynamicObject>().is_err(), "the type alone is ambiguous");
    ///
    /// let mut widgets = metrics.feed_of::<DynamicObject>("widgets.acme.dev")?;
    /// widgets.apply_json(br#"{ "metadata": { "name": "a" }, "size": 3 }"#)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn feed_of<K: CollectedResource>(
        &self,
        resource: impl Into<ResourceName>,
    ) -> Result<Writer<K>, FeedError> {
        let name = resource.into();
        let mut stores = self.stores_of_type::<K>();
        stores.retain(|store| name.matches(store.resource()));
        match &stores[..] {
            [] => Err(FeedError::NotRegistered {
                wanted: name.to_string(),
            }),
            [store] => self.checked_writer(store),
            stores => Err(ambiguous(stores)),
        }
    }

    /// Returns a writer of JSON for each resource that the host feeds.
    ///
    /// The writers are in the order of the exposition. The result ends with the writers for objects that only provide
    /// [joined labels](super::Builder::join_label).
    ///
    /// If the builder does not declare that the host feeds a resource, there is no writer for this resource.
    ///
    /// ```
    /// use kube_state_metrics::{BuiltIn, StateMetrics};
    ///
    /// let metrics = StateMetrics::builder().built_in([BuiltIn::Nodes]).all_fed_by_host().build()?;
    /// for mut writer in metrics.feeds() {
    ///     writer.apply_json(br#"{ "metadata": { "name": "worker-1" } }"#)?;
    /// }
    /// assert_eq!(metrics.stores()[0].stats().objects, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn feeds(&self) -> Vec<Box<dyn ObjectWriter>> {
        let plan = self.plan();
        let stores = plan.feeders().filter(|store| store.is_host_fed());
        let stores = stores.map(|store| store.object_writer());
        let sources = self.source_feeds(true).into_iter().map(JoinWriter::boxed);
        stores.chain(sources).collect()
    }

    /// Returns the writers of JSON for one resource.
    ///
    /// Collectors of different Rust types may read the same resource. Each of these types has its own writer.
    ///
    /// The writers also feed the families that a configuration adds to the resource. With JSON, the host can use other
    /// versions of `kube` and `k8s-openapi` than this crate.
    ///
    /// # Errors
    ///
    /// Returns an error if no collector of the resource is registered, or if the builder does not declare that the host
    /// feeds the resource.
    ///
    /// ```
    /// use kube_state_metrics::registry::FeedError;
    /// use kube_state_metrics::{BuiltIn, StateMetrics};
    ///
    /// let metrics = StateMetrics::builder()
    ///     .built_in([BuiltIn::Nodes, BuiltIn::Pods])
    ///     .fed_by_host(BuiltIn::Nodes)
    ///     .build()?;
    /// assert_eq!(metrics.feeds_of(BuiltIn::Nodes)?.len(), 1);
    /// assert!(matches!(metrics.feeds_of("pods"), Err(FeedError::FedBySources { .. })));
    /// assert!(matches!(metrics.feeds_of("jobs"), Err(FeedError::NotRegistered { .. })));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn feeds_of(
        &self,
        resource: impl Into<ResourceName>,
    ) -> Result<Vec<Box<dyn ObjectWriter>>, FeedError> {
        let name = resource.into();
        let plan = self.plan();
        let stores = plan.feeders();
        let stores: Vec<_> = stores
            .filter(|store| name.matches(store.resource()))
            .collect();
        let Some(first) = stores.first() else {
            let is_wanted = |source: &SourceFeed| name.matches(&source.kind().info());
            if let Some(source) = self.source_feeds(true).into_iter().find(is_wanted) {
                return Ok(vec![JoinWriter::boxed(source)]);
            }
            if let Some(source) = self.source_feeds(false).into_iter().find(is_wanted) {
                let resource = source.kind().info().to_string();
                return Err(FeedError::FedBySources { resource });
            }
            return Err(FeedError::NotRegistered {
                wanted: name.to_string(),
            });
        };
        let resource = first.resource().to_string();
        let writers = stores.iter().filter(|store| store.is_host_fed());
        let writers: Vec<_> = writers.map(|store| store.object_writer()).collect();
        match writers.is_empty() {
            true => Err(FeedError::FedBySources { resource }),
            false => Ok(writers),
        }
    }

    /// Returns the feeds of objects that only provide joined labels. If `by_host` is true, these are the feeds for the
    /// host. Otherwise, these are the feeds for the sources of this crate.
    pub(crate) fn source_feeds(&self, by_host: bool) -> Vec<SourceFeed> {
        let settings = self.settings();
        settings.joins.without_store(&settings.host_fed, by_host)
    }

    /// Returns the store whose objects have the type `K`, or an error if there is no such store or if there are
    /// several.
    pub(crate) fn store_of_type<K: CollectedResource>(&self) -> Result<MetricsStore<K>, FeedError> {
        let stores = self.stores_of_type::<K>();
        match &stores[..] {
            [] => Err(FeedError::NotRegistered {
                wanted: std::any::type_name::<K>().to_owned(),
            }),
            [store] => Ok(store.clone()),
            stores => Err(ambiguous(stores)),
        }
    }

    fn stores_of_type<K: CollectedResource>(&self) -> Vec<MetricsStore<K>> {
        let plan = self.plan();
        let stores = plan.stores().iter().map(|store| store.as_any());
        let stores = stores.filter_map(|store| store.downcast_ref::<MetricsStore<K>>());
        stores.cloned().collect()
    }

    /// Returns a writer of typed objects. Returns an error if the host does not feed the resource, or if the resource
    /// needs JSON.
    fn checked_writer<K: CollectedResource>(
        &self,
        store: &MetricsStore<K>,
    ) -> Result<Writer<K>, FeedError> {
        let resource = store.resource().to_string();
        if !store.is_host_fed() {
            return Err(FeedError::FedBySources { resource });
        }
        let plan = self.plan();
        if (plan.stores().iter()).any(|other| store.is_linked_to(other.as_any())) {
            return Err(FeedError::NeedsJson { resource });
        }
        Ok(store.writer())
    }
}

fn ambiguous<K: CollectedResource>(stores: &[MetricsStore<K>]) -> FeedError {
    FeedError::Ambiguous {
        kind: std::any::type_name::<K>().to_owned(),
        resources: stores
            .iter()
            .map(|store| store.resource().to_string())
            .collect(),
    }
}
