//! A form that came back: it was posted to a plain route, which renders the form's own page again with what was wrong.
//!
//! Forms post natively, with and without WebAssembly. The route hands [`Posted`] to the page through the context; the page's
//! server function finds it there, so the browser gets it with the page.

use domain::problem::Problem;
use serde::{Deserialize, Serialize};

/// What was posted (secrets emptied), what was wrong with it, and whether somebody else was faster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Posted<T> {
    pub form: T,
    pub problems: Vec<Problem>,
    pub is_conflict: bool,
    /// What went wrong otherwise.
    pub error: Option<crate::error::UserError>,
}
