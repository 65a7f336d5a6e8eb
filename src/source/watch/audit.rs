//! The audit of a watch: finds objects that a watch has missed, although its connection works.
//!
//! A watch cannot detect that an event was lost: the stream continues, and bookmarks may even confirm later versions.
//! Therefore, each watch is audited in regular rounds:
//!
//! 1. The watch asks the API server for the number of objects. The request is a list with `limit=1`, whose metadata has
//!    `remainingItemCount`.
//! 2. The watch receives changes up to the resource version of the response. Then the watch compares the number in the
//!    response with the number of objects that the watch has received up to this version. If the numbers differ, or if
//!    the watch does not reach this version, there is a *suspicion*. Without a suspicion, the round ends.
//! 3. The watch lists the metadata of all objects, and compares each object in the list with its stored row. Objects
//!    that change during the audit are not compared. In some rounds, a watch begins with this step without a suspicion;
//!    the watches take turns.
//! 4. If the comparison finds differences, the watch repeats the comparison. If the second comparison confirms a
//!    difference, the watch lists the whole objects again.
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
