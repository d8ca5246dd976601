//! Messages without secrets.

use std::sync::Mutex;

/// Values that no message may show.
static SECRETS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Keeps secrets, so that no message shows them.
pub fn remember(secrets: impl Iterator<Item = String>) {
    if let Ok(mut known) = SECRETS.lock() {
        known.extend(secrets);
        // A longer one first: a shorter may be a part of it.
        known.sort_by_key(|value| std::cmp::Reverse(value.len()));
    }
}

/// A text without secrets: neither those of the file nor what stands after the question mark of a URL, where signatures are.
pub fn masked(text: &str) -> String {
    let mut text = text.to_owned();
    if let Ok(secrets) = SECRETS.lock() {
        secrets.iter().for_each(|secret| text = text.replace(secret.as_str(), "***"));
    }
    without_queries(&text)
}

fn without_queries(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let end = rest[at..].find(|c: char| c.is_whitespace() || matches!(c, '"' | ')' | '\'' | '<' | '>'));
        let end = end.map_or(rest.len(), |end| at + end);
        let url = &rest[..end];
        match url[at..].find('?') {
            Some(query) => {
                kept.push_str(&url[..at + query]);
                kept.push_str("?***");
            }
            None => kept.push_str(url),
        }
        rest = &rest[end..];
    }
    kept + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_show_no_secret_and_no_signature() {
        remember(["sesame-open".to_owned(), "sesame".to_owned()].into_iter());
        let told = masked("no sesame-open at (https://host/x?sig=abc&se=1) or http://h/y?z in eu");
        assert_eq!(told, "no *** at (https://host/x?***) or http://h/y?*** in eu");
    }
}
