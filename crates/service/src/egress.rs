//! The use cases of the egress policy: to look at it, and to ask it. It is changed in the configuration only.

use domain::{
    actor::{Actor, Permission},
    egress::{EgressPicture, EgressTrial, target},
};

use crate::{Error, Parts, error::need};

/// The use cases of the egress policy.
pub struct Egress<'a>(pub(crate) &'a Parts);

impl Egress<'_> {
    pub fn picture(&self, actor: &Actor) -> Result<EgressPicture, Error> {
        need(actor, Permission::List)?;
        Ok(self.0.egress.picture())
    }

    /// What it says to each address that this one means; none if the name is not found. Nothing is contacted but the resolver.
    pub async fn try_out(&self, actor: &Actor, address: &str, port: &str) -> Result<Vec<EgressTrial>, Error> {
        need(actor, Permission::Action)?;
        let (address, port) = target(address, port).map_err(Error::Invalid)?;
        Ok(self.0.egress.try_out(&address, port).await.unwrap_or_default())
    }
}
