//! Pages that only show. The server makes their HTML, for the page and for the browser alike: so the browser holds neither the
//! types nor the views behind them, which would be a tenth of the bundle.

pub mod api;
#[cfg(feature = "ssr")]
pub mod list;
pub mod page;
pub mod records;
