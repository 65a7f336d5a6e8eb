//! [`Format`]: the formats of an exposition. Each format has a file, and a row in the call of the macro `formats`.

mod spec;

pub(crate) use spec::FormatSpec;

/// Declares the formats. Each row of a call names a module (the file `format/<module>.rs`) and a type in this module
/// that implements [`FormatSpec`]. The macro adds a variant with the name of this type to the enum [`Format`].
macro_rules! formats {
    ($($(#[$attribute:meta])* mod $module:ident: $name:ident;)*) => {
        $(mod $module;)*

        /// A format of metrics.
        ///
        /// ```
        /// use kube_state_metrics::exposition::Format;
        ///
        /// assert_eq!(Format::default().content_type(), "text/plain; version=0.0.4; charset=utf-8");
        /// ```
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Format {
            $($(#[$attribute])* $name,)*
        }

        impl Format {
            /// All formats. If a client accepts several formats equally, the first of them is used.
            pub(crate) const ALL: &[Self] = &[$(Self::$name),*];

            pub(crate) fn spec(self) -> &'static dyn FormatSpec {
                match self {
                    $(Self::$name => &$module::$name,)*
                }
            }
        }
    };
}

// `cargo fmt` does not find the files of these modules, because a macro declares them. So `.ci/run lint` names the
// files.
formats! {
    /// Prometheus text, version 0.0.4.
    #[default]
    mod text: Text;
    /// OpenMetrics, version 1.0.
    mod openmetrics: OpenMetrics;
}

impl Format {
    /// The value of the `Content-Type` header.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        self.spec().content_type()
    }
}

#[cfg(test)]
mod tests;
