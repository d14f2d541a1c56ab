//! Endpoints: what is read shows itself in a form that reads back to the same, and nothing panics.

use crate::base::endpoint::Endpoint;

/// Reads `data` as an endpoint.
///
/// # Panics
/// When what an endpoint shows reads back to another one, or a mistake is told in more than one line.
pub fn endpoint(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    match text.parse::<Endpoint>() {
        Ok(endpoint) => {
            let shown = endpoint.to_string();
            assert_eq!(
                shown.parse(),
                Ok(endpoint),
                "{text:?} was shown as {shown:?}"
            );
        }
        Err(error) => {
            let message = error.to_string();
            assert!(
                !message.is_empty() && !message.contains(char::is_control),
                "{message:?}"
            );
        }
    }
}
