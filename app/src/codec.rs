//! JSON between browser and server.
//!
//! Like `server_fn`'s own, but read as text: what comes with a page is read as text too, and a second way of reading would hold
//! every type's code twice, a tenth of the bundle.

use leptos::server_fn::{Bytes, ContentType, Decodes, Encodes, Format, FormatType, codec::Post};
use serde::{Serialize, de::DeserializeOwned};

/// Serialises to JSON, and reads it as text.
pub struct JsonText;

impl ContentType for JsonText {
    const CONTENT_TYPE: &'static str = "application/json";
}

impl FormatType for JsonText {
    const FORMAT_TYPE: Format = Format::Text;
}

impl<T: Serialize> Encodes<T> for JsonText {
    type Error = serde_json::Error;

    fn encode(value: &T) -> Result<Bytes, serde_json::Error> {
        serde_json::to_vec(value).map(Bytes::from)
    }
}

impl<T: DeserializeOwned> Decodes<T> for JsonText {
    type Error = serde_json::Error;

    fn decode(bytes: Bytes) -> Result<T, serde_json::Error> {
        serde_json::from_str(&String::from_utf8_lossy(&bytes))
    }
}

/// Arguments and answers as JSON in the body of a POST request.
pub type Json = Post<JsonText>;
