//! The audit of a watch: finds objects that a watch has missed, although its connection works.
//!
//! A watch cannot detect that an event was lost: the stream continues, and bookmarks may even confirm later versions.
//! So each watch asks the API server regularly for the number of objects (a list with `limit=1`, whose metadata has
//! `remainingItemCount`), and compares it with the number of objects that it has received up to the version of the
//! answer. Another number, or a watch that does not reach this version, is only a suspicion. Then, and in turn for every
//! watch, a list of metadata is compared object by object with the stored rows. Objects that change meanwhile are left
//! out of the comparison. If a second comparison confirms a difference, the objects are listed again.
//!
//! Source: API concepts,
//! [retrieving large results sets in chunks](https://kubernetes.io/docs/reference/using-api/api-concepts/#retrieving-large-results-sets-in-chunks).

mod comparison;
mod lister;
mod received;
mod rotation;
mod skips;
mod state;
mod task;
mod window;

pub(super) use comparison::{Difference, Different, Listed};
pub(super) use lister::Lister;
pub(super) use received::{KeyHasher, Presence, ReceivedObjects};
pub(super) use rotation::Rotation;
pub(super) use state::{Audit, Step};
