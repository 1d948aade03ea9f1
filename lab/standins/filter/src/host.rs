//! What the filter needs of Envoy; tests bring their own.

/// Headers in order; a name may occur more than once.
pub type Headers = Vec<(String, String)>;

/// One request, as Envoy shows it.
pub trait Host {
    /// An attribute by its path, `None` where the request has none.
    ///
    /// # Errors
    /// When Envoy cannot tell.
    fn property(&self, path: &[&str]) -> Result<Option<Vec<u8>>, String>;

    /// The request's headers, pseudo headers included.
    ///
    /// # Errors
    /// When Envoy cannot tell.
    fn request_headers(&self) -> Result<Headers, String>;

    /// The response's headers.
    ///
    /// # Errors
    /// When there is no response yet.
    fn response_headers(&self) -> Result<Headers, String>;

    /// Replaces every request header of this name.
    fn set_request_header(&self, name: &str, value: &str);
}

/// The first value of a header.
pub fn header<'a>(headers: &'a Headers, name: &str) -> Option<&'a str> {
    headers
        .iter()
        .find(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.as_str())
}
