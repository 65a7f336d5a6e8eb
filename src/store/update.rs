//! Updates rows. If an object has changed, an update renders only the families that read a changed group of fields, and
//! decodes only the fields that these families read.
//!
//! The store divides the fields of objects into groups. A *scan* of an object computes the fingerprint of each group,
//! which is a hash of its fields, without decoding the object. A group has changed if its fingerprint differs from the
//! fingerprint in the row.

use super::MetricsStore;
use super::metrics_store::RowChange;
use super::object_type::set_type;
use super::page::{Identity, Page, RowPlace};
use super::row_feeder::{RowFeeder, namespace_in};
use super::updated_cells::UpdatedCells;
use crate::decode::{DecodeError, Encoded, Fields, GroupSet, Scanned, decode};
use crate::family::work;
use crate::resource::CollectedResource;

// === impl MetricsStore ===

impl<K: CollectedResource> MetricsStore<K> {
    /// Adds an object. If the object has a row, renders only the families that read a changed group of fields.
    ///
    /// # Errors
    ///
    /// Returns an error if the object does not decode.
    pub(super) fn apply_encoded(
        &self,
        feeder: &mut RowFeeder,
        object: Encoded<'_>,
    ) -> Result<(), DecodeError> {
        let schema = self.schema();
        let scanned = schema.scanner().and_then(|scanner| scanner.scan(object));
        // The metadata of a cluster-scoped object may contain a namespace, but the key of its row never does. The whole
        // object is decoded, because an update could not detect a change of this namespace.
        let is_in_key = |scanned: &Scanned<'_>| {
            namespace_in(self.resource().scope(), &scanned.namespace) == scanned.namespace
        };
        let Some(scanned) = scanned.filter(is_in_key) else {
            let decoded = self.decode_whole(object)?;
            self.apply_object(feeder, &decoded);
            return Ok(());
        };
        if self.update(feeder, object, &scanned).is_none() {
            let decoded = self.decode_scanned(object, &scanned, schema.fields());
            let decoded = decoded.inspect_err(|_| {
                // The whole object does not decode either, so the object itself is invalid. The failure does not prove
                // that the type requires whole objects.
                feeder.needs_whole_objects = false;
            })?;
            self.apply_decoded(feeder, &decoded, &scanned.fingerprints);
        }
        Ok(())
    }

    /// Decodes all fields of an object that the families read.
    pub(super) fn decode_whole(&self, object: Encoded<'_>) -> Result<K, DecodeError> {
        self.decode_fields(object, self.schema().fields())
    }

    /// Decodes `fields` of an object from the byte ranges that the scan has found. If this fails, decodes the fields
    /// from all bytes of the object.
    fn decode_scanned(
        &self,
        object: Encoded<'_>,
        scanned: &Scanned<'_>,
        fields: &Fields,
    ) -> Result<K, DecodeError> {
        let Some(mut decoded) = scanned.decode_parts(fields) else {
            return self.decode_fields(object, fields);
        };
        set_type(&mut decoded, self.schema().resource());
        Ok(decoded)
    }

    fn decode_fields(&self, object: Encoded<'_>, fields: &Fields) -> Result<K, DecodeError> {
        let resource = self.schema().resource();
        let mut decoded = decode(resource.kind(), object, fields)?;
        set_type(&mut decoded, resource);
        Ok(decoded)
    }

    /// Updates the row of an object. Returns `None` if the caller must render the whole object.
    ///
    /// The namespace in `scanned` must be the namespace in the key of the row.
    fn update(
        &self,
        feeder: &mut RowFeeder,
        object: Encoded<'_>,
        scanned: &Scanned<'_>,
    ) -> Option<()> {
        let filter = self.filter();
        if !filter.takes(&scanned.namespace, &scanned.uid) {
            return None;
        }
        feeder.set_key(&scanned.namespace, &scanned.name);
        let (place, changed, samples) = self.changed_groups(feeder, scanned)?;
        if self.schema().changes_joins(changed) {
            return None;
        }
        self.render_groups(feeder, object, scanned, changed)?;
        if !self.schema().is_small_update(&feeder.samples, samples) {
            return None;
        }
        if work::is_interrupted() {
            // The object needs too much work for this thread. The rendered cells are discarded, because the source
            // applies the object again on another thread.
            return Some(());
        }
        if let Some(source) = self.schema().source()
            && !source.keep(feeder.id as u64, &feeder.key)
        {
            return None;
        }
        let version = feeder.set_version(&scanned.resource_version);
        let identity = Identity {
            key: &feeder.key,
            uid: &scanned.uid,
            version,
        };
        let updated = UpdatedCells {
            place,
            cells: &feeder.cells,
            fingerprints: &scanned.fingerprints,
            rendered: changed,
            dictionary: feeder.samples.dictionary(),
            are_kept: feeder.samples.may_be_kept(),
        };
        let change = self.update_row(feeder.id, &filter, identity, updated);
        if change == RowChange::NeedsWholeObject {
            return None;
        }
        feeder.has_row = change != RowChange::Excluded;
        self.count_dropped(&feeder.key, &feeder.samples);
        Some(())
    }

    /// Returns the place of the row in its table, the groups of fields that have changed since the row was rendered,
    /// and the number of samples that `is_small_update` needs. Returns `None` if the changed groups are unknown.
    fn changed_groups(
        &self,
        feeder: &mut RowFeeder,
        scanned: &Scanned<'_>,
    ) -> Option<(RowPlace, GroupSet, usize)> {
        let samples = &mut feeder.samples;
        self.read_row(feeder.id, &feeder.key, |place, page: &Page, row| {
            if !page.uid(row)?.is(&scanned.uid) {
                return None;
            }
            let changed = scanned.fingerprints.changed_since(page.fingerprints(row))?;
            let dictionary = page.shared().iter();
            samples.begin_update(dictionary.map(|column| column.cell(row)));
            let row_samples = self.schema().samples_for_joins(page, row);
            Some((place, changed, row_samples))
        })
    }

    /// Renders the families that read the groups in `changed`. Returns `None` if the object must be rendered as a
    /// whole.
    fn render_groups(
        &self,
        feeder: &mut RowFeeder,
        object: Encoded<'_>,
        scanned: &Scanned<'_>,
        changed: GroupSet,
    ) -> Option<()> {
        let schema = self.schema();
        let plan = schema.plan(changed);
        if plan.is_empty() {
            feeder.cells.clear();
            return Some(());
        }
        if feeder.needs_whole_objects {
            return None;
        }
        let Ok(decoded) = self.decode_scanned(object, scanned, &plan.fields) else {
            feeder.needs_whole_objects = true;
            return None;
        };
        if !is_identity_of(scanned, &decoded) {
            return None;
        }
        let samples = &mut feeder.samples;
        schema.render_update(&decoded, plan, samples, &mut feeder.cells);
        // An update does not change the dictionary of the row. If the update needs a value that the dictionary lacks,
        // the whole object is rendered. A value that is no longer used stays in the dictionary until the whole object
        // is rendered again.
        let has_new_values = samples.dictionary().is_extended();
        (!has_new_values).then_some(())
    }
}

/// Whether the decoder and the scanner have read the same identity.
fn is_identity_of<K: CollectedResource>(scanned: &Scanned<'_>, object: &K) -> bool {
    let meta = object.meta();
    [
        (&meta.namespace, &scanned.namespace),
        (&meta.name, &scanned.name),
        (&meta.uid, &scanned.uid),
        (&meta.resource_version, &scanned.resource_version),
    ]
    .iter()
    .all(|(decoded, scanned)| decoded.as_deref().unwrap_or_default() == &***scanned)
}

#[cfg(test)]
mod tests;
