//! Which platforms a configuration may name: a list that is passed in, so that the checks can be tested without
//! any real platform.

use aftersign_core::platform::Platform;

/// The platforms to choose from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Registry {
    /// Their names.
    pub(crate) names: fn() -> Vec<&'static str>,
    /// The platform of that name.
    pub(crate) by_name: fn(&str) -> Option<&'static dyn Platform>,
}

impl Registry {
    /// Those that are compiled in.
    pub(crate) const COMPILED_IN: Self = Self {
        names: || aftersign_platforms::all().iter().map(|platform| platform.name()).collect(),
        by_name: aftersign_platforms::by_name,
    };
}
