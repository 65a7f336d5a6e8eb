//! [`Reference`]: the controller of an object, as a row or a source stores it. A source is an object from which labels
//! are joined.

use super::kinds::SourceKind;
use crate::k8s::write_label_value;

/// The byte that separates the fields in the text that a row or a source stores. It occurs in no UTF-8 text.
pub(super) const FIELD_END: u8 = 0xff;
/// The byte between the kind and the name, in a reference whose kind is not a [`SourceKind`]. It occurs in no UTF-8
/// text.
const KIND_END: u8 = 0xfe;
/// The byte before the kind, in a reference whose kind is not a [`SourceKind`].
const OTHER_KIND: u8 = b'?';

/// A reference to the controller of an object. Names are escaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reference<'a> {
    Known { kind: SourceKind, name: &'a [u8] },
    Other { kind: &'a [u8], name: &'a [u8] },
}

/// The API group, kind and name of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ObjectName<'a> {
    pub(super) group: &'a str,
    pub(super) kind: &'a str,
    pub(super) name: &'a str,
}

// === impl ObjectName ===

impl ObjectName<'_> {
    /// Appends a reference to this object, if the object can be a workload. In the core group, only a
    /// ReplicationController can be a workload. Other objects of this group can be controllers, but not workloads. For
    /// example, a Node controls its static pods, and a Service controls its EndpointSlices.
    pub(super) fn write_reference(self, out: &mut Vec<u8>) {
        let known = SourceKind::named(self.group, self.kind);
        match known.filter(|kind| kind.is_workload()) {
            Some(kind) => out.push(kind.code()),
            None if self.group.is_empty() && self.kind != "ReplicationController" => return,
            None => {
                out.push(OTHER_KIND);
                write_label_value(out, self.kind);
                out.push(KIND_END);
            }
        }
        write_label_value(out, self.name);
    }
}

// === impl Reference ===

impl<'a> Reference<'a> {
    /// Reads a stored reference. `None` if it is empty.
    pub(super) fn read(stored: &'a [u8]) -> Option<Self> {
        let (&code, rest) = stored.split_first()?;
        if let Some(kind) = SourceKind::of_code(code) {
            return Some(Self::Known { kind, name: rest });
        }
        let at = memchr::memchr(KIND_END, rest)?;
        Some(Self::Other {
            kind: rest.get(..at)?,
            name: rest.get(at + 1..)?,
        })
    }

    pub(super) fn kind(self) -> &'a [u8] {
        match self {
            Self::Known { kind, .. } => kind.name().as_bytes(),
            Self::Other { kind, .. } => kind,
        }
    }

    pub(super) fn name(self) -> &'a [u8] {
        match self {
            Self::Known { name, .. } | Self::Other { name, .. } => name,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_reads_back_unless_the_object_is_no_workload() {
        let read = |group, kind, name| {
            let mut stored = Vec::new();
            ObjectName { group, kind, name }.write_reference(&mut stored);
            let reference = Reference::read(&stored);
            let text = |text: &[u8]| String::from_utf8(text.to_vec()).unwrap();
            reference.map(|own| (text(own.kind()), text(own.name())))
        };
        for (group, kind, name) in [
            ("apps", "ReplicaSet", "web-1"),
            ("argoproj.io", "Rollout", "web"),
            ("acme.dev", "Deployment", "web"),
            ("", "ReplicationController", "web"),
        ] {
            assert_eq!(
                read(group, kind, name),
                Some((kind.to_owned(), name.to_owned()))
            );
        }
        assert_eq!(read("", "Node", "worker-1"), None);
        assert_eq!(read("", "Service", "web"), None);
        assert_eq!(
            read("x", "y", "a\n\""),
            Some(("y".into(), "a\\n\\\"".into()))
        );
    }
}
