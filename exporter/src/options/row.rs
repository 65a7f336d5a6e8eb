//! The columns of the [table of options](super::table).

/// An option: its row in the table of options, and the parser of its values.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OptionDef<P> {
    pub(crate) row: Row,
    pub(crate) parse: P,
}

/// An option whose value is a single text.
pub(crate) type Single<T> = OptionDef<fn(&str) -> Result<T, String>>;
/// An option whose value is a list.
pub(crate) type Items = OptionDef<fn(&[String]) -> Vec<String>>;

/// All properties of an option except the type of its value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    /// The flag, with its dashes.
    pub(crate) flag: &'static str,
    /// The key in the options file; `None` if only the flag sets the option.
    pub(crate) key: Option<&'static str>,
    /// An old key in the options file. An old key still works, but causes a warning.
    pub(crate) old_key: Option<&'static str>,
    pub(crate) form: Form,
    pub(crate) default: DefaultValue,
    /// The heading under which the help lists the flag.
    pub(crate) heading: &'static str,
    /// The help text: one plain phrase without a full stop.
    pub(crate) help: &'static str,
    /// Whether the help omits the flag.
    pub(crate) hidden: bool,
    /// Whether the subcommand `render` also has the flag.
    pub(crate) render: bool,
    pub(crate) reload: Reload,
    pub(crate) compat: Compat,
}

/// How values are written on the command line and in the options file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// A boolean: `--flag` or `--flag=BOOL`.
    Switch,
    /// A single value: `--flag VALUE`. The text in this variant, and in the variants below, is the placeholder of the
    /// value in the help.
    Value(&'static str),
    /// A list: `--flag A,B`. The flag may occur several times.
    List(&'static str),
    /// A list: `--flag A,B`. The flag may occur several times. In the options file, the items are the keys of a map. If
    /// this map is empty, the value of the flag applies.
    Keys(&'static str),
    /// A map of lists: `--flag RESOURCE=[A,B],...`. If the map in the options file is empty, the value of the flag
    /// applies.
    Allowlists(&'static str),
}

/// The value of an option that is not set.
#[derive(Clone, Copy, Debug)]
pub(crate) enum DefaultValue {
    /// The empty value; `false` for a switch.
    Empty,
    /// A value as the user would write it.
    Value(&'static str),
    /// A computed default. The function returns a text that describes the default in the help.
    Described(fn() -> String),
}

/// How a changed value in the options file takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reload {
    /// The change takes effect immediately, for new connections and requests.
    Live,
    /// The exporter opens a listener on the new address.
    NewListener,
    /// The exporter starts a new instance, with new stores and a new source. The old instance serves scrapes until the
    /// new instance is complete.
    NewInstance,
    /// The change takes effect after a restart.
    Restart,
}

/// The difference from the Go program kube-state-metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compat {
    /// No difference.
    Same,
    /// The differences.
    Differs(&'static str),
    /// The exporter accepts the option, but it has no effect. The text is the reason, which a warning shows.
    NoEffect(&'static str),
    /// The Go program does not have this option.
    Added,
}

// === impl Row ===

impl Row {
    /// The values of columns that a row does not set.
    pub(crate) const EMPTY: Self = Self {
        flag: "",
        key: None,
        old_key: None,
        form: Form::Switch,
        default: DefaultValue::Empty,
        heading: "",
        help: "",
        hidden: false,
        render: false,
        reload: Reload::Restart,
        compat: Compat::Same,
    };

    /// The keys in the options file. The current key comes first, the old key second.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &'static str> {
        self.key.into_iter().chain(self.old_key)
    }

    /// The default as the user would write it.
    pub(crate) fn default_text(&self) -> &'static str {
        match (self.default, self.form) {
            (DefaultValue::Value(text), _) => text,
            (_, Form::Switch) => "false",
            _ => "",
        }
    }

    /// The default as the help shows it; `None` if the option is empty or disabled by default.
    pub(crate) fn default_shown(&self) -> Option<String> {
        match self.default {
            DefaultValue::Empty => None,
            DefaultValue::Value(text) => Some(text.to_owned()),
            DefaultValue::Described(describe) => Some(describe()),
        }
    }

    /// Returns the paragraph about the option in the man page.
    pub(super) fn manual(&self) -> String {
        let mut text = format!("{}.", self.help);
        if let Some(default) = self.default_shown() {
            text += &format!(" Default: {default}.");
        }
        if let Some(key) = self.key {
            let reload = self.reload.describe();
            text += &format!(" Options file: {key}; a change takes effect {reload}.");
        }
        if let Some(key) = self.old_key {
            text += &format!(" Former key: {key}.");
        }
        match self.compat {
            Compat::Same => {}
            Compat::Differs(how) => text += &format!(" Compared with the Go program: {how}."),
            Compat::NoEffect(why) => text += &format!(" No effect: {why}."),
            Compat::Added => text += " The Go program does not have this option.",
        }
        text
    }
}

// === impl Reload ===

impl Reload {
    /// The end of the sentence "a change takes effect ...".
    pub(super) fn describe(self) -> &'static str {
        match self {
            Self::Live => "immediately",
            Self::NewListener => "with a new listener",
            Self::NewInstance => "with a new instance",
            Self::Restart => "after a restart",
        }
    }
}
