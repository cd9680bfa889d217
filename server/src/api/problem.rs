//! Errors as problem details (RFC 9457), with one entry a field.

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use domain::account::User;
use serde::Serialize;
use service::Error;
use utoipa::ToSchema;

#[derive(Debug, Serialize, ToSchema)]
struct FieldError {
    field: String,
    rule: serde_json::Value,
    message: String,
}

/// The body of an error.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Problem {
    r#type: &'static str,
    title: &'static str,
    status: u16,
    detail: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldError>,
    #[serde(skip)]
    retry_after_s: Option<u64>,
}

impl Problem {
    fn new(status: StatusCode, title: &'static str, detail: String) -> Self {
        Self { r#type: "about:blank", title, status: status.as_u16(), detail, errors: Vec::new(), retry_after_s: None }
    }

    pub(super) fn unauthenticated() -> Self {
        let detail = "send a token: Authorization: Bearer TOKEN".to_owned();
        Self::new(StatusCode::UNAUTHORIZED, "Unauthorized", detail)
    }

    /// A body or a path that is none.
    pub(super) fn malformed(detail: String) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "Bad Request", detail)
    }

    pub(super) fn method_not_allowed() -> Self {
        let detail = "the resource has no such method".to_owned();
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed", detail)
    }

    /// Somebody who was asked for it, such as a provider of tokens, did not do their part.
    pub(super) fn upstream(detail: String) -> Self {
        Self::new(StatusCode::BAD_GATEWAY, "Bad Gateway", detail)
    }

    pub(crate) fn of(error: &Error) -> Self {
        let detail = error.to_string();
        match error {
            Error::Forbidden(_) | Error::Refused => Self::new(StatusCode::FORBIDDEN, "Forbidden", detail),
            Error::NotFound => Self::new(StatusCode::NOT_FOUND, "Not Found", detail),
            Error::Conflict => Self::new(StatusCode::CONFLICT, "Conflict", detail),
            Error::InUse(users) => {
                let names: Vec<String> =
                    users.iter().map(|(user, name)| format!("{} \"{name}\"", kind(user))).collect();
                Self::new(StatusCode::CONFLICT, "In use", format!("{detail}: {}", names.join(", ")))
            }
            Error::TooManyAttempts { retry_after_s } => Self {
                retry_after_s: Some(*retry_after_s),
                ..Self::new(StatusCode::TOO_MANY_REQUESTS, "Too Many Requests", detail)
            },
            Error::Internal { .. } => Self::new(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error", detail),
            Error::Invalid(problems) => {
                let words = words::Locale::En.words();
                let one = |it: &domain::problem::Problem| FieldError {
                    field: it.field.clone(),
                    rule: serde_json::to_value(&it.rule).unwrap_or_default(),
                    message: app::error::problem_wording(&it.rule, &it.field, words),
                };
                let errors = problems.iter().map(one).collect();
                Self { errors, ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, "Unprocessable Content", detail) }
            }
        }
    }
}

/// A record that uses another: `account 7`.
fn kind(user: &User) -> String {
    match user {
        User::Account(id) => format!("account {id}"),
        User::Connector(id) => format!("connector {id}"),
        User::Smtp(id) => format!("SMTP {id}"),
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        Self::of(&error)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = (status, [(header::CONTENT_TYPE, "application/problem+json")], body).into_response();
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(seconds) = self.retry_after_s {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
