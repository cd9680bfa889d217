//! From the driver's errors to what the caller may do about them.

use service::ports::StoreError;

pub(crate) fn backend(error: sqlx::Error) -> StoreError {
    StoreError::Backend(Box::new(error))
}

/// A broken uniqueness is the field's problem; anything else is ours.
pub(crate) fn taken(error: sqlx::Error, field: &'static str) -> StoreError {
    if error.as_database_error().is_some_and(sqlx::error::DatabaseError::is_unique_violation) {
        StoreError::Taken { field }
    } else {
        backend(error)
    }
}

/// A record that others still refer to cannot go.
pub(crate) fn in_use(error: sqlx::Error) -> StoreError {
    if error.as_database_error().is_some_and(sqlx::error::DatabaseError::is_foreign_key_violation) {
        StoreError::InUse
    } else {
        backend(error)
    }
}
