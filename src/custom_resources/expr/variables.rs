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

/// The values of the variables in an expression.
#[cfg_attr(
    not(feature = "cel"),
    expect(dead_code, reason = "only expressions read it")
)]
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Variables<'a> {
    /// The variable `object`: the whole object.
    pub(in super::super) object: &'a Value,
    /// The variable `item`: the element from which a sample is created.
    pub(in super::super) item: &'a Value,
    /// The variable `key`: the key of the element in its map; `None` if the element is not an entry of a map.
    pub(in super::super) key: Option<&'a str>,
    pub(in super::super) meter: &'a Meter,
}

/// The cost that remains for all evaluations of one family for one object together. The meter also has the values that
/// these evaluations share.
pub(in super::super) struct Meter {
    limit: u64,
    left: Cell<u64>,
    /// Whether the limit on the work of the thread applies. It applies if it is not higher than the limit on the cost.
    is_interruptible: bool,
    /// A cache of the variable `object`. For each expression, it has the address of the expression, and the object with
    /// the fields that the expression reads. So the object is converted only once for each expression.
    #[cfg(feature = "cel")]
    objects: RefCell<Vec<(usize, Rc<ObjectVariable>)>>,
}

// === impl Variables ===

impl<'a> Variables<'a> {
    /// Returns the variables for an object that has only one element: the object itself.
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
    /// Creates a meter with a limit on the cost. `work` is a second limit: how much work the thread may still do (see
    /// `family::work`). The lower limit applies.
    pub(in super::super) fn new(limit: u64, work: u64) -> Self {
        Self {
            limit: limit.min(work),
            left: Cell::new(limit.min(work)),
            is_interruptible: work <= limit && work < u64::MAX,
            #[cfg(feature = "cel")]
            objects: RefCell::default(),
        }
    }

    /// Whether the evaluations have reached the limit.
    pub(in super::super) fn is_exceeded(&self) -> bool {
        self.left.get() == 0
    }

    /// Whether the limit on the work of the thread has ended the evaluations early. The caller then discards their
    /// results.
    pub(in super::super) fn is_interrupted(&self) -> bool {
        self.is_interruptible && self.is_exceeded()
    }

    /// Returns the total cost of the evaluations until now.
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

    /// Returns the object with the fields that an expression reads. Only the first evaluation of each expression
    /// converts the object. `expression` is the address of the expression.
    ///
    /// # Errors
    ///
    /// Returns the error of `convert`. After an error, the cache does not contain the object.
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
