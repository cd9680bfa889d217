//! The use cases of the security posture: what is plain, skipped, pinned, weak, shared, silent, or about to end.

use domain::{
    actor::{Actor, Permission},
    audit::AuditAction,
    page::{Page, PageRequest},
    posture::{PostureCount, PostureList, PostureQuery, PostureRow},
};

use crate::{Error, Parts, audit::entry, error::need};

/// Rows of one download.
pub const POSTURE_EXPORTED_MAX: u32 = 100_000;

/// The use cases of the security posture.
pub struct Posture<'a>(pub(crate) &'a Parts);

impl Posture<'_> {
    /// How many records each list has.
    pub async fn counts(&self, actor: &Actor, query: &PostureQuery) -> Result<Vec<PostureCount>, Error> {
        need(actor, Permission::List)?;
        let now = self.0.clock.now();
        let mut counts = Vec::new();
        for list in PostureList::ALL {
            let n = self.0.store.count_posture(list, query.rank_below(list, now)).await?;
            counts.push(PostureCount { list, n });
        }
        Ok(counts)
    }

    /// One page of a list.
    pub async fn list(
        &self,
        actor: &Actor,
        list: PostureList,
        query: &PostureQuery,
    ) -> Result<Page<PostureRow>, Error> {
        need(actor, Permission::List)?;
        let below = query.rank_below(list, self.0.clock.now());
        Ok(self.0.store.list_posture(list, below, query.page).await?)
    }

    /// A list to be taken out of the house: its first [`POSTURE_EXPORTED_MAX`] rows. It is written down who took it.
    pub async fn export(
        &self,
        actor: &Actor,
        list: PostureList,
        query: &PostureQuery,
    ) -> Result<Vec<PostureRow>, Error> {
        let page = PageRequest { page: 1, page_size: POSTURE_EXPORTED_MAX };
        let query = PostureQuery { list: Some(list), page, ..*query };
        let rows = self.list(actor, list, &query).await?.items;
        let asked = PostureQuery { page: PageRequest::default(), ..query }.to_query_string();
        let subject = format!("security posture, CSV, {} rows, {asked}", rows.len());
        let entry = entry(actor, self.0.clock.now(), AuditAction::ReportExported, subject);
        self.0.store.add_audit(&[entry]).await?;
        Ok(rows)
    }
}
