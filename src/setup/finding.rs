//! What `reco.check_setup` has found.

/// One row of the answer.
pub struct Finding {
    pub item: &'static str,
    pub ok: bool,
    pub detail: String,
}

impl Finding {
    pub fn good(item: &'static str, detail: impl Into<String>) -> Self {
        Self { item, ok: true, detail: detail.into() }
    }

    /// `detail` says what is wrong, `hint` what to do about it.
    pub fn bad(item: &'static str, detail: impl AsRef<str>, hint: &str) -> Self {
        Self { item, ok: false, detail: format!("{}\n{hint}", detail.as_ref()) }
    }
}
