//! What a form shows: the options that there are, and what is wrong with what was typed.

/// What is wrong, by the field; a field with no name is the whole.
pub type Faults = Vec<(String, String)>;

/// An option, as a form shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OptionRow {
    /// The heading that it stands under.
    pub group: &'static str,
    /// Its name, without dashes.
    pub key: &'static str,
    /// It is a switch.
    pub is_switch: bool,
    /// What there is to choose from; empty where anything can be typed.
    pub choices: Vec<&'static str>,
    /// What holds where nothing is given.
    pub default: String,
    /// One sentence, without its first capital and its full stop.
    pub help: &'static str,
    /// It can change while the role runs.
    pub is_live: bool,
}
