//! Asking for the settings of a mail address: SRV records, autoconfig files, and names that are usual. Everything is looked up and
//! fetched under the egress policy; no credential has a part in any of it.

mod autoconfig;
mod file;
mod guess;
mod srv;

use async_trait::async_trait;
use domain::{
    check::{CheckError, ErrorKind},
    discovery::{LookUp, LookUpOutcome},
    email::EmailAddress,
};
use futures::future::join3;
use service::ports::{Discovery, MailError};

use crate::Mail;

#[async_trait]
impl Discovery for Mail {
    async fn look_up(&self, address: &EmailAddress) -> Vec<LookUp> {
        let egress = &self.dialer.egress;
        let (mut all, files, hosts) = join3(
            srv::look_up(egress.resolver(), address),
            self.look_up_files(address),
            guess::look_up(egress, address),
        )
        .await;
        all.extend(files);
        all.extend(hosts);
        all
    }
}

fn failed(kind: ErrorKind, message: impl Into<String>) -> LookUpOutcome {
    LookUpOutcome::Failed(CheckError { kind, message: message.into() })
}

fn failure(error: MailError) -> LookUpOutcome {
    failed(error.kind, error.message)
}
