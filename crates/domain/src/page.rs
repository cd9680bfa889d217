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

    /// The way to this page of a list of `total` rows, from the end that is nearer.
    pub fn walk(self, total: u64) -> Walk {
        let (offset, total) = (self.offset(), i64::try_from(total).unwrap_or(i64::MAX));
        let limit = self.limit().min((total - offset).max(0));
        if offset > total / 2 {
            Walk { offset: (total - offset - limit).max(0), limit, is_backward: true }
        } else {
            Walk { offset, limit, is_backward: false }
        }
    }
}

/// How many rows to pass over and how many to take; backward, in the opposite order and to be turned round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Walk {
    pub offset: i64,
    pub limit: i64,
    pub is_backward: bool,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_walked_to_from_the_nearer_end() {
        let walk = |page, total| {
            let it = PageRequest::new(page, 30).walk(total);
            (it.offset, it.limit, it.is_backward)
        };
        assert_eq!(walk(1, 95), (0, 30, false));
        assert_eq!(walk(2, 95), (30, 30, false));
        assert_eq!(walk(3, 95), (5, 30, true));
        assert_eq!(walk(4, 95), (0, 5, true));
        assert_eq!(walk(9, 95), (0, 0, true));
        assert_eq!(walk(1, 0), (0, 0, false));
    }
}
