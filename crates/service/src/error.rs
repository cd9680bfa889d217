//! Why a use case did not do what it was asked, by what the caller may do about it.

use domain::{
    account::UsedBy,
    actor::{Actor, Permission},
    problem::{Problem, Rule},
};

use crate::ports::StoreError;

/// The error of every use case.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The actor lacks the permission.
    #[error("this needs permission {0:?}")]
    Forbidden(Permission),
    #[error("there is no such record")]
    NotFound,
    /// Somebody else changed the record since it was read.
    #[error("the record was changed by somebody else")]
    Conflict,
    #[error("the input breaks a rule")]
    Invalid(Vec<Problem>),
    /// What uses the record, as far as it can be listed.
    #[error("the record is in use")]
    InUse(UsedBy),
    #[error("too many attempts; wait {retry_after_s} s")]
    TooManyAttempts { retry_after_s: u64 },
    /// Wrong user name or password, or wrong code: which, is not told.
    #[error("refused")]
    Refused,
    /// Ours; it was logged under this reference.
    #[error("internal error, reference {reference}")]
    Internal { reference: String },
}

impl Error {
    pub(crate) fn field(field: &str, rule: Rule) -> Self {
        Self::Invalid(vec![Problem::new(field, rule)])
    }

    /// Logs a failure of ours once, under a reference that the user sees too.
    pub(crate) fn internal(error: &(dyn std::error::Error + 'static)) -> Self {
        let reference = format!("{:08x}", rand::random::<u32>());
        let mut causes = Vec::new();
        let mut cause = error.source();
        while let Some(it) = cause {
            causes.push(it.to_string());
            cause = it.source();
        }
        tracing::error!(reference, error = %error, causes = causes.join(": "), "a use case failed");
        Self::Internal { reference }
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound => Self::NotFound,
            StoreError::Conflict | StoreError::OtherKey => Self::Conflict,
            StoreError::Taken { field } => Self::field(field, Rule::Taken),
            StoreError::Gone { field } => Self::field(field, Rule::Gone),
            StoreError::InUse => Self::InUse(Vec::new()),
            StoreError::Fenced | StoreError::Corrupt { .. } | StoreError::Backend(_) => Self::internal(&error),
        }
    }
}

/// The one place where permissions are asked for.
pub(crate) fn need(actor: &Actor, permission: Permission) -> Result<(), Error> {
    if actor.may(permission) {
        Ok(())
    } else {
        tracing::warn!(actor = %actor.name, ?permission, "refused");
        Err(Error::Forbidden(permission))
    }
}
