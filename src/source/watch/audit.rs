//! An audit finds changes of objects that a watch has missed although the connection of the watch works.
//!
//! A watch cannot detect that an event was lost: the server still sends later events, and bookmarks with later
//! versions. Therefore, each watch is audited at regular intervals. One such *round* has these steps:
//!
//! 1. The watch asks the API server for the number of objects. The request is a list with `limit=1`, whose metadata has
//!    `remainingItemCount`.
//! 2. The response has a resource version. The watch continues until it has received all changes up to this version.
//!    Then it compares the number in the response with its own number of objects at this version. If the numbers
//!    differ, or if the watch does not reach this version in time, there is a *suspicion*. Without a suspicion, the
//!    round ends.
//! 3. Each stored object has a *row* with its uid, its version and its samples. The watch lists the metadata of all
//!    objects, and compares the uid and the version of each object with its row. Objects that change during the audit
//!    are not compared. In some rounds, a watch begins with this step even if there is no suspicion. The watches of a
//!    cluster take turns, so that few watches do this at the same time.
//! 4. If the comparison finds differences, the watch repeats the comparison. If the second comparison confirms a
//!    difference, the watch lists all objects again, with all fields.
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

pub(super) use comparison::{Difference, Listed};
pub(super) use lister::Lister;
pub(super) use received::{KeyHasher, Presence, ReceivedObjects};
pub(super) use rotation::Rotation;
pub(super) use state::{Audit, Finding, MANY_FAILED, Step};
