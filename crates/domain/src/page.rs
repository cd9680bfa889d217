//! One page of a longer list.

use serde::{Deserialize, Serialize};

/// Records a screen shows unless asked otherwise.
pub const PAGE_SIZE: u32 = 30;
/// Messages an inbox page shows unless asked otherwise.
pub const INBOX_PAGE_SIZE: u32 = 50;
/// The most that one page may hold.
pub const PAGE_SIZE_MAX: u32 = 200;

/// Which page is wanted. Pages count from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageRequest {
    pub page: u32,
    pub page_size: u32,
}

impl PageRequest {
    /// Clamps both numbers to what is allowed.
    pub fn new(page: u32, page_size: u32) -> Self {
        Self { page: page.max(1), page_size: page_size.clamp(1, PAGE_SIZE_MAX) }
    }

    pub fn limit(self) -> i64 {
        i64::from(self.page_size)
    }

    pub fn offset(self) -> i64 {
        i64::from(self.page - 1) * i64::from(self.page_size)
    }
}

impl Default for PageRequest {
    fn default() -> Self {
        Self::new(1, PAGE_SIZE)
    }
}

/// The rows of one page and how many there are in all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page<T> {
    pub items: Vec<T>,
    pub total: u64,
    pub page: u32,
    pub page_size: u32,
}

impl<T> Page<T> {
    pub fn new(items: Vec<T>, total: u64, request: PageRequest) -> Self {
        Self { items, total, page: request.page, page_size: request.page_size }
    }

    pub fn last_page(&self) -> u32 {
        u32::try_from(self.total.div_ceil(u64::from(self.page_size.max(1)))).unwrap_or(u32::MAX).max(1)
    }

    /// First and last record shown, counted from 1; (0, 0) for an empty page.
    pub fn range(&self) -> (u64, u64) {
        if self.items.is_empty() {
            return (0, 0);
        }
        let before = u64::from(self.page.saturating_sub(1)) * u64::from(self.page_size);
        (before + 1, before + self.items.len() as u64)
    }

    pub fn map<U>(self, f: impl FnMut(T) -> U) -> Page<U> {
        Page {
            items: self.items.into_iter().map(f).collect(),
            total: self.total,
            page: self.page,
            page_size: self.page_size,
        }
    }
}
