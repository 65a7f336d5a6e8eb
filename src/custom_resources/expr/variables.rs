//! [`Variables`]: the values that an expression can name. [`Meter`]: the limit on the cost of evaluations.

use std::cell::Cell;
#[cfg(feature = "cel")]
use std::cell::RefCell;
use std::fmt;
#[cfg(feature = "cel")]
use std::rc::Rc;

use serde_json::Value;

#[cfg(feature = "cel")]
use super::object_variable::ObjectVariable;

/// The variables of an expression.
#[cfg_attr(
    not(feature = "cel"),
    expect(dead_code, reason = "only expressions read it")
)]
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Variables<'a> {
    /// `object`: the whole object.
    pub(in super::super) object: &'a Value,
    /// `item`: the element from which a sample is created.
    pub(in super::super) item: &'a Value,
    /// `key`: the key of the element if it is an entry of a map.
    pub(in super::super) key: Option<&'a str>,
    pub(in super::super) meter: &'a Meter,
}

/// The remaining cost of the evaluations of one family for one object, and the values that the evaluations share.
pub(in super::super) struct Meter {
    limit: u64,
    left: Cell<u64>,
    /// Whether the evaluations reach the limit on the work of the thread before the limit on the cost.
    is_interruptible: bool,
    /// For each expression, the address of the expression, and the object as the expression reads it. Because of this
    /// cache, each expression converts the object only once.
    #[cfg(feature = "cel")]
    objects: RefCell<Vec<(usize, Rc<ObjectVariable>)>>,
}

// === impl Variables ===

impl<'a> Variables<'a> {
    /// The variables for an object whose only element is the object itself.
    pub(in super::super) fn of(object: &'a Value, meter: &'a Meter) -> Self {
        Self {
            object,
            item: object,
            key: None,
            meter,
        }
    }
}

// === impl Meter ===

impl Meter {
    /// Creates a meter with a limit on the cost. `work` is the work that the thread may still do (see `family::work`).
    /// The work also limits the cost.
    pub(in super::super) fn new(limit: u64, work: u64) -> Self {
        Self {
            limit: limit.min(work),
            left: Cell::new(limit.min(work)),
            is_interruptible: work <= limit && work < u64::MAX,
            #[cfg(feature = "cel")]
            objects: RefCell::default(),
        }
    }

    /// Whether the evaluations have exceeded the limit.
    pub(in super::super) fn is_exceeded(&self) -> bool {
        self.left.get() == 0
    }

    /// Whether the evaluations have ended early, because the thread has reached its limit on work. The results of such
    /// evaluations are discarded.
    pub(in super::super) fn is_interrupted(&self) -> bool {
        self.is_interruptible && self.is_exceeded()
    }

    /// The total cost of the evaluations so far.
    pub(in super::super) fn spent(&self) -> u64 {
        self.limit - self.left.get()
    }
}

#[cfg(feature = "cel")]
impl Meter {
    pub(super) fn left(&self) -> u64 {
        self.left.get()
    }

    pub(super) fn set_left(&self, left: u64) {
        self.left.set(left);
    }

    /// Returns the object as an expression reads it. Only the first evaluation of the expression converts the object.
    /// `expression` is the address of the expression.
    ///
    /// # Errors
    ///
    /// Returns the error of `convert`. In this case, the meter does not store the object.
    pub(super) fn object<E>(
        &self,
        expression: usize,
        convert: impl FnOnce() -> Result<ObjectVariable, E>,
    ) -> Result<Rc<ObjectVariable>, E> {
        let known = (self.objects.borrow().iter())
            .find(|(own, _)| *own == expression)
            .map(|(_, own)| Rc::clone(own));
        if let Some(known) = known {
            return Ok(known);
        }
        let object = Rc::new(convert()?);
        self.objects
            .borrow_mut()
            .push((expression, Rc::clone(&object)));
        Ok(object)
    }
}

impl fmt::Debug for Meter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Meter")
            .field("left", &self.left)
            .finish_non_exhaustive()
    }
}
