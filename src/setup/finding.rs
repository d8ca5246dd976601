//! A finding of `reco.check_setup`.

/// One row of the result.
pub struct Finding {
    pub item: &'static str,
    pub ok: bool,
    pub detail: String,
}

impl Finding {
    pub fn good(item: &'static str, detail: impl Into<String>) -> Self {
        Self { item, ok: true, detail: detail.into() }
    }

    /// A finding of a fault. `detail` says what is wrong, and `hint` what can be done about it.
    pub fn bad(item: &'static str, detail: impl AsRef<str>, hint: &str) -> Self {
        Self { item, ok: false, detail: format!("{}\n{hint}", detail.as_ref()) }
    }
}
