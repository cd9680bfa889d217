//! The lists of the security posture.

use async_trait::async_trait;
use domain::{
    page::{Page, PageRequest},
    posture::{PostureList, PostureRow},
};

use super::StoreError;

#[async_trait]
pub trait PostureStore: Send + Sync {
    /// How many records of this list rank below this bound (see `PostureQuery::rank_below`).
    async fn count_posture(&self, list: PostureList, below: i64) -> Result<u64, StoreError>;
    /// They themselves, by rank and then name.
    async fn list_posture(
        &self,
        list: PostureList,
        below: i64,
        page: PageRequest,
    ) -> Result<Page<PostureRow>, StoreError>;
}
